// What a board's measured numbers amount to: best known values, status, ranks, conflicts.
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "results/board/board.hpp"

namespace gauntlet::results {

/// Who brought an entry's value down.
struct Finder {
  std::string by;
  std::string source;      ///< "own", "imported", "external"
  std::string evaluation;  ///< its hash
  double share = 0;        ///< of the queries of all runs, where it is among the worst for the defender
};

struct Standing {
  std::string key;
  std::string status;  ///< "claimed", "reproduced", "verified", "broken"
  /// Mean over runs (weights) of the mean over queries of the worst over evaluations; nothing without an
  /// evaluation that is not retracted.
  std::optional<double> best_known;
  std::optional<double> ci_low, ci_high;  ///< percentile 95 %, over queries within runs; only from vectors
  std::optional<double> own;              ///< the same without external evaluations
  std::optional<double> clean;            ///< mean over runs
  std::optional<double> static_value;     ///< the same for protocol static: least known per run
  std::vector<Finder> found_by;           ///< largest share first
  std::int64_t n_runs = 0;
  std::int64_t n_queries = 0;
  bool merged_means = false;  ///< some run had evaluations without comparable values per query
  std::optional<std::int64_t> rank;
  bool is_baseline = false;  ///< the undefended model: listed, never ranked
  bool degenerate = false;   ///< retrieves nothing even when nobody attacks (R19): never ranked
  bool unreliable = false;
  std::vector<std::string> failed_checks;  ///< ids, sorted
  std::vector<std::string> missing;        ///< what a verified entry needs and this one lacks
};

/// Of one board, by rank, then those without one by best known value, then by key.
[[nodiscard]] std::vector<Standing> standings_of(const Json& board);

/// Same weights, yet clean values apart by more than 1e-3: one sentence each.
[[nodiscard]] std::vector<std::string> conflicts_of(const Board& board);

/// The object "derived" of a board.
[[nodiscard]] Json derived_json(const Json& board);

}  // namespace gauntlet::results
