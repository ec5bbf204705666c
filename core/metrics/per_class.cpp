#include "core/metrics/per_class.hpp"

#include <algorithm>

namespace gauntlet::metrics {

std::vector<ClassMean> per_class(const MetricValue& metric, const LabelSets& query_labels) {
  std::vector<ClassMean> classes;
  if (metric.per_query.empty()) return classes;
  for (std::int64_t label = 0; label < query_labels.n_labels(); ++label) {
    const std::size_t word = static_cast<std::size_t>(label) / 64;
    ClassMean mean{.label = label};
    for (std::int64_t query = 0; query < query_labels.n(); ++query) {
      if (((query_labels.row(query)[word] >> (label % 64)) & 1) == 0) continue;
      ++mean.n_queries;
      mean.n_valid += metric.has_relevant[static_cast<std::size_t>(query)];
      mean.value += metric.per_query[static_cast<std::size_t>(query)];
    }
    if (mean.n_queries == 0) continue;
    // Queries without a relevant item have added 0.
    mean.valid = mean.n_valid > 0 ? mean.value / static_cast<double>(mean.n_valid) : 0;
    mean.value /= static_cast<double>(mean.n_queries);
    classes.push_back(mean);
  }
  return classes;
}

}  // namespace gauntlet::metrics
