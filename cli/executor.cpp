// gauntlet executor: runs the jobs that need no torch; started by the worker agent.
#include "worker/executor/executor_loop.hpp"

#include "cli/verb.hpp"
#include "worker/executor/light_runner.hpp"

namespace gauntlet::cli {
namespace {

Action declare(Arguments& arguments) {
  const auto fd = std::make_shared<int>(-1);
  arguments.add_option("--fd", *fd, "Socket to the agent").required().non_negative();
  const auto board = std::make_shared<int>(-1);
  arguments.add_option("--board", *board, "Memory shared with the agent").non_negative();
  return [fd, board]() -> Result<int> {
    worker::LightRunner runner;
    return *board < 0 ? worker::run_executor(*fd, runner) : worker::run_executor({*fd, *board}, runner);
  };
}

}  // namespace

extern const Verb executor_verb;
constinit const Verb executor_verb{
    .name = "executor",
    .summary = "Run jobs told over a socket",
    .examples = "  gauntlet executor --fd 3\n",
    .declare = &declare,
    .hidden = true,
};

}  // namespace gauntlet::cli
