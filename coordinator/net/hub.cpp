#include "coordinator/net/hub.hpp"

#include <spdlog/logger.h>

#include <bit>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "coordinator/net/alloc_desk.hpp"
#include "core/base/hash.hpp"
#include "core/base/overloaded.hpp"
#include "core/base/version.hpp"
#include "core/proto/convert.hpp"

namespace gauntlet::coordinator {
namespace {

namespace asio = boost::asio;
using proto::Frame;

/// Leases go out in frames of about this size at most.
constexpr std::size_t kLeaseFrameBytes = std::size_t{1} << 20;

void add_ref(const engine::LeaseRef& ref, proto::HeldLease& message) {
  message.set_job_id(ref.job.value);
  message.set_lease_id(ref.lease.value);
  message.set_attempt(ref.attempt.value);
}

/// The variant that the GPUs of the lease tell, alone.
spec::Resources given(const spec::Resources& asked, std::uint64_t gpus) {
  spec::Resources one = asked.with_gpus(std::popcount(gpus));
  one.labels.clear();
  one.or_else.clear();
  return one;
}

void add_lease(const engine::LeaseGrant& grant, const engine::JobPayload& payload, proto::Lease& lease) {
  lease.set_job_id(grant.job.value);
  lease.set_lease_id(grant.lease.value);
  lease.set_attempt(grant.attempt.value);
  lease.set_key(proto::key_bytes(payload.key));
  lease.set_canonical(payload.canonical);
  lease.set_title(payload.title);
  lease.set_locations(payload.locations);
  *lease.mutable_resources() = proto::to_proto(given(payload.resources, grant.gpus));
  engine::for_each_device(grant.gpus, [&](std::uint32_t device) { lease.add_gpus(device); });
}

/// A gang's machines as the launcher and CUDA there name them.
void add_parts(const engine::State& state, const engine::LeaseGrant& grant, const engine::JobPayload& payload,
               proto::Lease& lease) {
  for (const engine::GangPart& part : grant.parts) {
    const engine::Worker* const worker = state.find_worker(part.worker);
    proto::GangPart& message = *lease.add_parts();
    message.set_ranks(part.ranks);
    if (worker == nullptr) continue;  // gone meanwhile: the lease is taken back in the next frame
    message.set_address(worker->offer.address);
    engine::for_each_device(part.gpus, [&](std::uint32_t device) {
      const auto& indices = worker->offer.gpu_indices;
      message.add_gpus(device < indices.size() ? indices[device] : device);
    });
  }
  if (grant.parts.empty()) return;
  spec::Resources whole = payload.resources;
  whole.or_else.clear();
  *lease.mutable_resources() = proto::to_proto(whole);
}

}  // namespace

/// Payloads of one commit by their job. They come in the order of the grants, so that with one worker the
/// next one is always the right one.
class PayloadFinder {
 public:
  explicit PayloadFinder(std::span<const engine::JobPayload> payloads) : payloads_(payloads) {}

  const engine::JobPayload& find(JobId job) {
    if (next_ < payloads_.size() && payloads_[next_].job == job) return payloads_[next_++];
    if (by_job_.empty()) {
      for (const engine::JobPayload& payload : payloads_) by_job_.emplace(payload.job, &payload);
    }
    return *by_job_.at(job);
  }

