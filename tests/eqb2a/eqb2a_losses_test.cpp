// Terms of EQB2A's objectives: gradients against finite differences, values against formulas written out, and
// what the stages make of ranked lists.

#include <gmock/gmock.h>

#include "core/attacks/detail/eqb2a_perturbation.hpp"

namespace gauntlet::attacks::eqb2a {
namespace {

using torch::Tensor;

Tensor random_codes(c10::IntArrayRef sizes, std::uint64_t seed) {
  return torch::rand(sizes, at::make_generator<at::CPUGeneratorImpl>(seed),
                     torch::TensorOptions(torch::kFloat64)) *
             1.8 -
         0.9;
}

/// Central differences of `loss` at `input`, entry by entry, against its gradient.
void expect_gradient(const Tensor& input, const std::function<Tensor(const Tensor&)>& loss) {
  const Tensor leaf = input.clone().requires_grad_();
  loss(leaf).backward();
  constexpr double kStep = 1e-6;
  Tensor numeric = torch::zeros_like(input);
  for (std::int64_t i = 0; i < input.numel(); ++i) {
    Tensor up = input.clone(), down = input.clone();
    up.view(-1)[i] += kStep;
    down.view(-1)[i] -= kStep;
    numeric.view(-1)[i] = (loss(up) - loss(down)) / (2 * kStep);
  }
  EXPECT_GT(numeric.abs().max().item<double>(), 0);
  EXPECT_LE((leaf.grad() - numeric).abs().max().item<double>(), 1e-8) << leaf.grad() << numeric;
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
