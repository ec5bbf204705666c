// gauntlet bench data: whether reading training batches keeps up with training.
#include <algorithm>
#include <thread>

#include "cli/support/bench_rank.hpp"
#include "cli/support/bench_report.hpp"
#include "cli/support/bench_served.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  FolderOptions folder;
  int threads = 0;
  bool quick = false;
  bool json = false;
};

Result<int> run(const Options& options) {
  const int n_threads = options.threads > 0
                            ? options.threads
                            : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  GAUNTLET_TRY(const ScratchFolder scratch, ScratchFolder::make(options.folder.workdir));
  std::vector<std::string> arguments = {"--bench-data", scratch.path().string(),
                                        fmt::format("{}", n_threads)};
  if (options.quick) arguments.emplace_back("--quick");
  GAUNTLET_TRY(const Json figures, figures_of_rank(arguments));
  return report_figures("data", options.folder.workdir, figures, options.json);
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  options->folder.add_to(arguments);
  arguments.add_option("--threads", options->threads, "Threads of the loops (default: all processors)")
      .number_between(1, 1024);
  arguments.add_flag("--quick", options->quick, "A fifth of the time per figure");
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb bench_data_verb;
constinit const Verb bench_data_verb{
    .name = "bench data",
    .summary = "Measure reading of 224 px pictures beside the loops that take them",
    .examples = "  gauntlet bench data\n  gauntlet bench data --quick --json\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
