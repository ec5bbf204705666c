// Attacks that are broken on purpose, each seen by what is measured of it, and a target that only one step
// cannot break.
#include "core/attacks/detail/apgd.hpp"
#include "core/attacks/detail/code_ascent.hpp"
#include "tests/robustness/support.hpp"

namespace gauntlet::attacks {
namespace {

using torch::Tensor;

constexpr double kEpsilon = 0.06;

Target pictures() {
  Target target({3, 8, 8}, 8, 4, 10, 4, 0.03, /*seed=*/11);
  target.queries.inputs = (target.queries.inputs * 255).round() / 255;
  return target;
}

Ascent ascent_of(const Target& target, const AttackSurface& surface) {
  const AttackBatch batch{target.queries.inputs, target.queries.labels, {}};
  return code_ascent(surface.encode, untargeted_goal(surface, batch, {}, nullptr).objective, {});
}

ApgdOutcome climbed(const Target& target, const Ascent& ascent, double epsilon) {
  const Tensor& clean = target.queries.inputs;
  const auto rows = first_rows(clean.size(0));
  const ApgdSettings settings{.n_steps = 30, .ball = {epsilon, 0, 1}};
  return apgd(clean, apgd_start(clean, rows, 7, settings.ball), ascent, settings, {});
}

/// MAP of ten draws of noise: the least.
double worst_noise(const Target& target) {
  double worst = 1;
  for (int draw = 1; draw <= 10; ++draw) {
    const Json config = {{"draw", draw}, {"epsilon_image", kEpsilon}};
    worst = std::min(
        worst, target.map(target.hash(crafted("noise", config, target.surface(), target.queries).inputs)));
  }
  return worst;
}

class BrokenAttacks : public ::testing::Test {
 protected:
  [[nodiscard]] double map(const Tensor& inputs) const { return target_.map(target_.hash(inputs)); }

