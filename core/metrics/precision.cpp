// Precision at n: relevant items among the first n, divided by n.
#include "core/metrics/detail/mean.hpp"
#include "core/metrics/detail/ordering.hpp"

namespace gauntlet::metrics {
namespace {

MetricValue compute(const MetricName& name, const Rankings& rankings) {
  return mean_over_queries(rankings, Relevance::kOwn, [&](const RankedQuery& query) {
    return hits_among_first(query, name.at, name.ties) / static_cast<double>(name.at);
  });
}

}  // namespace

extern const MetricEntry precision_entry;
constinit const MetricEntry precision_entry{
    .about = {.name = "precision",
              .version = 1,
              .summary = "Mean share of relevant items among the first n, as precision@n; ties averaged",
              .reference = "standard; Manning et al., Introduction to Information Retrieval, chapter 8",
              .fields = &describe_fields<NoOptions>},
    .unit = "ratio",
    .higher_is_better = true,
    .check = &check_first_n,
    .compute = &compute,
};

}  // namespace gauntlet::metrics
