// Checks of a robustness evaluation: what a reader should know before believing its numbers. One more check
// is one entry in a file of this folder and one line in checks.def. docs/robustness.md, "Checks".
// Thread safety: pure functions; equal input gives equal output.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/robustness/study.hpp"

namespace gauntlet::robustness {

enum class Verdict : std::uint8_t { kPass, kNote, kWarn, kFail, kNotRun };
[[nodiscard]] std::string_view name_of(Verdict verdict);  // "pass", "note", "warn", "fail", "not run"

/// What a check found.
struct Finding {
  Verdict verdict = Verdict::kNotRun;
  std::optional<double> delta = {};   ///< the figure; above 0 is bad where it is a difference
  std::optional<double> ci_low = {};  ///< ends of its paired 95 % interval over queries
  std::optional<double> ci_high = {};
  std::int64_t n = 0;  ///< queries or inputs behind it
  std::string sentence = {};
};

/// An attack of the sweep that checks are derived from.
struct Lead {
  std::string name;               ///< entry
  std::string label;              ///< as the sweep calls it
  Json options = Json::object();  ///< effective
  bool quick = false;             ///< searches take few queries
};

/// An attack that a check wants to see beside the lead, as a value of the axis: the lead's own entry with
/// changed options, or another one.
struct Companion {
  std::string suffix;             ///< what its label adds to that of the lead
  std::string attack;             ///< entry; "" = the lead's
  Json options = Json::object();  ///< changed options of the lead, or all that differ from defaults
  bool images_only = false;       ///< makes no sense of texts
  bool control = false;           ///< looks at no model, so that one craft serves every defense
};

struct CheckEntry {
  std::string_view id;         ///< "R04"
  std::string_view title;      ///< "one step or many"
  std::string_view criterion;  ///< formula and limit
  bool counts = false;         ///< a fail makes the evaluation unreliable
  Finding (*judge)(const Study& study) = nullptr;
  std::vector<Companion> (*companions)(const Lead& lead) = nullptr;  ///< null: needs none of its own
};

/// All checks, by id.
[[nodiscard]] std::span<const CheckEntry* const> all_checks();

/// Runs every check, in their order.
[[nodiscard]] std::vector<Finding> judge_all(const Study& study);

}  // namespace gauntlet::robustness
