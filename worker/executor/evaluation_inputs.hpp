// What an evaluate job reads: codes, labels, targets of its inputs' artifacts.
// Thread safety: free functions on files that nobody changes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/data/prepared_set.hpp"
#include "core/metrics/codes.hpp"
#include "core/metrics/labels.hpp"
#include "worker/executor/executor.hpp"

namespace gauntlet::worker {

/// One encode job's output.
struct Codes {
  metrics::PackedCodes codes;      ///< [n, K]
  std::vector<std::int64_t> rows;  ///< [n], items of the dataset
  /// [n], of queries through a defense that refuses some (metrics/refusals.hpp); empty: all are answered.
  std::vector<float> refusal_scores = {};
};

/// The artifact of the input that plays `role`. Errors: kInvalid (there is no such input), those of opening.
[[nodiscard]] Result<artifacts::Artifact> open_input(const AttemptContext& attempt, std::string_view role,
                                                     spec::JobKind kind);

/// Errors (kCorrupt): files that do not fit together, items outside 0 .. n_items-1.
[[nodiscard]] Result<Codes> read_codes(const AttemptContext& attempt, std::string_view role,
                                       std::int64_t n_items);

/// Labels of the given items. [rows, C]
[[nodiscard]] Result<metrics::LabelSets> labels_of(const data::PreparedSet& set,
                                                   std::span<const std::int64_t> rows);

/// Labels the attack aimed at, per query. Null without an input `crafted`: an untargeted attack.
[[nodiscard]] Result<std::unique_ptr<metrics::LabelSets>> read_targets(
    const AttemptContext& attempt, const data::PreparedSet& set, std::span<const std::int64_t> query_rows);

/// Everything that the evaluation of one set of query codes and that of several need.
struct EvaluationInputs {
  data::PreparedSet set;
  Codes query;
  Codes retrieval;
  metrics::LabelSets query_labels;
  metrics::LabelSets retrieval_labels;
  std::unique_ptr<metrics::LabelSets> targets;  ///< null: untargeted
  std::unique_ptr<Codes> clean = {};  ///< of attacked queries through a defense that refuses; else null
};
[[nodiscard]] Result<EvaluationInputs> read_evaluation_inputs(const AttemptContext& attempt);

}  // namespace gauntlet::worker
