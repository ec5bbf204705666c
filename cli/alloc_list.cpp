// gauntlet alloc list: queues of allocations and what became of them.
#include "cli/support/alloc_text.hpp"
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/verb.hpp"

namespace gauntlet::cli {
namespace {

struct Options {
  ConnectOptions connect;
  bool json = false;
};

Result<int> run(const Options& options) {
  GAUNTLET_TRY(client::Client client, options.connect.connect());
  GAUNTLET_TRY(const proto::AllocListReply reply, request_allocations(client, 0));
  if (options.json) {
    GAUNTLET_CHECK_OK(print_json(allocations_json(reply)));
    return 0;
  }
  std::string text;
  for (const proto::AllocQueue& queue : reply.queues()) {
    text += line_of(queue) + "\n";
    for (const proto::Allocation& allocation : queue.allocations()) text += line_of(allocation) + "\n";
  }
  if (text.empty()) note("gauntlet: no allocations are asked for; `gauntlet alloc slurm add` adds some\n");
  GAUNTLET_CHECK_OK(print(text));
  return 0;
}

Action declare(Arguments& arguments) {
  const auto options = std::make_shared<Options>();
  options->connect.add_to(arguments);
  add_json(arguments, options->json);
  return [options] { return run(*options); };
}

}  // namespace

extern const Verb alloc_list_verb;
constinit const Verb alloc_list_verb{
    .name = "alloc list",
    .summary = "Queues of allocations, their allocations, and the last ones that ended",
    .examples = "  gauntlet alloc list\n  gauntlet alloc list --json\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
