// gauntlet worker: this machine's agent.
#include "cli/support/logging.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "core/base/files.hpp"
#include "worker/agent/agent.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  ConnectOptions connect;
  worker::AgentOptions agent;
  double exit_without_coordinator_s = 0;
  LogOptions log;
};

Result<int> run(Options& options) {
  GAUNTLET_CHECK_OK(start_logging(options.log, "worker"));
  GAUNTLET_CHECK_OK(make_directories(options.connect.workdir));
  options.agent.workdir = options.connect.workdir;
  GAUNTLET_TRY(options.agent.trust, options.connect.trust());
  if (!options.connect.address.empty()) {
    GAUNTLET_TRY(const client::Endpoint endpoint, client::parse_endpoint(options.connect.address, ""));
    options.agent.host = endpoint.host;
    options.agent.port = endpoint.port;
  }
  if (options.exit_without_coordinator_s > 0) {
    options.agent.exit_with_coordinator_s = options.exit_without_coordinator_s;
  }
  return worker::run_agent(options.agent);
}

Action declare(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  options->connect.add_to(app);
  app.add_option("--name", options->agent.name, "What to call this worker (default: host name)");
  app.add_option("--cpus", options->agent.cpus, "Threads to offer (default: all processors)")
      ->check(number_between(1, 4096));
  app.add_option("--memory-mb", options->agent.memory_mb, "Memory to offer (default: all of it)")
      ->check(number_between(0.001, 1e9));
  app.add_option(
         "--checkpoint-minutes", options->agent.checkpoint_minutes,
         "Minutes between two checkpoints of a training, from which another attempt goes on; 0: after "
         "every epoch (default: 5)")
      ->check(number_between(0, 1e6));
  app.add_option("--exit-without-coordinator", options->exit_without_coordinator_s,
                 "Leave after so many seconds without a coordinator (default: never)")
      ->check(number_between(0.001, 1e9));
  app.add_option("--log-limit-mb", options->agent.log_limit_mb,
                 "What the log of one attempt may occupy; of a longer one the middle goes (default 64)")
      ->check(number_between(1, 1e6));
  app.add_option("--drain-grace", options->agent.drain_grace_s,
                 "Seconds that attempts get to end by themselves after SIGTERM or Ctrl-C (default 30)")
      ->check(number_between(0, 86400));
  options->log.add_to(app);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb worker_verb;
constinit const Verb worker_verb{
    .name = "worker",
    .summary = "Offer this machine to a coordinator",
    .examples =
        "  gauntlet worker --workdir /data/runs\n"
        "  gauntlet worker --workdir /data/runs --coordinator node1:7000 --cpus 16\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
