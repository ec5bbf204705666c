// Recall at n: relevant items among the first n, divided by all relevant items.
#include "core/metrics/detail/mean.hpp"
#include "core/metrics/detail/ordering.hpp"

namespace gauntlet::metrics {
namespace {

MetricValue compute(const MetricName& name, const Rankings& rankings) {
  return mean_over_queries(rankings, Relevance::kOwn, [&](const RankedQuery& query) {
    if (query.n_relevant == 0) return 0.0;
    return hits_among_first(query, name.at, name.ties) / static_cast<double>(query.n_relevant);
  });
}

}  // namespace

extern const MetricEntry recall_entry;
constinit const MetricEntry recall_entry{
    .about = {.name = "recall",
              .version = 1,
              .summary = "Mean share of the relevant items that stand among the first n, as recall@n; ties "
                         "averaged",
              .reference = "standard; Manning et al., Introduction to Information Retrieval, chapter 8",
              .fields = &describe_fields<NoOptions>},
    .unit = "ratio",
    .higher_is_better = true,
    .needs_relevant = true,
    .check = &check_first_n,
    .compute = &compute,
};

}  // namespace gauntlet::metrics
