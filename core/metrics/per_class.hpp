// Metrics by class: means over the queries that carry a label.
#pragma once

#include <cstdint>
#include <vector>

#include "core/metrics/labels.hpp"
#include "core/metrics/metric.hpp"

namespace gauntlet::metrics {

struct ClassMean {
  std::int64_t label = 0;
  std::int64_t n_queries = 0;  ///< that carry the label
  std::int64_t n_valid = 0;    ///< and have a relevant item
  double value = 0;            ///< mean over the former
  double valid = 0;            ///< mean over the latter; 0 when there is none
};

/// One entry per label that a query carries, by label; nothing for a metric without values per query. A query
/// with several labels counts in each of their classes.
[[nodiscard]] std::vector<ClassMean> per_class(const MetricValue& metric, const LabelSets& query_labels);

}  // namespace gauntlet::metrics
