// gauntlet alloc explain: why a queue asks for allocations or does not.
#include "cli/support/alloc_text.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  std::uint64_t queue = 0;
  ConnectOptions connect;
  bool json = false;
};

Result<int> run(const Options& options) {
  GAUNTLET_TRY(client::Client client, options.connect.connect());
  GAUNTLET_TRY(const proto::AllocListReply reply, request_allocations(client, options.queue));
  if (options.json) {
    GAUNTLET_CHECK_OK(print_json(allocations_json(reply)));
    return 0;
  }
  std::string text;
  for (const proto::AllocQueue& queue : reply.queues()) {
    text += line_of(queue) + "\n";
    for (const std::string& reason : queue.reasons()) text += fmt::format("  {}\n", reason);
  }
  GAUNTLET_CHECK_OK(print(text));
  return 0;
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  arguments.add_option("queue", options->queue,
                       "Number of a queue, as `gauntlet alloc list` says (default: all)");
  options->connect.add_to(arguments);
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb alloc_explain_verb;
constinit const Verb alloc_explain_verb{
    .name = "alloc explain",
    .summary = "Why allocations are asked for, wait, or are not asked for",
    .examples = "  gauntlet alloc explain\n  gauntlet alloc explain 1\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
