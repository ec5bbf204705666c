#include "results/table/inference.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "core/base/random.hpp"

namespace gauntlet::results {
namespace {

constexpr std::size_t kByte = 8;

/// Sums of differences under sign patterns, eight differences per look-up.
class SignedSums {
 public:
  explicit SignedSums(const std::vector<double>& differences)
      : tables_((differences.size() + kByte - 1) / kByte) {
    for (std::size_t table = 0; table < tables_.size(); ++table) {
      for (std::size_t pattern = 0; pattern < tables_[table].size(); ++pattern) {
        double sum = 0;
        for (std::size_t bit = 0; bit < kByte && table * kByte + bit < differences.size(); ++bit) {
          const double difference = differences[table * kByte + bit];
          sum += (pattern >> bit & 1U) != 0 ? -difference : difference;
        }
        tables_[table][pattern] = sum;
      }
    }
  }

  /// Of the pattern whose next 64 signs `next_signs()` gives.
  template <class Fn>
  double sum(const Fn& next_signs) const {
    double total = 0;
    std::uint64_t signs = 0;
    for (std::size_t table = 0; table < tables_.size(); ++table) {
      if (table % kByte == 0) signs = next_signs();
      total += tables_[table][signs & 0xFFU];
      signs >>= kByte;
    }
    return total;
  }

 private:
  std::vector<std::array<double, 256>> tables_;
};

}  // namespace

double paired_p_value(std::span<const double> differences, std::int64_t permutations, std::uint64_t seed) {
  std::vector<double> moving;
  double magnitude = 0;
  for (const double difference : differences) {
    if (difference == 0) continue;
    moving.push_back(difference);
    magnitude += std::abs(difference);
  }
  if (moving.empty()) return 1;
  const SignedSums sums(moving);
  const double seen = std::abs(std::accumulate(moving.begin(), moving.end(), 0.0));
  // Patterns with the same sum in another order of adding must count as equal.
  const double least = seen - 1e-12 * magnitude;
  std::int64_t n_far = 0;
  if (moving.size() < 62 && (std::int64_t{1} << moving.size()) <= permutations) {
    const std::uint64_t n_patterns = std::uint64_t{1} << moving.size();
    for (std::uint64_t pattern = 0; pattern < n_patterns; ++pattern) {
      if (std::abs(sums.sum([&] { return pattern; })) >= least) ++n_far;
    }
    return static_cast<double>(n_far) / static_cast<double>(n_patterns);
  }
  RandomStream stream = RandomStream::of(seed, 0, 0);
  for (std::int64_t draw = 0; draw < permutations; ++draw) {
    if (std::abs(sums.sum([&] { return stream.next(); })) >= least) ++n_far;
  }
  return static_cast<double>(n_far + 1) / static_cast<double>(permutations + 1);
}

std::vector<double> holm(std::span<const double> p_values) {
  std::vector<std::size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return p_values[a] < p_values[b]; });
  std::vector<double> corrected(p_values.size());
  double largest = 0;
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    const auto left = static_cast<double>(order.size() - rank);
    largest = std::max(largest, std::min(1.0, p_values[order[rank]] * left));
    corrected[order[rank]] = largest;
  }
  return corrected;
}

Interval bootstrap_interval(const std::vector<std::vector<double>>& groups, double level,
                            std::int64_t samples, std::uint64_t seed) {
  RandomStream stream = RandomStream::of(seed, 0, 0);
  std::vector<double> means;
  for (std::int64_t sample = 0; sample < samples; ++sample) {
    double mean = 0;
    for (const std::vector<double>& group : groups) {
      const auto n = static_cast<std::uint32_t>(group.size());
      double sum = 0;
      for (std::uint32_t draw = 0; draw < n; ++draw) sum += group[stream.below(n)];
      mean += sum / n;
    }
    means.push_back(mean / static_cast<double>(groups.size()));
  }
  std::sort(means.begin(), means.end());
  // Linear between neighbours, as numpy's default.
  const auto quantile = [&](double share) {
    const double place = share * static_cast<double>(means.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const std::size_t above = std::min(below + 1, means.size() - 1);
    return means[below] + (place - static_cast<double>(below)) * (means[above] - means[below]);
  };
  return {quantile((1 - level) / 2), quantile((1 + level) / 2)};
}

}  // namespace gauntlet::results
