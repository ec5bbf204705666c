// A leaderboard file: refused in words, or one that survives being written, merged and shown.
#include "core/base/check.hpp"
#include "results/board/page.hpp"
#include "tests/fuzz/targets.hpp"

namespace gauntlet::fuzz {

void board(Bytes bytes) {
  const auto board = results::Board::read(text_of(bytes), "fuzz.json");
  if (!board) {
    GAUNTLET_CHECK(!board.error().message.empty());
    return;
  }
  const auto text = board->text();
  if (!text) return;  // a number that overflows when it is read
  const auto again = results::Board::read(*text, "again.json");
  GAUNTLET_CHECK(again.has_value() && *again->text() == *text);
  results::Board merged = *again;
  merged.merge(*board);
  GAUNTLET_CHECK(*merged.text() == *text);
  GAUNTLET_CHECK(!results::board_text(*board).empty());
  GAUNTLET_CHECK(results::board_page(*board, "fuzz").find("<script") == std::string::npos);
  GAUNTLET_CHECK(results::differences_of(*board).size() <= text->size());
}

}  // namespace gauntlet::fuzz
