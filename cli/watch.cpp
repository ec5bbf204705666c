// gauntlet watch: a sweep's progress until it is over.
#include "cli/support/interrupt.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/support/sweep_wait.hpp"
#include "cli/verb.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  std::string sweep;
  ConnectOptions connect;
};

Result<int> run(const Options& options) {
  GAUNTLET_TRY(client::Client client, options.connect.connect());
  GAUNTLET_TRY(const std::uint64_t sweep_id, resolve_sweep(client, options.sweep));
  catch_interrupts();
  ProgressView view(can_animate(), Milliseconds(2000));
  GAUNTLET_TRY(const proto::StatusReply status, wait_for_sweep(client, sweep_id, std::nullopt, view));
  GAUNTLET_TRY(const proto::SweepStatus sweep, sweep_in(status, sweep_id));
  GAUNTLET_CHECK_OK(verdict_of(sweep));
  return 0;
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  arguments.add_option("sweep", options->sweep, "Name or number of a sweep").required();
  options->connect.add_to(arguments);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb watch_verb;
constinit const Verb watch_verb{
    .name = "watch",
    .summary = "Show a sweep's progress until it is over",
    .examples = "  gauntlet watch quickstart\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
