// gauntlet alloc resume: a paused queue goes on.
#include "cli/support/options.hpp"
#include "cli/verb.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  std::uint64_t queue = 0;
  ConnectOptions connect;
};

Result<int> run(const Options& options) {
  GAUNTLET_TRY(client::Client client, options.connect.connect());
  proto::Frame request;
  request.mutable_alloc_resume_request()->set_queue_id(options.queue);
  GAUNTLET_CHECK_OK(client.request(std::move(request)));
  return 0;
}

Action declare(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("queue", options->queue, "Number of the queue, as `gauntlet alloc list` says")->required();
  options->connect.add_to(app);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb alloc_resume_verb;
constinit const Verb alloc_resume_verb{
    .name = "alloc resume",
    .summary = "Let a paused queue of allocations go on",
    .examples = "  gauntlet alloc resume 1\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
