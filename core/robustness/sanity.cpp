// Is there anything to attack, and was anything chosen that must not have been?
#include <fmt/format.h>

#include <algorithm>

#include "core/robustness/detail/chance.hpp"
#include "core/robustness/detail/compare.hpp"

namespace gauntlet::robustness {
namespace {

constexpr double kAboveRandom = 0.02;  // MAP
constexpr double kCommonCode = 0.5;    // of the queries
constexpr double kRefused = 0.5;       // of the clean queries
constexpr double kCleanLoss = 0.05;    // MAP

// ---------------------------------------------------------------- R19

/// Random codes where they were measured, else a random order.
std::pair<std::vector<double>, const char*> floor_of(const Evidence& own, std::size_t n) {
  for (const Arm& arm : own.arms) {
    const auto codes = arm.per_query.find("map:random_code");
    if (codes != arm.per_query.end() && codes->second.size() == n) return {codes->second, "random codes"};
  }
  return {chance_of(own, n), "a random order"};
}

Finding degenerate(const Study& study) {
  const Arm* clean = study.own->clean();
  if (clean == nullptr || clean->ap.empty()) return not_run("the clean queries were not evaluated");
  const auto [floor, what] = floor_of(*study.own, clean->ap.size());
  if (floor.empty()) return not_run("no level to compare with: add chance_map to the sweep's metrics");
  const Difference above = *difference_of(clean->ap, floor);
  Finding found{Verdict::kPass, above.mean, above.low, above.high, above.n, {}};
  found.sentence =
      fmt::format("The clean score is {:.4f}, {:.4f} above {}.", mean_of(clean->ap), above.mean, what);
  const Arm* bare = study.undefended == nullptr ? nullptr : study.undefended->clean();
  const auto loss = bare == nullptr ? std::nullopt : difference_of(bare->ap, clean->ap);
  if (loss && loss->mean > kCleanLoss) {
    found.verdict = Verdict::kWarn;
    found.sentence += fmt::format(" The defense costs {:.4f} of it.", loss->mean);
  }
  const auto refused = clean->figures.find("refused");
  const double refused_share = refused == clean->figures.end() ? 0 : refused->second;
  if (refused_share > 0) found.sentence += fmt::format(" It refuses {} of them.", percent(refused_share));
  const double common = study.own->level("common_code").value_or(0);
  if (refused_share > kRefused) {
    found.verdict = Verdict::kFail;
    found.sentence = "Robust because it answers nobody. " + found.sentence;
  } else if (common > kCommonCode) {
    found.verdict = Verdict::kFail;
    found.sentence = fmt::format("Robust because it retrieves nothing: {} of the queries have one code. {}",
                                 percent(common), found.sentence);
  } else if (above.mean < kAboveRandom) {
    found.verdict = Verdict::kFail;
    found.sentence = "Robust because it retrieves nothing. " + found.sentence;
  }
  return found;
}

// ---------------------------------------------------------------- R21

Finding selection(const Study& study) {
  if (study.own->is_imported) return not_run("how imported codes were made is not known");
  const auto n = static_cast<std::int64_t>(study.own->selected_on.size());
  const auto on_queries = std::ranges::count(study.own->selected_on, "query");
  if (on_queries > 0)
    return figure(Verdict::kFail, static_cast<double>(on_queries), n,
                  "Settings were chosen on the test queries.");
  return figure(Verdict::kPass, 0, n,
                n == 0
                    ? "Nothing was chosen by the sweep; anchors and training sets hold no query items."
                    : "What the sweep chose it chose on the validation split; anchors hold no query items.");
}

}  // namespace

extern const CheckEntry r19, r21;
constinit const CheckEntry r19{
    .id = "R19",
    .title = "degenerate",
    .criterion =
        "clean MAP - random codes >= 0.02; <= 50 % of queries with one code, and refused; loss against none "
        "<= 0.05",
    .counts = true,
    .judge = &degenerate,
};
constinit const CheckEntry r21{
    .id = "R21",
    .title = "selection",
    .criterion = "no setting chosen on queries, no query item among the anchors",
    .judge = &selection,
};

}  // namespace gauntlet::robustness
