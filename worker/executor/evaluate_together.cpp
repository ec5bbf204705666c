#include "worker/executor/evaluate_together.hpp"

#include <algorithm>
#include <thread>

#include "core/base/files.hpp"

namespace gauntlet::worker {
namespace {

namespace fs = std::filesystem;

/// How often rank 0 looks for a share.
constexpr std::chrono::milliseconds kLook{2};

Result<metrics::PackedCodes> part_of(const metrics::PackedCodes& codes, const QueryShare& share) {
  const std::vector<std::uint8_t> bytes = codes.to_bytes();
  const auto width = static_cast<std::size_t>((codes.bits() + 7) / 8);
  const auto n = static_cast<std::size_t>(share.last - share.first);
  return metrics::PackedCodes::from_packed(
      std::span(bytes).subspan(static_cast<std::size_t>(share.first) * width, n * width), codes.bits());
}

Result<metrics::LabelSets> part_of(const metrics::LabelSets& labels, const QueryShare& share) {
  std::vector<std::uint8_t> values;
  values.reserve(static_cast<std::size_t>((share.last - share.first) * labels.n_labels()));
  for (std::int64_t query = share.first; query < share.last; ++query) {
    const std::span<const std::uint64_t> words = labels.row(query);
    for (std::int64_t label = 0; label < labels.n_labels(); ++label)
      values.push_back((words[static_cast<std::size_t>(label / 64)] >> (label % 64)) & 1);
  }
  return metrics::LabelSets::from_values(std::span<const std::uint8_t>(values), labels.n_labels());
}

Result<metrics::Rankings> rank_share(const metrics::EvaluationInput& input, const QueryShare& share,
                                     std::span<const std::string> names, int n_threads) {
  GAUNTLET_TRY(const metrics::PackedCodes codes, part_of(input.query_codes, share));
  GAUNTLET_TRY(const metrics::LabelSets labels, part_of(input.query_labels, share));
  if (input.target_labels == nullptr)
    return metrics::rank_queries({codes, input.retrieval_codes, labels, input.retrieval_labels}, names,
                                 n_threads);
  GAUNTLET_TRY(const metrics::LabelSets targets, part_of(*input.target_labels, share));
  return metrics::rank_queries({codes, input.retrieval_codes, labels, input.retrieval_labels, &targets},
                               names, n_threads);
}

/// Waits for the file, which is whole when it is there, and takes it away.
Result<std::string> take_file(const fs::path& path) {
  std::error_code error;
  while (!fs::exists(path, error)) std::this_thread::sleep_for(kLook);
  GAUNTLET_TRY(std::string bytes, read_file(path));
  fs::remove(path, error);
  return bytes;
}

}  // namespace

QueryShare share_of(std::int64_t n_queries, int rank, int world) {
  // Rank 0 merges: it has to have some.
  const std::int64_t n_ranks = std::clamp<std::int64_t>(n_queries, 1, world);
  const auto begin = [&](std::int64_t at) { return n_queries * std::min(at, n_ranks) / n_ranks; };
  return {begin(rank), begin(std::int64_t{rank} + 1)};
}

Result<std::optional<metrics::Evaluation>> evaluate_together(const AttemptContext& attempt,
                                                             const metrics::EvaluationInput& input,
                                                             std::span<const std::string> metrics,
                                                             std::int64_t round) {
  if (attempt.world == 1) return metrics::evaluate(input, metrics, attempt.threads);
  const std::int64_t n_queries = input.query_codes.n();
  if (n_queries != input.query_labels.n() ||
      (input.target_labels != nullptr && n_queries != input.target_labels->n()))
    return metrics::evaluate(input, metrics, attempt.threads);  // which says what is wrong
  const auto path_of = [&](int rank) { return attempt.rendezvous / fmt::format("{}-{}", round, rank); };
  const QueryShare share = share_of(n_queries, attempt.rank, attempt.world);
  if (attempt.rank > 0 && share.first == share.last) return std::nullopt;
  GAUNTLET_TRY(metrics::Rankings rankings, rank_share(input, share, metrics, attempt.threads));
  if (attempt.rank > 0) {
    GAUNTLET_CHECK_OK(write_file_atomic(path_of(attempt.rank), rankings.to_bytes()));
    return std::nullopt;
  }
  for (int rank = 1; rank < attempt.world; ++rank) {
    const QueryShare other = share_of(n_queries, rank, attempt.world);
    if (other.first == other.last) break;
    GAUNTLET_TRY(const std::string bytes, take_file(path_of(rank)));
    GAUNTLET_TRY(const metrics::Rankings next, metrics::Rankings::from_bytes(bytes, attempt.threads));
    GAUNTLET_CHECK_OK(rankings.append(next));
  }
  return metrics::evaluate_rankings(rankings, metrics);
}

}  // namespace gauntlet::worker
