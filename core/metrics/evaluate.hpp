// All metrics of one retrieval run, from one sweep over the pairs of queries and retrieval items. Pure: no
// files.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/metrics/codes.hpp"
#include "core/metrics/labels.hpp"
#include "core/metrics/metric.hpp"
#include "core/metrics/retrieval.hpp"
#include "core/spec/result_row.hpp"

namespace gauntlet::metrics {

/// Everything is borrowed for the duration of the call.
struct EvaluationInput {
  const PackedCodes& query_codes;            ///< [Q, K]
  const PackedCodes& retrieval_codes;        ///< [N, K]
  const LabelSets& query_labels;             ///< [Q, C]
  const LabelSets& retrieval_labels;         ///< [N, C]
  const LabelSets* target_labels = nullptr;  ///< [Q, C]; needed by targeted metrics only
};

struct Evaluation {
  std::int64_t n_queries = 0;
  std::int64_t n_retrieval = 0;
  std::int64_t bits = 0;
  std::int64_t n_without_relevant = 0;  ///< queries whose own labels match no retrieval item
  double chance_map = 0;                ///< mean relevant fraction: MAP of a random order, for large sets
  std::vector<MetricValue> metrics;     ///< in the order asked for, without repetitions
};

struct EvaluationOptions {
  int n_threads = 1;                    ///< >= 1; the result does not depend on it
  SimdPath path = fastest_simd_path();  ///< nor on this
};

/// Memory does not grow with the number of items, but for stable ties: N/8 bytes per query and relevance.
/// Errors (kInvalid): unknown metrics or forms, sizes that do not match, no queries, no items, a targeted
/// metric without target labels; kOutOfMemory: see Rankings::build; what the items refuse.
[[nodiscard]] Result<Evaluation> evaluate(const QuerySide& queries, const RetrievalItems& items,
                                          std::span<const std::string> metrics,
                                          const EvaluationOptions& options);

/// The same on items in memory. Errors (kInvalid): unknown metrics or forms, sizes that do not match, no
/// queries, no items, a targeted metric without target labels. `n_threads` >= 1; the result does not depend
/// on it.
[[nodiscard]] Result<Evaluation> evaluate(const EvaluationInput& input, std::span<const std::string> metrics,
                                          int n_threads);

/// The first half of evaluate, which takes nearly all of its time: what these queries need for the metrics.
/// Those of consecutive queries can be made apart and put together (Rankings::append). Errors: as evaluate.
[[nodiscard]] Result<Rankings> rank_queries(const EvaluationInput& input,
                                            std::span<const std::string> metrics, int n_threads);
/// The second half. Errors (kInvalid): metrics that these rankings were not made for.
[[nodiscard]] Result<Evaluation> evaluate_rankings(const Rankings& rankings,
                                                   std::span<const std::string> metrics);

/// Rows of a result database: one per metric; those that divide by what is relevant and have no kind (`map`,
/// `t_map`, `recall@n`, `ndcg@n`, `wap`) bring "<name>:valid" beside them, the mean over queries with a
/// relevant item, whose n counts those queries.
[[nodiscard]] std::vector<spec::ResultRow> rows_of(const Evaluation& evaluation);
[[nodiscard]] std::vector<spec::Curve> curves_of(const Evaluation& evaluation);

}  // namespace gauntlet::metrics
