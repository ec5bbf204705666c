#include "worker/executor/evaluation_inputs.hpp"

#include "core/artifacts/stand_in.hpp"
#include "core/io/npy.hpp"
#include "core/spec/external.hpp"

namespace gauntlet::worker {
namespace {

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

/// Empty where there are none.
Result<std::vector<float>> read_refusal_scores(const artifacts::Artifact& artifact, std::size_t n) {
  const std::filesystem::path path = artifact.file(spec::kRefusalFile);
  if (std::error_code ignored; !std::filesystem::exists(path, ignored)) return std::vector<float>();
  GAUNTLET_TRY(const io::NpyArray array, io::read_npy(path));
  GAUNTLET_TRY(const std::span<const float> scores, array.as<float>());
  if (scores.size() == n) return std::vector<float>(scores.begin(), scores.end());
  return fail(ErrorCode::kCorrupt, "{} holds {} scores for {} queries", path.string(), scores.size(), n);
}

/// The clean queries beside attacked ones that may be refused.
Result<std::unique_ptr<Codes>> read_clean(const AttemptContext& attempt, const Codes& query,
                                          std::int64_t n_items) {
  if (attempt.job.find_input("clean_query_codes") == nullptr) return std::unique_ptr<Codes>();
  GAUNTLET_TRY(Codes clean, read_codes(attempt, "clean_query_codes", n_items));
  if (clean.rows == query.rows && clean.codes.bits() == query.codes.bits() &&
      clean.refusal_scores.size() == query.refusal_scores.size())
    return std::make_unique<Codes>(std::move(clean));
  return fail(ErrorCode::kCorrupt,
              "the clean queries have codes of other queries or of another length, or other refusals, than "
              "the attacked ones");
}

}  // namespace

Result<artifacts::Artifact> open_input(const AttemptContext& attempt, std::string_view role,
                                       spec::JobKind kind) {
  const spec::JobInput* const input = attempt.job.find_input(role);
  if (input == nullptr) return fail(ErrorCode::kInvalid, "the evaluate job has no input '{}'", role);
  return artifacts::open_made(attempt.store, kind, input->key);
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
  GAUNTLET_TRY(std::vector<float> scores, read_refusal_scores(artifact, rows.size()));
  return Codes{std::move(codes), std::move(rows), std::move(scores)};
}

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

Result<std::unique_ptr<metrics::LabelSets>> read_targets(const AttemptContext& attempt,
                                                         const data::PreparedSet& set,
                                                         std::span<const std::int64_t> query_rows) {
  if (attempt.job.find_input("crafted") == nullptr) return std::unique_ptr<metrics::LabelSets>();
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
  return std::make_unique<metrics::LabelSets>(std::move(targets));
}

Result<EvaluationInputs> read_evaluation_inputs(const AttemptContext& attempt) {
  GAUNTLET_TRY(const artifacts::Artifact folder, open_input(attempt, "data", spec::JobKind::kPrepare));
  GAUNTLET_TRY(data::PreparedSet set, data::PreparedSet::open(folder.folder));
  GAUNTLET_TRY(Codes query, read_codes(attempt, "query_codes", set.n_items()));
  GAUNTLET_TRY(Codes retrieval, read_codes(attempt, "retrieval_codes", set.n_items()));
  GAUNTLET_TRY(metrics::LabelSets query_labels, labels_of(set, query.rows));
  GAUNTLET_TRY(metrics::LabelSets retrieval_labels, labels_of(set, retrieval.rows));
  GAUNTLET_TRY(std::unique_ptr<metrics::LabelSets> targets, read_targets(attempt, set, query.rows));
  GAUNTLET_TRY(std::unique_ptr<Codes> clean, read_clean(attempt, query, set.n_items()));
  return EvaluationInputs{std::move(set),
                          std::move(query),
                          std::move(retrieval),
                          std::move(query_labels),
                          std::move(retrieval_labels),
                          std::move(targets),
                          std::move(clean)};
}

}  // namespace gauntlet::worker
