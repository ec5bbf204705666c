// Mean fraction of retrieval items that are relevant to a query: what MAP tends to when the order means
// nothing.
#include "core/metrics/detail/mean.hpp"

namespace gauntlet::metrics {
namespace {

MetricValue compute(const MetricName&, const Rankings& rankings) {
  return mean_over_queries(rankings, Relevance::kOwn, [&](const RankedQuery& query) {
    return static_cast<double>(query.n_relevant) / static_cast<double>(rankings.n_retrieval());
  });
}

}  // namespace

extern const MetricEntry chance_map_entry;
constinit const MetricEntry chance_map_entry{
    .about = {.name = "chance_map",
              .version = 1,
              .summary =
                  "Mean relevant fraction of the retrieval set: the MAP of an order that means nothing",
              .reference = "expectation of precision under a random order",
              .fields = &describe_fields<NoOptions>},
    .unit = "ratio",
    .higher_is_better = true,
    .check = &check_plain,
    .compute = &compute,
};

}  // namespace gauntlet::metrics
