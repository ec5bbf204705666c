// gauntlet alloc resume: a paused queue goes on.
#include "cli/support/queue_verb.hpp"
#include "cli/verb.hpp"

namespace gauntlet::cli {
namespace {

Status resume(client::Client& client, std::uint64_t queue) {
  proto::Frame request;
  request.mutable_alloc_resume_request()->set_queue_id(queue);
  GAUNTLET_CHECK_OK(client.request(std::move(request)));
  return {};
}

Action declare(Arguments& arguments) { return declare_queue_verb(arguments, &resume); }

}  // namespace

extern const Verb alloc_resume_verb;
constinit const Verb alloc_resume_verb{
    .name = "alloc resume",
    .summary = "Let a paused queue of allocations go on",
    .examples = "  gauntlet alloc resume 1\n",
    .declare = &declare,
};

}  // namespace gauntlet::cli
