#include "cli/support/queue_verb.hpp"

#include "cli/support/options.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  std::uint64_t queue = 0;
  ConnectOptions connect;
};

}  // namespace

Action declare_queue_verb(Arguments& arguments, Status (*act)(client::Client& client, std::uint64_t queue)) {
  const auto options = std::make_shared<Options>();
  arguments.add_option("queue", options->queue, "Number of the queue, as `gauntlet alloc list` says")
      .required();
  options->connect.add_to(arguments);
  return [options, act]() -> Result<int> {
    GAUNTLET_TRY(client::Client client, options->connect.connect());
    GAUNTLET_CHECK_OK(act(client, options->queue));
    return 0;
  };
}

}  // namespace gauntlet::cli
