// gauntlet query: questions to the database, which cannot change it.
#include "results/query/query.hpp"

#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  std::string sql;
  std::string where;
  std::string format = "table";
  double time_limit_s = 60;
  std::uint64_t limit = 0;
  std::uint64_t offset = 0;
  FolderOptions folder;
  bool json = false;
};

Result<int> run(const Options& options) {
  if (options.sql.empty() == options.where.empty()) {
    return fail(ErrorCode::kInvalid, "'gauntlet query' takes either one SELECT or --where CONDITION");
  }
  results::QueryOptions query;
  GAUNTLET_TRY(query.format, results::output_format_from(options.json ? "json" : options.format));
  query.time_limit_s = options.time_limit_s;
  query.limit = options.limit;
  query.offset = options.offset;
  const std::filesystem::path database = options.folder.database_path();
  results::QueryEnd end;
  GAUNTLET_TRY(const std::string text, options.where.empty()
                                           ? results::run_query(database, options.sql, query, &end)
                                           : results::run_where(database, options.where, query, &end));
  GAUNTLET_CHECK_OK(print(text));
  if (end.more) note(fmt::format("more rows follow: --offset {}\n", query.offset + end.n_rows));
  return 0;
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  arguments.add_option("sql", options->sql,
                       "One SELECT over v_results, v_jobs, v_attempts, v_curves, v_cells, v_missing");
  arguments
      .add_option("--where", options->where,
                  "Rows of v_results that match, e.g. \"defense=drfgd and bits=32\"")
      .type_name("CONDITION");
  arguments.add_option("--format", options->format, "What is written")
      .one_of(results::output_format_names())
      .type_name("FORMAT");
  arguments
      .add_option("--time-limit", options->time_limit_s,
                  "Seconds before it is given up (default 60; 0 = none)")
      .number_between(0, 1e9);
  arguments
      .add_option("--limit", options->limit, "Rows shown at most; what follows is said on stderr (0 = all)")
      .type_name("N");
  arguments.add_option("--offset", options->offset, "Rows left out at the beginning, for the next page")
      .type_name("N");
  options->folder.add_to(arguments);
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb query_verb;
constinit const Verb query_verb{
    .name = "query",
    .summary = "Ask the database in SQL, read-only",
    .examples =
        "  gauntlet query --where \"defense=drfgd and metric=map\"\n"
        "  gauntlet query \"SELECT defense, avg(value) FROM v_results WHERE metric='map' GROUP BY 1\"\n"
        "  gauntlet query \"SELECT * FROM v_missing\" --format csv\n"
        "  gauntlet query --where \"sweep=quickstart\" --limit 100 --offset 200 --json\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
