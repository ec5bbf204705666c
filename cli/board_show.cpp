// gauntlet board show: a leaderboard for people.
#include "cli/support/board_files.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "core/base/files.hpp"
#include "core/base/version.hpp"
#include "results/board/page.hpp"
#include "results/board/standing.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  BoardFiles files;
  fs::path html;
  bool json = false;
};

Json as_json(const results::Board& board) {
  Json boards = Json::object();
  for (const auto& [id, each] : board.document()["boards"].items())
    boards[id] = {{"threat_model", each["threat_model"]}, {"standings", results::derived_json(each)}};
  return {{"format", 1}, {"boards", boards}, {"conflicts", results::conflicts_of(board)}};
}

Result<int> run(const Options& options) {
  GAUNTLET_TRY(const results::Board board, options.files.read());
  if (!options.html.empty()) {
    GAUNTLET_CHECK_OK(write_file_atomic(
        options.html, results::board_page(board, fmt::format("{} ({})", version(), revision()))));
  } else {
    GAUNTLET_CHECK_OK(options.json ? print_json(as_json(board)) : print(results::board_text(board)));
  }
  return tell_conflicts(board);
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  options->files.add_to(arguments, "Leaderboard files; several are shown as one");
  arguments.add_option("--html", options->html, "Write one page that a browser opens without a server")
      .type_name("FILE");
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb board_show_verb;
constinit const Verb board_show_verb{
    .name = "board show",
    .summary = "Ranks, status and what hinders each entry; checks the file; exit code 1 on conflicts",
    .examples =
        "  gauntlet board show board.json\n"
        "  gauntlet board show board.json --html board.html\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
