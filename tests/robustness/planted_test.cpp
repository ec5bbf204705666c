// Defenses and attacks that are broken on purpose, and what must be seen of each.
#include "tests/robustness/planted.hpp"
#include "core/attacks/detail/code_ascent.hpp"
#include "core/metrics/reference_levels.hpp"

namespace gauntlet::attacks {
namespace {

using defenses::Backward;
using ::testing::HasSubstr;
using torch::Tensor;

TEST(Planted, TheIdentityIsNoDefense) {
  const Target target = pictures();
  Transparent identity(target.hash);
  const Tensor bare = crafted("apgd", apgd_config(), target.surface(), target.queries).inputs;
  for (const Backward backward :
       {Backward::kDeclared, Backward::kIdentity, Backward::kUnrolled, Backward::kSmooth}) {
    const Scores scores = scores_of(target, identity, backward);
    EXPECT_TRUE(scores.inputs.equal(bare));
    EXPECT_EQ(scores.no_gradient, 0);
    EXPECT_LT(scores.white, scores.noise - 0.3);
    EXPECT_GT(scores.clean, 0.85);
  }
}

class Quantiser final : public Planted {
 public:
  using Planted::Planted;
  Tensor purified(Modality, const Tensor& input) override { return (input.detach() * 7).round() / 7; }
};

TEST(Planted, AQuantiserWithoutGradientFallsToTheStraightThroughOne) {
  const Target target = pictures();
  Transparent none(target.hash);
  Quantiser quantiser(target.hash);
  const Scores bare = scores_of(target, none), naive = scores_of(target, quantiser);
  EXPECT_EQ(naive.no_gradient, 1);
  EXPECT_GT(naive.white, bare.white + 0.2);
  const Scores adaptive = scores_of(target, quantiser, Backward::kIdentity);
  EXPECT_EQ(adaptive.no_gradient, 0);
  EXPECT_LE(adaptive.white, bare.white + 0.03);
  const Crafted black =
      crafted("square", {{"feedback", "soft"}, {"iterations", 300}, {"epsilon_image", kEpsilon}},
              target.surface(through(quantiser, Backward::kDeclared)), target.queries);
  EXPECT_LT(target.map(quantiser.encode_query(Modality::kImage, black.inputs)), naive.white - 0.05);
}

class GradientKiller final : public Planted {
 public:
  using Planted::Planted;
  Tensor purified(Modality, const Tensor& input) override { return input.detach(); }
};

TEST(Planted, WithoutAnyGradientStaticInputsAreAtLeastAsStrong) {
  const Target target = pictures();
  Transparent none(target.hash);
  GradientKiller killer(target.hash);
  const Scores bare = scores_of(target, none), dead = scores_of(target, killer);
  EXPECT_EQ(dead.no_gradient, 1);
  EXPECT_EQ(target.map(killer.encode_query(Modality::kImage, bare.inputs)), bare.white);
  EXPECT_GT(dead.white, bare.white + 0.3);
  // A warm start keeps what the static craft found, although nothing moves from there.
  AttackSurface surface = target.surface(through(killer, Backward::kDeclared));
  surface.encode_undefended = target.hash;
  Json config = apgd_config();
  config["start"] = "warm";
  const Crafted warm = crafted("apgd", config, surface, target.queries);
  EXPECT_LE(target.map(target.hash(warm.inputs)), bare.white + 0.01);
}

TEST(Planted, AWarmStartWithoutADefenseIsRefused) {
  const Target target = pictures();
  const auto made = attack_registry().find("apgd").value()->make({{"start", "warm"}}, target.surface(), 1);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("allowed: random, or protocol adaptive"));
}

class WrongWay final : public Planted {
 public:
  using Planted::Planted;
  Tensor purified(Modality, const Tensor& input) override { return 2 * input.detach() - input; }
};

/// Share of probes along random signs whose difference has the sign the gradient promises.
double true_gradients(const Target& target, defenses::Pipeline& pipeline) {
  const CodeGoal goal =
      untargeted_goal(target.surface(), {target.queries.inputs, target.queries.labels, {}}, {}, nullptr);
  const Ascent ascent = code_ascent(through(pipeline, Backward::kDeclared), goal.objective, {});
  const Tensor items = torch::arange(target.queries.inputs.size(0));
  const Tensor gradient = ascent(target.queries.inputs, items).gradient;
  double n_equal = 0;
  for (int probe = 0; probe < 16; ++probe) {
    const Tensor v = torch::randn_like(gradient).sign(), step = v / 255;
    const Tensor difference =
        ascent(target.queries.inputs + step, items).value - ascent(target.queries.inputs - step, items).value;
    n_equal += difference.sign()
                   .eq((gradient * v).flatten(1).sum(1).sign())
                   .to(torch::kFloat64)
                   .mean()
                   .item<double>();
  }
  return n_equal / 16;
}

TEST(Planted, ProbesFindAGradientOfTheWrongSign) {
  const Target target = pictures();
  Transparent none(target.hash);
  WrongWay wrong(target.hash);
  EXPECT_GT(true_gradients(target, none), 0.95);
  EXPECT_LT(true_gradients(target, wrong), 0.05);
}

TEST(Planted, ASaturatedHeadKeepsItsCodesAndHasNoGradient) {
  const Target target = pictures();
  LinearHash steep = target.hash;
  steep.scale = 1e5;
  Transparent saturated(steep);
  EXPECT_TRUE(signs(steep(target.queries.inputs)).equal(signs(target.hash(target.queries.inputs))));
  const Scores scores = scores_of(target, saturated);
  EXPECT_GT(scores.no_gradient, 0.9);
  // The scale itself is no obstacle where there is a gradient: margin follows the same signs.
  LinearHash steeper = target.hash;
  steeper.scale = 3;
  const auto inputs_of = [&](const LinearHash& hash) {
    AttackSurface surface = target.surface(hash);
    Items queries = target.queries;
    queries.inputs = queries.inputs.to(torch::kFloat64);
    return crafted("apgd", apgd_config("margin"), surface, queries).inputs;
  };
  const Tensor plain = target.ap(target.hash(inputs_of(target.hash))),
               scaled = target.ap(target.hash(inputs_of(steeper)));
  EXPECT_NEAR(plain.mean().item<double>(), scaled.mean().item<double>(), 0.01);
}

TEST(Planted, ABlurFlattersUnderStaticInputsAlone) {
  const Target target = pictures();
  Transparent none(target.hash);
  const auto blur = registered("box_blur", target.hash, Modality::kImage);
  const Scores bare = scores_of(target, none), adaptive = scores_of(target, *blur);
  const double still = target.map(blur->encode_query(Modality::kImage, bare.inputs));
  EXPECT_GT(adaptive.clean, 0.7);
  EXPECT_GT(still, adaptive.white + 0.1);
  EXPECT_EQ(adaptive.no_gradient, 0);
}

/// As batch normalisation left in train mode: what an input becomes depends on the others.
class BatchDependent final : public Planted {
 public:
  using Planted::Planted;
  Tensor purified(Modality, const Tensor& input) override { return input - input.mean(0, true) + 0.5; }
};

TEST(Planted, ATrackedScoreThatIsNotReproducedGivesABatchDependentDefenseAway) {
  const Target target = pictures();
  for (const bool planted : {false, true}) {
    Transparent none(target.hash);
    BatchDependent dependent(target.hash);
    defenses::Pipeline& pipeline = planted ? static_cast<defenses::Pipeline&>(dependent) : none;
    const Crafted made = crafted("apgd", apgd_config(),
                                 target.surface(through(pipeline, Backward::kDeclared)), target.queries);
    std::vector<Tensor> codes;
    for (const Tensor& some : made.inputs.split(3))
      codes.push_back(pipeline.encode_query(Modality::kImage, some));
    const double gap =
        (target.ap(torch::cat(codes)) - made.observed.at("tracked_ap")).abs().max().item<double>();
    if (planted) {
      EXPECT_GT(gap, 1e-3);
    } else {
      EXPECT_LE(gap, 1e-12);
    }
  }
}

TEST(Planted, ADetectorOfFloatsIsBlindToPictures) {
  const Target target = pictures();
  const auto n_refused = [](const Tensor& inputs) {
    return (255 * inputs - (255 * inputs).round())
        .abs()
        .flatten(1)
        .amax(1)
        .gt(1e-3)
        .sum()
        .item<std::int64_t>();
  };
  Json config = apgd_config();
  const Tensor floats = crafted("apgd", config, target.surface(), target.queries).inputs;
  config["rounding"] = "u8";
  const Tensor pixels = crafted("apgd", config, target.surface(), target.queries).inputs;
  EXPECT_EQ(n_refused(target.queries.inputs), 0);
  EXPECT_EQ(n_refused(floats), target.queries.inputs.size(0));
  EXPECT_EQ(n_refused(pixels), 0);
  EXPECT_LE((pixels - target.queries.inputs).abs().max().item<double>(), 15.0 / 255 + 1e-6);  // of 15.3
  EXPECT_NEAR(target.map(target.hash(pixels)), target.map(target.hash(floats)), 0.05);
}

class Constant final : public Planted {
 public:
  using Planted::Planted;
  Tensor purified(Modality, const Tensor& input) override { return torch::full_like(input, 0.5) + 0 * input; }
  Tensor encode_purified(Modality, const Tensor& input) override {
    return torch::full({input.size(0), 8}, 0.5) + 0 * input.flatten(1).sum(1, true);
  }
};

TEST(Planted, AConstantCodeHasOneScoreUnderEveryAttack) {
  Target target = pictures();
  Constant constant(target.hash);
  // All that is retrieved is equally far from it.
  target.hash.weight = torch::zeros_like(target.hash.weight);
  const Scores scores = scores_of(target, constant);
  const double chance = metrics::chance_ap(target.database.inputs.size(0), 10);
  EXPECT_NEAR(scores.clean, chance, 1e-12);
  EXPECT_NEAR(scores.white, chance, 1e-12);
  EXPECT_EQ(scores.no_gradient, 1);
}

/// Knows the right code of every query by heart, and is the target for all else.
class Memoriser final : public Planted {
 public:
  Memoriser(const LinearHash& hash, Tensor known, Tensor codes)
      : Planted(hash), known_(std::move(known)), codes_(std::move(codes)) {}
  Tensor encode_query(Modality modality, const Tensor& input) override {
    const Tensor distance =
        (input.detach().flatten(1).unsqueeze(1) - known_.flatten(1).unsqueeze(0)).abs().amax(2);
    const auto [least, nearest] = distance.min(1);
    return torch::where(least.lt(1e-4).unsqueeze(1), codes_.index_select(0, nearest),
                        encode_purified(modality, input));
  }

