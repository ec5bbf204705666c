#include <iostream>
#include <optional>

#include "core/artifacts/stand_in.hpp"
#include "core/data/prepared_set.hpp"
#include "core/io/npy.hpp"
#include "core/metrics/evaluate.hpp"
#include "worker/executor/light_runner.hpp"

namespace gauntlet::worker {
namespace {

/// One encode job's output.
struct Codes {
  metrics::PackedCodes codes;      ///< [n, K]
  std::vector<std::int64_t> rows;  ///< [n], items of the dataset
};

Result<artifacts::Artifact> open_input(const AttemptContext& attempt, std::string_view role,
                                       spec::JobKind kind) {
  const spec::JobInput* const input = attempt.job.find_input(role);
  if (input == nullptr) return fail(ErrorCode::kInvalid, "the evaluate job has no input '{}'", role);
  return artifacts::open_made(attempt.store, kind, input->key);
}

Result<std::vector<std::int64_t>> read_rows(const artifacts::Artifact& artifact, std::int64_t n_items) {
  GAUNTLET_TRY(const io::NpyArray array, io::read_npy(artifact.file("rows.npy")));
  GAUNTLET_TRY(const std::span<const std::int64_t> values, array.as<std::int64_t>());
  for (const std::int64_t row : values) {
    if (row < 0 || row >= n_items) {
      return fail(ErrorCode::kCorrupt, "{} names item {}; the dataset has items 0 to {}", array.path.string(),
                  row, n_items - 1);
    }
  }
  return std::vector<std::int64_t>(values.begin(), values.end());
}

Result<Codes> read_codes(const AttemptContext& attempt, std::string_view role, std::int64_t n_items) {
  GAUNTLET_TRY(const artifacts::Artifact artifact, open_input(attempt, role, spec::JobKind::kEncode));
  const Json& bits = artifact.about.contains("bits") ? artifact.about["bits"] : Json();
  if (!bits.is_number_integer()) {
    return fail(ErrorCode::kCorrupt, "{} does not say how many bits its codes have",
                artifact.folder.string());
  }
  GAUNTLET_TRY(const io::NpyArray array, io::read_npy(artifact.file("codes.npy")));
  GAUNTLET_TRY(const std::span<const std::uint8_t> bytes, array.as<std::uint8_t>());
  GAUNTLET_TRY(metrics::PackedCodes codes,
               metrics::PackedCodes::from_packed(bytes, bits.get<std::int64_t>()));
  GAUNTLET_TRY(std::vector<std::int64_t> rows, read_rows(artifact, n_items));
  if (codes.n() != static_cast<std::int64_t>(rows.size())) {
    return fail(ErrorCode::kCorrupt, "{} holds {} codes, but {} row numbers", artifact.folder.string(),
                codes.n(), rows.size());
  }
  return Codes{std::move(codes), std::move(rows)};
}

/// Labels of the given items. [rows, C]
Result<metrics::LabelSets> labels_of(const data::PreparedSet& set, std::span<const std::int64_t> rows) {
  const auto n_labels = static_cast<std::size_t>(set.n_labels());
  std::vector<std::uint8_t> values;
  values.reserve(rows.size() * n_labels);
  for (const std::int64_t row : rows) {
    const auto labels = set.labels().subspan(static_cast<std::size_t>(row) * n_labels, n_labels);
    values.insert(values.end(), labels.begin(), labels.end());
  }
  return metrics::LabelSets::from_values(std::span<const std::uint8_t>(values), set.n_labels());
}

/// Labels the attack aimed at, per query. Nothing for an untargeted attack.
Result<std::optional<metrics::LabelSets>> read_targets(const AttemptContext& attempt,
                                                       const data::PreparedSet& set,
                                                       std::span<const std::int64_t> query_rows) {
  if (attempt.job.find_input("crafted") == nullptr) return std::optional<metrics::LabelSets>();
  GAUNTLET_TRY(const artifacts::Artifact artifact, open_input(attempt, "crafted", spec::JobKind::kCraft));
  GAUNTLET_TRY(const std::vector<std::int64_t> rows, read_rows(artifact, set.n_items()));
  if (!std::equal(rows.begin(), rows.end(), query_rows.begin(), query_rows.end())) {
    return fail(ErrorCode::kCorrupt, "{} was crafted for other items than the query codes are of",
                artifact.folder.string());
  }
  GAUNTLET_TRY(const io::NpyArray array, io::read_npy(artifact.file("targets.npy")));
  GAUNTLET_TRY(const std::span<const std::uint8_t> values, array.as<std::uint8_t>());
  if (array.shape != std::vector<std::int64_t>{static_cast<std::int64_t>(rows.size()), set.n_labels()}) {
    return fail(ErrorCode::kCorrupt, "{} has shape {}; {} queries and {} labels need [{}, {}]",
                array.path.string(), io::shape_text(array.shape), rows.size(), set.n_labels(), rows.size(),
                set.n_labels());
  }
  GAUNTLET_TRY(metrics::LabelSets targets, metrics::LabelSets::from_values(values, set.n_labels()));
  return std::optional(std::move(targets));
}

Result<std::vector<std::string>> metric_names(const Json& config) {
  const auto found = config.find("metrics");
  std::vector<std::string> names;
  if (found != config.end() && found->is_array()) {
    for (const Json& name : *found) {
      if (name.is_string()) names.push_back(name.get<std::string>());
    }
  }
  if (names.empty() || names.size() != found->size()) {
    return fail(ErrorCode::kInvalid, "the evaluate job's 'metrics' is not a list of names");
  }
  return names;
}

}  // namespace

Result<AttemptResult> run_evaluate(const AttemptContext& attempt, ProgressSink& progress) {
  GAUNTLET_TRY(const std::vector<std::string> names, metric_names(attempt.job.config));
  GAUNTLET_TRY(const artifacts::Artifact folder, open_input(attempt, "data", spec::JobKind::kPrepare));
  GAUNTLET_TRY(const data::PreparedSet set, data::PreparedSet::open(folder.folder));
  GAUNTLET_TRY(const Codes query, read_codes(attempt, "query_codes", set.n_items()));
  GAUNTLET_TRY(const Codes retrieval, read_codes(attempt, "retrieval_codes", set.n_items()));
  GAUNTLET_TRY(const metrics::LabelSets query_labels, labels_of(set, query.rows));
  GAUNTLET_TRY(const metrics::LabelSets retrieval_labels, labels_of(set, retrieval.rows));
  GAUNTLET_TRY(const std::optional<metrics::LabelSets> targets, read_targets(attempt, set, query.rows));

  progress.update({.phase = "metrics"});
  const metrics::EvaluationInput input{query.codes, retrieval.codes, query_labels, retrieval_labels,
                                       targets ? &*targets : nullptr};
  GAUNTLET_TRY(const metrics::Evaluation evaluation, metrics::evaluate(input, names, attempt.threads));
  std::cout << fmt::format(
      "{} queries ({} without a relevant item), {} retrieval items, {} bits, chance MAP {:.4f}\n",
      evaluation.n_queries, evaluation.n_without_relevant, evaluation.n_retrieval, evaluation.bits,
      evaluation.chance_map);
  return AttemptResult{.rows = metrics::rows_of(evaluation), .curves = metrics::curves_of(evaluation)};
}

}  // namespace gauntlet::worker
