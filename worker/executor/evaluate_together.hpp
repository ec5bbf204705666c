// One evaluation by all ranks of a gang, without collectives: each ranks its share of the queries, and rank 0
// puts them together and computes the metrics. The numbers are those of one rank, bit by bit.
// Thread safety: one call at a time per rank.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "core/metrics/evaluate.hpp"
#include "worker/executor/executor.hpp"

namespace gauntlet::worker {

/// Consecutive queries of one rank of `world`: [first, last). Some have none where there are more ranks than
/// queries, and then rank 0 still has some.
struct QueryShare {
  std::int64_t first = 0;
  std::int64_t last = 0;
};
[[nodiscard]] QueryShare share_of(std::int64_t n_queries, int rank, int world);

/// Nothing on ranks other than 0. Shares travel as files of the folder attempt.rendezvous, whose names hold
/// `round`, another one for each evaluation of an attempt. Rank 0 waits for as long as the others take:
/// whoever started the ranks ends them together. Errors: those of metrics::evaluate; kIo, kNoSpace for the
/// files.
[[nodiscard]] Result<std::optional<metrics::Evaluation>> evaluate_together(
    const AttemptContext& attempt, const metrics::EvaluationInput& input,
    std::span<const std::string> metrics, std::int64_t round);

}  // namespace gauntlet::worker
