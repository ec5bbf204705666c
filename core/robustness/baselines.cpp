// What a gradient attack through the whole pipeline has to beat, and what a defense has to beat.
#include <fmt/format.h>

#include <algorithm>

#include "core/robustness/detail/compare.hpp"

namespace gauntlet::robustness {
namespace {

constexpr double kTolerance = 0.005;     // MAP
constexpr double kPerQuery = 0.05;       // AP of a query that a search gets lower
constexpr double kPerQueryShare = 0.05;  // of the queries
constexpr double kFlatters = 0.02;       // MAP
constexpr int kNoiseDraws = 10;
constexpr int kSearchQueries = 5000;
constexpr int kQuickSearchQueries = 500;
constexpr const char* kNoWhite = "no gradient attack went through the defended pipeline";

/// A copy of the lead's budget and rounding for another attack.
Json budget_of(const Lead& lead) {
  Json options = Json::object();
  for (const char* name : {"epsilon_image", "epsilon_text"}) {
    const auto found = lead.options.find(name);
    if (found != lead.options.end()) options[name] = *found;
  }
  return options;
}

/// The single arm that reaches the lowest MAP; null without any.
const Arm* strongest(const std::vector<const Arm*>& arms) {
  const Arm* best = nullptr;
  for (const Arm* arm : arms) {
    if (arm->ap.empty()) continue;
    if (best == nullptr || mean_of(arm->ap) < mean_of(best->ap)) best = arm;
  }
  return best;
}

// ---------------------------------------------------------------- R05

Finding search_or_gradient(const Study& study) {
  const std::vector<double> white = white_worst(study);
  if (white.empty()) return not_run(kNoWhite);
  const Arm* search = strongest(study.arms(ArmKind::kSearch, true));
  if (search == nullptr) return not_run("no search without gradients was run on the defended pipeline");
  const std::vector<const Arm*> searches = {search};
  const std::vector<double> black = worst_of(searches, study.own->clean());
  const auto difference = difference_of(white, black);
  if (!difference) return not_run("search and gradient attack were scored on different queries");
  Finding found = judged(*difference, kTolerance);
  std::size_t n_lower = 0;
  for (std::size_t query = 0; query < white.size(); ++query)
    n_lower += black[query] < white[query] - kPerQuery ? 1 : 0;
  const double share = static_cast<double>(n_lower) / static_cast<double>(white.size());
  if (share > kPerQueryShare) found.verdict = worse(found.verdict, Verdict::kWarn);
  found.sentence =
      found.verdict == Verdict::kPass
          ? fmt::format("The gradient attack reaches {:.4f}, the search {} {:.4f}.", mean_of(white),
                        search->label, mean_of(black))
          : fmt::format(
                "A search without gradients does better than the gradient attack: {} reaches {:.4f} against "
                "{:.4f}, and lower by 0.05 for {} of the queries.",
                search->label, mean_of(black), mean_of(white), percent(share));
  return found;
}

std::vector<Companion> search_companions(const Lead& lead) {
  Json options = budget_of(lead);
  options["feedback"] = "code";
  options["iterations"] = lead.quick ? kQuickSearchQueries : kSearchQueries;
  return {{"square", "square", options}};
}

// ---------------------------------------------------------------- R06

Finding transfer_or_gradient(const Study& study) {
  const std::vector<double> white = white_worst(study);
  if (white.empty()) return not_run(kNoWhite);
  std::vector<const Arm*> foreign = study.arms(ArmKind::kGradient, false);
  const std::vector<const Arm*> searches = study.arms(ArmKind::kSearch, false);
  foreign.insert(foreign.end(), searches.begin(), searches.end());
  const Arm* transfer = strongest(foreign);
  if (transfer == nullptr) return not_run("no inputs made for another model were tried");
  const std::vector<const Arm*> alone = {transfer};
  const auto difference = difference_of(white, worst_of(alone, study.own->clean()));
  if (!difference) return not_run("transferred and own inputs were scored on different queries");
  Finding found = judged(*difference, kTolerance);
  found.sentence =
      found.verdict == Verdict::kPass
          ? fmt::format("Own inputs reach {:.4f}, those of {}, made for another model, {:.4f}.",
                        mean_of(white), transfer->label, mean_of(transfer->ap))
          : fmt::format(
                "Inputs made for another model hurt this one more than its own attack: {} reaches {:.4f} "
                "against {:.4f}.",
                transfer->label, mean_of(transfer->ap), mean_of(white));
  return found;
}

// ---------------------------------------------------------------- R07

Finding noise_or_gradient(const Study& study) {
  const std::vector<double> white = white_worst(study);
  if (white.empty()) return not_run(kNoWhite);
  std::vector<const Arm*> draws;
  for (const Arm& arm : study.own->arms) {
    if (arm.kind == ArmKind::kNoise && arm.epsilon == study.epsilon) draws.push_back(&arm);
  }
  const std::vector<double> noise = worst_of(draws, study.own->clean());
  if (noise.empty()) return not_run("no random noise of the size of the budget was tried");
  const auto difference = difference_of(white, noise);
  if (!difference) return not_run("noise and attack were scored on different queries");
  Finding found = judged(*difference, 0);
  found.sentence =
      found.verdict == Verdict::kPass
          ? fmt::format("The attack reaches {:.4f}, the worst of {} draws of noise {:.4f}.", mean_of(white),
                        draws.size(), mean_of(noise))
          : fmt::format(
                "Random noise of the same size is as strong as the attack: the worst of {} draws "
                "reaches {:.4f} against {:.4f}.",
                draws.size(), mean_of(noise), mean_of(white));
  return found;
}

std::vector<Companion> noise_companions(const Lead& lead) {
  std::vector<Companion> draws;
  for (int draw = 1; draw <= kNoiseDraws; ++draw) {
    Json options = budget_of(lead);
    options["draw"] = draw;
    draws.push_back({fmt::format("noise {}", draw), "noise", options, false, true});
  }
  return draws;
}

// ---------------------------------------------------------------- R15 and R18

bool is_same_attack(const Arm& one, const Arm& other) {
  return one.attack == other.attack && one.kind == other.kind && one.source == other.source &&
         one.options == other.options;
}

/// The arms of `one` of which `other` has one of the same attack with scores of the same queries, in pairs.
using Pairs = std::pair<std::vector<const Arm*>, std::vector<const Arm*>>;

Pairs matching(const std::vector<const Arm*>& one, const std::vector<const Arm*>& other) {
  Pairs pairs;
  for (const Arm* arm : one) {
    const auto same = std::ranges::find_if(other, [&](const Arm* candidate) {
      return is_same_attack(*arm, *candidate) && arm->ap.size() == candidate->ap.size() && !arm->ap.empty();
    });
    if (same == other.end()) continue;
    pairs.first.push_back(arm);
    pairs.second.push_back(*same);
  }
  return pairs;
}

std::vector<const Arm*> attacks_on(const Evidence& evidence, double epsilon, bool white) {
  std::vector<const Arm*> arms;
  for (const Arm& arm : evidence.arms) {
    const bool attacks = arm.kind == ArmKind::kGradient || arm.kind == ArmKind::kSearch;
    if (attacks && arm.white == white && arm.epsilon == epsilon) arms.push_back(&arm);
  }
  return arms;
}

const std::string& name_of(const Evidence& control) {
  return control.label.empty() ? control.defense : control.label;
}

Finding trivial_controls_beaten(const Study& study) {
  if (study.own->is_undefended()) return not_run("the undefended model is no defense to compare");
  if (is_trivial_control(study.own->defense)) return not_run("this is one of the trivial controls");
  std::optional<Finding> worst;
  for (const bool white : {true, false}) {
    for (const Evidence* control : study.controls) {
      const Pairs pairs =
          matching(attacks_on(*control, study.epsilon, white), attacks_on(*study.own, study.epsilon, white));
      const std::vector<double> theirs = worst_of(pairs.first, control->clean());
      const std::vector<double> ours = worst_of(pairs.second, study.own->clean());
      const auto difference = difference_of(theirs, ours);
      if (!difference) continue;
      Finding found = judged(*difference, 0);
      const char* protocol = white ? "adaptive" : "static";
      found.sentence =
          found.verdict == Verdict::kPass
              ? fmt::format("Under the same {} attack this defense keeps {:.4f}, {} {:.4f}.", protocol,
                            mean_of(ours), name_of(*control), mean_of(theirs))
              : fmt::format(
                    "A plain {} does as well as this defense under this {} attack: {:.4f} against "
                    "{:.4f}.",
                    name_of(*control), protocol, mean_of(theirs), mean_of(ours));
      if (!worst || *found.delta > *worst->delta) worst = std::move(found);
    }
    if (worst) return *worst;  // adaptive, where that was run; static else
  }
  return not_run("no trivial control (box_blur, round_image, round_text) was run under the same attack");
}

Finding static_flatters(const Study& study) {
  if (study.own->is_undefended()) return not_run("static and adaptive are the same without a defense");
  const Pairs pairs =
      matching(attacks_on(*study.own, study.epsilon, false), attacks_on(*study.own, study.epsilon, true));
  const auto difference = difference_of(worst_of(pairs.first, nullptr), worst_of(pairs.second, nullptr));
  if (!difference) return not_run("no attack was run both static and adaptive");
  Finding found = judged(*difference, kFlatters, Verdict::kNote);
  found.sentence = found.verdict == Verdict::kPass
                       ? fmt::format("The static row is {:.4f} above the adaptive one.", difference->mean)
                       : fmt::format("The static row overstates robustness by {:.4f}; read the adaptive one.",
                                     difference->mean);
  return found;
}

}  // namespace

extern const CheckEntry r05, r06, r07, r15, r18;
constinit const CheckEntry r05{
    .id = "R05",
    .title = "search or gradient",
    .criterion =
        "MAP of gradient attacks - MAP of a search <= 0.005; lower by 0.05 for <= 5 % of the queries",
    .counts = true,
    .judge = &search_or_gradient,
    .companions = &search_companions,
};
constinit const CheckEntry r06{
    .id = "R06",
    .title = "transfer or gradient",
    .criterion = "MAP of gradient attacks - MAP of transferred inputs <= 0.005",
    .counts = true,
    .judge = &transfer_or_gradient,
};
constinit const CheckEntry r07{
    .id = "R07",
    .title = "noise or gradient",
    .criterion = "MAP of gradient attacks - MAP of the worst of 10 draws of noise <= 0",
    .counts = true,
    .judge = &noise_or_gradient,
    .companions = &noise_companions,
};
constinit const CheckEntry r15{
    .id = "R15",
    .title = "trivial controls",
    .criterion = "MAP of the best trivial control - MAP of the defense <= 0, same attack and protocol",
    .judge = &trivial_controls_beaten,
};
constinit const CheckEntry r18{
    .id = "R18",
    .title = "static flatters",
    .criterion = "MAP static - MAP adaptive <= 0.02",
    .judge = &static_flatters,
};

}  // namespace gauntlet::robustness
