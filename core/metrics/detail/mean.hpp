// Means over queries, shared by the metrics that are one.
#pragma once

#include <vector>

#include "core/metrics/detail/parallel.hpp"
#include "core/metrics/metric.hpp"

namespace gauntlet::metrics {

/// value_of(query) for every query, and its means; summed in query order, so the result does not depend on
/// threads.
template <class Fn>
[[nodiscard]] MetricValue mean_over_queries(const Rankings& rankings, Relevance relevance,
                                            const Fn& value_of) {
  MetricValue result;
  result.n_queries = rankings.n_queries();
  result.per_query.resize(static_cast<std::size_t>(result.n_queries));
  parallel_ranges(result.n_queries, rankings.n_threads(), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t query = first; query < last; ++query) {
      result.per_query[static_cast<std::size_t>(query)] = value_of(rankings.query(query, relevance));
    }
  });
  double sum = 0;
  double valid_sum = 0;
  for (std::int64_t query = 0; query < result.n_queries; ++query) {
    const double value = result.per_query[static_cast<std::size_t>(query)];
    sum += value;
    result.has_relevant.push_back(rankings.query(query, relevance).n_relevant > 0 ? 1 : 0);
    if (result.has_relevant.back() != 0) {
      valid_sum += value;
    } else {
      ++result.n_without_relevant;
    }
  }
  const std::int64_t n_valid = result.n_queries - result.n_without_relevant;
  result.value = sum / static_cast<double>(result.n_queries);
  result.valid = n_valid > 0 ? valid_sum / static_cast<double>(n_valid) : 0.0;
  return result;
}

/// For metrics that have one form only: no @K, no kind, expected ties.
[[nodiscard]] inline Status check_plain(const MetricName& name) {
  if (name.at == 0 && name.kind.empty() && name.ties == Ties::kExpected) return {};
  return fail(ErrorCode::kInvalid, "metric '{}': {} takes no @K, no kind and no rule for ties", name.text(),
              name.base);
}

/// For metrics over the first n items: @n needed, no kind, any rule for ties.
[[nodiscard]] inline Status check_first_n(const MetricName& name) {
  if (name.at == 0) {
    return fail(ErrorCode::kInvalid, "metric '{}' needs its n, as in {}@100", name.text(), name.base);
  }
  if (name.kind.empty()) return {};
  return fail(ErrorCode::kInvalid, "metric '{}': {} has no kinds, but '{}' was asked for", name.text(),
              name.base, name.kind);
}

/// A metric without options.
struct NoOptions {
  static void fields(auto&, auto&) {}
};

}  // namespace gauntlet::metrics
