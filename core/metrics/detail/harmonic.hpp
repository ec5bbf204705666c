// Differences of harmonic numbers and logarithms from additions, multiplications and divisions only: the same
// bits on every machine, which the C library's logarithm does not promise.
#pragma once

#include <cstdint>

namespace gauntlet::metrics {

/// H(to) - H(from) = 1/(from+1) + ... + 1/to for 0 <= from <= to; relative error below 1e-14. O(1): no table.
[[nodiscard]] double harmonic_between(std::int64_t from, std::int64_t to);

/// Sum over j = 1..n of (first + (j - 1) * slope) / (before + j): precisions at n successive ranks after
/// `before` others, when what is counted is `first` at the first of them and grows by `slope` a rank.
[[nodiscard]] double rising_sum(double first, double slope, std::int64_t before, std::int64_t n);

/// ln(1 + x) for finite x >= 0, ln(x) for finite x >= 1; relative error below 1e-15.
[[nodiscard]] double log1p_of(double x);
[[nodiscard]] double log_of(double x);

}  // namespace gauntlet::metrics
