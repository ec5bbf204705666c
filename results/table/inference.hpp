// Paired permutation test, Holm's correction, bootstrap interval: numbers in, numbers out.
// Thread safety: pure functions. Equal input gives equal output everywhere.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "results/table/pivot.hpp"

namespace gauntlet::results {

/// Two-sided p-value of paired differences under the hypothesis that the two sides of every pair could be
/// exchanged: the share of sign patterns whose sum is at least as far from 0 as the one seen. All 2^n
/// patterns are counted where they are at most `permutations` (n: differences other than 0); else that many
/// are drawn from `seed`, and the pattern seen counts as one more. 1 where all differences are 0 or there are
/// none.
[[nodiscard]] double paired_p_value(std::span<const double> differences, std::int64_t permutations,
                                    std::uint64_t seed);

/// Holm's step-down correction of p-values, in the order given; each at least its own p-value, at most 1.
[[nodiscard]] std::vector<double> holm(std::span<const double> p_values);

/// Percentile interval of the mean over groups of the mean within a group (a group: the queries of one seed,
/// none empty), by drawing every group's values with replacement, `samples` times (at least 1) from `seed`.
/// `level` in (0, 1).
[[nodiscard]] Interval bootstrap_interval(const std::vector<std::vector<double>>& groups, double level,
                                          std::int64_t samples, std::uint64_t seed);

}  // namespace gauntlet::results
