// A leaderboard file out of finished work: each cell of an attack set becomes an evaluation on the board of
// its threat model, and so does each cell of given inputs that the board's budget allows.
// Thread safety: pure functions over the caller's values.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/spec/catalog.hpp"
#include "core/spec/job_spec.hpp"
#include "results/board/board.hpp"
#include "results/export/bundle.hpp"

namespace gauntlet::results {

/// What the artifacts of a work folder know beside the database; "" = the artifact is gone.
struct BoardFacts {
  /// SHA-256 of a file of an artifact; of all its files where `file` is "".
  std::function<Result<std::string>(spec::JobKind, const JobKey&, std::string_view file)> content_hash;
  /// SHA-256 of the item numbers of the queries, int64 little endian.
  std::function<Result<std::string>(const JobKey& prepare)> query_ids_hash;
};

/// Verdicts on the cells of one defense, as a list of {"check", "verdict", "delta", "ci_low", "ci_high", "n",
/// "sentence"}.
using ChecksOf = std::function<Result<Json>(const BundleCell& cell, double epsilon)>;

struct BoardOptions {
  std::string by;               ///< who measured
  Json about = Json::object();  ///< of parse_about
};

struct CollectedBoard {
  Board board;
  std::vector<std::string> notes;  ///< what was left out, and why, one sentence each
};

/// Errors: kNotFound without any finished cell of an attack set; kInvalid for an `about` of a defense that is
/// not there; those of the facts.
[[nodiscard]] Result<CollectedBoard> board_from(const Bundle& bundle, const spec::Catalog& catalog,
                                                const BoardFacts& facts, const ChecksOf& checks,
                                                const BoardOptions& options);

}  // namespace gauntlet::results