 private:
  Tensor known_, codes_;
};

/// Queries so far from their class that the target finds little.
Target hard_pictures() {
  Target target = pictures();
  torch::manual_seed(12);
  const Tensor& inputs = target.queries.inputs;
  target.queries.inputs = ((inputs + 0.35 * torch::randn_like(inputs)).clamp(0.02, 0.98) * 255).round() / 255;
  return target;
}

TEST(Planted, AMemoriserBreaksAtOneGreyLevel) {
  const Target target = hard_pictures();
  const Tensor of_class = target.hash(target.database.inputs.unflatten(0, {4, -1}).mean(1));
  Memoriser memoriser(target.hash, target.queries.inputs,
                      of_class.index_select(0, target.queries.labels.argmax(1)));
  const auto map = [&](const Tensor& inputs) {
    return target.map(memoriser.encode_query(Modality::kImage, inputs));
  };
  const Tensor noise =
      crafted("noise", {{"epsilon_image", 1.0 / 255}}, target.surface(), target.queries).inputs;
  EXPECT_GT(map(target.queries.inputs), 0.9);
  EXPECT_LT(map(noise), map(target.queries.inputs) - 0.3);

  // What it lets through at worst is no better than the target itself under the same attacks.
  Transparent none(target.hash);
  const auto worst = [&](defenses::Pipeline& pipeline) {
    const AttackSurface surface = target.surface(through(pipeline, Backward::kDeclared));
    Tensor least = target.ap(pipeline.encode_query(Modality::kImage, target.queries.inputs));
    for (const Tensor& inputs :
         {crafted("apgd", apgd_config(), surface, target.queries).inputs,
          crafted("apgd", apgd_config(), target.surface(), target.queries).inputs,
          crafted("noise", {{"epsilon_image", kEpsilon}}, surface, target.queries).inputs}) {
      least = torch::minimum(least, target.ap(pipeline.encode_query(Modality::kImage, inputs).detach()));
    }
    return least.mean().item<double>();
  };
  EXPECT_LE(worst(memoriser), worst(none));
  EXPECT_LT(worst(none), map(noise) - 0.05);
}

}  // namespace
}  // namespace gauntlet::attacks
