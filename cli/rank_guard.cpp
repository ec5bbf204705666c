// gauntlet rank-guard: what mpirun and srun start for every rank of a gang.
#include "worker/launch/rank_guard.hpp"

#include "cli/verb.hpp"
#include "worker/agent/introduction.hpp"

namespace gauntlet::cli {
namespace {

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<worker::GuardOptions>();
  arguments.add_option("--launcher", options->launcher, "What started this process").required();
  arguments.add_option("--connect-host", options->host, "The worker's address").required();
  arguments.add_option("--connect-port", options->port, "The worker's port").required();
  arguments.add_option("--agent-node", options->node, "Tells the worker's machine from others").required();
  arguments.add_option("--program", options->executor.program, "The executor to start").required();
  return [options]() -> Result<int> {
    options->entries = worker::known_entries();
    return worker::run_rank_guard(*options);
  };
}

}  // namespace

extern const Verb rank_guard_verb;
constinit const Verb rank_guard_verb{
    .name = "rank-guard",
    .summary = "Run one rank of a gang for a worker elsewhere",
    .examples = "  mpirun -np 2 gauntlet rank-guard --launcher mpirun …\n",
    .declare = &declare,
    .hidden = true,
};

}  // namespace gauntlet::cli
