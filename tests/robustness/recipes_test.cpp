// What stages of defenses declare, and the gradients of the recipes that stand in for theirs.
#include "core/defenses/detail/tpap_purifier.hpp"
#include "core/models/objectives.hpp"
#include "tests/robustness/planted.hpp"

namespace gauntlet::attacks {
namespace {

using defenses::Backward;
using torch::Tensor;

TEST(Recipes, RoundingIsExactForwardAndAsAskedBackward) {
  const Target target({12}, 8, 2, 4, 2, 0.05);
  const auto rounding = registered("round_text", target.hash, Modality::kText);
  const auto gradient = [&](Backward backward) {
    const Tensor x = torch::tensor({{0.2, 0.5, 0.9, 0.0, 1.0, 1.5, -0.5}}).requires_grad_();
    const Tensor value = rounding->purified_through(Modality::kText, x, backward);
    EXPECT_TRUE(value.detach().equal(torch::tensor({{0.0F, 0.0F, 1.0F, 0.0F, 1.0F, 1.0F, 0.0F}})));
    return torch::autograd::grad({value.sum()}, {x}).front();
  };
  EXPECT_TRUE(
      gradient(Backward::kDeclared).equal(torch::tensor({{1.0F, 1.0F, 1.0F, 1.0F, 1.0F, 0.0F, 0.0F}})));
  EXPECT_TRUE(gradient(Backward::kIdentity).equal(torch::ones({1, 7})));
  const Tensor smooth = gradient(Backward::kSmooth);
  EXPECT_NEAR(smooth[0][1].item<double>(), 2, 1e-6);  // 8 s (1 - s) at the threshold
  EXPECT_LT(smooth[0][5].item<double>(), 0.01);
}

TEST(Recipes, AnUnrolledStepHasTheDerivativeOfTheSmoothOne) {
  torch::manual_seed(4);
  const Tensor weight = torch::randn({6, 5}, torch::kFloat64) / 2;
  const auto encode = [&](const Tensor& x) { return torch::tanh((x - 0.5).matmul(weight.t())); };
  const Ball ball{0.05, 0, 1};
  const Tensor x = 0.3 + 0.4 * torch::rand({2, 5}, torch::kFloat64);
  const Tensor smooth = defenses::unrolled_step(x, encode, ball);
  const Tensor exact = defenses::purified_by_step(
      x, encode, [](const Tensor& u) { return signs(u); }, ball);
  const auto directions = [&](const Tensor& moved) { return (moved - x).detach().sign(); };
  EXPECT_GT(directions(smooth).eq(directions(exact)).to(torch::kFloat64).mean().item<double>(), 0.6);
  EXPECT_LE((smooth - x).abs().max().item<double>(), ball.epsilon + 1e-12);

  // The median is held constant, so the derivative is checked through it: one input at a time, its scale
  // fixed.
  const Tensor leaf = x.clone().requires_grad_();
  const Tensor pulled =
      torch::autograd::grad({defenses::unrolled_step(leaf, encode, ball).sum()}, {leaf}).front();
  EXPECT_TRUE(pulled.isfinite().all().item<bool>());
  EXPECT_GT((pulled - 1).abs().max().item<double>(), 1e-3);  // more than the identity
}

TEST(Declarations, SayWhatAnAttackHasToKnow) {
  const Json all = defenses::describe_defenses();
  ASSERT_EQ(all.size(), defenses::defense_registry().entries().size());
  for (const Json& defense : all) {
    SCOPED_TRACE(defense.at("name").get<std::string>());
    const Json& declared = defense.at("declaration");
    const bool is_trained = defense.at("capabilities").at("trains").get<bool>();
    EXPECT_EQ(!declared.at("trained_on").get<std::string>().empty(), is_trained);
    EXPECT_GE(declared.at("forward_passes").get<double>(), 1);
    for (const Json& stage : declared.at("stages")) {
      EXPECT_FALSE(stage.at("name").get<std::string>().empty());
      EXPECT_FALSE(stage.at("input_range").get<std::string>().empty());
      EXPECT_FALSE(stage.at("output_range").get<std::string>().empty());
      EXPECT_EQ(stage.at("gradient") == "surrogate", !stage.at("surrogate").get<std::string>().empty());
      EXPECT_EQ(stage.at("test_time_steps").get<int>() > 0,
                !stage.at("objective").get<std::string>().empty());
    }
    // What comes before the network is declared; a robust model has nothing there.
    const bool purifies =
        !defense.at("capabilities").at("replaces_model").get<bool>() || defense.at("name") == "tpap";
    EXPECT_EQ(!declared.at("stages").empty(), purifies && defense.at("name") != "none");
  }
}

}  // namespace
}  // namespace gauntlet::attacks
