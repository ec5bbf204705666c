// Mean average precision against the target label of each adversarial query.
#include "core/metrics/detail/average_precision.hpp"
#include "core/metrics/detail/mean.hpp"

namespace gauntlet::metrics {
namespace {

MetricValue compute(const MetricName& name, const Rankings& rankings) {
  return mean_average_precision(name, rankings, Relevance::kTarget);
}

}  // namespace

extern const MetricEntry t_map_entry;
constinit const MetricEntry t_map_entry{
    .about = {.name = "t_map",
              .version = 1,
              .summary = "Mean average precision against target labels: what a targeted attack reaches; "
                         "lower defends better",
              .reference = "Bai et al., Targeted Attack for Deep Hashing Based Retrieval (DHTA), ECCV 2020",
              .capabilities = {.targeted = true},
              .fields = &describe_fields<NoOptions>},
    .unit = "ratio",
    .higher_is_better = false,
    .needs_relevant = true,
    .check = &check_mean_average_precision,
    .compute = &compute,
};

}  // namespace gauntlet::metrics
