// What clients ask about allocations, and what the rest of the hub tells about them.
#include "coordinator/engine/demand.hpp"
#include "coordinator/net/alloc_desk.hpp"
#include "coordinator/net/hub.hpp"

namespace gauntlet::coordinator {
namespace {

namespace asio = boost::asio;
using proto::Frame;

/// An agent says by this label which allocation started it.
constexpr const char* kLabel = "alloc";

const std::string* label_of(const engine::WorkerOffer& offer) {
  const auto found = offer.labels.find(kLabel);
  return found == offer.labels.end() ? nullptr : &found->second;
}

alloc::NodeOffer node_of(const engine::WorkerOffer& offer) {
  return {.cpus = offer.cpus,
          .gpus = offer.gpus,
          .memory_mb = offer.memory_mb,
          .has_torch = offer.has_torch,
          .labels = offer.labels};
}

}  // namespace

Hub::~Hub() = default;

void Hub::open_alloc_desk(asio::io_context& io, AllocOptions options, const alloc::Rows& rows) {
  desk_ = std::make_unique<AllocDesk>(
      io, std::move(options), clock_, queue_, rows, log_,
      [this](alloc::AllocationId allocation) { drain_allocation(allocation); }, on_fatal_);
}

void Hub::tick() {
  settle(engine::on_tick(state_, now()));
  if (desk_ != nullptr && desk_->is_due()) desk_->tick(allocation_view());
}

alloc::View Hub::allocation_view() const {
  alloc::View view;
  std::error_code error;
  view.has_torch = std::filesystem::exists(desk_->program().parent_path() / "gauntlet-rank", error);
  for (const engine::ReadyJobs& ready : engine::ready_jobs(state_)) {
    const engine::Shape& shape = state_.shape(ready.shape);
    const engine::MeanTime& time = state_.times()[static_cast<std::size_t>(shape.job.kind)];
    spec::Resources asked = shape.job.resources;
    asked.time_s = shape.needs_s();
    view.demand.push_back({.resources = std::move(asked),
                           .needs_torch = shape.needs_torch,
                           .n_jobs = static_cast<double>(ready.n_jobs),
                           .mean_s = time.n == 0 ? -1 : time.total_s / static_cast<double>(time.n)});
  }
  for (const auto& [id, worker] : state_.workers()) {
    const std::string* label = label_of(worker.offer);
    const alloc::AllocationId allocation =
        label == nullptr ? alloc::AllocationId{} : desk_->allocation_of(*label);
    if (!allocation) continue;
    alloc::Agents& agents = view.agents[allocation];
    ++agents.n_workers;
    agents.n_leases += worker.leases.size();
    agents.offer = node_of(worker.offer);
  }
  return view;
}

void Hub::drain_allocation(alloc::AllocationId allocation) {
  std::vector<WorkerId> leaving;
  for (const auto& [id, worker] : state_.workers()) {
    const std::string* label = label_of(worker.offer);
    if (label != nullptr && desk_->allocation_of(*label) == allocation) leaving.push_back(id);
  }
  for (const WorkerId id : leaving) settle(engine::on_drain(state_, now(), id));
}

void Hub::note_agent(const engine::WorkerOffer& offer) {
  if (const std::string* label = label_of(offer); label != nullptr && desk_ != nullptr) desk_->came(*label);
}

asio::awaitable<Status> Hub::on_alloc(SessionPtr session, Ask ask) {
  Frame frame;
  frame.set_id(ask.id());
  if (ask.has_alloc_add_request()) {
    proto::AllocSpec spec = std::move(*ask.mutable_alloc_add_request()->mutable_spec());
    Result<proto::AllocAddReply> reply = co_await desk_->add(std::move(spec));
    if (!reply) co_return fail(reply.error());
    *frame.mutable_alloc_add_reply() = std::move(*reply);
  } else if (ask.has_alloc_list_request()) {
    Result<proto::AllocListReply> reply =
        desk_->list(alloc::QueueId{ask.alloc_list_request().queue_id()}, allocation_view());
    if (!reply) co_return fail(reply.error());
    *frame.mutable_alloc_list_reply() = std::move(*reply);
  } else if (ask.has_alloc_remove_request()) {
    const Result<std::uint64_t> n_given_back =
        co_await desk_->remove(alloc::QueueId{ask.alloc_remove_request().queue_id()});
    if (!n_given_back) co_return fail(n_given_back.error());
    frame.mutable_change_reply()->set_n_jobs(*n_given_back);
  } else {
    const Status resumed = co_await desk_->resume(alloc::QueueId{ask.alloc_resume_request().queue_id()});
    if (!resumed) co_return fail(resumed.error());
    frame.mutable_accepted();
  }
  session->send(frame);
  co_return Status{};
}

}  // namespace gauntlet::coordinator
