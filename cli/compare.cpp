// gauntlet compare: two runs side by side.
#include "results/compare/compare.hpp"

#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"

namespace gauntlet::cli {
namespace {

constexpr std::size_t kShown = 40;

struct Options {
  std::string a;
  std::string b;
  std::string where;
  std::vector<std::string> metrics;
  std::size_t limit = kShown;
  FolderOptions folder;
  bool json = false;
};

Result<int> run(const Options& options) {
  const results::SideOptions wanted{
      .database = options.folder.database_path(), .metrics = options.metrics, .where = options.where};
  GAUNTLET_TRY(const results::Side a, results::open_side(options.a, wanted));
  GAUNTLET_TRY(const results::Side b, results::open_side(options.b, wanted));
  if (a.connection == nullptr && b.connection == nullptr) {
    return fail(ErrorCode::kInvalid, "'{}' and '{}' are both reference files; one side has to be measured",
                options.a, options.b);
  }
  GAUNTLET_TRY(const results::Comparison comparison, results::compare(a, b));
  GAUNTLET_CHECK_OK(options.json ? print_json(results::to_json(comparison))
                                 : print(results::text_of(comparison, options.limit)));
  return 0;
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  const char* side =
      "A sweep (name or number), SWEEP@REVISION or @REVISION (numbers of that code), a database FILE.db or "
      "FILE.db:SWEEP, or a reference FILE.csv (columns: axes, metric, value or value_percent)";
  arguments.add_option("a", options->a, side).required().type_name("A");
  arguments.add_option("b", options->b, "The other side, likewise").required().type_name("B");
  arguments
      .add_option("--where", options->where, "Only cells that match, e.g. \"dataset=mscoco and bits=32\"")
      .type_name("CONDITION");
  arguments
      .add_option("--metric", options->metrics,
                  "Only this metric; may be given more than once (default: those "
                  "that the cells must have)")
      .type_name("NAME")
      .one_at_a_time();
  arguments
      .add_option("--limit", options->limit,
                  "Numbers shown at most, the largest differences first (default 40; "
                  "0 = all); --json has all")
      .type_name("N");
  options->folder.add_to(arguments);
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb compare_verb;
constinit const Verb compare_verb{
    .name = "compare",
    .summary = "Compare two sweeps, revisions, databases, or ours with a reference file, cell by cell",
    .examples =
        "  gauntlet compare baseline new-loss\n"
        "  gauntlet compare paper-table2 results/reference/drfgd-paper.csv --where \"protocol in (none, "
        "static)\"\n"
        "  gauntlet compare ours.db:paper-table2 theirs.db:paper-table2 --metric map --json\n"
        "  gauntlet compare quickstart@3f9c2ab quickstart@81d0e57\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
