// Defenses that refuse queries, and attacks that keep away from what they refuse.
#include "core/defenses/refusing.hpp"
#include "core/attacks/evading.hpp"
#include "core/defenses/defense.hpp"
#include "tests/robustness/pictures.hpp"

namespace gauntlet::attacks {
namespace {

using torch::Tensor;

constexpr double kEpsilon = 0.06;

/// Inputs of an attack that is told of a detector; what a query is worth against it.
struct Study {
  const Target& target;
  RefusalScore score;

  [[nodiscard]] Tensor inputs(const char* name, const Json& config) const {
    auto attack = attack_registry().find(name).value()->make(config, target.surface(), 1).value();
    auto* const evading = dynamic_cast<Evading*>(attack.get());
    EXPECT_NE(evading, nullptr);
    evading->evade(score);
    const auto rows = first_rows(target.queries.inputs.size(0));
    AttackBatch batch{target.queries.inputs, target.queries.labels, rows};
    batch.target_labels = target.queries.labels.roll(1, 1);
    Tensor crafted = attack->perturb(batch);
    observed = attack->observed();
    return crafted;
  }
  [[nodiscard]] Tensor refused(const Tensor& inputs) const { return score(inputs).gt(0); }
  [[nodiscard]] double share_refused(const Tensor& inputs) const {
    return refused(inputs).to(torch::kFloat64).mean().item<double>();
  }
  /// [Q]: a refused attack is worth what the clean query is, and that nothing if it is refused.
  [[nodiscard]] Tensor worth(const Tensor& inputs) const {
    const Tensor clean_ap = target.ap(target.hash(target.queries.inputs));
    const Tensor clean = torch::where(refused(target.queries.inputs), torch::zeros_like(clean_ap), clean_ap);
    return torch::where(refused(inputs), clean, target.ap(target.hash(inputs)));
  }
  [[nodiscard]] double map(const Tensor& inputs) const { return worth(inputs).mean().item<double>(); }

  mutable std::map<std::string, Tensor> observed;
};

Json apgd_config() { return {{"objective", "mainstay"}, {"steps", 40}, {"epsilon_image", kEpsilon}}; }

/// Refuses what is not on the grid of grey levels. Its score tells no direction.
Tensor off_grid(const Tensor& inputs) {
  const Tensor steps = 255 * inputs.detach();
  return (steps - steps.round()).abs().flatten(1).amax(1) - 1e-3;
}

TEST(Refusing, ADetectorOfFloatsStopsFloatsAndNoPictures) {
  const Target target = pictures();
  const Study study{target, off_grid, {}};
  const double clean = study.map(target.queries.inputs);
  Json config = apgd_config();
  const Tensor floats = study.inputs("apgd", config);
  EXPECT_NEAR(study.map(floats), clean, 1e-12);
  EXPECT_LE((study.observed.at("tracked_ap") - study.worth(floats)).abs().max().item<double>(), 1e-12)
      << "the attack knows what a refused input is worth";
  config["rounding"] = "u8";
  const Tensor pixels = study.inputs("apgd", config);
  EXPECT_EQ(study.share_refused(pixels), 0);
  const Tensor undefended = crafted("apgd", config, target.surface(), target.queries).inputs;
  EXPECT_NEAR(study.map(pixels), target.map(target.hash(undefended)), 0.02);
  EXPECT_LT(study.map(pixels), clean - 0.3);
}

/// How far values scatter around their neighbours.
Tensor roughness(const Tensor& inputs) {
  const Tensor smooth = torch::avg_pool2d(torch::replication_pad2d(inputs, {1, 1, 1, 1}), {3, 3}, {1, 1});
  return (inputs - smooth).pow(2).flatten(1).mean(1);
}

/// Refuses what is rougher than any of the clean queries: attacks but the smooth ones.
RefusalScore rough(const Target& target) {
  const double limit = 1.05 * roughness(target.queries.inputs).max().item<double>();
  return [limit](const Tensor& inputs) { return 200 * (roughness(inputs) - limit); };
}

TEST(Refusing, AnAttackThatLooksAtTheScoreGetsPastADetectorThatStopsTheOther) {
  const Target target = pictures();
  const Study study{target, rough(target), {}};
  const double clean = study.map(target.queries.inputs);
  EXPECT_EQ(study.share_refused(target.queries.inputs), 0);
  Json config = apgd_config();
  config["refusal_weight"] = 0;
  const Tensor blind = study.inputs("apgd", config);
  EXPECT_GE(study.share_refused(blind), 0.4);
  double worst = 1;
  for (const double weight : {0.1, 1.0, 10.0}) {
    config["refusal_weight"] = weight;
    const Tensor inputs = study.inputs("apgd", config);
    worst = std::min(worst, study.map(inputs));
    // What it kept is what its stored input is worth.
    EXPECT_LE((study.observed.at("tracked_ap") - study.worth(inputs)).abs().max().item<double>(), 1e-12);
  }
  EXPECT_LT(worst, study.map(blind) - 0.2);
  EXPECT_LT(worst, clean - 0.3);
  const Tensor found =
      study.inputs("square", {{"feedback", "code"}, {"iterations", 400}, {"epsilon_image", kEpsilon}});
  EXPECT_LT(study.share_refused(found), 0.1);
  EXPECT_LE((found - target.queries.inputs).abs().max().item<double>(), kEpsilon + 1e-6);
}

TEST(Refusing, ATargetedAttackKeepsWhatIsAnswered) {
  const Target target = pictures();
  const Study study{target, rough(target), {}};
  Json config = apgd_config();
  config["objective"] = "class";
  config["refusal_weight"] = 0;
  const double blind = study.share_refused(study.inputs("apgd_targeted", config));
  EXPECT_GT(blind, 0.3);
  const auto found = [&](double weight) {
    config["refusal_weight"] = weight;
    const Tensor inputs = study.inputs("apgd_targeted", config);
    EXPECT_EQ(study.share_refused(inputs), 0) << weight;
    const Tensor codes = target.hash(inputs), labels = target.queries.labels.roll(1, 1);
    return CodeRanks::of({target.codes(), target.database.labels})
        .value()
        ->ap(codes, labels)
        .mean()
        .item<double>();
  };
  EXPECT_GT(found(0.1), 0.9);
  EXPECT_GT(found(1), 0.9);
  EXPECT_GT(found(10), 0.6);
}

TEST(Refusing, WhoRefusesEverythingLeavesNothingToAttack) {
  const Target target = pictures();
  const Study study{target, [](const Tensor& inputs) { return 1 + 0 * inputs.flatten(1).sum(1); }, {}};
  EXPECT_EQ(study.map(target.queries.inputs), 0);
  const Tensor inputs = study.inputs("apgd", apgd_config());
  EXPECT_EQ(study.map(inputs), 0);
  EXPECT_TRUE(
      study.inputs("square", {{"iterations", 20}, {"epsilon_image", kEpsilon}}).equal(target.queries.inputs));
}

class LinearModel final : public models::HashingModel {
 public:
  explicit LinearModel(LinearHash hash) : hash_(std::move(hash)) {}
  Tensor encode_image(const Tensor& images) override { return hash_(images); }
  Tensor encode_text(const Tensor& text) override { return hash_(text); }

