#include "core/models/detail/dchuc.hpp"

#include <cmath>

#include "tests/classic_models/support.hpp"

namespace gauntlet::models {
namespace {

using namespace gauntlet::testing;

constexpr DchucWeights kWeights{.gamma = 2.3, .alpha = 1.7, .mu = 0.9, .beta = 3.1, .eta = 0.4};

struct Case {
  torch::Tensor labels = items().labels;
  DchucSimilarity similarity{labels};
  torch::Tensor codes = signs(waves({kItems, kBits}, 0.77)) * similarity.labelled();
  DchucRelaxed relaxed = visited(waves({kItems, kBits}, 1.31), waves({kItems, kBits}, 2.77));
  torch::Tensor label_map = waves({kBits, kLabels}, 0.61);

  /// Rows 2 and 9 have not been visited.
  static DchucRelaxed visited(torch::Tensor image, torch::Tensor text) {
    for (const std::int64_t row : {2, 9}) {
      image[row].zero_();
      text[row].zero_();
    }
    return {image, text};
  }
};

double inner(const torch::Tensor& left, std::int64_t i, const torch::Tensor& right, std::int64_t j) {
  double sum = 0;
  for (std::int64_t k = 0; k < left.size(1); ++k) sum += cell(left, i, k) * cell(right, j, k);
  return sum;
}

bool share_a_label(const torch::Tensor& labels, std::int64_t i, std::int64_t j) {
  return inner(labels, i, labels, j) > 0;
}

TEST(Dchuc, SimilarityIsWhatLoopsGive) {
  const Case given;
  double n_similar = 0, n_apart = 0;
  for (int i = 0; i < kItems - 1; ++i) {
    for (int j = 0; j < kItems - 1; ++j) (share_a_label(given.labels, i, j) ? n_similar : n_apart) += 1;
  }
  EXPECT_DOUBLE_EQ(given.similarity.dissimilar(), -n_similar / n_apart);
  const torch::Tensor similar = given.similarity.rows(given.labels.slice(0, 3, 6));
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < kItems; ++j) {
      const double expected = share_a_label(given.labels, 3 + i, j) ? 1 : -n_similar / n_apart;
      EXPECT_NEAR(cell(similar, i, j), j == kItems - 1 ? 0 : expected, 1e-12) << i << " " << j;
    }
  }
  const torch::Tensor many = waves({1500, 7}, 1.9).gt(0.6).to(torch::kFloat64);  // more than one chunk
  const DchucSimilarity whole(many);
  const torch::Tensor relaxed = waves({1500, 3}, 0.3);
  expect_near(whole.transposed_product(relaxed), whole.rows(many).t().matmul(relaxed), 1e-12, "S'U");
}

/// The objective of V and W, over loops: everything of the whole that depends on V.
double objective_of_codes(const Case& given, const torch::Tensor& codes) {
  const torch::Tensor similar = given.similarity.rows(given.labels);
  double sum = 0;
  for (int j = 0; j < kItems; ++j) {
    for (int i = 0; i < kItems; ++i) {
      const double wanted = kBits * cell(similar, i, j);
      for (const torch::Tensor& relaxed : {given.relaxed.image, given.relaxed.text}) {
        if (relaxed[i].ne(0).any().item<bool>()) sum += std::pow(inner(relaxed, i, codes, j) - wanted, 2);
      }
    }
    if (given.relaxed.image[j].ne(0).any().item<bool>()) {
      for (int k = 0; k < kBits; ++k) {
        const double mean = 0.5 * (cell(given.relaxed.image, j, k) + cell(given.relaxed.text, j, k));
        sum += kWeights.gamma * std::pow(cell(codes, j, k) - mean, 2);
      }
    }
    for (int c = 0; c < kLabels; ++c) {
      double predicted = 0;
      for (int k = 0; k < kBits; ++k) predicted += cell(codes, j, k) * cell(given.label_map, k, c);
      sum += kWeights.beta * std::pow(predicted - cell(given.labels, j, c), 2);
    }
  }
  return sum;
}

TEST(Dchuc, EveryBitOfTheUnifiedCodesIsTheBestOne) {
  const Case given;
  torch::Tensor expected = given.codes.clone();
  double least = objective_of_codes(given, expected);
  int n_changed = 0;
  for (int bit = 0; bit < kBits; ++bit) {
    for (int item = 0; item < kItems - 1; ++item) {
      torch::Tensor flipped = expected.clone();
      flipped[item][bit] *= -1;
      const double value = objective_of_codes(given, flipped);
      EXPECT_GT(std::abs(value - least), 1e-9) << "a tie";
      if (value < least) {
        expected = flipped;
        least = value;
        ++n_changed;
      }
    }
  }
  EXPECT_GT(n_changed, 5);
  const torch::Tensor updated = dchuc_unified_codes(given.codes, given.relaxed, given.label_map, given.labels,
                                                    given.similarity, kWeights);
  EXPECT_TRUE(updated.equal(expected)) << updated << expected;
  EXPECT_LT(objective_of_codes(given, updated), objective_of_codes(given, given.codes));
  EXPECT_TRUE(updated[kItems - 1].eq(0).all().item<bool>());
}

