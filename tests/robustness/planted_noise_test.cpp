// A defense that draws noise for every query: what an attack needs to climb and to choose.
#include <ATen/CPUGeneratorImpl.h>

#include "core/attacks/detail/code_ascent.hpp"
#include "tests/robustness/planted.hpp"

namespace gauntlet::attacks {
namespace {

using defenses::Backward;
using torch::Tensor;

/// Adds noise from the stream of the draw, another for every pass of it.
class Noisy final : public Planted {
 public:
  using Planted::Planted;
  Tensor purified(Modality, const Tensor& input) override {
    torch::Generator generator = at::detail::createCPUGenerator(draw_);
    return input + sigma * torch::randn(input.sizes(), generator, input.options().requires_grad(false));
  }
  void use_draw(std::uint64_t draw) override {
    draw_ = draw;
    used.push_back(draw);
  }

  double sigma = 0.2;
  std::vector<std::uint64_t> used;

 private:
  std::uint64_t draw_ = 0;
};

Tensor gradient_of_draws(const Target& target, Noisy& noisy, std::int64_t n, std::uint64_t seed) {
  const CodeGoal goal =
      untargeted_goal(target.surface(), {target.queries.inputs, target.queries.labels, {}}, {}, nullptr);
  const Draws draws{[&](std::uint64_t draw) { noisy.use_draw(draw); }, seed, n, false};
  return code_ascent(through(noisy, Backward::kDeclared), goal.objective, draws)(
             target.queries.inputs, torch::arange(target.queries.inputs.size(0)))
      .gradient.flatten(1);
}

TEST(Planted, MoreDrawsMakeASteadierGradient) {
  const Target target = pictures();
  Noisy noisy(target.hash);
  const auto agreement = [&](std::int64_t n) {
    return torch::cosine_similarity(gradient_of_draws(target, noisy, n, 1),
                                    gradient_of_draws(target, noisy, n, 2))
        .median()
        .item<double>();
  };
  EXPECT_GT(agreement(20), agreement(1) + 0.1);
  EXPECT_TRUE(gradient_of_draws(target, noisy, 3, 1).equal(gradient_of_draws(target, noisy, 3, 1)));
}

TEST(Planted, ChoosesByOtherDrawsThanItClimbsOn) {
  const Target target = pictures();
  Noisy noisy(target.hash);
  AttackSurface surface = target.surface(through(noisy, Backward::kDeclared));
  surface.use_draw = [&](std::uint64_t draw) { noisy.use_draw(draw); };
  Json config = apgd_config();
  config["samples"] = 4;
  const Tensor fresh = crafted("apgd", config, surface, target.queries).inputs;
  std::map<std::uint64_t, int> times;
  for (const std::uint64_t draw : noisy.used) ++times[draw];
  int n_selection = 0, n_once = 0;
  for (const auto& [draw, n] : times) (n > 1 ? n_selection : n_once) += 1;
  EXPECT_EQ(n_selection, 4);  // looked at again at every checkpoint
  EXPECT_GE(n_once, 40);      // new ones at every step
  EXPECT_EQ(n_once % 4, 0);
  const double steady = target.map(target.hash(fresh));
  EXPECT_LT(steady, 0.6);

  noisy.used.clear();
  config["randomness"] = "frozen";
  static_cast<void>(crafted("apgd", config, surface, target.queries));
  times.clear();
  for (const std::uint64_t draw : noisy.used) ++times[draw];
  EXPECT_EQ(times.size(), 8U);
}

}  // namespace
}  // namespace gauntlet::attacks
