// Weighted average precision: mean over the relevant items of the average cumulative gain at their ranks.
#include "core/metrics/detail/grades.hpp"
#include "core/metrics/detail/harmonic.hpp"
#include "core/metrics/detail/mean.hpp"

namespace gauntlet::metrics {
namespace {

Status check(const MetricName& name) {
  if (name.at == 0 && name.kind.empty()) return {};
  return fail(ErrorCode::kInvalid, "metric '{}': wap takes no @K and no kind, only a rule for ties",
              name.text());
}

/// Shared labels of all items of a class.
double shared_labels(const RankedQuery& query, const TieClass& tie) {
  double sum = 0;
  for (std::size_t grade = 1; grade < query.n_grades; ++grade) {
    sum += static_cast<double>(n_of_grade(query, tie.distance, grade)) * static_cast<double>(grade);
  }
  return sum;
}

/// As expected average precision, with shared labels in place of hits: a position of the class is relevant
/// with probability r/n, holds S/r shared labels then, and every position before it (S - S/r)/(n - 1).
double expected_sum(const TieClass& tie, double shared, double shared_before) {
  const double n = static_cast<double>(tie.n);
  const double r = static_cast<double>(tie.r);
  const double each = shared / r;
  const double slope = tie.n == 1 ? 0.0 : (shared - each) / (n - 1);
  return r / n * rising_sum(shared_before + each, slope, tie.items_before, tie.n);
}

double stable_sum(const RankedQuery& query) {
  double shared = 0;
  double sum = 0;
  for_each_stable_hit(query, [&](std::int64_t rank, std::int64_t hits) {
    shared += query.stable_grades[static_cast<std::size_t>(hits - 1)];
    sum += shared / static_cast<double>(rank);
    return true;
  });
  return sum;
}

double weighted_average_precision(const RankedQuery& query, Ties ties) {
  if (query.n_relevant == 0) return 0;
  const double n_relevant = static_cast<double>(query.n_relevant);
  if (ties == Ties::kStable) return stable_sum(query) / n_relevant;
  double sum = 0;
  double shared_before = 0;
  for_each_class(query, [&](const TieClass& tie) {
    if (tie.r == 0) return true;
    if (ties == Ties::kExpected) {
      const double shared = shared_labels(query, tie);
      sum += expected_sum(tie, shared, shared_before);
      shared_before += shared;
      return true;
    }
    for_each_run(query, tie, ties, [&](std::size_t grade, std::int64_t first, std::int64_t n) {
      if (grade == 0) return;
      const double each = static_cast<double>(grade);
      sum += rising_sum(shared_before + each, each, first, n);
      shared_before += each * static_cast<double>(n);
    });
    return true;
  });
  return sum / n_relevant;
}

MetricValue compute(const MetricName& name, const Rankings& rankings) {
  return mean_over_queries(rankings, Relevance::kOwn, [&](const RankedQuery& query) {
    return weighted_average_precision(query, name.ties);
  });
}

}  // namespace

extern const MetricEntry wap_entry;
constinit const MetricEntry wap_entry{
    .about = {.name = "wap",
              .version = 1,
              .summary = "Weighted average precision: mean number of shared labels down to each relevant "
                         "item; ties averaged",
              .reference = "Zhao et al., Deep Semantic Ranking Based Hashing for Multi-Label Image "
                           "Retrieval, CVPR 2015",
              .fields = &describe_fields<NoOptions>},
    .unit = "labels",
    .higher_is_better = true,
    .graded = true,
    .needs_relevant = true,
    .check = &check,
    .compute = &compute,
};

}  // namespace gauntlet::metrics
