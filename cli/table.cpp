// gauntlet table: a table spec filled from the database.
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/support/sweep_tables.hpp"
#include "cli/verb.hpp"
#include "core/base/files.hpp"
#include "core/base/text.hpp"
#include "results/table/pivot.hpp"
#include "results/table/render.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  std::string spec;
  std::string format = "text";
  std::string output;
  FolderOptions folder;
  std::string paper;
  double interval = 0;
  bool allow_missing = false;
  bool json = false;
};

// What the command line asks for goes before what the file says.
Status adjust(results::TableSpec& spec, const Options& options) {
  if (options.interval > 0) {
    if (!spec.interval) spec.interval.emplace();
    spec.interval->level = options.interval;
  }
  if (options.paper == "off") spec.paper.reset();
  if (options.paper.empty() || options.paper == "off") return {};
  if (!spec.paper) {
    return fail(ErrorCode::kInvalid, "--paper {}: {} names no file of printed numbers (paper: {{file: …}})",
                options.paper, options.spec);
  }
  spec.paper->value = options.paper != "difference";
  spec.paper->difference = options.paper != "value";
  return {};
}

Result<int> run(const Options& options) {
  GAUNTLET_TRY(results::Format format, results::format_from(options.json ? "json" : options.format));
  if (format == results::Format::kText && options.output.empty() && can_decorate_output()) {
    format = results::Format::kTerminal;
  }
  GAUNTLET_TRY(results::TableSpec spec, results::read_table_spec(options.spec));
  GAUNTLET_CHECK_OK(adjust(spec, options));
  GAUNTLET_TRY(const results::Table table, results::make_table(options.folder.database_path(), spec));
  const std::string text = results::render(table, format);
  if (options.output.empty()) {
    GAUNTLET_CHECK_OK(print(text));
  } else {
    GAUNTLET_CHECK_OK(write_file_atomic(options.output, text));
  }
  const std::size_t n_missing = name_missing(table.missing);
  if (n_missing == 0 || options.allow_missing) return 0;
  return fail(ErrorCode::kIncomplete, "{} of the table {} missing (--allow-missing accepts that)",
              count_of(n_missing, "number"), n_missing == 1 ? "is" : "are");
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  arguments.add_option("spec", options->spec, "Table spec (YAML)").required().type_name("SPEC");
  arguments.add_option("--format", options->format, "What is written")
      .one_of(results::format_names())
      .type_name("FORMAT");
  arguments.add_option("--output", options->output, "Write to a file instead of stdout").type_name("FILE");
  arguments
      .add_option(
          "--paper", options->paper,
          "Printed numbers beside ours: off, value, difference or both (the spec's choice unless given)")
      .one_of({"off", "value", "difference", "both"})
      .type_name("WHAT");
  arguments
      .add_option("--interval", options->interval,
                  "Confidence interval of every mean instead of its deviation, e.g. 0.95")
      .number_between(0.01, 0.9999)
      .type_name("LEVEL");
  arguments.add_flag("--allow-missing", options->allow_missing, "Exit with 0 though numbers are missing");
  options->folder.add_to(arguments);
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb table_verb;
constinit const Verb table_verb{
    .name = "table",
    .summary = "Print a table of results: mean and deviation over seeds, best marked",
    .examples =
        "  gauntlet table results/tables/quickstart.yaml\n"
        "  gauntlet table results/tables/quickstart.yaml --format latex --output table.tex\n"
        "  gauntlet table results/tables/quickstart.yaml --interval 0.95\n"
        "  gauntlet table results/tables/paper_table2.yaml --paper off --allow-missing --json\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
