// gauntlet board retract: takes an evaluation out of the ranking without deleting it.
#include "cli/support/board_files.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  std::filesystem::path file;
  std::string evaluation, reason, by;
};

Result<int> run(const Options& options) {
  GAUNTLET_TRY(results::Board board, read_boards({options.file}));
  GAUNTLET_CHECK_OK(board.retract(options.evaluation, options.reason, options.by));
  GAUNTLET_CHECK_OK(write_board(options.file, board));
  return tell_conflicts(board);
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  arguments.add_option("file", options->file, "Leaderboard file").required().type_name("FILE");
  arguments.add_option("evaluation", options->evaluation, "Its hash, or the beginning of it").required();
  arguments.add_option("--reason", options->reason, "Why; shown beside it").required();
  arguments.add_option("--by", options->by, "Who retracts it");
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb board_retract_verb;
constinit const Verb board_retract_verb{
    .name = "board retract",
    .summary = "Hide one evaluation of a leaderboard with a reason; it stays in the file",
    .examples =
        "  gauntlet board retract board.json 3f9c2ab81d0e5712 --reason \"crafted with the wrong labels\" "
        "--by "
        "\"Lab B\"\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
