// gauntlet resume: go on with a paused sweep.
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  std::string sweep;
  ConnectOptions connect;
};

Result<int> run(const Options& options) {
  GAUNTLET_TRY(client::Client client, options.connect.connect());
  proto::Frame request;
  GAUNTLET_TRY(const std::uint64_t sweep_id, resolve_sweep(client, options.sweep));
  request.mutable_pause_request()->set_sweep_id(sweep_id);
  request.mutable_pause_request()->set_paused(false);
  GAUNTLET_CHECK_OK(request_change(client, std::move(request)));
  GAUNTLET_CHECK_OK(print(fmt::format("resumed {}\n", options.sweep)));
  return 0;
}

Action declare(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("sweep", options->sweep, "Name or number of a sweep")->required();
  options->connect.add_to(app);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb resume_verb;
constinit const Verb resume_verb{
    .name = "resume",
    .summary = "Go on with a paused sweep",
    .examples = "  gauntlet resume quickstart\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
