#include "core/metrics/detail/first_hits.hpp"

#include <cmath>

namespace gauntlet::metrics {
namespace {

/// P(X_t = k) for t = k, k + 1, …, where X_t is the number of relevant items among the first t of n in random
/// order, r relevant. Begins far below what a double can hold when relevant items are rare, so powers of two
/// are kept apart.
class HitProbability {
 public:
  HitProbability(double n, double r, std::int64_t k) : n_(n), r_(r), k_(static_cast<double>(k)) {
    for (double hit = 0; hit < k_; ++hit) multiply((r_ - hit) / (n_ - hit));
  }
  /// From t to t + 1.
  void step(double t) { multiply((t + 1) / (t + 1 - k_) * ((n_ - t - (r_ - k_)) / (n_ - t))); }
  [[nodiscard]] double value() const { return exponent_ < 0 ? 0 : mantissa_; }

 private:
  static constexpr int kChunk = 256;
  void multiply(double factor) {
    mantissa_ *= factor;
    if (mantissa_ < 0x1p-256 && mantissa_ > 0) {
      mantissa_ *= 0x1p256;
      exponent_ -= kChunk;
    } else if (exponent_ < 0 && mantissa_ >= 1) {
      mantissa_ *= 0x1p-256;
      exponent_ += kChunk;
    }
  }
  double n_, r_, k_;
  double mantissa_ = 1;
  int exponent_ = 0;
};

}  // namespace

double expected_precision_at_hit(const TieClass& tie, std::int64_t i) {
  // The position p of the i-th relevant item has a negative hypergeometric distribution.
  const auto ratio = [&](std::int64_t p) {
    return static_cast<double>(p) / static_cast<double>(p - i + 1) *
           static_cast<double>(tie.n - p - tie.r + i) / static_cast<double>(tie.n - p);
  };
  const auto precision = [&](std::int64_t p) {
    return static_cast<double>(tie.relevant_before + i) / static_cast<double>(tie.items_before + p);
  };
  const std::int64_t peak = tie.r == 1 ? 1 : (i - 1) * tie.n / (tie.r - 1) + 1;
  return weighted_sum(i, tie.n - tie.r + i, peak, ratio, precision);
}

// Position t + 1 holds a relevant item with probability r/n. Given that, X_t relevant ones stand before it in
// the class, and it counts iff X_t < needed. So the sum is that over t of r/n * E[(R + 1 + X_t) 1{X_t <
// needed}] / (N + t + 1). `below` = P(X_t < needed), `mean` = E[X_t 1{X_t < needed}], `edge` = P(X_t = needed
// - 1) go from t to t + 1 by who may be drawn next.
double expected_first_hits(const TieClass& tie, std::int64_t needed) {
  const double n = static_cast<double>(tie.n - 1);
  const double r = static_cast<double>(tie.r - 1);
  const double before = static_cast<double>(tie.items_before);
  const double first = static_cast<double>(tie.relevant_before + 1);
  const std::int64_t last_needed = needed - 1;
  const double k = static_cast<double>(last_needed);
  HitProbability edge(n, r, last_needed);
  double below = 1, mean = 0, sum = 0;
  for (std::int64_t position = 0; position < tie.n; ++position) {
    const double t = static_cast<double>(position);
    sum += (first * below + mean) / (before + t + 1);
    if (position + 1 == tie.n) break;
    const double at_edge = position < last_needed ? 0 : edge.value();
    if (at_edge < 1e-25 && t * r > k * n + n) break;  // past the peak: nothing counts any more
    const double chance = 1 / (n - t);
    mean += chance * (r * (below - at_edge) - (mean - k * at_edge) - k * at_edge * (r - k));
    below -= chance * at_edge * (r - k);
    if (position >= last_needed) edge.step(t);
  }
  return sum * static_cast<double>(tie.r) / static_cast<double>(tie.n);
}

}  // namespace gauntlet::metrics
