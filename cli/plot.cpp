// gauntlet plot: pictures out of the database.
#include "cli/support/file_name.hpp"
#include "cli/support/gnuplot.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/support/sheet_plots.hpp"
#include "cli/support/sweep_tables.hpp"
#include "cli/verb.hpp"
#include "core/base/files.hpp"
#include "core/base/text.hpp"
#include "core/db/migrate.hpp"
#include "results/plot/figures.hpp"
#include "results/plot/gnuplot_script.hpp"
#include "results/plot/pgfplots.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  std::string kind;
  std::vector<std::string> subjects;
  std::string x = "epsilon_image";
  std::string format;
  std::filesystem::path output;
  FolderOptions folder;
  bool allow_missing = false;
  // Of sheets:
  std::string where;
  std::vector<std::int64_t> rows;
  std::size_t n_queries = 4;
};

/// A figure, and what it is called where no file is named.
struct Drawn {
  results::Figure figure;
  std::string stem;
  std::size_t n_missing = 0;
};

Result<results::TableSpec> spec_of(const Options& options) {
  if (options.subjects.size() != 1) {
    return fail(ErrorCode::kInvalid, "plot {} takes one table spec, not {}", options.kind,
                options.subjects.size());
  }
  return results::read_table_spec(options.subjects.front());
}

std::string stem_of(const Options& options) {
  return std::filesystem::path(options.subjects.front()).stem().string() + "_" + options.kind;
}

Result<Drawn> draw_table(db::Connection& connection, const Options& options) {
  GAUNTLET_TRY(const results::TableSpec spec, spec_of(options));
  GAUNTLET_TRY(const results::Table table, results::make_table(connection, spec));
  GAUNTLET_TRY(results::Figure figure,
               options.kind == "bars" ? results::bars_figure(table) : results::heatmap_figure(table));
  return Drawn{std::move(figure), stem_of(options), name_missing(table.missing)};
}

Result<Drawn> draw_pr(db::Connection& connection, const Options& options) {
  GAUNTLET_TRY(const results::TableSpec spec, spec_of(options));
  GAUNTLET_TRY(results::MadeFigure made, results::pr_figure(connection, spec));
  return Drawn{std::move(made.figure), stem_of(options), name_missing(made.missing)};
}

Result<Drawn> draw_curve(db::Connection& connection, const Options& options) {
  GAUNTLET_TRY(const results::TableSpec spec, spec_of(options));
  GAUNTLET_TRY(results::MadeFigure made, results::curve_figure(connection, spec, options.x));
  for (const std::string& note : made.notes) fmt::print(stderr, "{}\n", note);
  return Drawn{std::move(made.figure), stem_of(options) + "_" + options.x, name_missing(made.missing)};
}

Result<Drawn> draw_loss(db::Connection& connection, const Options& options) {
  if (options.subjects.empty())
    return fail(ErrorCode::kInvalid, "plot loss takes jobs, by the beginning of their keys");
  GAUNTLET_TRY(results::Figure figure, results::loss_figure(connection, options.subjects));
  return Drawn{std::move(figure), options.subjects.front().substr(0, 12) + "_loss", 0};
}

Result<Drawn> draw_throughput(db::Connection& connection, const Options& options) {
  if (options.subjects.size() > 1)
    return fail(ErrorCode::kInvalid, "plot throughput takes one sweep or none");
  const std::string sweep = options.subjects.empty() ? "" : options.subjects.front();
  GAUNTLET_TRY(results::Figure figure, results::throughput_figure(connection, sweep));
  return Drawn{std::move(figure), (sweep.empty() ? "all" : sweep) + "_throughput", 0};
}

Result<Drawn> draw(db::Connection& connection, const Options& options) {
  if (options.kind == "pr") return draw_pr(connection, options);
  if (options.kind == "curve") return draw_curve(connection, options);
  if (options.kind == "loss") return draw_loss(connection, options);
  if (options.kind == "throughput") return draw_throughput(connection, options);
  return draw_table(connection, options);
}

// --format, else the end of --output, else svg.
Result<results::PictureFormat> format_of(const Options& options) {
  std::string name = options.format;
  if (name.empty()) {
    const std::string ending = options.output.extension().string();
    name = ending.size() < 2 ? "svg" : ending == ".tex" ? "pgf" : ending.substr(1);
  }
  return results::picture_format_from(name);
}

const char* ending_of(results::PictureFormat format) {
  switch (format) {
    case results::PictureFormat::kSvg:
      return ".svg";
    case results::PictureFormat::kPdf:
      return ".pdf";
    case results::PictureFormat::kPng:
      return ".png";
    case results::PictureFormat::kPgf:
      return ".tex";
  }
  return "";
}

// The sweep whose artifacts are drawn as sheets; nothing where the picture is made of numbers.
Result<std::optional<std::string>> sheet_sweep(const Options& options) {
  const bool retrieval = options.kind == "retrieval";
  if (!retrieval && options.kind != "heatmap") return std::nullopt;
  if (options.subjects.size() != 1) {
    return fail(ErrorCode::kInvalid, "plot {} takes one sweep{}, not {}", options.kind,
                retrieval ? "" : " or one table spec", options.subjects.size());
  }
  GAUNTLET_TRY(std::optional<std::string> sweep, sweep_of_subject(options.subjects.front()));
  if (retrieval && !sweep)
    return fail(ErrorCode::kInvalid, "{} is no sweep file; plot retrieval takes a sweep, by its file or name",
                options.subjects.front());
  return sweep;
}

