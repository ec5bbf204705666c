// Where the relevant items of a distance class may stand: expectations over all orders of the class.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/metrics/detail/ordering.hpp"

namespace gauntlet::metrics {

/// Sums weight(x) * value(x) over [low, high] where weight(x+1) / weight(x) = ratio(x), the largest weight is
/// near `peak`, and all weights add up to 1. Starting at the peak avoids both underflow and the rounding of
/// log-gamma.
template <class Ratio, class Value>
double weighted_sum(std::int64_t low, std::int64_t high, std::int64_t peak, const Ratio& ratio,
                    const Value& value) {
  constexpr double kNegligible = 1e-22;  // weights this far below the largest cannot move a double
  peak = std::clamp(peak, low, high);
  double total = 1;
  double sum = value(peak);
  double weight = 1;
  for (std::int64_t x = peak; x < high; ++x) {
    weight *= ratio(x);
    if (weight < kNegligible) break;
    total += weight;
    sum += weight * value(x + 1);
  }
  weight = 1;
  for (std::int64_t x = peak; x > low; --x) {
    weight /= ratio(x - 1);
    if (weight < kNegligible) break;
    total += weight;
    sum += weight * value(x - 1);
  }
  return sum / total;
}

/// Expected precision at the i-th relevant item of a class, 1 <= i <= r. Cost grows with the spread of its
/// position.
[[nodiscard]] double expected_precision_at_hit(const TieClass& tie, std::int64_t i);

/// Expected sum of the precisions at the first `needed` relevant items of a class that holds more, 1 <=
/// needed < r. Cost O(n), whatever is needed.
[[nodiscard]] double expected_first_hits(const TieClass& tie, std::int64_t needed);

}  // namespace gauntlet::metrics
