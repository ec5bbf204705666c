#include "core/metrics/evaluate.hpp"

#include <algorithm>

namespace gauntlet::metrics {
namespace {

Status check_sizes(const QuerySide& queries, const RetrievalItems& items) {
  if (queries.codes.n() == 0)
    return fail(ErrorCode::kInvalid, "there are no query codes; at least one is needed");
  if (items.n() == 0) {
    return fail(ErrorCode::kInvalid, "there are no retrieval codes; at least one is needed");
  }
  if (queries.codes.bits() != items.bits()) {
    return fail(ErrorCode::kInvalid, "query codes have {} bits, retrieval codes {}; they must agree",
                queries.codes.bits(), items.bits());
  }
  if (queries.labels.n() != queries.codes.n()) {
    return fail(ErrorCode::kInvalid, "{} query codes but {} rows of query labels; they must agree",
                queries.codes.n(), queries.labels.n());
  }
  if (queries.labels.n_labels() != items.n_labels()) {
    return fail(ErrorCode::kInvalid, "query labels have {} columns, retrieval labels {}; they must agree",
                queries.labels.n_labels(), items.n_labels());
  }
  if (queries.targets == nullptr) return {};
  if (queries.targets->n() != queries.codes.n() || queries.targets->n_labels() != items.n_labels()) {
    return fail(ErrorCode::kInvalid,
                "target labels are {} x {}; expected one row per query and the same labels: {} x {}",
                queries.targets->n(), queries.targets->n_labels(), queries.codes.n(), items.n_labels());
  }
  return {};
}

Status check_sizes(const EvaluationInput& input) {
  if (input.retrieval_codes.n() == 0 || input.retrieval_labels.n() == input.retrieval_codes.n()) return {};
  return fail(ErrorCode::kInvalid, "{} retrieval codes but {} rows of retrieval labels; they must agree",
              input.retrieval_codes.n(), input.retrieval_labels.n());
}

Result<std::vector<ResolvedMetric>> resolve_all(bool has_targets, std::span<const std::string> names) {
  std::vector<ResolvedMetric> metrics;
  for (const std::string& text : names) {
    GAUNTLET_TRY(ResolvedMetric metric, resolve_metric(text));
    if (metric.entry->about.capabilities.targeted && !has_targets) {
      return fail(ErrorCode::kInvalid, "metric '{}' needs target labels, and there are none", text);
    }
    const bool known = std::any_of(metrics.begin(), metrics.end(),
                                   [&](const ResolvedMetric& other) { return other.name == metric.name; });
    if (!known) metrics.push_back(std::move(metric));
  }
  return metrics;
}

Result<Rankings> rank(const QuerySide& queries, const RetrievalItems& items,
                      std::span<const std::string> metrics, const EvaluationOptions& options) {
  GAUNTLET_CHECK_OK(check_sizes(queries, items));
  GAUNTLET_TRY(const std::vector<ResolvedMetric> resolved, resolve_all(queries.targets != nullptr, metrics));
  Rankings::Options kept{.n_threads = options.n_threads, .path = options.path};
  for (const ResolvedMetric& metric : resolved) {
    kept.stable = kept.stable || metric.name.ties == Ties::kStable;
    kept.graded = kept.graded || metric.entry->graded;
  }
  return Rankings::build(queries, items, kept);
}

}  // namespace

Result<Evaluation> evaluate(const EvaluationInput& input, std::span<const std::string> metrics,
                            int n_threads) {
  GAUNTLET_TRY(const Rankings rankings, rank_queries(input, metrics, n_threads));
  return evaluate_rankings(rankings, metrics);
}

Result<Evaluation> evaluate(const QuerySide& queries, const RetrievalItems& items,
                            std::span<const std::string> metrics, const EvaluationOptions& options) {
  GAUNTLET_TRY(const Rankings rankings, rank(queries, items, metrics, options));
  return evaluate_rankings(rankings, metrics);
}

Result<Rankings> rank_queries(const EvaluationInput& input, std::span<const std::string> metrics,
                              int n_threads) {
  GAUNTLET_CHECK_OK(check_sizes(input));
  return rank({input.query_codes, input.query_labels, input.target_labels},
              ItemsInMemory(input.retrieval_codes, input.retrieval_labels), metrics,
              {.n_threads = n_threads});
}

Result<Evaluation> evaluate_rankings(const Rankings& rankings, std::span<const std::string> metrics) {
  GAUNTLET_TRY(const std::vector<ResolvedMetric> resolved, resolve_all(rankings.has_targets(), metrics));
  for (const ResolvedMetric& metric : resolved) {
    const bool kept = (metric.name.ties != Ties::kStable || rankings.has_stable()) &&
                      (!metric.entry->graded || rankings.has_graded());
    if (!kept)
      return fail(ErrorCode::kInvalid, "the rankings were not made for metric '{}'", metric.name.text());
  }
  Evaluation evaluation;
  evaluation.n_queries = rankings.n_queries();
  evaluation.n_retrieval = rankings.n_retrieval();
  evaluation.bits = rankings.bits();
  GAUNTLET_TRY(const ResolvedMetric chance, resolve_metric("chance_map"));
  const MetricValue chance_map = chance.entry->compute(chance.name, rankings);
  evaluation.chance_map = chance_map.value;
  evaluation.n_without_relevant = chance_map.n_without_relevant;
  for (const ResolvedMetric& metric : resolved) {
    MetricValue value = metric.entry->compute(metric.name, rankings);
    value.name = metric.name.text();
    value.unit = metric.entry->unit;
    value.higher_is_better = metric.entry->higher_is_better;
    evaluation.metrics.push_back(std::move(value));
  }
  return evaluation;
}

std::vector<spec::ResultRow> rows_of(const Evaluation& evaluation) {
  std::vector<spec::ResultRow> rows;
  for (const MetricValue& metric : evaluation.metrics) {
    spec::ResultRow row;
    row.metric = metric.name;
    row.value = metric.value;
    row.unit = metric.unit;
    row.higher_is_better = metric.higher_is_better;
    row.n = metric.n_queries;
    row.per_query.assign(metric.per_query.begin(), metric.per_query.end());
    rows.push_back(row);
    const Result<ResolvedMetric> resolved = resolve_metric(metric.name);
    if (!resolved || !resolved->entry->needs_relevant || !resolved->name.kind.empty()) continue;
    MetricName valid = resolved->name;
    valid.kind = "valid";
    row.metric = valid.text();
    row.value = metric.valid;
    row.n = metric.n_queries - metric.n_without_relevant;
    row.per_query.clear();
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<spec::Curve> curves_of(const Evaluation& evaluation) {
  std::vector<spec::Curve> curves;
  for (const MetricValue& metric : evaluation.metrics) {
    curves.insert(curves.end(), metric.curves.begin(), metric.curves.end());
  }
  return curves;
}

}  // namespace gauntlet::metrics
