// A metric entry: one number (and perhaps a curve) from the rankings of all queries.
// One more metric = one file in this folder, ending in `constinit const MetricEntry <name>_entry{…};`, and
// one line in metrics.def. Formulas, ties, empty cases and sources are in docs/metrics.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/metrics/detail/histogram.hpp"
#include "core/metrics/metric_name.hpp"
#include "core/registry/registry.hpp"
#include "core/spec/result_row.hpp"

namespace gauntlet::metrics {

struct MetricValue {
  std::string name;  ///< identity, see MetricName::text
  double value = 0;  ///< mean over all queries; a query without relevant items counts as 0
  double valid = 0;  ///< mean over the queries with a relevant item; 0 when there is none
  std::int64_t n_queries = 0;
  std::int64_t n_without_relevant = 0;     ///< queries without a relevant item, under this metric's relevance
  std::vector<double> per_query;           ///< [n_queries]; empty for metrics over all queries at once
  std::vector<std::uint8_t> has_relevant;  ///< beside it: 1 iff the query has a relevant item, else it is 0
  std::vector<spec::Curve> curves;
  std::string unit = "ratio";
  bool higher_is_better = true;
};

struct MetricEntry {
  EntryInfo about;  ///< capabilities.targeted: relevance is tested against target labels
  std::string_view unit = "ratio";
  bool higher_is_better = true;
  bool graded = false;  ///< needs the items by shared labels: acg, ndcg, wap
  /// Divides by what is relevant, so it says nothing of a query without: rows_of gives the valid mean too.
  bool needs_relevant = false;
  /// Whether this form of the name (@K, kind, ties) means something. Errors (kInvalid) say what is allowed.
  Status (*check)(const MetricName& name);
  /// Called with checked names only.
  MetricValue (*compute)(const MetricName& name, const Rankings& rankings);
};

[[nodiscard]] const Registry<MetricEntry>& metric_registry();

/// Parses and checks a metric's name. Errors (kInvalid): unknown metrics with the nearest name, forms without
/// meaning.
struct ResolvedMetric {
  MetricName name;
  const MetricEntry* entry = nullptr;
};
[[nodiscard]] Result<ResolvedMetric> resolve_metric(std::string_view text);

}  // namespace gauntlet::metrics
