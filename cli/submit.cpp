// gauntlet submit: a sweep to a running coordinator.
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/support/submission.hpp"
#include "cli/verb.hpp"
#include "core/base/text.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  std::string spec;
  ConnectOptions connect;
  int priority = 0;
  bool json = false;
};

Result<int> run(const Options& options) {
  GAUNTLET_TRY(const LoadedSweep sweep, load_sweep(options.spec));
  GAUNTLET_TRY(client::Client client, options.connect.connect());
  GAUNTLET_TRY(const proto::SubmitReply reply, submit_sweep(client, sweep, options.priority));
  if (options.json) {
    GAUNTLET_CHECK_OK(print_json(Json{{"format", 1},
                                      {"sweep", sweep.spec.name},
                                      {"sweep_id", reply.sweep_id()},
                                      {"new_jobs", reply.new_jobs()},
                                      {"reused_jobs", reply.reused_jobs()},
                                      {"done_jobs", reply.done_jobs()},
                                      {"new_cells", reply.new_cells()}}));
    return 0;
  }
  GAUNTLET_CHECK_OK(
      print(fmt::format("sweep {} is number {}: {} ({} new), {} new, {} known ({} done)\n", sweep.spec.name,
                        reply.sweep_id(), count_of(sweep.expansion.cells.size(), "cell"), reply.new_cells(),
                        count_of(reply.new_jobs(), "job"), reply.reused_jobs(), reply.done_jobs())));
  return 0;
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  arguments.add_option("spec", options->spec, "Sweep file").required().type_name("SPEC");
  options->connect.add_to(arguments);
  arguments.add_option("--priority", options->priority, "Larger ones first");
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb submit_verb;
constinit const Verb submit_verb{
    .name = "submit",
    .summary = "Hand a sweep to a running coordinator",
    .examples =
        "  gauntlet submit sweeps/quickstart.yaml\n"
        "  gauntlet submit sweeps/quickstart.yaml --coordinator node1:7000 --priority 5\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
