// Defenses and attacks that are broken on purpose, as scores per query: every check has to say so, and a
// sound evaluation has to pass.
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/robustness/check.hpp"

namespace gauntlet::robustness {
namespace {

using testing::HasSubstr;

constexpr std::size_t kQueries = 120;
constexpr double kEpsilon = 8.0 / 255;

/// A mean with some spread between queries, the same for every arm.
std::vector<double> scores(double mean) {
  std::vector<double> ap(kQueries);
  for (std::size_t query = 0; query < kQueries; ++query)
    ap[query] = mean + 0.1 * std::sin(static_cast<double>(query));
  return ap;
}

Arm arm(const char* label, const char* attack, ArmKind kind, bool white, double mean,
        Json options = Json::object()) {
  Arm made;
  made.label = label;
  made.attack = attack;
  made.kind = kind;
  made.white = white;
  made.epsilon = options.value("epsilon_image", kEpsilon);
  options["epsilon_image"] = made.epsilon;
  made.options = std::move(options);
  made.ap = scores(mean);
  made.figures = {{"linf", 255 * made.epsilon}};
  return made;
}

Arm apgd(double mean, Json options = Json::object(), bool white = true) {
  Json all = {{"steps", 100}, {"restart", 1}, {"rounding", "none"}, {"select", "ap"}, {"samples", 1}};
  if (options.is_object()) all.update(options);
  Arm made = arm("apgd", "apgd", ArmKind::kGradient, white, mean, all);
  made.figures["no_gradient"] = 0;
  made.figures["still_rising"] = 0.02;
  made.figures["thrown_away_ap"] = 0.001;
  made.per_query["tracked_ap"] = made.ap;
  made.figures["tracked_ap"] = mean;
  return made;
}

Arm probe() {
  Arm made = arm("probe", "probe", ArmKind::kProbe, true, 0.7);
  made.figures = {{"code_changes", 0},       {"no_gradient", 0},      {"gradient_agreement", 0.97},
                  {"randomised", 0},         {"saturated", 0},        {"gradient_cosine", 1},
                  {"planted_tested", 0.9},   {"planted_found", 0.89}, {"planted_easy", 0},
                  {"planted_by_chance", 0.1}};
  return made;
}

/// A defense that costs little and holds a little, attacked as it should be.
Evidence sound(const char* defense = "drfgd") {
  Evidence made;
  made.defense = defense;
  Arm clean = arm("none", "none", ArmKind::kClean, false, 0.7);
  clean.epsilon = 0;
  clean.figures = {{"chance_map", 0.3}, {"common_code", 0.05}};
  made.arms.push_back(clean);
  made.arms.push_back(apgd(0.40));
  made.arms.push_back(apgd(0.41, {}, false));
  made.arms.push_back(apgd(0.55, {{"steps", 1}}));
  made.arms.push_back(apgd(0.399, {{"steps", 200}}));
  made.arms.push_back(apgd(0.40, {{"restart", 2}}));
  made.arms.push_back(apgd(0.25, {{"epsilon_image", 1.0}}));
  made.arms.push_back(apgd(0.41, {{"rounding", "u8"}}));
  made.arms.push_back(arm("square", "square", ArmKind::kSearch, true, 0.5, {{"feedback", "code"}}));
  for (int draw = 1; draw <= 10; ++draw)
    made.arms.push_back(arm("noise", "noise", ArmKind::kNoise, false, 0.69, {{"draw", draw}}));
  made.arms.push_back(
      arm("noise 1", "noise", ArmKind::kNoise, false, 0.7, {{"draw", 1}, {"epsilon_image", 1.0 / 255}}));
  made.arms.push_back(probe());
  return made;
}

struct Setting {
  Evidence own = sound();
  Evidence undefended = sound("none");
  Evidence control = sound("box_blur");

  Setting() { *find(control, 0.40) = apgd(0.35); }

  static Arm* find(Evidence& evidence, double mean) {
    const auto found = std::ranges::find_if(
        evidence.arms, [&](const Arm& each) { return each.attack == "apgd" && each.ap == scores(mean); });
    return found == evidence.arms.end() ? nullptr : &*found;
  }
  Arm& probed() { return own.arms.back(); }
  Arm& attack() { return own.arms[1]; }

