#include "core/models/detail/dcph.hpp"

#include <cmath>

#include "tests/classic_models/support.hpp"

namespace gauntlet::models {
namespace {

using namespace gauntlet::testing;

struct Case {
  torch::Tensor h = waves({5, kBits}, 0.9);
  torch::Tensor o = signs(waves({5, kBits}, 1.7));
  torch::Tensor labels = items().labels.slice(0, 0, 5);
  torch::Tensor proxies = signs(waves({kLabels, kBits}, 2.9));
  torch::Tensor codes = signs(waves({5, kBits}, 0.4));
  DcphWeights weights{.scale = 0.6, .margin = 1.2, .cross = 0.3, .quantisation = 0.2};
};

double product(const torch::Tensor& left, std::int64_t i, const torch::Tensor& right, std::int64_t j) {
  double sum = 0;
  for (int k = 0; k < kBits; ++k) sum += cell(left, i, k) * cell(right, j, k);
  return sum;
}

/// e^{γ(mean over own classes - σ)} and the denominator that goes with it.
std::pair<double, double> quotient(const Case& given, const torch::Tensor& u, std::int64_t i) {
  double own = 0, n_own = 0, others = 0;
  for (int c = 0; c < kLabels; ++c) {
    const double inner = product(u, i, given.proxies, c);
    if (cell(given.labels, i, c) > 0) {
      own += inner;
      n_own += 1;
    } else {
      others += std::exp(given.weights.scale * inner);
    }
  }
  const double numerator = std::exp(given.weights.scale * (own / n_own - given.weights.margin));
  return {numerator, numerator + others + n_own};
}

TEST(Dcph, LossIsWhatLoopsGive) {
  const Case given;
  double own = 0, cross = 0, quantisation = 0;
  for (int i = 0; i < 5; ++i) {
    const auto [numerator, denominator] = quotient(given, given.h, i);
    own -= std::log(numerator / denominator) / 5;
    cross -= std::log(numerator / quotient(given, given.o, i).second) / 5;
    for (int k = 0; k < kBits; ++k) {
      quantisation += std::pow(cell(given.codes, i, k) - cell(given.h, i, k), 2) / 5;
    }
  }
  const auto loss_at = [&](const torch::Tensor& h) {
    return dcph_loss(h, given.o, given.labels, given.proxies, given.codes, given.weights);
  };
  const DcphLoss loss = loss_at(given.h);
  EXPECT_NEAR(loss.own.item<double>(), own, 1e-10);
  EXPECT_NEAR(loss.cross.item<double>(), cross, 1e-10);
  EXPECT_NEAR(loss.quantisation.item<double>(), quantisation, 1e-10);
  EXPECT_NEAR(loss.total.item<double>(), own + 0.3 * cross + 0.2 * quantisation, 1e-10);
  expect_gradient(
      given.h, [&](const torch::Tensor& h) { return loss_at(h).total; }, "h");
}

TEST(Dcph, ClassProxyLossIsWhatLoopsGive) {
  const torch::Tensor proxies = waves({5, kBits}, 1.3);
  const auto length = [&](int c) { return std::sqrt(product(proxies, c, proxies, c)); };
  double expected = 0;
  for (int c = 0; c < 5; ++c) {
    double magnitude = 0;
    for (int k = 0; k < kBits; ++k) magnitude += std::abs(cell(proxies, c, k)) / length(c);
    expected += 0.3 * std::pow(magnitude / 2 - 1, 2);  // sqrt(K) = 2
    for (int d = 0; d < 5; ++d) {
      const double cosine = product(proxies, c, proxies, d) / (length(c) * length(d));
      expected += std::pow(std::max(0.0, cosine - (c == d ? 1 : 0)), 2);
    }
  }
  for (int k = 0; k < kBits; ++k) {
    double sum = 0;
    for (int c = 0; c < 5; ++c) sum += cell(proxies, c, k) / length(c);
    expected += 0.7 * sum * sum;
  }
  EXPECT_NEAR(class_proxy_loss(proxies, 0.3, 0.7).item<double>(), expected, 1e-10);
  expect_gradient(
      proxies, [](const torch::Tensor& p) { return class_proxy_loss(p, 0.3, 0.7); }, "proxies");
}

TEST(Dcph, ClassProxyNetHashesOneHotClasses) {
  ClassProxyNet net(5, 7, kBits);
  net->to(torch::kFloat64);
  const auto parameters = net->named_parameters();
  const torch::Tensor hidden = torch::relu(torch::nn::functional::linear(
      torch::eye(5, torch::kFloat64), parameters["fc1.weight"], parameters["fc1.bias"]));
  const torch::Tensor normal = torch::batch_norm(hidden, parameters["bn.weight"], parameters["bn.bias"], {},
                                                 {}, true, 0.1, 1e-5, false);
  const torch::Tensor expected =
      torch::tanh(torch::nn::functional::linear(normal, parameters["fc2.weight"], parameters["fc2.bias"]));
  expect_near(net->forward(), expected, 1e-12, "proxies");
}

TEST(Dcph, ClassProxiesAreApartAndBalanced) {
  torch::manual_seed(5);
  const auto solo = collective::make_solo_communicator();
  DcphConfig config = small_config<DcphConfig>();
  const ModelShape shape{.feature_dim = 4, .text_dim = 5, .n_labels = 24, .code_bits = 32};
  const ModelEntry& entry = *model_registry().find("dcph").value();
  const auto net =
      std::dynamic_pointer_cast<PairNet>(entry.make(write_config(config), shape, solo.get()).value());
  const DcphTraining training(config, net,
                              {.labels = torch::ones({3, 24}), .seed = 1, .communicator = solo.get()});
  const torch::Tensor& proxies = training.proxies;
  EXPECT_TRUE(proxies.abs().eq(1).all().item<bool>());
  const torch::Tensor cosines = (proxies.matmul(proxies.t()) / 32).fill_diagonal_(-1);
  EXPECT_LT(cosines.max().item<double>(), 0.7);
  EXPECT_NEAR((cosines.sum() + 24).item<double>() / (24 * 23), 0, 0.1);
}

TEST(Dcph, CodesFollowTheOutputsOfVisitedRowsAfterAnEpoch) {
  SmallRun<DcphConfig, DcphTraining> run(small_config<DcphConfig>());
  DcphTraining& training = *run.training;
  const torch::Tensor before = training.codes.clone();
  EXPECT_TRUE(before.abs().eq(1).all().item<bool>());
  EXPECT_FALSE(before.eq(before[0]).all().item<bool>());
  training.step(pick(run.all, {4, 0, 7}));
  EXPECT_TRUE(training.codes.equal(before));
  training.end_epoch();
  const torch::Tensor now = signs(training.relaxed_image + training.relaxed_text);
  for (std::int64_t row = 0; row < kItems; ++row) {
    const bool visited = row == 4 || row == 0 || row == 7;
    EXPECT_TRUE(training.codes[row].equal(visited ? now[row] : before[row])) << row;
    EXPECT_EQ(training.relaxed_text[row].ne(0).any().item<bool>(), visited) << row;
  }
}

TEST(Dcph, RefusesADatasetWithOneLabel) {
  const auto solo = collective::make_solo_communicator();
  const auto refused = model_registry().find("dcph").value()->make(
      {{"backbone", "features"}}, {.feature_dim = 4, .text_dim = 5, .n_labels = 1, .code_bits = 8},
      solo.get());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
  EXPECT_EQ(refused.error().message,
            "dcph: class proxies of 1 label cannot be told apart; allowed: at least 2 labels");
}

}  // namespace
}  // namespace gauntlet::models
