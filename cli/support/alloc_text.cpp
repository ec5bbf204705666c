#include "cli/support/alloc_text.hpp"

#include "core/base/clock.hpp"
#include "core/base/text.hpp"

namespace gauntlet::cli {
namespace {

Json time_json(std::int64_t wall_ms) { return wall_ms == 0 ? Json() : Json(iso8601_utc(wall_ms)); }

Json spec_json(const proto::AllocSpec& spec) {
  return {{"system", spec.system()},
          {"partition", spec.partition()},
          {"time_s", spec.time_s()},
          {"nodes", spec.nodes()},
          {"cpus", spec.cpus()},
          {"gpus", spec.gpus()},
          {"memory_mb", spec.memory_mb()},
          {"max", spec.max()},
          {"idle_s", spec.idle_s()},
          {"min_work_s", spec.min_work_s()},
          {"extra", std::vector<std::string>(spec.extra().begin(), spec.extra().end())}};
}

Json allocation_json(const proto::Allocation& allocation) {
  return {{"allocation", allocation.allocation_id()},
          {"job", allocation.batch_id()},
          {"state", allocation.state()},
          {"message", allocation.message()},
          {"workers", allocation.workers()},
          {"running", allocation.running()},
          {"failed", allocation.failed()},
          {"asked_at", time_json(allocation.asked_ms())},
          {"started_at", time_json(allocation.started_ms())},
          {"ended_at", time_json(allocation.ended_ms())}};
}

}  // namespace

Result<proto::AllocListReply> request_allocations(client::Client& client, std::uint64_t queue) {
  proto::Frame request;
  request.mutable_alloc_list_request()->set_queue_id(queue);
  GAUNTLET_TRY(proto::Frame answer, client.request(std::move(request)));
  if (!answer.has_alloc_list_reply()) {
    return fail(ErrorCode::kInternal, "the coordinator answered with '{}'",
                proto::name_of(answer.body_case()));
  }
  return std::move(*answer.mutable_alloc_list_reply());
}

Json allocations_json(const proto::AllocListReply& reply) {
  Json queues = Json::array();
  for (const proto::AllocQueue& queue : reply.queues()) {
    Json allocations = Json::array();
    for (const proto::Allocation& allocation : queue.allocations())
      allocations.push_back(allocation_json(allocation));
    queues.push_back({{"queue", queue.queue_id()},
                      {"spec", spec_json(queue.spec())},
                      {"state", queue.state()},
                      {"reason", queue.reason()},
                      {"reasons", std::vector<std::string>(queue.reasons().begin(), queue.reasons().end())},
                      {"created_at", time_json(queue.created_ms())},
                      {"allocations", std::move(allocations)}});
  }
  return {{"format", 1}, {"queues", std::move(queues)}};
}

std::string line_of(const proto::AllocQueue& queue) {
  const proto::AllocSpec& spec = queue.spec();
  std::string text = fmt::format("queue {}: {}{}, {}, {}", queue.queue_id(), spec.system(),
                                 spec.partition().empty() ? "" : " " + spec.partition(),
                                 human_duration(static_cast<double>(spec.time_s())),
                                 count_of(static_cast<std::size_t>(spec.nodes()), "node"));
  if (spec.gpus() > 0) text += fmt::format(" of {}", count_of(static_cast<std::size_t>(spec.gpus()), "gpu"));
  std::int64_t n_live = 0;
  for (const proto::Allocation& allocation : queue.allocations())
    n_live += allocation.state() == "ended" ? 0 : 1;
  return text + fmt::format("; {} of at most {}; {}", n_live, spec.max(), queue.state());
}

std::string line_of(const proto::Allocation& allocation) {
  std::string text =
      fmt::format("{:>4}  {:<12} {:<8}", allocation.allocation_id(),
                  allocation.batch_id().empty() ? "-" : "job " + allocation.batch_id(), allocation.state());
  if (allocation.workers() > 0) {
    text += fmt::format(" {}, {}", count_of(allocation.workers(), "worker"),
                        count_of(allocation.running(), "job"));
  }
  if (!allocation.message().empty()) text += " " + allocation.message();
  return text;
}

}  // namespace gauntlet::cli