  /// Verdict and sentence of one check.
  [[nodiscard]] Finding of(const char* id) const {
    const Study study{&own, &undefended, {&control}, judged_epsilon(own)};
    for (const CheckEntry* check : all_checks()) {
      if (check->id == id) return check->judge(study);
    }
    ADD_FAILURE() << id;
    return {};
  }
};

TEST(Checks, AreTwentyOneInTheOrderOfTheirIds) {
  ASSERT_EQ(all_checks().size(), 21U);
  for (std::size_t at = 0; at < 21; ++at) {
    EXPECT_EQ(all_checks()[at]->id, fmt::format("R{:02}", at + 1));
    EXPECT_FALSE(all_checks()[at]->title.empty());
    EXPECT_FALSE(all_checks()[at]->criterion.empty());
  }
}

TEST(Checks, ASoundEvaluationPassesThemAll) {
  const Setting setting;
  const Study study{&setting.own, &setting.undefended, {&setting.control}, judged_epsilon(setting.own)};
  EXPECT_DOUBLE_EQ(study.epsilon, kEpsilon);
  const std::vector<Finding> all = judge_all(study);
  for (std::size_t at = 0; at < all.size(); ++at)
    EXPECT_EQ(all[at].verdict, Verdict::kPass) << all_checks()[at]->id << " " << all[at].sentence;
}

TEST(Checks, WithoutRowsNothingIsClaimed) {
  Evidence nothing;
  nothing.defense = "drfgd";
  nothing.arms.push_back(arm("ta_dch", "ta_dch", ArmKind::kOther, false, 0.5));
  nothing.arms.front().figures.clear();
  const Study study{&nothing, nullptr, {}, judged_epsilon(nothing)};
  const std::vector<Finding> all = judge_all(study);
  for (std::size_t at = 0; at + 1 < all.size(); ++at) {
    EXPECT_EQ(all[at].verdict, Verdict::kNotRun) << all_checks()[at]->id << " " << all[at].sentence;
    EXPECT_FALSE(all[at].delta) << all_checks()[at]->id;
    EXPECT_FALSE(all[at].sentence.empty());
  }
}

/// The identity: static and adaptive are one attack, to the last digit.
TEST(Planted, AnIdentityDefenseFailsNothing) {
  Setting setting;
  *Setting::find(setting.own, 0.41) = apgd(0.40, {}, false);
  EXPECT_EQ(setting.of("R18").delta, 0);
  const Study study{&setting.own, &setting.undefended, {}, judged_epsilon(setting.own)};
  for (const Finding& finding : judge_all(study))
    EXPECT_NE(finding.verdict, Verdict::kFail) << finding.sentence;
}

/// A quantiser with zero gradient: the attack stays where the noise is, while search and transfer go on.
TEST(Planted, AQuantiserIsGivenAwayByEverythingThatNeedsNoGradient) {
  Setting setting;
  for (Arm& each : setting.own.arms) {
    if (each.kind != ArmKind::kGradient || !each.white) continue;
    each.ap = scores(0.69);
    each.figures["no_gradient"] = 1;
  }
  setting.probed().figures["no_gradient"] = 1;
  EXPECT_EQ(setting.of("R02").verdict, Verdict::kFail);
  EXPECT_THAT(setting.of("R02").sentence, HasSubstr("100.0 % of queries give no gradient"));
  const Finding search = setting.of("R05");
  EXPECT_EQ(search.verdict, Verdict::kFail);
  EXPECT_NEAR(*search.delta, 0.19, 1e-9);
  EXPECT_THAT(search.sentence, HasSubstr("A search without gradients does better"));
  EXPECT_EQ(setting.of("R06").verdict, Verdict::kFail);
  EXPECT_EQ(setting.of("R09").verdict, Verdict::kFail);
}

TEST(Planted, AFewDeadGradientsAreAWarningAndOnesThatAreNoNumbersAFail) {
  Setting setting;
  setting.attack().figures["no_gradient"] = 0.005;
  EXPECT_EQ(setting.of("R02").verdict, Verdict::kWarn);
  setting.attack().figures["no_gradient"] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(setting.of("R02").verdict, Verdict::kFail);
}

TEST(Planted, AWrongSurrogateClimbsTheOtherWay) {
  Setting setting;
  setting.probed().figures["gradient_agreement"] = 0.02;
  setting.own.arms.erase(
      std::remove_if(setting.own.arms.begin(), setting.own.arms.end(),
                     [](const Arm& each) { return each.kind == ArmKind::kGradient && each.white; }),
      setting.own.arms.end());
  setting.own.arms.insert(setting.own.arms.begin() + 1, apgd(0.75));
  EXPECT_EQ(setting.of("R03").verdict, Verdict::kFail);
  EXPECT_THAT(setting.of("R03").sentence, HasSubstr("Gradients point the wrong way"));
  EXPECT_EQ(setting.of("R07").verdict, Verdict::kFail);
  setting.probed().figures["gradient_agreement"] = 0.8;
  EXPECT_EQ(setting.of("R03").verdict, Verdict::kWarn);
}

TEST(Planted, ABlurFlattersUnderStaticInputs) {
  Setting setting;
  *Setting::find(setting.own, 0.41) = apgd(0.56, {}, false);
  const Finding found = setting.of("R18");
  EXPECT_EQ(found.verdict, Verdict::kNote);
  EXPECT_NEAR(*found.delta, 0.16, 1e-9);
  EXPECT_THAT(found.sentence, HasSubstr("overstates robustness by 0.1600"));
}

TEST(Planted, ADefenseThatAPlainBlurBeatsFails) {
  Setting setting;
  for (Arm& each : setting.control.arms) {
    if (each.kind == ArmKind::kGradient && each.white) {
      for (double& ap : each.ap) ap += 0.1;
    }
  }
  const Finding found = setting.of("R15");
  EXPECT_EQ(found.verdict, Verdict::kFail);
  EXPECT_THAT(found.sentence, HasSubstr("A plain box_blur does as well"));
}

TEST(Planted, RandomnessIsToBeDeclared) {
  Setting setting;
  setting.probed().figures["code_changes"] = 0.03;
  EXPECT_EQ(setting.of("R01").verdict, Verdict::kFail);
  EXPECT_THAT(setting.of("R01").sentence, HasSubstr("3.0 % of bits"));
  setting.probed().figures["randomised"] = 1;
  setting.probed().per_query["gradient_cosine"] = std::vector<double>(kQueries, 0.1);
  EXPECT_EQ(setting.of("R01").verdict, Verdict::kPass);
  EXPECT_EQ(setting.of("R16").verdict, Verdict::kWarn);
  EXPECT_EQ(setting.of("R12").verdict, Verdict::kNotRun);
}

TEST(Planted, BatchNormalisationInTrainModeIsNotReplayed) {
  Setting setting;
  setting.attack().per_query["tracked_ap"][17] += 1e-3;
  const Finding found = setting.of("R12");
  EXPECT_EQ(found.verdict, Verdict::kFail);
  EXPECT_NEAR(*found.delta, 1e-3, 1e-9);
}

TEST(Planted, AnOverfittedNetFallsToOneStep) {
  Setting setting;
  *Setting::find(setting.own, 0.55) = apgd(0.35, {{"steps", 1}});
  const Finding found = setting.of("R04");
  EXPECT_EQ(found.verdict, Verdict::kFail);
  EXPECT_NEAR(*found.delta, 0.05, 1e-9);
  EXPECT_THAT(found.sentence, HasSubstr("One step of apgd hurts more than 100 steps"));
}

TEST(Planted, AConstantCodeIsDegenerate) {
  Setting setting;
  setting.own.arms.front().ap = std::vector<double>(kQueries, 0.3);
  EXPECT_EQ(setting.of("R19").verdict, Verdict::kFail);
  setting.own.arms.front().ap = scores(0.6);
  EXPECT_EQ(setting.of("R19").verdict, Verdict::kWarn);  // costs 0.1 of the undefended clean score
  setting.own.arms.front().figures["common_code"] = 0.51;
  EXPECT_EQ(setting.of("R19").verdict, Verdict::kFail);
  EXPECT_THAT(setting.of("R19").sentence, HasSubstr("51.0 % of the queries have one code"));
}

TEST(Planted, WhoRefusesMostCleanQueriesIsDegenerate) {
  Setting setting;
  setting.own.arms.front().figures["refused"] = 0.04;
  EXPECT_EQ(setting.of("R19").verdict, Verdict::kPass);
  EXPECT_THAT(setting.of("R19").sentence, HasSubstr("It refuses 4.0 % of them."));
  setting.own.arms.front().figures["refused"] = 0.51;
  EXPECT_EQ(setting.of("R19").verdict, Verdict::kFail);
  EXPECT_THAT(setting.of("R19").sentence, HasSubstr("answers nobody"));
}

TEST(Planted, AMemoriserFallsToOneGreyLevel) {
  Setting setting;
  for (Arm& each : setting.own.arms) {
    if (each.kind == ArmKind::kNoise && each.epsilon < 0.01) each.ap = scores(0.4);
  }
  EXPECT_EQ(setting.of("R20").verdict, Verdict::kWarn);
}

TEST(Planted, AnAttackWithoutAStepIsNoBetterThanNoise) {
  Setting setting;
  for (Arm& each : setting.own.arms) {
    if (each.kind == ArmKind::kGradient && each.white) each.ap = setting.own.arms.front().ap;
  }
  EXPECT_EQ(setting.of("R07").verdict, Verdict::kFail);
  const Finding found = setting.of("R09");
  EXPECT_EQ(found.verdict, Verdict::kFail);
  EXPECT_NEAR(*found.delta, 0.4, 2e-3);
}

/// Queries differ in how many items are relevant to them, and so in both: the difference is surer than
/// either.
TEST(Checks, ChanceIsComparedQueryByQuery) {
  Setting setting;
  for (const char* id : {"R09", "R19"}) {
    setting = Setting();
    const Finding by_mean = setting.of(id);
    EXPECT_GT(*by_mean.ci_high - *by_mean.ci_low, 0.01) << id;
    setting.own.arms.front().per_query["chance_map"] = scores(0.3);
    const Finding by_query = setting.of(id);
    EXPECT_NEAR(*by_query.delta, *by_mean.delta, 2e-3) << id;
    EXPECT_NEAR(*by_query.ci_high, *by_query.ci_low, 1e-9) << id;
  }
}

/// A level: other inputs in place of the queries.
Arm level(const char* attack, double mean) {
  Arm made = arm(attack, attack, ArmKind::kLevel, true, mean);
  made.epsilon = 0;
  made.figures.clear();
  return made;
}

/// Above the grey picture that a budget of half the range makes of anything, but below chance.
TEST(Planted, AnUnboundedAttackThatAGreyPictureBeatsIsTheLimit) {
  Setting setting;
  *Setting::find(setting.own, 0.25) = apgd(0.29, {{"epsilon_image", 1.0}});
  EXPECT_EQ(setting.of("R09").verdict, Verdict::kPass);  // chance is 0.3
  setting.own.arms.push_back(level("grey", 0.2));
  const Finding found = setting.of("R09");
  EXPECT_EQ(found.verdict, Verdict::kFail);
  EXPECT_NEAR(*found.delta, 0.09, 1e-9);
  EXPECT_THAT(found.sentence, HasSubstr("above a grey picture: the attack, not the defense, is the limit"));
  setting.own.arms.back() = level("grey", 0.6);  // above chance it says nothing
  EXPECT_EQ(setting.of("R09").verdict, Verdict::kPass);
  setting.own.arms.back() = level("grey", 0.2);
  setting.own.is_image = false;  // texts have no colour
  EXPECT_EQ(setting.of("R09").verdict, Verdict::kPass);
}

TEST(Planted, AnUnboundedAttackThatOtherInputsBeatIsAWarning) {
  Setting setting;
  setting.own.arms.push_back(level("swap", 0.24));
  EXPECT_EQ(setting.of("R09").verdict, Verdict::kPass);
  setting.own.arms.back() = level("swap", 0.1);
  const Finding found = setting.of("R09");
  EXPECT_EQ(found.verdict, Verdict::kWarn);
  EXPECT_NEAR(*found.delta, 0.25 - 0.3, 2e-3);  // the figure stays that of chance
  EXPECT_THAT(found.sentence, HasSubstr("training inputs in place of the queries reach"));
  for (Arm& each : setting.own.arms) {
    if (each.epsilon == 1) each.ap = scores(0.6);
  }
  EXPECT_EQ(setting.of("R09").verdict, Verdict::kFail);  // never milder for it
}

TEST(Checks, ALevelIsNoAttack) {
  EXPECT_EQ(kind_of_attack("grey", {{"level", 0.5}}, true), ArmKind::kLevel);
  EXPECT_EQ(kind_of_attack("swap", {{"inputs", 1000}}, true), ArmKind::kLevel);
  EXPECT_EQ(kind_of_attack("pgd", {{"steps", 10}}, true), ArmKind::kGradient);
}

TEST(Planted, TheControlThatBeatsADefenseIsCalledByItsLabel) {
  Setting setting;
  setting.control = sound("round_image");
  setting.control.label = "round_image 8 bits";
  for (Arm& each : setting.control.arms) {
    if (each.kind == ArmKind::kGradient && each.white) {
      for (double& ap : each.ap) ap += 0.1;
    }
  }
  EXPECT_THAT(setting.of("R15").sentence, HasSubstr("A plain round_image 8 bits does as well"));
  EXPECT_TRUE(is_trivial_control("round_image"));
  EXPECT_FALSE(is_trivial_control("drfgd"));
}

TEST(Planted, ABudgetInOtherUnitsIsLeft) {
  Setting setting;
  setting.attack().figures["linf"] = 255 * kEpsilon / 0.226;
  const Finding found = setting.of("R13");
  EXPECT_EQ(found.verdict, Verdict::kFail);
  setting.attack().figures["linf"] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(setting.of("R13").verdict, Verdict::kFail);
  setting.attack().figures["linf"] = 8;
  setting.attack().figures["illegal_inputs"] = 3.0 / kQueries;
  EXPECT_THAT(setting.of("R13").sentence, HasSubstr("3 inputs of apgd leave"));
}

TEST(Planted, TheLastIterateOfADivergingRunThrowsInputsAway) {
  Setting setting;
  setting.attack().figures["thrown_away_ap"] = 0.08;
  EXPECT_EQ(setting.of("R11").verdict, Verdict::kPass);  // `select: ap` keeps the best
  setting.attack().options["select"] = "last";
  EXPECT_EQ(setting.of("R11").verdict, Verdict::kWarn);
}

TEST(Planted, MoreWorkThatStillHelpsSaysSo) {
  Setting setting;
  *Setting::find(setting.own, 0.399) = apgd(0.37, {{"steps", 200}});
  EXPECT_EQ(setting.of("R10").verdict, Verdict::kFail);
  EXPECT_THAT(setting.of("R10").sentence,
              HasSubstr("Doubling the 100 steps of apgd still lowers MAP by 0.0300"));
  setting = Setting();
  setting.attack().figures["still_rising"] = 0.2;
  EXPECT_EQ(setting.of("R10").verdict, Verdict::kWarn);
}

TEST(Planted, ALargerBudgetThatHelpsTheDefenseSaysSo) {
  Setting setting;
  setting.own.arms.push_back(apgd(0.46, {{"epsilon_image", 16.0 / 255}}));
  EXPECT_EQ(setting.of("R08").verdict, Verdict::kFail);
  EXPECT_NEAR(*setting.of("R08").delta, 0.06, 1e-9);
}

TEST(Planted, RoundingThatUndoesAnAttackIsAWarning) {
  Setting setting;
  *std::ranges::find_if(setting.own.arms, [](const Arm& each) {
    return each.options.value("rounding", "") == "u8";
  }) = apgd(0.65, {{"rounding", "u8"}});
  EXPECT_EQ(setting.of("R14").verdict, Verdict::kWarn);
}

TEST(Planted, AMissedPlantIsAFail) {
  Setting setting;
  setting.probed().figures["planted_found"] = 0.3;
  EXPECT_EQ(setting.of("R17").verdict, Verdict::kFail);
  EXPECT_THAT(setting.of("R17").sentence, HasSubstr("in 66.7 % of cases"));
  setting.probed().figures["planted_tested"] = 0;
  EXPECT_EQ(setting.of("R17").verdict, Verdict::kNotRun);
}

TEST(Planted, ChoosingOnTheQueriesIsAFail) {
  Setting setting;
  setting.own.selected_on = {"validation"};
  EXPECT_EQ(setting.of("R21").verdict, Verdict::kPass);
  setting.own.selected_on.emplace_back("query");
  EXPECT_EQ(setting.of("R21").verdict, Verdict::kFail);
}

/// A mean above the tolerance whose interval reaches below it warns, and no more.
TEST(Checks, ADifferenceThatTheQueriesDoNotSettleIsAWarning) {
  Setting setting;
  Arm& many = *Setting::find(setting.own, 0.40);
  for (std::size_t query = 0; query < kQueries; ++query)
    many.ap[query] = 0.557 + (query % 2 == 0 ? 0.1 : -0.1);
  many.per_query.clear();
  const Finding found = setting.of("R04");
  EXPECT_EQ(found.verdict, Verdict::kWarn) << *found.delta << " " << *found.ci_low;
  EXPECT_LT(*found.ci_low, 0.005);
  EXPECT_GT(*found.ci_high, *found.delta);
}

}  // namespace
}  // namespace gauntlet::robustness
