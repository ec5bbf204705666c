#include <array>

#include "core/metrics/metric.hpp"

namespace gauntlet::metrics {

#define GAUNTLET_METRIC(stem) extern const MetricEntry stem##_entry;
#include "core/metrics/metrics.def"
#undef GAUNTLET_METRIC

namespace {

constexpr std::array kEntries = {
#define GAUNTLET_METRIC(stem) &stem##_entry,
#include "core/metrics/metrics.def"
#undef GAUNTLET_METRIC
};
constexpr Registry<MetricEntry> kRegistry{"metric", kEntries};

}  // namespace

const Registry<MetricEntry>& metric_registry() { return kRegistry; }

Result<ResolvedMetric> resolve_metric(std::string_view text) {
  GAUNTLET_TRY(MetricName name, MetricName::parse(text));
  const Result<const MetricEntry*> entry = metric_registry().find(name.base);
  if (!entry) return fail(ErrorCode::kInvalid, "{}", entry.error().message);
  GAUNTLET_CHECK_OK((*entry)->check(name));
  return ResolvedMetric{std::move(name), *entry};
}

}  // namespace gauntlet::metrics
