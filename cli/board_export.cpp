// gauntlet board export: finished sweeps as a leaderboard file.
#include "cli/support/board_files.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "core/base/files.hpp"
#include "core/base/text.hpp"
#include "core/db/migrate.hpp"
#include "results/board/about.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  results::BundleSelection selection;
  std::string by;
  fs::path about;
  fs::path to;
  FolderOptions folder;
};

Result<results::CollectedBoard> collect(const Options& options) {
  results::BoardOptions wanted{.by = options.by};
  if (!options.about.empty()) {
    GAUNTLET_TRY(const std::string text, read_file(options.about));
    GAUNTLET_TRY(wanted.about, results::parse_about(text, options.about.string()));
  }
  GAUNTLET_TRY(db::Connection connection, db::Connection::open_read_only(options.folder.database_path()));
  GAUNTLET_CHECK_OK(db::check_version(connection));
  GAUNTLET_TRY(const results::Bundle bundle, results::collect(connection, options.selection));
  GAUNTLET_TRY(const results::ChecksOf checks, checks_of(connection));
  const artifacts::ArtifactStore store(options.folder.workdir);
  return results::board_from(bundle, spec::Catalog::builtin(), facts_of(store), checks, wanted);
}

Result<int> run(const Options& options) {
  GAUNTLET_TRY(results::CollectedBoard collected, collect(options));
  for (const std::string& line : collected.notes) note(line + "\n");
  if (options.to.empty()) {
    GAUNTLET_TRY(const std::string text, collected.board.text());
    GAUNTLET_CHECK_OK(print(text));
    return tell_conflicts(collected.board);
  }
  std::error_code error;
  if (fs::exists(options.to, error)) {  // what others measured stays in it
    GAUNTLET_TRY(const results::Board known, read_boards({options.to}));
    collected.board.merge(known);
  }
  GAUNTLET_CHECK_OK(write_board(options.to, collected.board));
  GAUNTLET_CHECK_OK(print(fmt::format("{}: {}\n", options.to.string(),
                                      count_of(collected.board.document()["boards"].size(), "board"))));
  return tell_conflicts(collected.board);
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  arguments.add_option("sweep", options->selection.sweeps, "Sweeps, by name (default: all)")
      .type_name("SWEEP");
  arguments.add_option("--by", options->by, "Who measured, as the leaderboard shows it").required();
  arguments.add_option("--where", options->selection.where, "Only cells that match, e.g. \"bits=32\"")
      .type_name("CONDITION");
  arguments
      .add_option(
          "--about", options->about,
          "YAML: defense (label) → title, link, authors, venue, licence, type, reported {value, source}")
      .type_name("FILE")
      .existing_file();
  arguments
      .add_option("--to", options->to, "Leaderboard file; one that is there is added to (default: stdout)")
      .type_name("FILE");
  options->folder.add_to(arguments);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb board_export_verb;
constinit const Verb board_export_verb{
    .name = "board export",
    .summary = "Worst cases of finished sweeps as a leaderboard file, each under its threat model",
    .examples =
        "  gauntlet board export robustness --by \"Lab A\" --to board.json\n"
        "  gauntlet board export --where \"dataset=mscoco\" --by \"Lab A\" --about entries.yaml > "
        "board.json\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
