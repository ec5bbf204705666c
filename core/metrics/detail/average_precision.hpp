// Average precision of one query, full or at K, under every rule for ties. Formulas: docs/metrics.md,
// "Average precision".
#pragma once

#include <cstdint>

#include "core/metrics/metric.hpp"

namespace gauntlet::metrics {

/// What "at K" means.
enum class Cutoff : std::uint8_t {
  kNone,           ///< full ranking
  kFirstRelevant,  ///< mean over the first min(K, R) relevant items, wherever they are
  kTopkHits,       ///< ranking cut at K, divided by the relevant items found there
  kTopkIr,         ///< ranking cut at K, divided by min(R, K)
};

/// In [0,1]; 0 for a query without relevant items. `at` >= 1 unless the cutoff is kNone. The stable order
/// must have been kept when `ties` is kStable.
[[nodiscard]] double average_precision(const RankedQuery& query, Cutoff cutoff, std::int64_t at, Ties ties);

/// `map` and `t_map`: allowed forms, and the mean over queries.
[[nodiscard]] Status check_mean_average_precision(const MetricName& name);
[[nodiscard]] MetricValue mean_average_precision(const MetricName& name, const Rankings& rankings,
                                                 Relevance relevance);

}  // namespace gauntlet::metrics
