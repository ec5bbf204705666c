// Precision of a hash lookup: relevant items among those within a Hamming radius.
#include "core/metrics/detail/mean.hpp"

namespace gauntlet::metrics {
namespace {

Status check(const MetricName& name) {
  if (name.at != 0 && name.kind.empty() && name.ties == Ties::kExpected) return {};
  return fail(ErrorCode::kInvalid,
              "metric '{}': {} needs its radius, as in {}@2, and takes no kind and no rule for ties",
              name.text(), name.base, name.base);
}

double precision_within(const RankedQuery& query, std::int64_t radius) {
  std::int64_t retrieved = 0;
  std::int64_t hits = 0;
  const std::size_t n_distances = std::min(query.items.size(), static_cast<std::size_t>(radius) + 1);
  for (std::size_t d = 0; d < n_distances; ++d) {
    retrieved += query.items[d];
    hits += query.relevant[d];
  }
  return retrieved == 0 ? 0.0 : static_cast<double>(hits) / static_cast<double>(retrieved);
}

MetricValue compute(const MetricName& name, const Rankings& rankings) {
  return mean_over_queries(rankings, Relevance::kOwn,
                           [&](const RankedQuery& query) { return precision_within(query, name.at); });
}

}  // namespace

extern const MetricEntry precision_radius_entry;
constinit const MetricEntry precision_radius_entry{
    .about = {.name = "precision_radius",
              .version = 1,
              .summary = "Mean share of relevant items within Hamming radius r, as precision_radius@2; "
                         "nothing within it counts 0",
              .reference = "hash lookup; Norouzi et al., Hamming Distance Metric Learning, NIPS 2012",
              .fields = &describe_fields<NoOptions>},
    .unit = "ratio",
    .higher_is_better = true,
    .check = &check,
    .compute = &compute,
};

}  // namespace gauntlet::metrics
