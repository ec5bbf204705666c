// Normalised discounted cumulative gain at n: gain 2^s - 1 of s shared labels, discount 1 / log2(rank + 1).
#include <cmath>

#include "core/metrics/detail/grades.hpp"
#include "core/metrics/detail/harmonic.hpp"
#include "core/metrics/detail/mean.hpp"

namespace gauntlet::metrics {
namespace {

constexpr std::int64_t kMaxAt = 10'000'000;  ///< 80 MB of discounts

Status check(const MetricName& name) {
  GAUNTLET_CHECK_OK(check_first_n(name));
  if (name.at <= kMaxAt) return {};
  return fail(ErrorCode::kInvalid, "metric '{}': n may be 1 to {}", name.text(), kMaxAt);
}

/// Sums of the discounts of the first 0, 1, …, n ranks.
std::vector<double> discount_sums(std::int64_t n) {
  std::vector<double> sums = {0};
  for (std::int64_t rank = 1; rank <= n; ++rank) {
    sums.push_back(sums.back() + log_of(2) / log_of(static_cast<double>(rank + 1)));
  }
  return sums;
}

/// 2^grade - 1, over 2^(the query's number of labels), which cancels and without which a thousand shared
/// labels overflow.
double gain(std::size_t grade, std::size_t n_grades) {
  const int scale = 1 - static_cast<int>(n_grades);
  return std::ldexp(1.0, static_cast<int>(grade) + scale) - std::ldexp(1.0, scale);
}

/// DCG of the items by descending grade.
double ideal(const RankedQuery& query, std::int64_t n, const std::vector<double>& sums) {
  std::vector<std::int64_t> n_by_grade(query.n_grades, 0);
  for (std::size_t at = 0; at < query.graded.size(); ++at)
    n_by_grade[at % query.n_grades] += query.graded[at];
  double sum = 0;
  std::int64_t first = 0;
  for (std::size_t grade = query.n_grades; grade-- > 1 && first < n;) {
    const std::int64_t last = std::min(n, first + n_by_grade[grade]);
    sum += gain(grade, query.n_grades) *
           (sums[static_cast<std::size_t>(last)] - sums[static_cast<std::size_t>(first)]);
    first = last;
  }
  return sum;
}

MetricValue compute(const MetricName& name, const Rankings& rankings) {
  const std::int64_t n = std::min(name.at, rankings.n_retrieval());
  const std::vector<double> sums = discount_sums(n);
  const auto weights = [&](std::int64_t from, std::int64_t to) {
    return sums[static_cast<std::size_t>(to)] - sums[static_cast<std::size_t>(from)];
  };
  return mean_over_queries(rankings, Relevance::kOwn, [&](const RankedQuery& query) {
    if (query.n_relevant == 0) return 0.0;
    const auto worth = [&](std::size_t grade) { return gain(grade, query.n_grades); };
    return graded_sum(query, n, name.ties, worth, weights) / ideal(query, n, sums);
  });
}

}  // namespace

extern const MetricEntry ndcg_entry;
constinit const MetricEntry ndcg_entry{
    .about = {.name = "ndcg",
              .version = 1,
              .summary = "Normalised discounted cumulative gain of shared labels among the first n, as "
                         "ndcg@n; ties averaged",
              .reference = "Burges et al., Learning to Rank using Gradient Descent, ICML 2005",
              .fields = &describe_fields<NoOptions>},
    .unit = "ratio",
    .higher_is_better = true,
    .graded = true,
    .needs_relevant = true,
    .check = &check,
    .compute = &compute,
};

}  // namespace gauntlet::metrics
