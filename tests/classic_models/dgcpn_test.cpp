#include "core/models/detail/dgcpn.hpp"

#include <algorithm>
#include <cmath>

#include "tests/classic_models/support.hpp"

namespace gauntlet::models {
namespace {

using namespace gauntlet::testing;

using Matrix = std::vector<std::vector<double>>;

double cosine(const torch::Tensor& features, std::int64_t i, std::int64_t j) {
  double inner = 0, left = 0, right = 0;
  for (std::int64_t k = 0; k < features.size(1); ++k) {
    inner += cell(features, i, k) * cell(features, j, k);
    left += std::pow(cell(features, i, k), 2);
    right += std::pow(cell(features, j, k), 2);
  }
  return inner / std::sqrt(left * right);
}

/// S of all items, over loops; features at least 0.
Matrix similarity_by_loops(const torch::Tensor& image, const torch::Tensor& text, const DgcpnGraph& graph) {
  const auto n = static_cast<std::size_t>(text.size(0));
  const auto n_kept = static_cast<std::size_t>(std::llround(graph.neighbour_share * static_cast<double>(n)));
  Matrix similar(n, std::vector<double>(n)), neighbours = similar, target = similar;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      const auto a = static_cast<std::int64_t>(i), b = static_cast<std::int64_t>(j);
      similar[i][j] = graph.text_share * cosine(text, a, b) + (1 - graph.text_share) * cosine(image, a, b);
    }
    std::vector<double> sorted = similar[i];
    std::ranges::sort(sorted, std::greater());
    double sum = 0;
    for (std::size_t j = 0; j < n; ++j) {
      neighbours[i][j] = j != i && similar[i][j] >= sorted[n_kept - 1] ? similar[i][j] : 0;
      sum += neighbours[i][j];
    }
    for (double& value : neighbours[i]) value /= sum;
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      double shared = 0;
      for (std::size_t k = 0; k < n; ++k) shared += neighbours[i][k] * neighbours[j][k];
      target[i][j] =
          2 * ((1 - graph.neighbour_weight) * similar[i][j] +
               graph.neighbour_weight * graph.neighbour_factor * static_cast<double>(n_kept) * shared) -
          1;
    }
  }
  return target;
}

TEST(Dgcpn, SimilarityIsWhatLoopsGive) {
  const torch::Tensor image = waves({11, kFeatures}, 0.7).abs(), text = waves({11, kWords}, 1.9).abs();
  for (const double text_share : {0.01, 0.4}) {
    const DgcpnGraph graph{
        .text_share = text_share, .neighbour_share = 0.4, .neighbour_weight = 0.3, .neighbour_factor = 2};
    const Matrix expected = similarity_by_loops(image, text, graph);
    const torch::Tensor rows = torch::tensor({7, 2, 10});
    const torch::Tensor found = DgcpnSimilarity(image, text, graph).among(rows);
    for (int i = 0; i < 3; ++i) {
      for (int j = 0; j < 3; ++j) {
        const auto left = static_cast<std::size_t>(rows[i].item<std::int64_t>());
        const auto right = static_cast<std::size_t>(rows[j].item<std::int64_t>());
        EXPECT_NEAR(cell(found, i, j), expected[left][right], 1e-12) << i << " " << j;
      }
    }
  }
}

TEST(Dgcpn, SimilarityOfOneModalityNeedsNoOther) {
  const torch::Tensor text = waves({6, kWords}, 1.9).abs();
  const DgcpnGraph graph{
      .text_share = 1, .neighbour_share = 0.5, .neighbour_weight = 0.3, .neighbour_factor = 2};
  const torch::Tensor rows = torch::arange(6);
  const torch::Tensor alone = DgcpnSimilarity({}, text, graph).among(rows);
  EXPECT_TRUE(alone.equal(DgcpnSimilarity(waves({6, 2}, 0.3), text, graph).among(rows)));
}

