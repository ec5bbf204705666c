#include "core/metrics/detail/harmonic.hpp"

#include <algorithm>
#include <cmath>

namespace gauntlet::metrics {
namespace {

constexpr std::int64_t kSummed = 64;  ///< up to here term by term; from here the expansion's error is < 2e-17
constexpr double kLn2High = 0x1.62e42fee00000p-1;  ///< exact times any exponent
constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
constexpr double kSqrtHalf = 0.70710678118654752;

/// 2 atanh(s) = ln((1 + s) / (1 - s)) for |s| <= 0.2, as a power series.
double log_of_quotient(double s) {
  const double square = s * s;
  double sum = 0;
  for (int power = 27; power >= 3; power -= 2) sum = (sum + 1.0 / power) * square;
  return 2 * (s + s * sum);
}

/// What H(n) adds to ln(n + 1/2) + gamma, at x = n + 1/2.
double beyond_logarithm(double x) {
  const double inverse = 1 / (x * x);
  return inverse * (1.0 / 24 - inverse * (7.0 / 960 - inverse * (31.0 / 8064)));
}

}  // namespace

double log_of(double x) {
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);
  if (mantissa < kSqrtHalf) {
    mantissa *= 2;
    --exponent;
  }
  return exponent * kLn2High + (exponent * kLn2Low + log_of_quotient((mantissa - 1) / (mantissa + 1)));
}

double log1p_of(double x) { return x <= 0.5 ? log_of_quotient(x / (2 + x)) : log_of(1 + x); }

double harmonic_between(std::int64_t from, std::int64_t to) {
  const std::int64_t summed_to = to - from <= kSummed ? to : std::max(from, kSummed);
  double sum = 0;
  for (std::int64_t k = summed_to; k > from; --k) sum += 1.0 / static_cast<double>(k);
  if (summed_to == to) return sum;
  const double low = static_cast<double>(summed_to) + 0.5;
  const double high = static_cast<double>(to) + 0.5;
  return sum + (log1p_of((high - low) / low) + (beyond_logarithm(high) - beyond_logarithm(low)));
}

double rising_sum(double first, double slope, std::int64_t before, std::int64_t n) {
  if (n == 0) return 0;
  return slope * static_cast<double>(n) +
         (first - slope * static_cast<double>(before + 1)) * harmonic_between(before, before + n);
}

}  // namespace gauntlet::metrics
