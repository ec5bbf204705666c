// gauntlet status: sweeps, running jobs, failures, workers.
#include "cli/support/status_text.hpp"
#include "core/proto/json.hpp"

#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  std::string sweep;
  ConnectOptions connect;
  bool json = false;
};

Result<int> run(const Options& options) {
  GAUNTLET_TRY(client::Client client, options.connect.connect());
  GAUNTLET_TRY(const std::uint64_t sweep_id, resolve_sweep(client, options.sweep));
  GAUNTLET_TRY(const proto::StatusReply status, request_status(client, sweep_id));
  GAUNTLET_CHECK_OK(options.json ? print_json(proto::status_json(status)) : print(status_text(status)));
  return 0;
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  arguments.add_option("sweep", options->sweep, "Name or number of a sweep (default: all)");
  options->connect.add_to(arguments);
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb status_verb;
constinit const Verb status_verb{
    .name = "status",
    .summary = "Sweeps, running jobs, failures and workers of a coordinator",
    .examples = "  gauntlet status\n  gauntlet status quickstart --json\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
