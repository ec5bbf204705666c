// Terms of EQB2A's objectives: gradients against finite differences, values against formulas written out, and
// what the stages make of ranked lists.

#include <gmock/gmock.h>

#include "core/attacks/detail/eqb2a_generator.hpp"
#include "tests/support/gradients.hpp"

namespace gauntlet::attacks::eqb2a {
namespace {

using testing::expect_gradient;
using torch::Tensor;

Tensor random_codes(c10::IntArrayRef sizes, std::uint64_t seed) {
  return torch::rand(sizes, at::make_generator<at::CPUGeneratorImpl>(seed),
                     torch::TensorOptions(torch::kFloat64)) *
             1.8 -
         0.9;
}

TEST(Eqb2aLosses, HaveTheGradientsOfFiniteDifferences) {
  const Tensor codes = random_codes({4, 6}, 1), first = random_codes({4, 6}, 2),
               second = random_codes({4, 6}, 3);
  const Tensor near = random_codes({4, 3, 6}, 4), gap = torch::tensor({1.0, 2.0, 3.0, 1.0}, torch::kFloat64);
  expect_gradient(codes, [&](const Tensor& c) { return code_distance(c, first).pow(2).sum(); });
  expect_gradient(codes, [&](const Tensor& c) {
    return ranking(code_distance(c, first), code_distance(c, second), 0.1, gap);
  });
  expect_gradient(codes, [&](const Tensor& c) {
    return ranking(code_distance(c, first), code_distance(c, second), 0.1);
  });
  expect_gradient(codes, [&](const Tensor& c) { return alienation(c, near, 0.6); });
  expect_gradient(codes, [&](const Tensor& c) { return balance(c); });
  expect_gradient(codes, [&](const Tensor& c) { return quantisation(c); });
  expect_gradient(codes, [&](const Tensor& c) { return least_squares(c, 1); });
}

/// Two planes and a mean in place of a trunk.
class MeanBackbone final : public models::Backbone {
 public:
  Tensor forward(const Tensor& images) override { return images.flatten(2).mean(2); }
  [[nodiscard]] std::int64_t n_features() const override { return 3; }
};

constexpr std::int64_t kPx = 8, kWords = 7, kBits = 6, kItems = 9, kWidth = 2;

/// Steps that change nothing, so that a step's gradient can be compared with differences of its loss.
Config standing_still() {
  Config config;
  config.lr_text = config.lr_image = config.lr_perturbation = config.lr_generator = 0;
  config.supervisor_weight = 2;
  config.rec_weight = 3;
  config.d_every = 2;
  return config;
}

Tensor pictures(std::int64_t n) { return random_codes({n, 3, kPx, kPx}, 11); }
Tensor positions(std::int64_t n, std::int64_t columns) {
  return torch::randint(kItems, {n, columns}, at::make_generator<at::CPUGeneratorImpl>(12), torch::kLong);
}

Knockoffs small_knockoffs() {
  Knockoffs made{.image = std::make_shared<ImageKnockoff>(std::make_shared<MeanBackbone>(), 5, kBits, 0),
                 .text = std::make_shared<TextKnockoff>(kWords, 5, kBits, 0)};
  made.image->to(torch::kFloat64);
  made.text->to(torch::kFloat64);
  return made;
}

TEST(Eqb2aLosses, TheKnockoffsStepHasTheGradientOfItsTotal) {
  torch::manual_seed(1);
  const Knockoffs knockoffs = small_knockoffs();
  const Tensor images = pictures(kItems), texts = random_codes({kItems, kWords}, 13);
  KnockoffTrainer trainer(standing_still(), knockoffs, [&](Modality modality, const Tensor& rows) {
    return (modality == Modality::kImage ? images : texts).index_select(0, rows);
  });
  Tensor tuples = positions(6, 4);
  tuples.select(1, 3).remainder_(4).add_(1);  // rank gaps 1 to 4
  const auto total = [&] { return trainer.step(tuples, tuples.flip(0)).at("total"); };
  testing::expect_step_gradients(*knockoffs.image, total);
  testing::expect_step_gradients(*knockoffs.text, total);
}

struct SmallGenerators {
  std::shared_ptr<PerturbationGenerator> perturbation =
      std::make_shared<PerturbationGenerator>(std::array<std::int64_t, 3>{kWidth, kWidth, kWidth});
  std::shared_ptr<PerturbationSupervisor> supervisor = std::make_shared<PerturbationSupervisor>(
      SupervisorLayout{.image_px = kPx, .code_bits = kBits, .channels = {2, 2}, .full = {5, 5, 5}});
  SmallGenerators() {
    perturbation->to(torch::kFloat64);
    supervisor->to(torch::kFloat64);
  }
};

TEST(Eqb2aLosses, TheSupervisorsStepHasTheGradientOfItsTotal) {
  torch::manual_seed(2);
  const SmallGenerators nets;
  PerturbationTrainer trainer(standing_still(), nets.perturbation, nets.supervisor,
                              random_codes({kItems, kBits}, 14));
  const Tensor u = pictures(4), rows = positions(4, 6);
  const auto total = [&] { return trainer.step(u, rows).at("total"); };
  testing::expect_step_gradients(*nets.perturbation, total);
  testing::expect_step_gradients(*nets.supervisor, total);
}

/// One linear layer in place of the discriminator: no state that a forward pass would move.
struct LinearCritic final : models::Discriminator {
  LinearCritic() : fc(register_module("fc", torch::nn::Linear(3 * kPx * kPx, 1))) { to(torch::kFloat64); }
  Tensor forward(const Tensor& input) override { return fc->forward(input.flatten(1)).flatten(); }
  torch::nn::Linear fc;
};

TEST(Eqb2aLosses, TheGeneratorsStepHasTheGradientOfItsTotal) {
  torch::manual_seed(3);
  const SmallGenerators nets;
  const auto generator = std::make_shared<ImageGenerator>(kWidth);
  generator->to(torch::kFloat64);
  const auto critic = std::make_shared<LinearCritic>();
  const Knockoffs knockoffs = small_knockoffs();
  for (const bool restore : {true, false}) {
    Config config = standing_still();
    config.restore = restore;
    GeneratorTrainer trainer(config, {.generator = generator,
                                      .discriminator = critic,
                                      .perturbation = nets.perturbation,
                                      .supervisor = nets.supervisor,
                                      .image_knockoff = knockoffs.image,
                                      .text_codes = random_codes({kItems, kBits}, 15)});
    const Tensor u = pictures(4), near = positions(4, 3);
    testing::expect_step_gradients(*generator, [&] { return trainer.step(u, near, 1).at("total"); });
    testing::expect_step_gradients(*critic, [&] { return trainer.step(u, near, 0).at("d"); });
  }
}

TEST(Eqb2aLosses, EqualTheirFormulas) {
  const Tensor plus = torch::ones({1, 4}, torch::kFloat64),
               mixed = torch::tensor({{1.0, 1.0, -1.0, 1.0}}, torch::kFloat64);
  EXPECT_DOUBLE_EQ(code_distance(plus, plus).item<double>(), 0);
  EXPECT_DOUBLE_EQ(code_distance(plus, -plus).item<double>(), 1);
  EXPECT_DOUBLE_EQ(code_distance(plus, mixed).item<double>(), 0.25);
  const Tensor near = torch::tensor({0.2, 0.5}, torch::kFloat64),
               far = torch::tensor({0.6, 0.5}, torch::kFloat64);
  // max(0, 0.1 - 0.4 / 2) = 0 and max(0, 0.1 + 0) = 0.1.
  EXPECT_NEAR(ranking(near, far, 0.1, torch::tensor({2.0, 1.0}, torch::kFloat64)).item<double>(), 0.05,
              1e-12);
  EXPECT_NEAR(ranking(far, near, 0.1).item<double>(), (0.5 + 0.1) / 2, 1e-12);
  // Two near items at distances 0 and 0.25, margin 0.8: (0.8 - 0) + (0.8 - 0.25).
  EXPECT_NEAR(alienation(plus, torch::stack({plus[0], mixed[0]}).unsqueeze(0), 0.8).item<double>(), 1.35,
              1e-12);
  const Tensor halves = torch::tensor({{0.5, -0.5}, {0.5, 0.5}}, torch::kFloat64);
  EXPECT_NEAR(balance(halves).item<double>(), 1.0 / 4, 1e-12);  // sums over rows 1 and 0
  EXPECT_NEAR(quantisation(halves).item<double>(), 0.25, 1e-12);
}

TEST(Eqb2aLists, AreKeptByTheirNearestAndTheirSpreadItems) {
  EXPECT_TRUE(spread_positions(5000, 5).equal(torch::tensor({0, 1249, 2499, 3749, 4999})));
  EXPECT_TRUE(spread_positions(3, 2).equal(torch::tensor({0, 2})));
  const Tensor lists = torch::tensor({{6, 5, 4, 3, 2, 1, 0}, {0, 2, 4, 6, 1, 3, 5}});
  const RankedSample sample = sample_of(torch::tensor({11, 12}), lists, /*n_near=*/2, /*n_spread=*/3);
  EXPECT_TRUE(sample.near.equal(torch::tensor({{6, 5}, {0, 2}})));
  EXPECT_TRUE(sample.spread.equal(torch::tensor({{6, 3, 0}, {0, 6, 5}})));
  EXPECT_TRUE(rank_tuples(sample).equal(torch::tensor(
      {{11, 6, 3, 1}, {11, 6, 0, 2}, {11, 3, 0, 1}, {12, 0, 6, 1}, {12, 0, 5, 2}, {12, 6, 5, 1}})));
  EXPECT_TRUE(perturbation_rows(sample).equal(torch::tensor({{11, 6, 5, 6, 3},
                                                             {11, 6, 5, 6, 0},
                                                             {11, 6, 5, 3, 0},
                                                             {12, 0, 2, 0, 6},
                                                             {12, 0, 2, 0, 5},
                                                             {12, 0, 2, 6, 5}})));
}

}  // namespace
}  // namespace gauntlet::attacks::eqb2a
