// What workers say.
#include <spdlog/logger.h>

#include <cmath>
#include <set>

#include "coordinator/net/hub.hpp"
#include "core/proto/convert.hpp"

namespace gauntlet::coordinator {
namespace {

namespace asio = boost::asio;

constexpr std::uint32_t kMaxCredit = 4096;
constexpr std::size_t kMaxNameBytes = 256;

constexpr std::int64_t kMaxRemainingS = std::int64_t{10} * 366 * 86400;

Status check_labels(const proto::WorkerJoin& join) {
  if (join.labels_size() > static_cast<int>(spec::kMaxLabels)) {
    return fail(ErrorCode::kInvalid, "worker {} has {} labels; at most {} are allowed", join.name(),
                join.labels_size(), spec::kMaxLabels);
  }
  for (const auto& [name, value] : join.labels()) {
    if (spec::is_label_word(name) && spec::is_label_word(value)) continue;
    return fail(ErrorCode::kInvalid,
                "worker {}: label '{}={}' is malformed; names and values are 1 to 64 letters, digits or ._-/",
                join.name(), name, value);
  }
  return {};
}

Result<engine::WorkerOffer> offer_from(const proto::WorkerJoin& join, SteadyTime now) {
  if (join.agent_id().empty()) return fail(ErrorCode::kInvalid, "a worker must say its agent_id");
  if (join.cpus() < 1)
    return fail(ErrorCode::kInvalid, "worker {} offers {} cpus; at least 1 is needed", join.name(),
                join.cpus());
  if (join.gpus_size() > 64) {
    return fail(ErrorCode::kInvalid, "worker {} offers {} gpus; at most 64 are allowed", join.name(),
                join.gpus_size());
  }
  if (join.credit() < 1 || join.credit() > kMaxCredit) {
    return fail(ErrorCode::kInvalid, "worker {} takes {} leases at once; allowed are 1 to {}", join.name(),
                join.credit(), kMaxCredit);
  }
  if (join.remaining_s() < 0 || join.remaining_s() > kMaxRemainingS) {
    return fail(ErrorCode::kInvalid, "worker {} has {} s left; allowed are 0 (no limit) to {}", join.name(),
                join.remaining_s(), kMaxRemainingS);
  }
  if (join.reach().size() > kMaxNameBytes || join.address().size() > kMaxNameBytes) {
    return fail(ErrorCode::kInvalid, "worker {}: reach and address may have at most {} bytes", join.name(),
                kMaxNameBytes);
  }
  GAUNTLET_CHECK_OK(check_labels(join));
  engine::WorkerOffer offer;
  offer.labels = {join.labels().begin(), join.labels().end()};
  if (join.remaining_s() > 0) offer.ends = now + std::chrono::seconds(join.remaining_s());
  offer.agent_id = join.agent_id();
  offer.name = join.name();
  offer.cpus = join.cpus();
  offer.memory_mb = std::max<std::int64_t>(0, join.memory_mb());
  offer.gpus = join.gpus_size();
  offer.credit = join.credit();
  offer.has_torch = join.has_torch();
  offer.reach = join.reach();
  offer.address = join.address();
  for (const proto::Gpu& gpu : join.gpus()) offer.gpu_indices.push_back(gpu.index());
  for (const proto::EntryVersion& entry : join.entries()) {
    offer.entries.emplace_back(entry.kind(), entry.name(), entry.version());
  }
  return offer;
}

engine::LeaseRef ref_from(std::uint64_t job, std::uint64_t lease, std::uint64_t attempt) {
  return {JobId{job}, LeaseId{lease}, AttemptNo{attempt}};
}

/// Rows and curves into the outcome. Errors say why these numbers cannot be kept.
Status take_numbers(const proto::Outcome& message, engine::AttemptOutcome& outcome) {
  std::set<std::string_view> names;
  for (const proto::Row& row : message.rows()) {
    GAUNTLET_TRY(spec::ResultRow read, proto::row_from(row));
    if (read.metric.empty() || !names.insert(row.metric()).second) {
      return fail(ErrorCode::kCorrupt, "metric '{}' is unnamed or reported twice", row.metric());
    }
    if (!std::isfinite(read.value))
      return fail(ErrorCode::kDiverged, "metric {} is {}", read.metric, read.value);
    outcome.rows.push_back(std::move(read));
  }
  names.clear();
  for (const proto::Curve& curve : message.curves()) {
    GAUNTLET_TRY(spec::Curve read, proto::curve_from(curve));
    if (!names.insert(curve.name()).second) {
      return fail(ErrorCode::kCorrupt, "curve '{}' is reported twice", curve.name());
    }
    outcome.curves.push_back(std::move(read));
  }
  return {};
}

engine::ReportEvent report_from(const proto::Report& message) {
  engine::ReportEvent event;
  event.ref = ref_from(message.job_id(), message.lease_id(), message.attempt());
  const proto::Outcome& outcome = message.outcome();
  event.outcome.message = outcome.message();
  event.outcome.log = outcome.log();
  event.outcome.wall_s = std::isfinite(outcome.wall_s()) ? std::max(0.0, outcome.wall_s()) : 0.0;
  event.outcome.environment = outcome.environment();
  event.outcome.manifest = outcome.manifest();
  if (outcome.code() != 0) {
    event.code = proto::error_code_from(outcome.code());
    return event;
  }
  const Status taken = take_numbers(outcome, event.outcome);
  if (!taken) {  // a result that cannot be kept is a failed attempt, with the reason
    event.code = taken.error().code;
    event.outcome.message = taken.error().message;
    event.outcome.rows.clear();
    event.outcome.curves.clear();
  }
  return event;
}

}  // namespace

void Hub::on_join(const SessionPtr& session, std::uint64_t request, const proto::WorkerJoin& join) {
  Result<engine::WorkerOffer> offer = offer_from(join, clock_.now());
  if (!offer) {
    session->fail(request, offer.error());
    return;
  }
  engine::WorkerJoinedEvent event;
  event.offer = std::move(*offer);
  for (const proto::HeldLease& held : join.held()) {
    event.held.push_back(ref_from(held.job_id(), held.lease_id(), held.attempt()));
  }
  note_agent(event.offer);
  engine::Decision decision = engine::on_worker_joined(state_, now(), event);
  for (const engine::Outgoing& message : decision.messages) {
    if (const auto* welcome = std::get_if<engine::WelcomeWorker>(&message)) session->worker = welcome->worker;
  }
  SessionPtr& current = workers_[session->worker];
  const SessionPtr before = std::exchange(current, session);
  if (before != nullptr && before != session) before->close("replaced by a new connection of the same agent");
  log_->info("worker {} is {} ({} cpus, {} gpus, credit {}), holds {} leases", session->worker.value,
             join.name(), join.cpus(), join.gpus_size(), join.credit(), join.held_size());
  settle(std::move(decision), session, request);
}

void Hub::on_heartbeat(const SessionPtr& session, std::uint64_t request, proto::Heartbeat& beat) {
  std::vector<LeaseId> running;
  session->progress.clear();
  for (proto::AttemptProgress& progress : *beat.mutable_progress()) {
    running.push_back(LeaseId{progress.lease_id()});
    session->progress.insert_or_assign(progress.lease_id(), std::move(progress));
  }
  settle(engine::on_heartbeat(state_, now(), session->worker, running), session, request);
}

asio::awaitable<std::vector<JobId>> Hub::jobs_of_keys(std::vector<std::string> keys) {
  CommitQueue::Work<std::vector<JobId>> work = [keys = std::move(keys)](store::JobStore& store) {
    std::vector<JobId> jobs;
    for (const std::string& bytes : keys) {
      const Result<JobKey> key = proto::key_from_bytes(bytes);
      if (!key) continue;
      store::Selection selection;
      selection.key_prefix = key->hex();
      const auto found = store.select(selection);
      if (found && !found->empty()) jobs.push_back(found->front());
    }
    return jobs;
  };
  co_return co_await queue_.asked(std::move(work));
}

asio::awaitable<void> Hub::on_reports(SessionPtr session, Ask ask) {
  std::vector<engine::ReportEvent> events;
  events.reserve(static_cast<std::size_t>(ask.report_batch().reports_size()));
  for (const proto::Report& report : ask.report_batch().reports()) {
    events.push_back(report_from(report));
    const auto& damaged = report.outcome().damaged_inputs();
    if (events.back().code && !damaged.empty()) {
      std::vector<std::string> keys(damaged.begin(), damaged.end());
      std::vector<JobId> jobs = co_await jobs_of_keys(std::move(keys));
      events.back().damaged = std::move(jobs);
    }
    session->progress.erase(report.lease_id());
  }
  settle(engine::on_report(state_, now(), session->worker, std::move(events)), session, ask.id());
}

}  // namespace gauntlet::coordinator
