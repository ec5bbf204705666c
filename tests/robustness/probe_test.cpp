// What the probe measures on pipelines that are sound, and on ones that are broken on purpose.
#include <ATen/CPUGeneratorImpl.h>

#include "core/attacks/detail/planted_answer.hpp"
#include "tests/robustness/support.hpp"

namespace gauntlet::attacks {
namespace {

using torch::Tensor;

using Pipe = std::function<Tensor(const Tensor&)>;

Target pictures() { return {{3, 6, 6}, 8, 4, 10, 6, 0.08}; }

double mean_of(const Crafted& made, const char* name) { return made.observed.at(name).mean().item<double>(); }

struct Options {
  std::function<void(std::uint64_t)> use_draw = {};
  std::int64_t steps = 20;
};

/// The probe on `before` followed by the target.
Crafted probed(const Target& target, const Pipe& before, const Options& options = {}) {
  AttackSurface surface =
      target.surface([&target, before](const Tensor& input) { return target.hash(before(input)); });
  surface.use_draw = options.use_draw;
  return crafted("probe", {{"steps", options.steps}, {"epsilon_image", 0.1}}, surface, target.queries);
}

double found_share(const Crafted& made) {
  return mean_of(made, "planted_found") / mean_of(made, "planted_tested");
}

TEST(Probe, FindsNothingWrongWithTheTargetItself) {
  const Target target = pictures();
  const Crafted made = probed(target, [](const Tensor& input) { return input; });
  for (const char* name : {"code_changes", "no_gradient", "unfinite_gradient", "randomised", "saturated"})
    EXPECT_EQ(mean_of(made, name), 0) << name;
  EXPECT_GT(mean_of(made, "gradient_agreement"), 0.99);
  EXPECT_EQ(mean_of(made, "gradient_cosine"), 1);
  EXPECT_GT(mean_of(made, "planted_tested"), 0.3);
  EXPECT_GE(found_share(made), 0.95);
}

TEST(Probe, SeesAGradientThatIsGone) {
  const Target target = pictures();
  const Crafted made = probed(target, [](const Tensor& input) { return input.detach() + 0 * input; });
  EXPECT_EQ(mean_of(made, "no_gradient"), 1);
  EXPECT_EQ(mean_of(made, "gradient_agreement"), 0);
  EXPECT_EQ(mean_of(made, "code_changes"), 0);
  EXPECT_GT(mean_of(made, "planted_tested"), 0.3);
  EXPECT_LT(found_share(made), 0.8);
}

TEST(Probe, SeesAGradientThatPointsTheOtherWay) {
  const Target target = pictures();
  const Crafted made = probed(target, [](const Tensor& input) { return 2 * input.detach() - input; });
  EXPECT_EQ(mean_of(made, "no_gradient"), 0);
  EXPECT_LT(mean_of(made, "gradient_agreement"), 0.01);
}

TEST(Probe, SeesAShatteredStepBehindAStraightThroughGradient) {
  const Target target = pictures();
  const Crafted made =
      probed(target, [](const Tensor& input) { return input + ((input * 4).round() / 4 - input).detach(); });
  EXPECT_LT(mean_of(made, "gradient_agreement"), 0.9);
}

TEST(Probe, SeesCodesThatDependOnTheBatch) {
  const Target target = pictures();
  const Crafted made =
      probed(target, [](const Tensor& input) { return input - input.mean(0, true) + 0.5; }, {{}, 0});
  EXPECT_GT(mean_of(made, "code_changes"), 0.05);
  EXPECT_EQ(mean_of(made, "planted_tested"), 0);
}

TEST(Probe, SeesRandomnessAndWhetherItWasDeclared) {
  const Target target = pictures();
  std::uint64_t draw = 0;
  const auto noisy = [&draw](const Tensor& input) {
    torch::Generator generator = at::detail::createCPUGenerator(draw);
    return input + 0.3 * torch::randn(input.sizes(), generator, torch::TensorOptions());
  };
  const Crafted declared = probed(target, noisy, {[&draw](std::uint64_t next) { draw = next; }, 0});
  EXPECT_GT(mean_of(declared, "code_changes"), 0.02);
  EXPECT_EQ(mean_of(declared, "randomised"), 1);
  EXPECT_LT(mean_of(declared, "gradient_cosine"), 1);
  EXPECT_GT(mean_of(declared, "gradient_agreement"), 0.99);  // of one draw the gradient is exact
  const auto sneaky = [&](const Tensor& input) {
    ++draw;
    return noisy(input);
  };
  const Crafted undeclared = probed(target, sneaky, {{}, 0});
  EXPECT_GT(mean_of(undeclared, "code_changes"), 0.02);
  EXPECT_EQ(mean_of(undeclared, "randomised"), 0);
}

TEST(Probe, SeesSaturatedOutputs) {
  Target target = pictures();
  target.hash.scale = 1000;
  const Crafted made = probed(target, [](const Tensor& input) { return input; }, {{}, 0});
  EXPECT_GT(mean_of(made, "saturated"), 0.9);
  EXPECT_GT(mean_of(made, "no_gradient"), 0.1);
}

TEST(Probe, MeasuresEveryQueryByItself) {
  const Target target = pictures();
  const Crafted together = probed(target, [](const Tensor& input) { return input; });
  Target first = target;
  first.queries.inputs = target.queries.inputs.slice(0, 0, 5);
  first.queries.labels = target.queries.labels.slice(0, 0, 5);
  const Crafted alone = probed(first, [](const Tensor& input) { return input; });
  for (const auto& [name, values] : alone.observed)
    EXPECT_TRUE(torch::allclose(values, together.observed.at(name).slice(0, 0, 5), 1e-6, 1e-6)) << name;
}

}  // namespace
}  // namespace gauntlet::attacks