 private:
  std::span<const engine::JobPayload> payloads_;
  std::size_t next_ = 0;
  std::unordered_map<JobId, const engine::JobPayload*> by_job_;
};

namespace {

WorkerId recipient_of(const engine::Outgoing& message) {
  return std::visit([](const auto& any) { return any.worker; }, message);
}

bool is_answer(const engine::Outgoing& message) {
  return std::holds_alternative<engine::WelcomeWorker>(message) ||
         std::holds_alternative<engine::AnswerReports>(message) ||
         std::holds_alternative<engine::AnswerHeartbeat>(message);
}

}  // namespace

Hub::Hub(HubOptions options, const Clock& clock, CommitQueue& queue, engine::State state,
         std::shared_ptr<spdlog::logger> log, std::function<void(const Error&)> on_fatal,
         std::function<void()> on_shutdown)
    : options_(std::move(options)),
      token_guard_(options_.tokens),
      clock_(clock),
      queue_(queue),
      state_(std::move(state)),
      log_(std::move(log)),
      on_fatal_(std::move(on_fatal)),
      on_shutdown_(std::move(on_shutdown)),
      exchange_(options_.workdir),
      started_ms_(clock.wall_ms()) {}

// ---------------------------------------------------------------- connections

asio::awaitable<Status> Hub::check_token(SessionPtr session, std::string token) {
  const Result<Milliseconds> pause = token_guard_.begin(session->address(), clock_.now());
  if (!pause) co_return gauntlet::fail(pause.error());
  if (*pause > Milliseconds(0)) {
    asio::steady_timer timer(session->executor(), *pause);
    co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  const bool right = same_secret(token, options_.token);
  token_guard_.end(session->address(), right, clock_.now());
  if (right && session->is_open()) co_return Status{};
  co_return fail(ErrorCode::kRefused, "wrong token; use the one in the coordinator's work folder");
}

asio::awaitable<Result<proto::Welcome>> Hub::greet(SessionPtr session, proto::Hello hello) {
  ++net_.refused;  // until it is known better
  if (hello.protocol() != proto::kProtocolVersion) {
    co_return fail(ErrorCode::kRefused,
                   "the peer{} speaks protocol {}; this coordinator ({}) speaks protocol {}",
                   hello.version().empty() ? "" : fmt::format(" ({})", hello.version().substr(0, 40)),
                   hello.protocol(), gauntlet::version(), proto::kProtocolVersion);
  }
  const Status known = co_await check_token(session, hello.token());
  if (!known) co_return gauntlet::fail(known.error());
  if (hello.role() != "client" && hello.role() != "worker") {
    co_return fail(ErrorCode::kInvalid, "role '{}' is unknown; allowed are client, worker", hello.role());
  }
  --net_.refused;
  sessions_.emplace(session.get(), session);
  if (hello.role() == "client") {
    ++n_clients_;
    had_clients_ = true;
  }
  log_->info("{}: {} {} connected", session->peer(), hello.role(), hello.version());
  proto::Welcome welcome;
  welcome.set_protocol(proto::kProtocolVersion);
  welcome.set_version(std::string(gauntlet::version()));
  welcome.set_database(options_.database);
  co_return welcome;
}

void Hub::closed(Session& session) {
  sessions_.erase(&session);
  drop_pending(session);
  if (!session.is_worker()) {
    --n_clients_;
    return;
  }
  const auto mine = workers_.find(session.worker);
  if (mine == workers_.end() || mine->second.get() != &session) return;  // replaced by a newer connection
  log_->info("worker {}: connection closed", session.worker.value);
  workers_.erase(mine);
  give_up_log_questions(session.worker, "the worker that has the log has lost its connection");
  settle(engine::on_worker_left(state_, now(), session.worker));
}

void Hub::close_all() {
  give_up_log_questions({}, "the coordinator is stopping");
  std::vector<SessionPtr> open;
  for (const auto& [raw, weak] : sessions_) {
    if (SessionPtr session = weak.lock()) open.push_back(std::move(session));
  }
  for (const SessionPtr& session : open) session->close_when_sent();
}

// ---------------------------------------------------------------- decisions

void Hub::settle(engine::Decision decision) { settle(std::move(decision), nullptr, 0); }

void Hub::settle(engine::Decision decision, const SessionPtr& asker, std::uint64_t request) {
  for (const std::string& sentence : decision.warnings) log_->warn("{}", sentence);
  if (decision.transitions.empty() && decision.messages.empty()) return;
  count(decision);
  // The connection a message is meant for is the one of this moment: a later one starts with its own welcome.
  std::vector<std::pair<SessionPtr, engine::Outgoing>> addressed;
  for (engine::Outgoing& message : decision.messages) {
    SessionPtr recipient = asker;
    if (!is_answer(message)) {
      const auto found = workers_.find(recipient_of(message));
      recipient = found == workers_.end() ? nullptr : found->second;
    }
    if (const auto* gone = std::get_if<engine::Disconnect>(&message)) {
      log_->warn("worker {}: {}", gone->worker.value, gone->reason);
      workers_.erase(gone->worker);
    }
    addressed.emplace_back(std::move(recipient), std::move(message));
  }
  queue_.commit(std::move(decision.transitions), [this, request, addressed = std::move(addressed)](
                                                     std::span<const engine::JobPayload> payloads) {
    PayloadFinder finder(payloads);
    for (const auto& [session, message] : addressed) {
      if (session == nullptr || !session->is_open()) continue;
      if (const auto* leases = std::get_if<engine::GiveLeases>(&message)) {
        deliver(*leases, *session, finder);
      } else {
        answer(*session, request, message);
      }
    }
  });
}

void Hub::deliver(const engine::GiveLeases& leases, Session& session, PayloadFinder& payloads) {
  Frame frame;
  std::size_t n_bytes = 0;
  for (const engine::LeaseGrant& grant : leases.grants) {
    const engine::JobPayload& payload = payloads.find(grant.job);
    work_.queue_wait.observe(static_cast<double>(payload.waited_ms) / 1000);
    proto::Lease& lease = *frame.mutable_lease_batch()->add_leases();
    add_lease(grant, payload, lease);
    add_parts(state_, grant, payload, lease);
    n_bytes += payload.canonical.size() + payload.locations.size() + payload.title.size() + 100;
    if (n_bytes > kLeaseFrameBytes) {
      session.send(frame);
      frame.Clear();
      n_bytes = 0;
    }
  }
  if (n_bytes > 0) session.send(frame);
}

void Hub::answer(Session& session, std::uint64_t request, const engine::Outgoing& message) {
  Frame frame;
  std::visit(Overloaded{
                 [&](const engine::GiveLeases&) {},  // delivered with its payloads
                 [&](const engine::StopLeases& stop) {
                   frame.mutable_stop_attempts()->set_reason(stop.reason);
                   for (const auto& ref : stop.attempts)
                     add_ref(ref, *frame.mutable_stop_attempts()->add_attempts());
                 },
                 [&](const engine::Disconnect& gone) {
                   session.fail(0, {ErrorCode::kLost, gone.reason});
                   session.close_when_sent();
                 },
                 [&](const engine::WelcomeWorker& welcome) {
                   frame.set_id(request);
                   frame.mutable_worker_welcome()->set_worker_id(welcome.worker.value);
                   frame.mutable_worker_welcome()->set_work_folder(options_.work_folder);
                   frame.mutable_worker_welcome()->set_heartbeat_ms(
                       static_cast<std::uint32_t>(state_.config().heartbeat.count()));
                   for (const auto& ref : welcome.stale)
                     add_ref(ref, *frame.mutable_worker_welcome()->add_stale());
                 },
                 [&](const engine::AnswerReports& reports) {
                   frame.set_id(request);
                   for (const LeaseId lease : reports.settled)
                     frame.mutable_report_reply()->add_settled(lease.value);
                   for (const LeaseId lease : reports.stale)
                     frame.mutable_report_reply()->add_stale(lease.value);
                 },
                 [&](const engine::AnswerHeartbeat& beat) {
                   frame.set_id(request);
                   frame.mutable_heartbeat_reply();
                   for (const auto& ref : beat.stale)
                     add_ref(ref, *frame.mutable_heartbeat_reply()->add_stale());
                 },
             },
             message);
  if (frame.body_case() != Frame::BODY_NOT_SET) session.send(frame);
}

// ---------------------------------------------------------------- frames

asio::awaitable<void> Hub::handle(SessionPtr session, Frame frame) {
  const std::uint64_t request = frame.id();
  // Of a connection of its own, which never joins.
  if (session->is_worker() && transfer::Exchange::is_request(frame)) {
    co_await on_artifact(std::move(session), std::move(frame));
    co_return;
  }
  const bool from_worker = frame.has_worker_join() || frame.has_heartbeat() || frame.has_report_batch() ||
                           frame.has_drain() || frame.has_log_reply();
  if (from_worker != session->is_worker() || (from_worker && !frame.has_worker_join() && !session->worker)) {
    session->fail(request,
                  {ErrorCode::kInvalid, fmt::format("a {} message is not expected from this peer now",
                                                    proto::name_of(frame.body_case()))});
    co_return;
  }
  if (!from_worker) {
    const Status answered = co_await answer_client(session, std::move(frame));
    if (!answered) session->fail(request, answered.error());
  } else if (frame.has_worker_join()) {
    on_join(session, request, frame.worker_join());
  } else if (frame.has_heartbeat()) {
    on_heartbeat(session, request, *frame.mutable_heartbeat());
  } else if (frame.has_report_batch()) {
    co_await on_reports(session, std::move(frame));
  } else if (frame.has_log_reply()) {
    on_log_reply(request, *frame.mutable_log_reply());
  } else {
    log_->info("worker {}: drains", session->worker.value);
    settle(engine::on_drain(state_, now(), session->worker));
  }
}

asio::awaitable<Status> Hub::answer_client(SessionPtr session, Ask ask) {
  const std::uint64_t request = ask.id();
  if (ask.has_submit_begin()) {
    on_submit_begin(*session, request, ask.submit_begin());
  } else if (ask.has_submit_chunk()) {
    on_submit_chunk(*session, request, *ask.mutable_submit_chunk());
  } else if (ask.has_submit_commit()) {
    co_return co_await on_submit_commit(std::move(session), std::move(ask));
  } else if (ask.has_status_request()) {
    co_return co_await on_status(std::move(session), std::move(ask));
  } else if (ask.has_explain_request()) {
    co_return co_await on_explain(std::move(session), std::move(ask));
  } else if (ask.has_attempts_request()) {
    co_return co_await on_attempts(std::move(session), std::move(ask));
  } else if (ask.has_log_request()) {
    co_return co_await on_log(std::move(session), std::move(ask));
  } else if (ask.has_cancel_request()) {
    co_return co_await on_cancel(std::move(session), std::move(ask));
  } else if (ask.has_retry_request()) {
    co_return co_await on_retry(std::move(session), std::move(ask));
  } else if (ask.has_pause_request()) {
    co_return co_await on_pause(std::move(session), std::move(ask));
  } else if (ask.has_store_checks()) {
    co_return co_await on_store_checks(std::move(session), std::move(ask));
  } else if (ask.has_alloc_add_request() || ask.has_alloc_list_request() || ask.has_alloc_remove_request() ||
             ask.has_alloc_resume_request()) {
    co_return co_await on_alloc(std::move(session), std::move(ask));
  } else if (ask.has_shutdown_request()) {
    log_->info("{}: asks for shutdown", session->peer());
    Frame accepted;
    accepted.set_id(request);
    accepted.mutable_accepted();
    session->send(accepted);
    on_shutdown_();
  } else {
    co_return fail(ErrorCode::kInvalid, "a coordinator does not answer {} messages",
                   proto::name_of(ask.body_case()));
  }
  co_return Status{};
}

}  // namespace gauntlet::coordinator
