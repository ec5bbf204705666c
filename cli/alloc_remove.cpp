// gauntlet alloc remove: ask for no more allocations, and cancel those there are.
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"
#include "core/base/text.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  std::uint64_t queue = 0;
  ConnectOptions connect;
};

Result<int> run(const Options& options) {
  GAUNTLET_TRY(client::Client client, options.connect.connect());
  proto::Frame request;
  request.mutable_alloc_remove_request()->set_queue_id(options.queue);
  GAUNTLET_TRY(const std::uint64_t n_given_back, request_change(client, std::move(request)));
  note(n_given_back == 0 ? fmt::format("gauntlet: queue {} is gone\n", options.queue)
                         : fmt::format("gauntlet: {} given back; queue {} is gone once they have ended\n",
                                       count_of(n_given_back, "allocation"), options.queue));
  return 0;
}

Action declare(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("queue", options->queue, "Number of the queue, as `gauntlet alloc list` says")->required();
  options->connect.add_to(app);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb alloc_remove_verb;
constinit const Verb alloc_remove_verb{
    .name = "alloc remove",
    .summary = "Ask for no more allocations of a queue, and give back those there are",
    .examples = "  gauntlet alloc remove 1\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
