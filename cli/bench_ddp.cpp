// gauntlet bench ddp: what a second rank brings a training loop, and how fast a warm rank starts a job.
#include "cli/support/bench_rank.hpp"
#include "cli/support/bench_report.hpp"
#include "cli/support/bench_served.hpp"
#include "cli/support/options.hpp"
#include "cli/support/warm_rank.hpp"
#include "cli/verb.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  FolderOptions folder;
  std::string loop;
  bool quick = false;
  bool json = false;
};

Result<int> run(const Options& options) {
  std::vector<std::string> arguments = {"--bench-ddp"};
  if (options.quick) arguments.emplace_back("--quick");
  if (!options.loop.empty()) arguments.insert(arguments.end(), {"--loop", options.loop});
  GAUNTLET_TRY(Json figures, figures_of_rank(arguments));
  GAUNTLET_TRY(const ScratchFolder scratch, ScratchFolder::make(options.folder.workdir));
  GAUNTLET_TRY(const Json starts, measure_warm_rank(scratch.path()));
  figures.update(starts);
  return report_figures("ddp", options.folder.workdir, figures, options.json);
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  options->folder.add_to(arguments);
  arguments.add_option("--loop", options->loop, "Only this training loop")
      .one_of({"cpah", "dadh", "daph", "dcmh", "drfgd"});
  arguments.add_flag("--quick", options->quick, "A third of the repetitions");
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb bench_ddp_verb;
constinit const Verb bench_ddp_verb{
    .name = "bench ddp",
    .summary = "Measure two ranks against one, and how fast a warm rank starts a job",
    .examples = "  gauntlet bench ddp\n  gauntlet bench ddp --quick --json\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
