// gauntlet wait: for scripts; ends when the sweep is over.
#include "cli/support/interrupt.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/support/status_text.hpp"
#include "cli/support/sweep_wait.hpp"
#include "cli/verb.hpp"
#include "core/proto/json.hpp"

namespace gauntlet::cli {
namespace {

/// Between two lines where stderr is no terminal: scripts wait for hours and keep what is said.
constexpr Milliseconds kPlainInterval{60000};

struct Options {
  std::string sweep;
  ConnectOptions connect;
  double timeout_s = 0;
  bool json = false;
};

Result<int> run(const Options& options) {
  GAUNTLET_TRY(client::Client client, options.connect.connect());
  GAUNTLET_TRY(const std::uint64_t sweep_id, resolve_sweep(client, options.sweep));
  catch_interrupts();
  std::optional<Milliseconds> limit;
  if (options.timeout_s > 0) limit = Milliseconds(static_cast<std::int64_t>(options.timeout_s * 1000));
  ProgressView view(can_animate(), kPlainInterval);
  GAUNTLET_TRY(const proto::StatusReply status, wait_for_sweep(client, sweep_id, limit, view));
  if (options.json) GAUNTLET_CHECK_OK(print_json(proto::status_json(status)));
  GAUNTLET_TRY(const proto::SweepStatus sweep, sweep_in(status, sweep_id));
  GAUNTLET_CHECK_OK(verdict_of(sweep));
  return 0;
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  arguments.add_option("sweep", options->sweep, "Name or number of a sweep").required();
  arguments
      .add_option("--timeout", options->timeout_s,
                  "Give up after so many seconds, with exit code 8 (default: never)")
      .number_between(0.001, 1e9);
  options->connect.add_to(arguments);
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb wait_verb;
constinit const Verb wait_verb{
    .name = "wait",
    .summary = "Wait until a sweep is over; exit code 3 when jobs of it failed",
    .examples = "  gauntlet wait quickstart\n  gauntlet wait quickstart --timeout 3600 --json\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
