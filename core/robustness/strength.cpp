// Does the attack use its means? More steps, more starts, more budget have to help it.
#include <fmt/format.h>

#include <algorithm>

#include "core/robustness/detail/chance.hpp"
#include "core/robustness/detail/compare.hpp"

namespace gauntlet::robustness {
namespace {

constexpr double kTolerance = 0.005;          // MAP
constexpr double kUnboundedTolerance = 0.02;  // MAP
constexpr double kRisingShare = 0.1;          // of the queries

std::vector<Series> white_series(const Study& study, const std::string& option) {
  return series_over(study.arms(ArmKind::kGradient, true), {option});
}

std::optional<double> steps_of(const Lead& lead) {
  const auto found = lead.options.find("steps");
  return found == lead.options.end() ? std::nullopt : std::optional(found->get<double>());
}

// ---------------------------------------------------------------- R04

/// The number of steps that the attack is usually run with: of those that were doubled too the largest.
std::size_t usual_steps(const Series& series) {
  std::size_t usual = series.arms.size() - 1;
  for (std::size_t index = 0; index < series.arms.size(); ++index) {
    const double steps = series.arms[index].first;
    const bool doubled =
        std::ranges::any_of(series.arms, [&](const auto& arm) { return arm.first == 2 * steps; });
    if (doubled && steps > 1) usual = index;
  }
  return usual;
}

Finding one_step(const Study& study) {
  std::optional<Finding> worst;
  for (const Series& series : white_series(study, "steps")) {
    const auto& [steps, many] = series.arms[usual_steps(series)];
    const Arm* one = series.arms.front().first == 1 ? series.arms.front().second : nullptr;
    const auto difference = one == nullptr ? std::nullopt : difference_of(many->ap, one->ap);
    if (!difference) continue;
    Finding found = judged(*difference, kTolerance);
    found.sentence =
        found.verdict == Verdict::kPass
            ? fmt::format("{:g} steps of {} reach {:.4f}, one step {:.4f}.", steps, many->label,
                          mean_of(many->ap), mean_of(one->ap))
            : fmt::format(
                  "One step of {} hurts more than {:g} steps, by {:.4f} MAP: the gradient is masked or the "
                  "step size is wrong.",
                  many->label, steps, difference->mean);
    if (!worst || *found.delta > *worst->delta) worst = std::move(found);
  }
  return worst ? *worst : not_run("no gradient attack was run with one step and with many");
}

std::vector<Companion> one_step_companions(const Lead& lead) {
  if (steps_of(lead).value_or(1) <= 1) return {};
  return {{"1 step", "", {{"steps", 1}}}};
}

// ---------------------------------------------------------------- R08

Finding monotone(const Study& study) {
  std::vector<const Arm*> white;
  for (const Arm& arm : study.own->arms) {
    if (arm.kind == ArmKind::kGradient && arm.white && arm.epsilon > 0) white.push_back(&arm);
  }
  std::optional<Finding> worst;
  for (const Series& series : series_over(white, {"epsilon_image", "epsilon_text"})) {
    for (std::size_t index = 1; index < series.arms.size(); ++index) {
      const auto& [less, before] = series.arms[index - 1];
      const auto& [more, after] = series.arms[index];
      const auto rise = difference_of(after->ap, before->ap);
      if (!rise) continue;
      Finding found = judged(*rise, kTolerance);
      found.sentence =
          found.verdict == Verdict::kPass && rise->mean <= 0
              ? std::string("MAP falls with every larger budget.")
          : found.verdict == Verdict::kPass
              ? fmt::format("MAP falls with every larger budget, or rises by at most {:.4f}.", rise->mean)
              : fmt::format(
                    "More budget helped the defense: from {:.4f} to {:.4f} of the range MAP rises by {:.4f}; "
                    "{} fails at large budgets.",
                    less, more, rise->mean, after->label);
      if (!worst || *found.delta > *worst->delta) worst = std::move(found);
    }
  }
  return worst ? *worst : not_run("no gradient attack was run with two budgets");
}

// ---------------------------------------------------------------- R09

/// Values per query of a level that was measured on the defense; null without.
const Arm* level_of(const Evidence& own, std::string_view attack, std::size_t n) {
  const auto found = std::ranges::find_if(own.arms, [&](const Arm& arm) {
    return arm.kind == ArmKind::kLevel && arm.attack == attack && arm.ap.size() == n;
  });
  return found == own.arms.end() ? nullptr : &*found;
}

/// Inputs of others reach less than the attack does, which may do whatever it likes: worth a warning.
void compare_with_swaps(const Evidence& own, const std::vector<double>& worst, Finding& found) {
  const Arm* swap = level_of(own, "swap", worst.size());
  if (swap == nullptr) return;
  const Difference above = *difference_of(worst, swap->ap);
  if (above.mean <= kUnboundedTolerance) return;
  found.verdict = found.verdict == Verdict::kPass ? Verdict::kWarn : found.verdict;
  found.sentence += fmt::format(" Some training inputs in place of the queries reach {:.4f}, {:.4f} less.",
                                mean_of(swap->ap), above.mean);
}

Finding unbounded(const Study& study) {
  std::vector<const Arm*> arms;
  for (const Arm& arm : study.own->arms) {
    if (arm.kind == ArmKind::kGradient && arm.white && arm.epsilon >= 1) arms.push_back(&arm);
  }
  const std::vector<double> worst = worst_of(arms, study.own->clean());
  if (worst.empty()) return not_run("no gradient attack was run without a limit of its budget");
  std::vector<double> limit = chance_of(*study.own, worst.size());
  if (limit.empty()) return not_run("the chance level is not known: add chance_map to the sweep's metrics");
  const char* what = "chance";
  const Arm* grey = study.own->is_image ? level_of(*study.own, "grey", worst.size()) : nullptr;
  if (grey != nullptr && mean_of(grey->ap) < mean_of(limit)) {
    limit = grey->ap;
    what = "a grey picture";
  }
  Finding found = judged(*difference_of(worst, limit), kUnboundedTolerance);
  found.sentence =
      found.verdict == Verdict::kPass
          ? fmt::format("Without a budget limit MAP falls to {:.4f}; {} has {:.4f}.", mean_of(worst), what,
                        mean_of(limit))
          : fmt::format(
                "Even with no budget limit the score stays at {:.4f}, {:.4f} above {}: the attack, "
                "not the defense, is the limit.",
                mean_of(worst), *found.delta, what);
  compare_with_swaps(*study.own, worst, found);
  return found;
}

std::vector<Companion> unbounded_companions(const Lead& lead) {
  Json options = Json::object();
  for (const char* budget : {"epsilon_image", "epsilon_text"}) {
    if (lead.options.contains(budget)) options[budget] = 1.0;
  }
  if (options.empty()) return {};
  return {{"unbounded", "", options},
          {"grey", "grey", Json::object(), /*images_only=*/true, /*control=*/true},
          {"swap", "swap", Json::object(), /*images_only=*/false, /*control=*/true}};
}

// ---------------------------------------------------------------- R10

void take_larger(std::optional<Finding>& worst, Finding found, const std::string& what) {
  found.sentence =
      found.verdict == Verdict::kPass
          ? fmt::format("{} lowers MAP by {:.4f}.", what, *found.delta)
          : fmt::format("{} still lowers MAP by {:.4f}: the attack had not converged.", what, *found.delta);
  if (!worst || *found.delta > *worst->delta) worst = std::move(found);
}

/// Twice the steps, query by query.
void compare_steps(const Study& study, std::optional<Finding>& worst) {
  for (const Series& series : white_series(study, "steps")) {
    for (const auto& [steps, arm] : series.arms) {
      const auto twice =
          std::ranges::find(series.arms, 2 * steps, [](const auto& each) { return each.first; });
      if (steps <= 1 || twice == series.arms.end()) continue;
      const auto drop = difference_of(arm->ap, twice->second->ap);
      if (drop)
        take_larger(worst, judged(*drop, kTolerance),
                    fmt::format("Doubling the {:g} steps of {}", steps, arm->label));
    }
  }
}

/// A second start, the worse of both for every query.
void compare_starts(const Study& study, std::optional<Finding>& worst) {
  for (const Series& series : white_series(study, "restart")) {
    const Arm* first = series.arms.front().second;
    const std::vector<const Arm*> two = {first, series.arms[1].second};
    const auto drop = difference_of(first->ap, worst_of(two, nullptr));
    if (drop)
      take_larger(worst, judged(*drop, kTolerance), fmt::format("A second start of {}", first->label));
  }
}

Finding converged(const Study& study) {
  std::optional<Finding> worst;
  compare_steps(study, worst);
  compare_starts(study, worst);
  double rising = 0;
  bool is_known = false;
  for (const Arm* arm : study.arms(ArmKind::kGradient, true)) {
    const auto found = arm->figures.find("still_rising");
    const std::optional<double> steps = number_of(*arm, "steps");
    if (found == arm->figures.end() || !steps || *steps <= 1) continue;
    is_known = true;
    rising = std::max(rising, found->second);
  }
  if (!worst && !is_known) return not_run("nothing was run with twice the steps or starts");
  const Verdict of_loss = rising > kRisingShare ? Verdict::kWarn
                          : is_known            ? Verdict::kPass
                                                : Verdict::kNotRun;
  if (!worst) {
    return figure(
        of_loss, rising, 1,
        fmt::format("The loss of {} of the queries still rises in the last tenth of the steps; nothing was "
                    "run with twice the steps or starts.",
                    percent(rising)));
  }
  if (of_loss == Verdict::kWarn)
    worst->sentence += fmt::format(" The loss of {} of the queries still rises at the end.", percent(rising));
  worst->verdict = worse(worst->verdict, of_loss);
  return *worst;
}

std::vector<Companion> converged_companions(const Lead& lead) {
  std::vector<Companion> more;
  if (const auto steps = steps_of(lead); steps && *steps > 1)
    more.push_back({"twice the steps", "", {{"steps", static_cast<std::int64_t>(2 * *steps)}}});
  const auto restart = lead.options.find("restart");
  if (restart != lead.options.end())
    more.push_back({"another start", "", {{"restart", restart->get<std::int64_t>() + 1}}});
  return more;
}

}  // namespace

extern const CheckEntry r04, r08, r09, r10;
constinit const CheckEntry r04{
    .id = "R04",
    .title = "one step or many",
    .criterion = "MAP of T steps - MAP of one step <= 0.005",
    .counts = true,
    .judge = &one_step,
    .companions = &one_step_companions,
};
constinit const CheckEntry r08{
    .id = "R08",
    .title = "monotone in the budget",
    .criterion = "largest rise of MAP between neighbouring budgets <= 0.005",
    .judge = &monotone,
};
constinit const CheckEntry r09{
    .id = "R09",
    .title = "unbounded attack",
    .criterion =
        "MAP without a budget limit - the lesser of chance and a grey picture <= 0.02; - the swap floor <= "
        "0.02 "
        "(else: warn)",
    .counts = true,
    .judge = &unbounded,
    .companions = &unbounded_companions,
};
constinit const CheckEntry r10{
    .id = "R10",
    .title = "converged",
    .criterion = "fall of MAP from twice the steps or starts <= 0.005; <= 10 % of losses still rising",
    .judge = &converged,
    .companions = &converged_companions,
};

}  // namespace gauntlet::robustness
