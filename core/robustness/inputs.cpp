// The inputs an attack left: are they the ones it meant, are they allowed, do they survive being saved?
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/text.hpp"
#include "core/robustness/detail/compare.hpp"

namespace gauntlet::robustness {
namespace {

constexpr double kThrownAway = 0.01;   // MAP
constexpr double kReplay = 1e-6;       // AP of one query; values per query are kept as float32, 6e-8 apart
constexpr double kBudgetSlack = 1e-6;  // in [0,1] units
constexpr double kRounding = 0.02;     // MAP
constexpr double kExactBytes = 0.02;   // MAP
constexpr double kGreyLevel = 1.0 / 255;

// ---------------------------------------------------------------- R11

Finding silent_success(const Study& study) {
  std::optional<Finding> worst;
  for (const Arm* arm : study.arms(ArmKind::kGradient, true)) {
    const auto kept = arm->per_query.find("thrown_away_ap");
    const auto mean = arm->figures.find("thrown_away_ap");
    if (mean == arm->figures.end()) continue;
    Finding found =
        kept != arm->per_query.end() && !kept->second.empty()
            ? judged(difference_of(kept->second), kThrownAway, Verdict::kWarn)
            : figure(mean->second > kThrownAway ? Verdict::kWarn : Verdict::kPass, mean->second, 1, "");
    // An attack that keeps the best input of its path throws nothing away.
    if (found.verdict == Verdict::kWarn && arm->options.value("select", "last") == "ap")
      found.verdict = Verdict::kPass;
    found.sentence =
        found.verdict == Verdict::kPass
            ? fmt::format(
                  "The last step of {} is {:.4f} MAP weaker than the best one; what is stored is that of "
                  "`select: {}`.",
                  arm->label, *found.delta, arm->options.value("select", "last"))
            : fmt::format(
                  "Stronger inputs were found on the way and thrown away: {} would be {:.4f} MAP lower.",
                  arm->label, *found.delta);
    if (!worst || found.verdict > worst->verdict ||
        (found.verdict == worst->verdict && *found.delta > *worst->delta))
      worst = std::move(found);
  }
  return worst ? *worst : not_run("no attack says what it saw on its way (apgd does)");
}

// ---------------------------------------------------------------- R12

bool is_randomised(const Study& study) { return study.own->level("randomised").value_or(0) > 0; }

Finding replay(const Study& study) {
  if (is_randomised(study)) return not_run("the defense draws randomly, so no score repeats exactly");
  std::optional<double> largest;
  std::int64_t n = 0;
  std::string label;
  for (const Arm& arm : study.own->arms) {
    const auto tracked = arm.per_query.find("tracked_ap");
    if (!arm.white || tracked == arm.per_query.end() || tracked->second.size() != arm.ap.size()) continue;
    for (std::size_t query = 0; query < arm.ap.size(); ++query) {
      const double gap = std::abs(tracked->second[query] - arm.ap[query]);
      if (std::isnan(gap) || gap > largest.value_or(-1)) {
        largest = gap;
        label = arm.label;
      }
    }
    n = std::max(n, static_cast<std::int64_t>(arm.ap.size()));
  }
  if (!largest) return not_run("no attack kept the score that it saw (apgd with `select: ap` does)");
  if (*largest <= kReplay)
    return figure(Verdict::kPass, *largest, n, "Every stored input has the score that the attack saw.");
  return figure(
      Verdict::kFail, *largest, n,
      fmt::format("Stored inputs do not reproduce the attack's score: of {} one query differs by {:.2g}.",
                  label, *largest));
}

// ---------------------------------------------------------------- R13

/// Largest change of an input in [0,1] units; nothing where the job does not say.
std::optional<double> largest_change(const Evidence& own, const Arm& arm) {
  const auto found = arm.figures.find("linf");
  if (found == arm.figures.end()) return std::nullopt;
  return own.is_image ? found->second / 255 : found->second;
}

Finding legal(const Study& study) {
  std::optional<double> excess;
  std::int64_t n = 0;
  std::string offender;
  double n_illegal = 0;
  for (const Arm& arm : study.own->arms) {
    const std::optional<double> change = largest_change(*study.own, arm);
    if (!change || arm.epsilon <= 0) continue;
    ++n;
    const double beyond = *change - arm.epsilon;
    if (std::isnan(beyond) || beyond > excess.value_or(-2)) {
      excess = beyond;
      if (!(beyond <= kBudgetSlack)) offender = arm.label;
    }
    const auto illegal = arm.figures.find("illegal_inputs");  // their share
    if (illegal == arm.figures.end()) continue;
    const double n_inputs = std::round(illegal->second * static_cast<double>(arm.ap.size()));
    if (n_inputs > n_illegal) offender = arm.label;
    n_illegal = std::max(n_illegal, n_inputs);
  }
  if (!excess) return not_run("no attack with a budget was run");
  if (n_illegal > 0) {
    return figure(
        Verdict::kFail, n_illegal, n,
        fmt::format("{:g} inputs of {} leave the declared budget, range or grid.", n_illegal, offender));
  }
  if (!(*excess <= kBudgetSlack)) {
    return figure(
        Verdict::kFail, *excess, n,
        fmt::format("Inputs of {} leave the declared budget by {:.2g} of the range.", offender, *excess));
  }
  return figure(
      Verdict::kPass, n_illegal, n,
      fmt::format("The inputs of {} stay within budget.", count_of(static_cast<std::size_t>(n), "attack")));
}

// ---------------------------------------------------------------- R14

Finding rounding(const Study& study) {
  std::vector<const Arm*> arms;
  for (const ArmKind kind : {ArmKind::kGradient, ArmKind::kSearch}) {
    const std::vector<const Arm*> some = study.arms(kind, true);
    arms.insert(arms.end(), some.begin(), some.end());
  }
  std::optional<Finding> worst;
  const auto take = [&](const Arm& rounded, const Arm& exact, std::string_view what) {
    const auto loss = difference_of(rounded.ap, exact.ap);
    if (!loss) return;
    Finding found = judged(*loss, kRounding, Verdict::kWarn);
    found.sentence =
        found.verdict == Verdict::kPass
            ? fmt::format("{} changes the score of {} by {:+.4f}.", what, exact.label, loss->mean)
            : fmt::format("{} undoes {:.4f} of {}: the float row is not evidence of strength.", what,
                          loss->mean, exact.label);
    if (!worst || *found.delta > *worst->delta) worst = std::move(found);
  };
  for (const Arm* exact : arms) {
    if (exact->options.value("rounding", "") != "none") continue;
    Json wanted = exact->options;
    wanted["rounding"] = "u8";
    for (const Arm* rounded : arms) {
      if (rounded->attack == exact->attack && rounded->source == exact->source && rounded->options == wanted)
        take(*rounded, *exact, "Saving the input as 8-bit pixels");
    }
  }
  if (study.own->is_undefended() && !study.own->is_image) {
    for (const Evidence* control : study.controls) {
      if (control->defense != "round_text") continue;
      for (const Arm* exact : arms) {
        for (const Arm& rounded : control->arms) {
          if (!rounded.white && rounded.attack == exact->attack && rounded.options == exact->options)
            take(rounded, *exact, "Rounding the text to words");
        }
      }
    }
  }
  return worst ? *worst : not_run("no attack was run with and without rounding");
}

std::vector<Companion> rounding_companions(const Lead& lead) {
  if (lead.options.value("rounding", "") != "none") return {};
  return {{"8 bits", "", {{"rounding", "u8"}}, true}};
}

// ---------------------------------------------------------------- R20

Finding exact_bytes(const Study& study) {
  const Arm* clean = study.own->clean();
  if (clean == nullptr || clean->ap.empty()) return not_run("the clean queries were not evaluated");
  const auto noise = std::ranges::find_if(study.own->arms, [&](const Arm& arm) {
    return arm.kind == ArmKind::kNoise && arm.epsilon > 0 && arm.epsilon <= kGreyLevel + 1e-9;
  });
  if (noise == study.own->arms.end()) return not_run("no noise of one grey level was tried");
  const auto loss = difference_of(clean->ap, noise->ap);
  if (!loss) return not_run("noise and clean queries were scored on different queries");
  Finding found = judged(*loss, kExactBytes, Verdict::kWarn);
  found.sentence =
      found.verdict == Verdict::kPass
          ? fmt::format("One grey level of random noise changes the clean score by {:+.4f}.", -loss->mean)
          : fmt::format(
                "One grey level of random noise costs {:.4f}: the clean score depends on the exact input.",
                loss->mean);
  return found;
}

std::vector<Companion> grey_level_companions(const Lead& lead) {
  static_cast<void>(lead);
  return {{"noise of one grey level",
           "noise",
           {{"epsilon_image", kGreyLevel}, {"epsilon_text", kGreyLevel}},
           false,
           true}};
}

}  // namespace

extern const CheckEntry r11, r12, r13, r14, r20;
constinit const CheckEntry r11{
    .id = "R11",
    .title = "silent success",
    .criterion =
        "mean AP of the last step - mean AP of the best on the path <= 0.01, unless the best is stored",
    .judge = &silent_success,
};
constinit const CheckEntry r12{
    .id = "R12",
    .title = "replay",
    .criterion = "largest |AP tracked - AP encoded again| <= 1e-6",
    .judge = &replay,
};
constinit const CheckEntry r13{
    .id = "R13",
    .title = "legal inputs",
    .criterion = "max |change| <= budget + 1e-6; range, grid, no NaN",
    .counts = true,
    .judge = &legal,
};
constinit const CheckEntry r14{
    .id = "R14",
    .title = "rounding",
    .criterion = "MAP of rounded inputs - MAP of floats <= 0.02",
    .judge = &rounding,
    .companions = &rounding_companions,
};
constinit const CheckEntry r20{
    .id = "R20",
    .title = "exact bytes",
    .criterion = "clean MAP - MAP under noise of one grey level <= 0.02",
    .judge = &exact_bytes,
    .companions = &grey_level_companions,
};

}  // namespace gauntlet::robustness