 private:
  LinearHash hash_;
};

TEST(FeatureSqueezing, ScoresHowFarTheCodeMoves) {
  const Target target = pictures();
  const auto entry = defenses::defense_registry().find("feature_squeezing").value();
  EXPECT_TRUE(entry->declaration.refuses);
  const auto pipeline = [&](double threshold) {
    defenses::PipelineParts parts;
    parts.model = std::make_shared<LinearModel>(target.hash);
    parts.shape.image_px = 8;
    return entry->make({{"threshold", threshold}}, std::move(parts)).value();
  };
  const auto strict = pipeline(0.0), mild = pipeline(0.25);
  auto* const refusing = dynamic_cast<defenses::Refusing*>(strict.get());
  ASSERT_NE(refusing, nullptr);
  const Tensor inputs = target.queries.inputs.clone().requires_grad_();
  const Tensor score = refusing->refusal_score(Modality::kImage, inputs);
  const Tensor code = target.hash(inputs);
  const Tensor rounded = target.hash((inputs.detach() * 15).round() / 15);
  const Tensor smoothed =
      target.hash(torch::avg_pool2d(torch::replication_pad2d(inputs, {1, 1, 1, 1}), {3, 3}, {1, 1}));
  const Tensor expected = torch::maximum((code - rounded).abs().mean(1), (code - smoothed).abs().mean(1)) / 2;
  EXPECT_TRUE(score.allclose(expected, 1e-6, 1e-7));
  const Tensor other = dynamic_cast<defenses::Refusing*>(mild.get())->refusal_score(Modality::kImage, inputs);
  EXPECT_TRUE(other.allclose(expected - 0.25, 1e-6, 1e-6));
  EXPECT_TRUE(strict->encode_query(Modality::kImage, inputs).equal(code));
  const Tensor gradient = torch::autograd::grad({score.sum()}, {inputs}).front();
  EXPECT_TRUE(gradient.flatten(1).abs().amax(1).gt(0).all().item<bool>());
  // One colour has nothing to squeeze out but its rounding.
  const Tensor flat = torch::full({1, 3, 8, 8}, 1.0 / 3);
  EXPECT_NEAR(refusing->refusal_score(Modality::kImage, flat).item<double>(), 0, 1e-6);
}

}  // namespace
}  // namespace gauntlet::attacks
