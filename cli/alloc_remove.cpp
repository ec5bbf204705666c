// gauntlet alloc remove: ask for no more allocations, and cancel those there are.
#include "cli/support/options.hpp"
#include "cli/support/output.hpp"
#include "cli/support/queue_verb.hpp"
#include "cli/verb.hpp"
#include "core/base/text.hpp"

namespace gauntlet::cli {
namespace {

Status remove(client::Client& client, std::uint64_t queue) {
  proto::Frame request;
  request.mutable_alloc_remove_request()->set_queue_id(queue);
  GAUNTLET_TRY(const std::uint64_t n_given_back, request_change(client, std::move(request)));
  note(n_given_back == 0 ? fmt::format("gauntlet: queue {} is gone\n", queue)
                         : fmt::format("gauntlet: {} given back; queue {} is gone once they have ended\n",
                                       count_of(n_given_back, "allocation"), queue));
  return {};
}

Action declare(Arguments& arguments) { return declare_queue_verb(arguments, &remove); }

}  // namespace

extern const Verb alloc_remove_verb;
constinit const Verb alloc_remove_verb{
    .name = "alloc remove",
    .summary = "Ask for no more allocations of a queue, and give back those there are",
    .examples = "  gauntlet alloc remove 1\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
