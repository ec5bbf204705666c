// gauntlet board merge: leaderboard files of several laboratories as one.
#include "cli/support/board_files.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  BoardFiles files;
  fs::path to;
};

Result<int> run(const Options& options) {
  GAUNTLET_TRY(const results::Board board, options.files.read());
  if (options.to.empty()) {
    GAUNTLET_TRY(const std::string text, board.text());
    GAUNTLET_CHECK_OK(print(text));
  } else {
    GAUNTLET_CHECK_OK(write_board(options.to, board));
  }
  return tell_conflicts(board);
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  options->files.add_to(arguments, "Leaderboard files");
  arguments.add_option("--to", options->to, "Where to write; may be one of them (default: stdout)")
      .type_name("FILE");
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb board_merge_verb;
constinit const Verb board_merge_verb{
    .name = "board merge",
    .summary = "Leaderboard files as one, in any order; exit code 1 where the same weights have other values",
    .examples =
        "  gauntlet board merge ours.json theirs.json --to board.json\n"
        "  gauntlet board merge board.json new/*.json --to board.json\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
