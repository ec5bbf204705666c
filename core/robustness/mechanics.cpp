// Does the machinery of the attack work on this pipeline at all? What the probe and attacks measured.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/robustness/detail/compare.hpp"

namespace gauntlet::robustness {
namespace {

constexpr double kDeadShare = 0.01;
constexpr double kAgreementFail = 0.75;
constexpr double kAgreementWarn = 0.9;
constexpr double kCosine = 0.3;
constexpr double kSamplesTolerance = 0.005;  // MAP
constexpr double kPlantedFound = 0.95;
constexpr const char* kNoProbe = "the probe was not run on the defended pipeline";

const Arm* probe_of(const Study& study) {
  const auto found = std::ranges::find_if(
      study.own->arms, [](const Arm& arm) { return arm.kind == ArmKind::kProbe && arm.white; });
  return found == study.own->arms.end() ? nullptr : &*found;
}

std::optional<double> figure_of(const Arm* arm, const char* name) {
  if (arm == nullptr) return std::nullopt;
  const auto found = arm->figures.find(name);
  return found == arm->figures.end() ? std::nullopt : std::optional(found->second);
}

std::int64_t n_of(const Arm& arm) {
  return static_cast<std::int64_t>(std::max<std::size_t>(arm.ap.size(), 1));
}

std::vector<Companion> probe_companions(const Lead& lead) {
  Json options = Json::object();
  for (const char* name : {"epsilon_image", "epsilon_text"}) {
    if (lead.options.contains(name)) options[name] = lead.options[name];
  }
  return {{"probe", "probe", options}};
}

// ---------------------------------------------------------------- R01

Finding same_outcome(const Study& study) {
  const Arm* probe = probe_of(study);
  const std::optional<double> changes = figure_of(probe, "code_changes");
  if (!changes) return not_run(kNoProbe);
  if (*changes == 0)
    return figure(Verdict::kPass, 0, n_of(*probe), "Codes are the same in every pass and batch.");
  const bool declared = figure_of(probe, "randomised").value_or(0) > 0;
  return figure(declared ? Verdict::kPass : Verdict::kFail, *changes, n_of(*probe),
                declared
                    ? fmt::format("Codes change between passes ({} of bits), as the defense declares.",
                                  percent(*changes))
                    : fmt::format("Codes change between passes ({} of bits): randomised or batch-dependent; "
                                  "scores below are not those of a fixed system.",
                                  percent(*changes)));
}

// ---------------------------------------------------------------- R02

Finding gradient_alive(const Study& study) {
  std::optional<double> dead;
  std::string where;
  std::int64_t n = 0;
  bool is_unfinite = false;
  const auto take = [&](const Arm& arm, const char* name) {
    const std::optional<double> share = figure_of(&arm, name);
    if (!share) return;
    is_unfinite = is_unfinite || std::isnan(*share);
    if (!dead || *share > *dead) {
      dead = *share;
      where = arm.label;
      n = n_of(arm);
    }
  };
  for (const Arm* arm : study.arms(ArmKind::kGradient, true)) take(*arm, "no_gradient");
  if (const Arm* probe = probe_of(study)) {
    take(*probe, "no_gradient");
    is_unfinite = is_unfinite || figure_of(probe, "unfinite_gradient").value_or(0) > 0;
  }
  if (!dead) return not_run("no attack counts its dead gradients (apgd and the probe do)");
  const Verdict verdict = is_unfinite || *dead > kDeadShare ? Verdict::kFail
                          : *dead > 0                       ? Verdict::kWarn
                                                            : Verdict::kPass;
  std::string sentence = verdict == Verdict::kPass
                             ? std::string("Every query has a gradient.")
                             : fmt::format("{} of queries give no gradient to {}; attacks cannot move them.",
                                           percent(*dead), where);
  if (is_unfinite) sentence += " Some gradients are not finite.";
  const double saturated = study.own->level("saturated").value_or(0);
  if (saturated > 0) sentence += fmt::format(" {} of the outputs are saturated.", percent(saturated));
  return figure(verdict, *dead, n, sentence);
}

// ---------------------------------------------------------------- R03

Finding gradient_true(const Study& study) {
  const Arm* probe = probe_of(study);
  const std::optional<double> agreement = figure_of(probe, "gradient_agreement");
  if (!agreement) return not_run(kNoProbe);
  const Verdict verdict = !(*agreement >= kAgreementFail) ? Verdict::kFail
                          : *agreement < kAgreementWarn   ? Verdict::kWarn
                                                          : Verdict::kPass;
  const std::string share =
      fmt::format("{} of finite differences agree in sign with the gradient", percent(*agreement));
  return figure(
      verdict, *agreement, n_of(*probe),
      verdict == Verdict::kPass
          ? share + "."
          : fmt::format("Gradients point the wrong way: shattered step or wrong surrogate ({}).", share));
}

// ---------------------------------------------------------------- R16

Finding enough_samples(const Study& study) {
  const Arm* probe = probe_of(study);
  const std::optional<double> cosine = figure_of(probe, "gradient_cosine");
  if (probe == nullptr || !cosine) return not_run(kNoProbe);
  if (figure_of(probe, "randomised").value_or(0) == 0)
    return figure(Verdict::kPass, 1, n_of(*probe), "Nothing is random, so one sample is the gradient.");
  double median = *cosine;
  if (const auto values = probe->per_query.find("gradient_cosine"); values != probe->per_query.end()) {
    std::vector<double> sorted = values->second;
    const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
    std::ranges::nth_element(sorted, middle);
    median = *middle;
  }
  Finding found =
      figure(median < kCosine ? Verdict::kWarn : Verdict::kPass, median, n_of(*probe),
             fmt::format("Two gradients of 20 draws each have a median cosine of {:.2f}.", median));
  for (const Series& series : series_over(study.arms(ArmKind::kGradient, true), {"samples"})) {
    for (const auto& [samples, arm] : series.arms) {
      const auto twice =
          std::ranges::find(series.arms, 2 * samples, [](const auto& each) { return each.first; });
      if (twice == series.arms.end()) continue;
      const auto drop = difference_of(arm->ap, twice->second->ap);
      if (!drop) continue;
      const Finding of_map = judged(*drop, kSamplesTolerance);
      found.verdict = worse(found.verdict, of_map.verdict);
      found.sentence += fmt::format(" Doubling the {:g} samples of {} lowers MAP by {:.4f}.", samples,
                                    arm->label, drop->mean);
    }
  }
  if (found.verdict != Verdict::kPass)
    found.sentence = "Gradient still mostly noise: use more samples. " + found.sentence;
  return found;
}

// ---------------------------------------------------------------- R17

Finding planted_answer(const Study& study) {
  const Arm* probe = probe_of(study);
  const std::optional<double> tested = figure_of(probe, "planted_tested");
  const std::optional<double> found = figure_of(probe, "planted_found");
  if (!tested || !found) return not_run(kNoProbe);
  const double n = *tested * static_cast<double>(n_of(*probe));
  const double easy = figure_of(probe, "planted_easy").value_or(0);
  if (!(n >= 1)) {
    return not_run(
        fmt::format("no adversarial input could be planted ({} of the plants were too easy)", percent(easy)));
  }
  const double share = *found / *tested;
  const Verdict verdict = share >= kPlantedFound ? Verdict::kPass : Verdict::kFail;
  std::string sentence =
      verdict == Verdict::kPass
          ? fmt::format("The attack finds {} of the adversarial inputs that were planted", percent(share))
          : fmt::format("The attack misses an adversarial input that is known to exist in {} of cases",
                        percent(1 - share));
  sentence += fmt::format(" ({:.0f} planted; random corners cross in {}).", n,
                          percent(figure_of(probe, "planted_by_chance").value_or(0)));
  return figure(verdict, share, static_cast<std::int64_t>(n), std::move(sentence));
}

}  // namespace

extern const CheckEntry r01, r02, r03, r16, r17;
constinit const CheckEntry r01{
    .id = "R01",
    .title = "same outcome",
    .criterion =
        "share of bits with |output| > 1e-4 that differ between 5 passes and batch sizes is 0, or declared",
    .counts = true,
    .judge = &same_outcome,
    .companions = &probe_companions,
};
constinit const CheckEntry r02{
    .id = "R02",
    .title = "gradient alive",
    .criterion = "share of queries with a zero gradient <= 1 % (above 0: warn), none that is not finite",
    .counts = true,
    .judge = &gradient_alive,
};
constinit const CheckEntry r03{
    .id = "R03",
    .title = "gradient true",
    .criterion = "share of finite differences that agree in sign >= 0.9 (below 0.75: fail)",
    .counts = true,
    .judge = &gradient_true,
};
constinit const CheckEntry r16{
    .id = "R16",
    .title = "enough samples",
    .criterion =
        "median cosine of two gradients of 20 draws >= 0.3; fall of MAP from twice the samples <= 0.005",
    .judge = &enough_samples,
};
constinit const CheckEntry r17{
    .id = "R17",
    .title = "planted answer",
    .criterion = "share of planted adversarial inputs that the attack finds >= 95 %",
    .counts = true,
    .judge = &planted_answer,
};

}  // namespace gauntlet::robustness
