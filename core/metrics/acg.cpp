// Average cumulative gain at n: labels shared with the query, mean over the first n items.
#include "core/metrics/detail/grades.hpp"
#include "core/metrics/detail/mean.hpp"

namespace gauntlet::metrics {
namespace {

MetricValue compute(const MetricName& name, const Rankings& rankings) {
  const auto worth = [](std::size_t grade) { return static_cast<double>(grade); };
  const auto weights = [](std::int64_t from, std::int64_t to) { return static_cast<double>(to - from); };
  return mean_over_queries(rankings, Relevance::kOwn, [&](const RankedQuery& query) {
    return graded_sum(query, name.at, name.ties, worth, weights) / static_cast<double>(name.at);
  });
}

}  // namespace

extern const MetricEntry acg_entry;
constinit const MetricEntry acg_entry{
    .about = {.name = "acg",
              .version = 1,
              .summary = "Average cumulative gain: mean number of labels shared with the first n, as acg@n; "
                         "ties averaged",
              .reference = "Järvelin and Kekäläinen, IR evaluation methods for retrieving highly relevant "
                           "documents, SIGIR 2000",
              .fields = &describe_fields<NoOptions>},
    .unit = "labels",
    .higher_is_better = true,
    .graded = true,
    .check = &check_first_n,
    .compute = &compute,
};

}  // namespace gauntlet::metrics