Result<int> run_sheets(db::Connection& connection, const Options& options, results::PictureFormat format,
                       const std::string& sweep) {
  if (format != results::PictureFormat::kSvg && format != results::PictureFormat::kPng)
    return fail(ErrorCode::kInvalid, "sheets of pictures are written as svg or png, not {}",
                options.format.empty() ? options.output.extension().string() : options.format);
  if (options.kind == "heatmap" && !options.rows.empty())
    return fail(ErrorCode::kInvalid,
                "heat maps show the queries that the sweep's `explain` names; --rows goes with "
                "plot retrieval");
  return plot_sheets(connection, {.retrieval = options.kind == "retrieval",
                                  .sweep = sweep,
                                  .where = options.where,
                                  .rows = options.rows,
                                  .n_queries = options.n_queries,
                                  .png = format == results::PictureFormat::kPng,
                                  .output = options.output,
                                  .workdir = options.folder.workdir,
                                  .allow_missing = options.allow_missing});
}

Result<int> run(const Options& options) {
  GAUNTLET_TRY(const results::PictureFormat format, format_of(options));
  GAUNTLET_TRY(const std::optional<std::string> sweep, sheet_sweep(options));
  GAUNTLET_TRY(db::Connection connection, db::Connection::open_read_only(options.folder.database_path()));
  GAUNTLET_CHECK_OK(db::check_version(connection));
  if (sweep) return run_sheets(connection, options, format, *sweep);
  GAUNTLET_TRY(const Drawn drawn, draw(connection, options));
  std::string picture;
  if (format == results::PictureFormat::kPgf) {
    picture = results::pgfplots(drawn.figure);
  } else {
    GAUNTLET_TRY(picture, run_gnuplot(results::gnuplot_script(drawn.figure, format)));
  }
  std::filesystem::path path = options.output;
  if (path.empty()) {
    path = options.folder.workdir / "plots" / (file_name(drawn.stem) + ending_of(format));
    GAUNTLET_CHECK_OK(make_directories(path.parent_path()));
  }
  GAUNTLET_CHECK_OK(write_file_atomic(path, picture));
  GAUNTLET_CHECK_OK(print(path.string() + "\n"));
  if (drawn.n_missing == 0 || options.allow_missing) return 0;
  return fail(ErrorCode::kIncomplete, "{} of the picture {} missing (--allow-missing accepts that)",
              count_of(drawn.n_missing, "number"), drawn.n_missing == 1 ? "is" : "are");
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  arguments
      .add_option(
          "kind", options->kind,
          "pr, bars, heatmap, curve (of a table spec), loss (of jobs), throughput (of a sweep), heatmap, "
          "retrieval (sheets of a sweep's queries)")
      .required()
      .one_of({"pr", "bars", "heatmap", "curve", "loss", "throughput", "retrieval"})
      .type_name("KIND");
  arguments
      .add_option("subject", options->subjects,
                  "Table spec (YAML), jobs by key, or a sweep by its name or file")
      .type_name("SPEC|JOB...");
  arguments
      .add_option(
          "--x", options->x,
          "What a curve runs over: bits, or a number among the attacks' options; epsilon_image unless given")
      .type_name("OPTION");
  arguments
      .add_option("--format", options->format,
                  "What is written; pgf is for LaTeX; by the end of --output unless given, else svg")
      .one_of(results::picture_format_names())
      .type_name("FORMAT");
  arguments
      .add_option("--output", options->output, "The picture's file; plots/ of the work folder unless given")
      .type_name("FILE");
  arguments.add_flag("--allow-missing", options->allow_missing, "Exit with 0 though numbers are missing");
  arguments.add_option("--where", options->where, "Sheets: which cells, e.g. 'defense=drfgd and seed=1'")
      .type_name("CONDITION");
  arguments
      .add_option("--rows", options->rows, "Retrieval: queries to show, as rows of the data set, e.g. 3,8")
      .delimiter(',');
  arguments.add_option("--n", options->n_queries, "Retrieval: queries drawn by the cell's seed (default 4)")
      .number_between(1, 64);
  options->folder.add_to(arguments);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb plot_verb;
constinit const Verb plot_verb{
    .name = "plot",
    .summary = "Draw results: precision-recall curves, bars, heat maps, budgets, losses, what attacks did",
    .examples =
        "  gauntlet plot pr results/tables/quickstart.yaml\n"
        "  gauntlet plot bars results/tables/quickstart.yaml --output map.pdf\n"
        "  gauntlet plot heatmap results/tables/quickstart.yaml --format png\n"
        "  gauntlet plot pr results/plots/paper_fig2.yaml --output fig2.tex\n"
        "  gauntlet plot curve results/tables/quickstart.yaml --x steps\n"
        "  gauntlet plot loss 1f0c9a 77be21\n"
        "  gauntlet plot throughput quickstart\n"
        "  gauntlet plot heatmap sweeps/explain.yaml --where 'defense=drfgd' --format png\n"
        "  gauntlet plot retrieval explain --where 'defense=drfgd and direction=i2t' --rows 3,8\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
