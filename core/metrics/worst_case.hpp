// The worst of several attacks for every query, from the codes that each attack's stored inputs got. Pure.
// Definitions: docs/robustness.md, "Worst case".
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/metrics/evaluate.hpp"

namespace gauntlet::metrics {

/// Elementwise worst of values per query.
struct Reduction {
  std::vector<double> worst;        ///< [Q]
  std::vector<std::size_t> chosen;  ///< [Q] the first member that reaches it
  std::vector<double> share;        ///< [M] of the counted queries: where the member reaches it
  std::vector<double> rise;         ///< [M] how far the mean of the worst would improve without the member
  std::vector<double> mean;         ///< [M] over all queries
};

/// `per_query` [M][Q], M >= 1, all of equal length. The worst is the least value when higher is better, else
/// the largest. `counted` [Q]: queries that shares are of (those with a relevant item). Values that differ by
/// less than 1e-12 are equal. Without a second member there is nothing to rise to: 0.
[[nodiscard]] Reduction reduce_worst(std::span<const std::vector<double>> per_query, bool higher_is_better,
                                     std::span<const std::uint8_t> counted);

/// One attack's codes of all queries, or the clean ones. Borrowed.
struct WorstMember {
  std::string name;
  const PackedCodes* codes = nullptr;  ///< [Q, K]
  /// [Q]: queries that the pipeline refuses (refusals.hpp), each worth what the clean one is, and a clean one
  /// nothing; `codes` are then the clean ones'. Empty: it answers all.
  std::span<const std::uint8_t> refused = {};
};

struct WorstCase {
  Evaluation evaluation;              ///< every metric reduced by its own values
  std::vector<std::string> names;     ///< [M], the clean queries first
  std::vector<MetricValue> of_first;  ///< the metrics of the clean queries alone
  /// Of the full `map` with expected ties, which also chooses the codes of curves, whether it was asked for
  /// or not.
  Reduction map;
};

/// members[0] are the clean queries; at least one. Metrics with values per query reduce elementwise, each by
/// its own; curves are those of the codes that `map` chooses, without the queries that are refused though
/// clean. `input.query_codes` is not read. Errors: those
/// of evaluate.
[[nodiscard]] Result<WorstCase> evaluate_worst(const EvaluationInput& input,
                                               std::span<const WorstMember> members,
                                               std::span<const std::string> metrics, int n_threads);

}  // namespace gauntlet::metrics
