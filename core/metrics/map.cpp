// Mean average precision; @K in its three kinds.
#include "core/metrics/detail/average_precision.hpp"
#include "core/metrics/detail/mean.hpp"

namespace gauntlet::metrics {
namespace {

MetricValue compute(const MetricName& name, const Rankings& rankings) {
  return mean_average_precision(name, rankings, Relevance::kOwn);
}

}  // namespace

extern const MetricEntry map_entry;
constinit const MetricEntry map_entry{
    .about = {.name = "map",
              .version = 1,
              .summary = "Mean average precision over all queries, ties averaged; @K as first_relevant, "
                         "topk_hits or topk_ir",
              .reference = "He et al., Hashing as Tie-Aware Learning to Rank, CVPR 2018",
              .fields = &describe_fields<NoOptions>},
    .unit = "ratio",
    .higher_is_better = true,
    .needs_relevant = true,
    .check = &check_mean_average_precision,
    .compute = &compute,
};

}  // namespace gauntlet::metrics
