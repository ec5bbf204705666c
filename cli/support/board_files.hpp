// Leaderboard files on disk, and what a work folder's artifacts add to its database for one.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/support/arguments.hpp"
#include "core/artifacts/artifact_store.hpp"
#include "core/db/connection.hpp"
#include "results/board/from_bundle.hpp"

namespace gauntlet::cli {

/// All of these, merged. Errors: those of reading and of Board::read.
[[nodiscard]] Result<results::Board> read_boards(const std::vector<std::filesystem::path>& files);

/// The files that a verb takes as one.
class BoardFiles {
 public:
  void add_to(Arguments& arguments, const std::string& help);
  [[nodiscard]] Result<results::Board> read() const { return read_boards(files_); }

 private:
  std::vector<std::filesystem::path> files_;
};

/// Atomically. Errors: those of Board::text and of writing.
[[nodiscard]] Status write_board(const std::filesystem::path& file, const results::Board& board);

/// Conflicts as complaints, other differences as notes, both on stderr. Gives the verb's exit code: 1 where
/// there is a conflict.
[[nodiscard]] int tell_conflicts(const results::Board& board);

/// From the manifests and the prepared data of a work folder; `store` must outlive what is returned.
[[nodiscard]] results::BoardFacts facts_of(const artifacts::ArtifactStore& store);

/// What `gauntlet verify --robustness` left; none where the database has no verdicts. The connection must
/// outlive what is returned.
[[nodiscard]] Result<results::ChecksOf> checks_of(db::Connection& connection);

}  // namespace gauntlet::cli
