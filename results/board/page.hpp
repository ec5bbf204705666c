// A leaderboard file as text for a terminal and as one page that a browser opens without a server.
// Thread safety: pure functions. Equal boards give equal bytes.
#pragma once

#include <string>
#include <string_view>

#include "results/board/board.hpp"

namespace gauntlet::results {

/// One table per board: rank, entry, values in percent, status, who found the best known value; then what
/// hinders each entry.
[[nodiscard]] std::string board_text(const Board& board);

/// HTML without scripts and without anything from elsewhere; every text of the file is escaped, and only
/// http and https addresses become links. `program` is the version that writes it.
[[nodiscard]] std::string board_page(const Board& board, std::string_view program);

}  // namespace gauntlet::results
