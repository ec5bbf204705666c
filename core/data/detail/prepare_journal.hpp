// What of a prepared folder is finished: one line per block of rows or step, so that an interrupted
// preparation goes on where it stopped.
//
//   gauntlet-prepare 1 <identity of source and options> <boot id>
//   {"block": 0, "rows": 256, "sha256": "...", "dropped": [[17, "im18.jpg: ..."]], "remarks": []}
//   {"step": 0}
//
// A line counts when it ends in a line break. Thread safety: one thread; a second process is refused.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "core/base/result.hpp"
#include "core/data/dataset.hpp"
#include "core/data/detail/growing_array.hpp"

namespace gauntlet::data::detail {

/// What is said of one row.
using RowNote = std::pair<std::int64_t, std::string>;

/// One finished block of rows.
struct JournalBlock {
  std::int64_t n_kept = 0;       ///< rows it added to the arrays
  std::string sha256;            ///< over the bytes it added, array by array
  std::vector<RowNote> dropped;  ///< rows left out, and why
  std::vector<RowNote> remarks;  ///< rows kept of which something is to be said
};

class PrepareJournal {
 public:
  /// Opens the folder's journal, or starts one in an empty folder. `ours` are the names that may lie beside
  /// it. Errors: kInvalid (something else is in the folder; another source or other options), kRefused
  /// (another process works there), kNotFound, kIo, kNoSpace.
  [[nodiscard]] static Result<PrepareJournal> open(const std::filesystem::path& folder,
                                                   const std::string& identity,
                                                   const std::vector<std::string>& ours);

  /// What earlier runs finished; blocks in order from 0.
  [[nodiscard]] const std::vector<JournalBlock>& blocks() const { return blocks_; }
  /// Steps finished since the machine was started (their bytes are in the system's hands until then).
  [[nodiscard]] std::int64_t n_steps() const { return n_steps_; }

  /// Forgets every block from `n_blocks` on; their rows will be made again.
  [[nodiscard]] Status keep_blocks(std::size_t n_blocks);
  [[nodiscard]] Status add(const JournalBlock& block);
  [[nodiscard]] Status add_step();
  [[nodiscard]] Status remove();

 private:
  PrepareJournal() = default;
  Status read(const std::string& identity);
  Status start(const std::string& identity);
  Status add_line(std::string line);

  std::filesystem::path path_;
  OwnedDescriptor file_;
  std::vector<JournalBlock> blocks_;
  std::vector<std::int64_t> block_ends_;  ///< offsets in the file
  std::int64_t n_steps_ = 0;
  std::int64_t head_end_ = 0;
  std::int64_t end_ = 0;  ///< of the last whole line
};

}  // namespace gauntlet::data::detail