TEST(Dgcpn, LossIsWhatLoopsGive) {
  const torch::Tensor v = waves({4, kBits}, 0.83), t = waves({4, kBits}, 1.57),
                      similarity = waves({4, 4}, 0.59);
  double pairs = 0, fitted = 0, coherence = 0;
  const auto between = [](const torch::Tensor& left, int i, const torch::Tensor& right, int j) {
    return cosine(torch::stack({left[i], right[j]}), 0, 1);
  };
  for (int i = 0; i < 4; ++i) {
    pairs += std::pow(between(v, i, t, i) - 1.5, 2) / 4;
    for (int j = 0; j < 4; ++j) {
      const double vv = between(v, i, v, j), vt = between(v, i, t, j), tv = between(v, j, t, i),
                   tt = between(t, i, t, j);
      for (const double value : {vv, vt, tt}) {
        if (i != j) fitted += std::pow(value - cell(similarity, i, j), 2) / 16;
      }
      coherence +=
          (std::pow(vt - vv, 2) + std::pow(vt - tt, 2) + std::pow(vv - tt, 2) + std::pow(vt - tv, 2)) / 16;
    }
  }
  const DgcpnLoss loss = dgcpn_loss(v, t, similarity, 1.5);
  EXPECT_NEAR(loss.pairs.item<double>(), pairs, 1e-12);
  EXPECT_NEAR(loss.similarity.item<double>(), fitted, 1e-12);
  EXPECT_NEAR(loss.coherence.item<double>(), coherence, 1e-12);
  EXPECT_NEAR(loss.total.item<double>(), pairs + fitted + coherence, 1e-12);
  expect_gradient(
      v, [&](const torch::Tensor& x) { return dgcpn_loss(x, t, similarity, 1.5).total; }, "v");
  expect_gradient(
      t, [&](const torch::Tensor& x) { return dgcpn_loss(v, x, similarity, 1.5).total; }, "t");
}

using DgcpnRun = SmallRun<DgcpnConfig, DgcpnTraining>;

TEST(Dgcpn, CollectsFeaturesByRowInTheFirstEpoch) {
  DgcpnRun run(small_config<DgcpnConfig>());
  run.training->step(pick(run.all, {6, 1, 3}));
  EXPECT_TRUE(run.training->image_features[6].equal(run.all.images[6]));
  EXPECT_TRUE(run.training->text_features[3].equal(run.all.text[3]));
  EXPECT_TRUE(run.training->image_features[0].eq(0).all().item<bool>());
  DgcpnConfig of_texts = small_config<DgcpnConfig>();
  of_texts.text_share = 1;
  DgcpnRun texts(of_texts);
  texts.training->step(pick(texts.all, {6, 1, 3}));
  EXPECT_FALSE(texts.training->image_features.defined());
}

/// The loss without a step: what depends on the target similarity shows in it.
double loss_of(DgcpnRun& run, const TrainingBatch& batch) {
  return run.training->objective(batch).item<double>();
}

TEST(Dgcpn, FollowsTheWholeTrainingSetAfterTheFirstEpoch) {
  DgcpnConfig config = small_config<DgcpnConfig>();
  config.dropout = 0;
  DgcpnRun run(config);
  const TrainingBatch batch = pick(run.all, {6, 1, 3});
  const double alone = loss_of(run, batch);
  EXPECT_DOUBLE_EQ(loss_of(run, batch), alone);
  static_cast<void>(loss_of(run, run.all));
  run.training->end_epoch();
  const double within = loss_of(run, batch);
  EXPECT_NE(within, alone);
  const DgcpnGraph graph{config.text_share, config.neighbour_share, config.neighbour_weight,
                         config.neighbour_factor};
  const torch::Tensor target = DgcpnSimilarity(run.all.images, run.all.text, graph).among(batch.rows);
  const torch::Tensor v = run.net->encode_image(batch.images), t = run.net->encode_text(batch.text);
  const double expected = (dgcpn_loss(v, t, target, 1.5).total + dgcpn_loss(v, signs(t), target, 1.5).total +
                           dgcpn_loss(signs(v), t, target, 1.5).total)
                              .item<double>();
  EXPECT_NEAR(within, expected, 1e-12);
}

TEST(Dgcpn, DoesNotUseLabels) {
  DgcpnRun with(small_config<DgcpnConfig>()), without(small_config<DgcpnConfig>());
  for (int step = 0; step < 3; ++step) {
    TrainingBatch batch = pick(with.all, {6, 1, 3, 8});
    const Losses losses = with.training->step(batch);
    batch.labels = torch::ones_like(batch.labels);
    EXPECT_EQ(without.training->step(batch), losses);
  }
}

}  // namespace
}  // namespace gauntlet::models