  Target target_ = pictures();
  AttackSurface surface_ = target_.surface();
  Ascent right_ = ascent_of(target_, surface_);
};

TEST_F(BrokenAttacks, TheSoundOneBeatsNoise) {
  EXPECT_LT(map(climbed(target_, right_, kEpsilon).best), worst_noise(target_) - 0.2);
}

TEST_F(BrokenAttacks, AStepOfZeroIsNoBetterThanNoise) {
  const Ascent still = [&](const Tensor& inputs, const Tensor& items) {
    const Slope slope = right_(inputs, items);
    return Slope{slope.value, torch::zeros_like(slope.gradient)};
  };
  const ApgdOutcome outcome = climbed(target_, still, kEpsilon);
  EXPECT_GE(map(outcome.best), worst_noise(target_));
  EXPECT_TRUE(outcome.no_gradient.all().item<bool>());
  // Nor with the whole range: what stands still cannot use a budget.
  EXPECT_GT(map(climbed(target_, still, 1).best), map(climbed(target_, right_, 1).best) + 0.02);
}

TEST_F(BrokenAttacks, AReversedSignHelpsTheDefense) {
  const Ascent reversed = [&](const Tensor& inputs, const Tensor& items) {
    const Slope slope = right_(inputs, items);
    return Slope{-slope.value, -slope.gradient};
  };
  EXPECT_GT(map(climbed(target_, reversed, kEpsilon).best), worst_noise(target_));
}

TEST_F(BrokenAttacks, ABudgetInNormalisedUnitsLeavesTheDeclaredOne) {
  const double deviation = 0.225;  // what pictures are divided by
  const auto farthest = [&](double epsilon) {
    return (climbed(target_, right_, epsilon).best - target_.queries.inputs).abs().max().item<double>();
  };
  EXPECT_LE(farthest(kEpsilon), kEpsilon + 1e-6);
  EXPECT_GT(farthest(kEpsilon / deviation), kEpsilon + 1e-6);
}

/// Signed steps up the slope for `n_up` of 20, then down: mean average precision of the last inputs above
/// that of the best on the way.
double thrown_away(const Target& target, const Ascent& ascent, int n_up) {
  const Tensor& clean = target.queries.inputs;
  const Tensor items = torch::arange(clean.size(0));
  Tensor x = clean, best = target.ap(target.hash(clean)), last;
  for (int step = 0; step < 20; ++step) {
    const Tensor way = ascent(x, items).gradient.sign() * (step < n_up ? 1 : -1);
    x = applied_within(clean, projected(x + kEpsilon / 4 * way - clean, clean, {kEpsilon, 0, 1}),
                       {kEpsilon, 0, 1});
    last = target.ap(target.hash(x));
    best = torch::minimum(best, last);
  }
  return (last - best).mean().item<double>();
}

TEST_F(BrokenAttacks, TheLastStepOfADivergingRunThrowsInputsAway) {
  EXPECT_LT(thrown_away(target_, right_, 20), 0.01);
  EXPECT_GT(thrown_away(target_, right_, 8), 0.1);
}

TEST_F(BrokenAttacks, AClampWithoutAGradientAtItsBoundsHasNoneAtWords) {
  const Target words({12}, 8, 2, 4, 2, 0.05);
  const Tensor clean = words.queries.inputs.round(), items = torch::arange(clean.size(0));
  const auto share_without = [&](const std::function<Tensor(const Tensor&)>& clamp) {
    const AttackSurface surface =
        words.surface([&](const Tensor& input) { return words.hash(clamp(input)); });
    const Tensor gradient = ascent_of(words, surface)(clean, items).gradient;
    return gradient.eq(0).all(1).to(torch::kFloat64).mean().item<double>();
  };
  EXPECT_EQ(share_without([](const Tensor& x) { return x - (x - x.clamp(0, 1)).detach(); }), 0);
  EXPECT_EQ(share_without([](const Tensor& x) {
              return torch::where(x.gt(0).logical_and(x.lt(1)), x, x.detach().clamp(0, 1));
            }),
            1);
}

/// A target trained against one signed step until it knows what that makes of every query: it undoes changes
/// whose values are all as large as the budget.
struct Overfitted {
  const Target& target;

  Tensor operator()(const Tensor& input) const {
    const Tensor known = target.queries.inputs;
    const Tensor change = input.detach().flatten(1).unsqueeze(1) - known.flatten(1).unsqueeze(0);
    const Tensor is_one_step = (change.abs() - kEpsilon).abs().amax(2).lt(1e-4);  // [b, queries]
    const Tensor query = known.index_select(0, is_one_step.to(torch::kInt64).argmax(1));
    const Tensor undone = input - (input - query).detach();
    return target.hash(torch::where(is_one_step.any(1).view({-1, 1, 1, 1}), undone, input));
  }
};

TEST(Overfitting, OneStepSaysNothingAndManyStepsAndStartsBreakIt) {
  const Target target = pictures();
  const AttackSurface surface = target.surface(Overfitted{target});
  const auto map = [&](const Tensor& inputs) { return target.map(Overfitted{target}(inputs)); };
  const double clean = map(target.queries.inputs);
  const Tensor one = crafted("fgsm", {{"epsilon_image", kEpsilon}}, surface, target.queries).inputs;
  EXPECT_NEAR(map(one), clean, 0.02);
  EXPECT_LT(target.map(target.hash(one)), clean - 0.2);  // the step itself is a good one
  Tensor worst = target.ap(Overfitted{target}(target.queries.inputs));
  for (const int restart : {1, 2, 3}) {
    const Json config = {{"steps", 30}, {"restart", restart}, {"epsilon_image", kEpsilon}};
    const Tensor many = crafted("apgd", config, surface, target.queries).inputs;
    worst = torch::minimum(worst, target.ap(Overfitted{target}(many)));
  }
  EXPECT_LT(worst.mean().item<double>(), clean - 0.2);
}

}  // namespace
}  // namespace gauntlet::attacks
