// gauntlet plan: cells and jobs of a sweep, what is done, what the rest needs, why a job is new.
#include "core/spec/plan.hpp"

#include "cli/support/known_jobs.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/support/sweep_file.hpp"
#include "cli/verb.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  std::string spec;
  std::string old_spec;
  FolderOptions folder;
  bool json = false;
};

Result<int> show_difference(const Options& options, const LoadedSweep& sweep) {
  GAUNTLET_TRY(const LoadedSweep old_sweep, load_sweep(options.old_spec));
  const spec::ExpansionDiff difference = spec::diff(old_sweep.expansion, sweep.expansion);
  if (options.json) {
    GAUNTLET_CHECK_OK(print_json(spec::diff_json(difference, old_sweep.expansion, sweep.expansion)));
  } else {
    GAUNTLET_CHECK_OK(print(spec::diff_text(difference, old_sweep.expansion, sweep.expansion)));
  }
  return 0;
}

Result<int> run(const Options& options) {
  GAUNTLET_TRY(const LoadedSweep sweep, load_sweep(options.spec));
  if (!options.old_spec.empty()) return show_difference(options, sweep);
  GAUNTLET_TRY(KnownJobs known, KnownJobs::open(options.folder.database_path()));
  const spec::Plan plan = spec::make_plan(sweep.expansion, known.sources());
  if (options.json) {
    Json document = spec::to_json(plan);
    document["sweep"] = sweep.spec.name;
    GAUNTLET_CHECK_OK(print_json(document));
  } else {
    GAUNTLET_CHECK_OK(print(spec::to_text(plan)));
  }
  return 0;
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  arguments.add_option("spec", options->spec, "Sweep file").required().type_name("SPEC");
  arguments.add_option("--diff", options->old_spec, "Show what changed since another sweep file")
      .type_name("OLD");
  options->folder.add_to(arguments);
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb plan_verb;
constinit const Verb plan_verb{
    .name = "plan",
    .summary = "Cells and jobs of a sweep, how many are done, what the rest needs",
    .examples =
        "  gauntlet plan sweeps/quickstart.yaml\n"
        "  gauntlet plan sweeps/quickstart.yaml --json\n"
        "  gauntlet plan new.yaml --diff old.yaml    cells and jobs that only one of them has\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
