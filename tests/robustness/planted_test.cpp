// Defenses and attacks that are broken on purpose, and what must be seen of each.
#include <ATen/CPUGeneratorImpl.h>

#include "core/attacks/detail/code_ascent.hpp"
#include "core/attacks/detail/pixel_grid.hpp"
#include "core/defenses/defense.hpp"
#include "core/defenses/detail/tpap_purifier.hpp"
#include "core/metrics/reference_levels.hpp"
#include "tests/robustness/pictures.hpp"

namespace gauntlet::attacks {
namespace {

using defenses::Backward;
using ::testing::HasSubstr;
using torch::Tensor;

constexpr double kEpsilon = 0.06;

/// A defense before the target, as a test plants it.
class Planted : public defenses::Pipeline {
 public:
  explicit Planted(const LinearHash& hash) : hash_(hash) {}
  Tensor encode_query(Modality modality, const Tensor& input) override {
    return encode_purified(modality, purified(modality, input));
  }
  Tensor encode_purified(Modality, const Tensor& purified) override { return hash_(purified); }
  Tensor encode_retrieval(Modality, const Tensor& input) override { return hash_(input); }

 private:
  LinearHash hash_;
};

/// The pipeline's codes with gradients of a recipe, as a craft job opens it.
std::function<Tensor(const Tensor&)> through(defenses::Pipeline& pipeline, Backward backward) {
  return [&pipeline, backward](const Tensor& input) {
    return pipeline.encode_purified(Modality::kImage,
                                    pipeline.purified_through(Modality::kImage, input, backward));
  };
}

Json apgd_config(const char* objective = "mainstay") {
  return {{"objective", objective}, {"steps", 30}, {"epsilon_image", kEpsilon}};
}

struct Scores {
  double clean = 0, noise = 0, white = 0;
  double no_gradient = 0;
  Tensor inputs;  ///< of the white attack
};

Scores scores_of(const Target& target, defenses::Pipeline& pipeline, Backward backward = Backward::kDeclared,
                 const char* objective = "mainstay") {
  const auto map = [&](const Tensor& inputs) {
    return target.map(pipeline.encode_query(Modality::kImage, inputs).detach());
  };
  const AttackSurface surface = target.surface(through(pipeline, backward));
  const Crafted white = crafted("apgd", apgd_config(objective), surface, target.queries);
  const Crafted noise = crafted("noise", {{"epsilon_image", kEpsilon}}, surface, target.queries);
  return {map(target.queries.inputs), map(noise.inputs), map(white.inputs),
          white.observed.at("no_gradient").mean().item<double>(), white.inputs};
}

class Transparent final : public Planted {
 public:
  using Planted::Planted;
};

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

/// The planted target as a model that the registered defenses take.
class ToyModel final : public models::HashingModel {
 public:
  explicit ToyModel(LinearHash hash) : hash_(std::move(hash)) {}
  Tensor encode_image(const Tensor& images) override { return hash_(images); }
  Tensor encode_text(const Tensor& text) override { return hash_(text); }

 private:
  LinearHash hash_;
};

std::unique_ptr<defenses::Pipeline> registered(const char* name, const LinearHash& hash, Modality modality) {
  defenses::PipelineParts parts;
  parts.model = std::make_shared<ToyModel>(hash);
  parts.modality = modality;
  parts.shape.image_px = 8;
  return defenses::defense_registry().find(name).value()->make(Json::object(), std::move(parts)).value();
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

class Memoriser final : public Planted {
 public:
  Memoriser(const LinearHash& hash, Tensor known) : Planted(hash), known_(std::move(known)) {}
  Tensor encode_query(Modality modality, const Tensor& input) override {
    const Tensor code = encode_purified(modality, input);
    const Tensor is_known = (input.detach().flatten(1).unsqueeze(1) - known_.flatten(1).unsqueeze(0))
                                .abs()
                                .amax(2)
                                .lt(1e-4)
                                .any(1);
    return torch::where(is_known.unsqueeze(1), code, -code);
  }

 private:
  Tensor known_;
};

TEST(Planted, AMemoriserBreaksAtOneGreyLevel) {
  const Target target = pictures();
  Memoriser memoriser(target.hash, target.queries.inputs);
  const auto map = [&](const Tensor& inputs) {
    return target.map(memoriser.encode_query(Modality::kImage, inputs));
  };
  const Tensor noise =
      crafted("noise", {{"epsilon_image", 1.0 / 255}}, target.surface(), target.queries).inputs;
  EXPECT_GT(map(target.queries.inputs), 0.85);
  EXPECT_LT(map(noise), map(target.queries.inputs) - 0.3);
}

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
