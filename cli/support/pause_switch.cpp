#include "cli/support/pause_switch.hpp"

#include "cli/support/options.hpp"
#include "cli/support/output.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  std::string sweep;
  ConnectOptions connect;
};

Result<int> run(const Options& options, bool paused) {
  GAUNTLET_TRY(client::Client client, options.connect.connect());
  proto::Frame request;
  GAUNTLET_TRY(const std::uint64_t sweep_id, resolve_sweep(client, options.sweep));
  request.mutable_pause_request()->set_sweep_id(sweep_id);
  request.mutable_pause_request()->set_paused(paused);
  GAUNTLET_CHECK_OK(request_change(client, std::move(request)));
  GAUNTLET_CHECK_OK(print(fmt::format("{} {}\n", paused ? "paused" : "resumed", options.sweep)));
  return 0;
}

}  // namespace

Action declare_pause_switch(Arguments& arguments, bool paused) {
  const auto options = std::make_shared<Options>();
  arguments.add_option("sweep", options->sweep, "Name or number of a sweep").required();
  options->connect.add_to(arguments);
  return [options, paused] { return run(*options, paused); };
}

}  // namespace gauntlet::cli
