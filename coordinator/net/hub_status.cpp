// What clients ask to know: status and explain. Counts come from memory, texts from the store.
#include <algorithm>
#include <unordered_set>

#include "coordinator/engine/explain.hpp"
#include "coordinator/net/hub.hpp"
#include "coordinator/net/newest_sweeps.hpp"
#include "core/base/clipped.hpp"
#include "core/proto/convert.hpp"

namespace gauntlet::coordinator {
namespace {

namespace asio = boost::asio;
using proto::Frame;

constexpr std::size_t kMaxRunning = 256;
constexpr std::size_t kMaxFailed = 100;
constexpr std::size_t kMaxTitleBytes = 1000;
constexpr std::size_t kMaxMessageBytes = 16000;
/// Of all sweeps, so that with everything else that is told the reply fits a frame.
constexpr std::size_t kMaxSweepBytes = proto::kMaxFrameBytes / 2;

/// Texts of running, failed and cancelled jobs, read together.
struct Details {
  std::vector<store::JobDetail> running;
  std::vector<store::JobDetail> failed;
  std::vector<store::CancelledJobs> cancelled;
};

Result<Details> read_details(store::JobStore& store, const std::vector<JobId>& running, SweepId sweep,
                             bool any_failed, bool any_cancelled) {
  Details details;
  GAUNTLET_TRY(details.running, store.details(running));
  if (any_cancelled) {
    GAUNTLET_TRY(details.cancelled, store.cancelled(sweep));
  }
  if (!any_failed) return details;
  store::Selection selection;
  selection.sweep = sweep;
  selection.states = {engine::JobStateTag::kFailed};
  GAUNTLET_TRY(std::vector<JobId> failed, store.select(selection));
  if (failed.size() > kMaxFailed) failed.resize(kMaxFailed);
  GAUNTLET_TRY(details.failed, store.details(failed));
  return details;
}

std::uint64_t count_blocked(const engine::State& state, JobId culprit) {
  std::vector<JobId> frontier{culprit};
  std::unordered_set<JobId> blocked;
  while (!frontier.empty()) {
    const JobId from = frontier.back();
    frontier.pop_back();
    for (const JobId id : state.dependants(from)) {
      const auto* mine = std::get_if<engine::Blocked>(&state.job(id).state);
      if (mine != nullptr && blocked.insert(id).second) frontier.push_back(id);
    }
  }
  return blocked.size();
}

std::string label_of(const store::JobDetail& detail) {
  return fmt::format("{} ({})", clipped(detail.title, kMaxTitleBytes), detail.key.brief());
}

}  // namespace

// ---------------------------------------------------------------- status

void Hub::add_sweep_status(const engine::Sweep& sweep, proto::StatusReply& reply) const {
  proto::SweepStatus& status = *reply.add_sweeps();
  status.set_sweep_id(sweep.row.id.value);
  status.set_name(sweep.row.name);
  status.set_paused(sweep.row.paused);
  status.set_priority(sweep.row.priority);
  status.set_reused(sweep.row.reused);
  status.set_submitted_ms(sweep.row.submitted_ms);
  status.set_eta_s(engine::eta_s(state_, sweep));
  for (std::size_t tag = 0; tag < engine::kJobStateCount; ++tag) {
    if (sweep.counts[tag] == 0) continue;
    (*status.mutable_jobs())[std::string(engine::name_of(static_cast<engine::JobStateTag>(tag)))] =
        sweep.counts[tag];
  }
}

void Hub::add_worker_status(proto::StatusReply& reply) const {
  const SteadyTime moment = clock_.now();
  for (const auto& [id, worker] : state_.workers()) {
    proto::WorkerStatus& status = *reply.add_workers();
    status.set_worker_id(id.value);
    status.set_name(worker.offer.name);
    status.set_cpus(worker.offer.cpus);
    status.set_gpus(worker.offer.gpus);
    status.set_running(worker.leases.size());
    status.set_memory_mb(worker.offer.memory_mb);
    status.mutable_labels()->insert(worker.offer.labels.begin(), worker.offer.labels.end());
    if (worker.offer.ends != SteadyTime::max()) {
      const auto left = std::chrono::duration_cast<std::chrono::seconds>(worker.offer.ends - moment);
      status.set_remaining_s(std::max<std::int64_t>(1, left.count()));
    }
    status.set_draining(worker.draining);
    status.set_quarantine(worker.quarantine);
    engine::for_each_device(worker.bad_gpus,
                            [&](std::uint32_t device) { status.add_quarantined_gpus(device); });
    status.set_last_heard_ms_ago(
        std::chrono::duration_cast<std::chrono::milliseconds>(moment - worker.last_heard).count());
  }
}

std::vector<JobId> Hub::running_jobs(SweepId sweep) const {
  const std::uint32_t wanted = sweep ? state_.find_sweep(sweep) : engine::kNone;
  std::vector<JobId> running;
  for (const auto& [id, worker] : state_.workers()) {
    for (const JobId job : worker.leases) {
      if (running.size() >= kMaxRunning) return running;
      const std::vector<std::uint32_t> sweeps = state_.sweeps_of(job);
      if (!sweep || std::find(sweeps.begin(), sweeps.end(), wanted) != sweeps.end()) running.push_back(job);
    }
  }
  return running;
}

void Hub::add_running(const store::JobDetail& detail, proto::StatusReply& reply) const {
  const engine::Job& job = state_.job(detail.job);
  const auto* lease = std::get_if<engine::Leased>(&job.state);
  if (lease == nullptr) return;  // ended while the texts were read
  const engine::Worker* worker = state_.find_worker(lease->worker);
  proto::RunningJob& running = *reply.add_running();
  running.set_key(proto::key_bytes(detail.key));
  running.set_kind(std::string(spec::name_of(detail.kind)));
  running.set_title(clipped(detail.title, kMaxTitleBytes));
  running.set_attempt(job.attempts);
  running.set_worker(worker == nullptr ? "" : worker->offer.name);
  const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(clock_.now() - lease->started);
  running.set_started_ms(clock_.wall_ms() - age.count());
  const auto session = workers_.find(lease->worker);
  if (session == workers_.end()) return;
  const auto progress = session->second->progress.find(lease->lease.value);
  if (progress != session->second->progress.end()) *running.mutable_progress() = progress->second;
}

void Hub::add_failed(const store::JobDetail& detail, proto::StatusReply& reply) const {
  proto::FailedJob& failed = *reply.add_failed();
  failed.set_key(proto::key_bytes(detail.key));
  failed.set_kind(std::string(spec::name_of(detail.kind)));
  failed.set_title(clipped(detail.title, kMaxTitleBytes));
  failed.set_code(static_cast<std::uint32_t>(detail.code));
  failed.set_message(clipped(detail.message, kMaxMessageBytes));
  failed.set_log(detail.log);
  failed.set_blocks(count_blocked(state_, detail.job));
}

asio::awaitable<Result<proto::StatusReply>> Hub::tell_status(SweepId sweep) {
  const std::uint32_t wanted = state_.find_sweep(sweep);
  if (sweep && wanted == engine::kNone)
    co_return fail(ErrorCode::kNotFound, "there is no sweep {}", sweep.value);
  // What is told is on disk: the states of this moment, and the store's answer behind all that made them.
  proto::StatusReply reply;
  for (std::uint32_t index = 0; index < state_.sweeps().size(); ++index) {
    if (!sweep || index == wanted) add_sweep_status(state_.sweeps()[index], reply);
  }
  keep_newest(*reply.mutable_sweeps(), kMaxSweepBytes);
  const engine::StateCounts& counts = sweep ? state_.sweeps()[wanted].counts : state_.counts();
  const bool any_failed = counts[static_cast<std::size_t>(engine::JobStateTag::kFailed)] > 0;
  const bool any_cancelled = counts[static_cast<std::size_t>(engine::JobStateTag::kCancelled)] > 0;
  CommitQueue::Work<Result<Details>> work = [running = running_jobs(sweep), sweep, any_failed,
                                             any_cancelled](store::JobStore& store) {
    return read_details(store, running, sweep, any_failed, any_cancelled);
  };
  const Result<Details> details = co_await queue_.asked(std::move(work));
  if (!details) co_return fail(details.error());
  for (const store::JobDetail& detail : details->running) add_running(detail, reply);
  for (const store::JobDetail& detail : details->failed) add_failed(detail, reply);
  for (const store::CancelledJobs& group : details->cancelled) {
    proto::CancelledJobs& message = *reply.add_cancelled();
    message.set_message(group.message);
    message.set_n_jobs(group.n_jobs);
  }
  add_worker_status(reply);
  co_return reply;
}

asio::awaitable<Status> Hub::on_status(SessionPtr session, Ask ask) {
  Result<proto::StatusReply> reply = co_await tell_status(SweepId{ask.status_request().sweep_id()});
  if (!reply) co_return fail(reply.error());
  Frame frame;
  frame.set_id(ask.id());
  *frame.mutable_status_reply() = std::move(*reply);
  session->send(frame);
  co_return Status{};
}

// ---------------------------------------------------------------- explain

asio::awaitable<Result<proto::ExplainReply>> Hub::tell_explain(std::string key_prefix) {
  CommitQueue::Work<Result<store::JobDetail>> search =
      [prefix = std::move(key_prefix)](store::JobStore& store) { return store.find_one(prefix); };
  const Result<store::JobDetail> found = co_await queue_.asked(std::move(search));
  if (!found) co_return fail(found.error());
  if (!state_.has_job(found->job))
    co_return fail(ErrorCode::kNotFound, "job {} is not loaded yet", found->key.brief());
  CommitQueue::Work<Result<std::vector<store::JobDetail>>> read =
      [mentioned = engine::mentioned_jobs(state_, found->job)](store::JobStore& store) {
        return store.details(mentioned);
      };
  const Result<std::vector<store::JobDetail>> texts = co_await queue_.asked(std::move(read));
  if (!texts) co_return fail(texts.error());
  const auto name_of_job = [&](JobId id) {
    const auto text =
        std::find_if(texts->begin(), texts->end(), [&](const auto& detail) { return detail.job == id; });
    return text == texts->end() ? fmt::format("job {}", id.value) : label_of(*text);
  };
  proto::ExplainReply reply;
  reply.set_key(proto::key_bytes(found->key));
  reply.set_kind(std::string(spec::name_of(found->kind)));
  reply.set_title(clipped(found->title, kMaxTitleBytes));
  reply.set_state(std::string(engine::name_of(engine::tag_of(state_.job(found->job).state))));
  for (std::string& reason : engine::explain(state_, found->job, now(), name_of_job))
    reply.add_reasons(std::move(reason));
  if (!found->message.empty())
    reply.add_reasons(fmt::format("last message: {}", clipped(found->message, kMaxMessageBytes)));
  std::vector<engine::Transition> none;
  co_await queue_.committed(std::move(none));  // what is told is on disk
  co_return reply;
}

asio::awaitable<Status> Hub::on_explain(SessionPtr session, Ask ask) {
  std::string key_prefix = ask.explain_request().key_prefix();
  Result<proto::ExplainReply> reply = co_await tell_explain(std::move(key_prefix));
  if (!reply) co_return fail(reply.error());
  Frame frame;
  frame.set_id(ask.id());
  *frame.mutable_explain_reply() = std::move(*reply);
  session->send(frame);
  co_return Status{};
}

}  // namespace gauntlet::coordinator
