#include "worker/executor/evaluate_refusals.hpp"

#include <algorithm>
#include <iostream>

#include "core/metrics/refusals.hpp"
#include "worker/executor/evaluate_together.hpp"

namespace gauntlet::worker {
namespace {

spec::ResultRow share_row(std::string metric, double value, std::size_t n, bool higher_is_better) {
  return {.metric = std::move(metric),
          .value = value,
          .higher_is_better = higher_is_better,
          .n = static_cast<std::int64_t>(n)};
}

/// Curves of the queries that are answered in place of those of all; none where there is none.
Status curves_of_answered(const AttemptContext& attempt, const metrics::EvaluationInput& input,
                          std::span<const std::uint8_t> nothing, metrics::Evaluation& evaluation) {
  std::vector<std::string> names;
  for (const metrics::MetricValue& metric : evaluation.metrics) {
    if (metric.per_query.empty()) names.push_back(metric.name);
  }
  if (names.empty() || std::ranges::find(nothing, 1) == nothing.end()) return {};
  std::erase_if(evaluation.metrics,
                [](const metrics::MetricValue& metric) { return metric.per_query.empty(); });
  if (std::ranges::find(nothing, 0) == nothing.end()) return {};
  GAUNTLET_TRY(metrics::Evaluation answered,
               metrics::evaluate_answered(input, nothing, names, attempt.threads));
  std::ranges::move(answered.metrics, std::back_inserter(evaluation.metrics));
  return {};
}

}  // namespace

void add_refusal_rows(const Codes& query, const Codes* clean, AttemptResult& result) {
  const std::vector<std::uint8_t> refused = metrics::refused(query.refusal_scores);
  const auto n = static_cast<double>(refused.size());
  result.rows.push_back(share_row("refused", static_cast<double>(std::ranges::count(refused, 1)) / n,
                                  refused.size(), clean != nullptr));
  result.rows.back().per_query.assign(refused.begin(), refused.end());
  if (clean == nullptr) return;
  metrics::Detection found = metrics::detection(clean->refusal_scores, query.refusal_scores);
  result.rows.push_back(share_row("refused:clean", found.refused_clean, refused.size(), false));
  result.rows.push_back(share_row("refusal_area", found.area, refused.size(), true));
  result.curves.push_back(std::move(found.roc));
}

Result<AttemptResult> run_evaluate_refusals(const AttemptContext& attempt, const EvaluationInputs& read,
                                            std::span<const std::string> metrics) {
  const std::vector<std::uint8_t> refused = metrics::refused(read.query.refusal_scores);
  metrics::PackedCodes codes = read.query.codes;
  std::vector<std::uint8_t> nothing = refused;  // queries that get nothing whatever they send
  if (read.clean) {
    GAUNTLET_TRY(codes, metrics::answered_codes(read.query.codes, read.clean->codes, refused));
    const std::vector<std::uint8_t> clean = metrics::refused(read.clean->refusal_scores);
    for (std::size_t query = 0; query < nothing.size(); ++query) {
      if (clean[query] == 0) nothing[query] = 0;
    }
  }
  const metrics::EvaluationInput input{codes, read.retrieval.codes, read.query_labels, read.retrieval_labels,
                                       read.targets.get()};
  GAUNTLET_TRY(auto together, evaluate_together(attempt, input, metrics, 0));
  if (!together) return AttemptResult{};
  metrics::Evaluation& evaluation = *together;
  GAUNTLET_CHECK_OK(curves_of_answered(attempt, input, nothing, evaluation));
  metrics::count_refused(nothing, evaluation.metrics);
  std::cout << fmt::format("{} queries, {} of them refused, {} retrieval items, {} bits\n",
                           evaluation.n_queries, std::ranges::count(refused, 1), evaluation.n_retrieval,
                           evaluation.bits);
  AttemptResult result{.rows = metrics::rows_of(evaluation), .curves = metrics::curves_of(evaluation)};
  add_refusal_rows(read.query, read.clean.get(), result);
  return result;
}

}  // namespace gauntlet::worker