TEST(Dchuc, LabelMapIsWhereTheGradientVanishes) {
  const Case given;
  const auto objective = [&](const torch::Tensor& map) {
    const auto error = [&](const torch::Tensor& codes, const torch::Tensor& rows) {
      return ((codes.matmul(map) - given.labels) * rows).square().sum();
    };
    const torch::Tensor visited = given.relaxed.image.ne(0).any(1, true).to(torch::kFloat64);
    return kWeights.alpha * (error(given.relaxed.image, visited) + error(given.relaxed.text, visited)) +
           kWeights.beta * error(given.codes, torch::ones_like(visited)) + kWeights.eta * map.square().sum();
  };
  const torch::Tensor map =
      dchuc_label_map(given.codes, given.relaxed, given.labels, kWeights).requires_grad_();
  const torch::Tensor gradient = torch::autograd::grad({objective(map)}, {map}).front();
  EXPECT_LT(gradient.abs().max().item<double>(), 1e-10);
  EXPECT_GT(objective(map + 0.01).item<double>(), objective(map).item<double>());
}

TEST(Dchuc, LossIsWhatLoopsGive) {
  const Case given;
  const torch::Tensor u = waves({3, kBits}, 0.83), g = waves({3, kBits}, 1.57);
  const torch::Tensor rows = torch::tensor({4, 0, 7});
  const torch::Tensor labels = given.labels.index_select(0, rows);
  const torch::Tensor similar = given.similarity.rows(labels);
  const DchucTargets targets{.codes = given.codes,
                             .label_map = given.label_map,
                             .similar = similar,
                             .similar_in_batch = similar.index_select(1, rows),
                             .labels = labels,
                             .rows = rows};
  double similarity = 0, quantisation = 0, predicted = 0, pairs = 0;
  for (int i = 0; i < 3; ++i) {
    for (const torch::Tensor& relaxed : {u, g}) {
      for (int j = 0; j < kItems; ++j) {
        similarity += std::pow(inner(relaxed, i, given.codes, j) - kBits * cell(similar, i, j), 2);
      }
      predicted += (relaxed[i].matmul(given.label_map) - labels[i]).square().sum().item<double>();
    }
    for (int j = 0; j < 3; ++j) {
      const std::int64_t other = rows[j].item<std::int64_t>();
      pairs += std::pow(inner(u, i, g, j) - kBits * cell(similar, i, other), 2);
    }
    const torch::Tensor code = given.codes[rows[i].item<std::int64_t>()];
    quantisation += (code - (u[i] + g[i]) / 2).square().sum().item<double>();
  }
  const DchucLoss loss = dchuc_loss(u, g, targets, kWeights);
  EXPECT_NEAR(loss.similarity.item<double>(), similarity, 1e-9);
  EXPECT_NEAR(loss.quantisation.item<double>(), quantisation, 1e-10);
  EXPECT_NEAR(loss.labels.item<double>(), predicted, 1e-10);
  EXPECT_NEAR(loss.pairs.item<double>(), pairs, 1e-9);
  EXPECT_NEAR(loss.total.item<double>(),
              (similarity + 2.3 * quantisation + 1.7 * predicted + 0.9 * pairs) / (3 * kItems), 1e-10);
  expect_gradient(
      u, [&](const torch::Tensor& x) { return dchuc_loss(x, g, targets, kWeights).total; }, "u");
  expect_gradient(
      g, [&](const torch::Tensor& x) { return dchuc_loss(u, x, targets, kWeights).total; }, "g");
}

TEST(Dchuc, UnifiedCodesAndLabelMapFollowTheRowsOfTheTrainingSet) {
  SmallRun<DchucConfig, DchucTraining> run(small_config<DchucConfig>());
  DchucTraining& training = *run.training;
  EXPECT_TRUE(training.codes.slice(0, 0, kItems - 1).abs().eq(1).all().item<bool>());
  EXPECT_TRUE(training.codes[kItems - 1].eq(0).all().item<bool>());
  const torch::Tensor map_before = training.label_map.clone();
  const PairForward pass = training.forward(pick(run.all, {8, 3, 5, 0}));
  static_cast<void>(training.losses(pass));
  EXPECT_TRUE(training.relaxed.image[8].equal(pass.image[0].tanh()));
  EXPECT_TRUE(training.relaxed.text[0].equal(pass.text[3].tanh()));
  EXPECT_TRUE(training.relaxed.text[1].eq(0).all().item<bool>());
  training.end_epoch();
  EXPECT_TRUE(training.codes.slice(0, 0, kItems - 1).abs().eq(1).all().item<bool>());
  EXPECT_FALSE(training.label_map.equal(map_before));
}

}  // namespace
}  // namespace gauntlet::models
