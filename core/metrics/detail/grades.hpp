// Sums over the first n ranks of what an item's grade (labels shared with the query) is worth there.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/metrics/detail/ordering.hpp"

namespace gauntlet::metrics {

/// Items of the query at distance d that share `grade` labels with it.
[[nodiscard]] inline std::int64_t n_of_grade(const RankedQuery& query, std::size_t distance,
                                             std::size_t grade) {
  return query.graded[distance * query.n_grades + grade];
}

/// Calls fn(grade, first, n) for the runs of equal grade of a class, as `ties` (best or worst) puts them:
/// the run stands at the n positions after `first` positions of the whole ranking.
template <class Fn>
void for_each_run(const RankedQuery& query, const TieClass& tie, Ties ties, const Fn& fn) {
  std::int64_t first = tie.items_before;
  for (std::size_t step = 0; step < query.n_grades; ++step) {
    const std::size_t grade = ties == Ties::kBest ? query.n_grades - 1 - step : step;
    const std::int64_t n = n_of_grade(query, tie.distance, grade);
    if (n > 0) fn(grade, first, n);
    first += n;
  }
}

/// Sum over the first `n` ranks of worth(grade) * weight, where weights(from, to) is the sum of the weights
/// of the ranks from+1 .. to; the mean over orders where ties are expected, which is exact as the sum is
/// linear in worth. worth(0) = 0.
template <class Worth, class Weights>
double graded_sum(const RankedQuery& query, std::int64_t n, Ties ties, const Worth& worth,
                  const Weights& weights) {
  double sum = 0;
  if (ties == Ties::kStable) {
    for_each_stable_hit(query, [&](std::int64_t rank, std::int64_t hits) {
      if (rank > n) return false;
      sum += worth(query.stable_grades[static_cast<std::size_t>(hits - 1)]) * weights(rank - 1, rank);
      return true;
    });
    return sum;
  }
  for_each_class(query, [&](const TieClass& tie) {
    if (tie.items_before >= n) return false;
    if (tie.r == 0) return true;
    if (ties == Ties::kExpected) {
      double total = 0;
      for (std::size_t grade = 1; grade < query.n_grades; ++grade) {
        total += static_cast<double>(n_of_grade(query, tie.distance, grade)) * worth(grade);
      }
      sum += total / static_cast<double>(tie.n) *
             weights(tie.items_before, std::min(n, tie.items_before + tie.n));
      return true;
    }
    for_each_run(query, tie, ties, [&](std::size_t grade, std::int64_t first, std::int64_t count) {
      if (first < n && grade > 0) sum += worth(grade) * weights(first, std::min(n, first + count));
    });
    return true;
  });
  return sum;
}

}  // namespace gauntlet::metrics
