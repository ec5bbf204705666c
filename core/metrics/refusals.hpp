// Queries that a pipeline refuses to answer, and what they are worth. Pure. Definitions: docs/robustness.md,
// "Defenses that refuse".
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/metrics/evaluate.hpp"

namespace gauntlet::metrics {

/// Whether each query is refused: its detector's score is above 0, or no number.
[[nodiscard]] std::vector<std::uint8_t> refused(std::span<const float> scores);

/// Row q of `clean` where refused[q], of `codes` elsewhere: who refuses an attacked query leaves the attacker
/// with the clean one. Errors (kInvalid): sizes that do not match.
[[nodiscard]] Result<PackedCodes> answered_codes(const PackedCodes& codes, const PackedCodes& clean,
                                                 std::span<const std::uint8_t> refused);

/// Sets the values of refused queries to 0, those of a list without items, in every metric that has values
/// per query, and the means with them. Curves stay as they are, and so does `chance_map`: a level that
/// answers are compared with.
void count_refused(std::span<const std::uint8_t> refused, std::vector<MetricValue>& metrics);

/// The metrics of the queries that are not refused, alone. Errors (kInvalid): all are; those of evaluate.
[[nodiscard]] Result<Evaluation> evaluate_answered(const EvaluationInput& input,
                                                   std::span<const std::uint8_t> refused,
                                                   std::span<const std::string> metrics, int n_threads);

/// How well scores tell attacked queries from clean ones.
struct Detection {
  double refused_clean = 0;     ///< share of the clean queries: false alarms
  double refused_attacked = 0;  ///< share of the attacked queries
  /// Share of pairs of a clean and an attacked query in which the attacked one scores higher, equal ones
  /// counting half: 0.5 for a detector that sees nothing.
  double area = 0;
  /// "roc:refusals": share of clean queries refused to that of attacked ones, over all thresholds, from (0,
  /// 0) to (1, 1).
  spec::Curve roc;
};
/// Both not empty. A score that is no number is above all others.
[[nodiscard]] Detection detection(std::span<const float> clean, std::span<const float> attacked);

}  // namespace gauntlet::metrics
