#include "worker/agent/agent.hpp"

#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <random>
#include <utility>

#include "core/artifacts/artifact_store.hpp"
#include "core/base/text.hpp"
#include "worker/agent/attempts.hpp"
#include "worker/agent/connection.hpp"
#include "worker/agent/introduction.hpp"
#include "worker/agent/log_reply.hpp"
#include "worker/agent/reports.hpp"
#include "worker/agent/staging.hpp"

namespace gauntlet::worker {
namespace {

/// How long a leaving agent waits for the attempts it has stopped to end and its reports to be settled.
constexpr std::chrono::seconds kLeaveDeadline{8};
/// A coordinator that says nothing for this long, and for three heartbeats, is taken for gone.
constexpr std::chrono::milliseconds kLeastSilence{10000};
constexpr std::uint32_t kDefaultHeartbeatMs = 1000;
/// How often the lengths of logs are looked at.
constexpr std::chrono::seconds kLogInterval{1};
constexpr int kExitInterrupted = 130;

std::string random_id() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", device(), device(), device(), device());
}

/// For the connections on which artifacts move; any thread.
Result<client::Endpoint> endpoint_of(const std::filesystem::path& workdir, const Address& given) {
  GAUNTLET_TRY(Address address, find_coordinator(workdir, given));
  return client::Endpoint{std::move(address.host), address.port, std::move(address.token),
                          std::move(address.trust)};
}

class Agent {
 public:
  explicit Agent(AgentOptions options)
      : options_(std::move(options)),
        id_(random_id()),
        ends_(std::chrono::steady_clock::now() + std::chrono::seconds(options_.lifetime_s)),
        has_torch_(::access(options_.rank_program.c_str(), X_OK) == 0),
        signals_(context_, SIGTERM, SIGINT),
        heartbeat_(context_),
        grace_(context_),
        leave_deadline_(context_),
        alone_(context_),
        lifetime_(context_),
        logs_(context_),
        attempts_(context_,
                  {options_.workdir, options_.cpus, has_torch_, options_.log_limit_mb, options_.system_root,
                   options_.checkpoint_minutes, gangs_of(options_), cpus_by_node()},
                  {{options_.gauntlet_program, {"executor"}, {}}, {options_.rank_program, {}, {}}},
                  [this](proto::Report report) { staging_.finish(std::move(report)); }),
        staging_(
            context_,
            {options_.workdir, options_.artifact_cache_mb,
             [workdir = options_.workdir, given = given_address()] { return endpoint_of(workdir, given); }},
            [this](const proto::Lease& lease, const auto& job) { start(lease, job); },
            [this](proto::Report report) { reports_.add(std::move(report)); }),
        reports_(
            context_, [this] { return attempts_.has_ahead(); },
            [this] {
              send_reports();
              leave_if_done();
            }),
        connection_(context_, options_.workdir, given_address(),
                    {[this] { return join_message(); }, [this](const auto& welcome) { joined(welcome); },
                     [this](const auto& frame) { take(frame); }, [this](const auto& error) { lost(error); },
                     [this](const auto& error) { give_up(error); }}) {}

  [[nodiscard]] Result<int> run() {
    artifacts::ArtifactStore(options_.workdir).remove_stale_drafts();
    if (!has_torch_) {
      spdlog::warn("{} is not there: jobs that need torch are left to other workers",
                   options_.rank_program.string());
    }
    await_signal();
    watch_loneliness();
    watch_logs();
    watch_lifetime();
    connection_.start();
    context_.run();
    if (error_) return fail(*error_);
    return exit_code_;
  }

 private:
  [[nodiscard]] Address given_address() const {
    return {options_.host, options_.port, options_.token, options_.trust};
  }

  // ---- joining

  [[nodiscard]] proto::WorkerJoin join_message() const {
    std::optional<std::chrono::seconds> left;
    if (options_.lifetime_s > 0) {
      left = std::chrono::duration_cast<std::chrono::seconds>(ends_ - std::chrono::steady_clock::now());
    }
    proto::WorkerJoin join = introduction(options_, has_torch_, left);
    join.set_agent_id(id_);
    for (const proto::HeldLease& lease : attempts_.held()) *join.add_held() = lease;
    for (const proto::HeldLease& lease : staging_.held()) *join.add_held() = lease;
    for (const proto::HeldLease& lease : reports_.held()) *join.add_held() = lease;
    return join;
  }

  void joined(const proto::WorkerWelcome& welcome) {
    ever_joined_ = true;
    alone_.cancel();
    spdlog::info("joined as worker {} with {} and {}", welcome.worker_id(),
                 count_of(static_cast<std::size_t>(options_.cpus), "cpu"),
                 count_of(attempts_.size(), "held lease"));
    staging_.joined(welcome.work_folder());
    heartbeat_ms_ = welcome.heartbeat_ms() > 0 ? welcome.heartbeat_ms() : kDefaultHeartbeatMs;
    drop_stale(welcome.stale());
    if (leaving_) send_drain();
    reports_.resend_all();
    send_reports();
    beat_later();
    leave_if_done();
  }

  void lost(const Error& error) {
    spdlog::warn("lost the coordinator: {}; {} go on", error.message, count_of(attempts_.size(), "attempt"));
    heartbeat_.cancel();
    watch_loneliness();
    leave_if_done();
  }

  void give_up(const Error& error) {
    error_ = error;
    finish();
  }

  /// Leaves when no coordinator is reached for as long as the options say.
  void watch_loneliness() {
    if (!options_.exit_with_coordinator_s) return;
    const auto patience = std::chrono::duration<double>(*options_.exit_with_coordinator_s);
    alone_.expires_after(std::chrono::duration_cast<std::chrono::milliseconds>(patience));
    alone_.async_wait([this](const boost::system::error_code& error) {
      if (error || connection_.is_joined()) return;
      const std::string why = connection_.last_error().message;
      if (!ever_joined_) return give_up({ErrorCode::kUnreachable, why});
      spdlog::warn("leaving: no coordinator for {} ({})", human_duration(*options_.exit_with_coordinator_s),
                   why);
      finish();
    });
  }

  void watch_logs() {
    logs_.expires_after(kLogInterval);
    logs_.async_wait([this](const boost::system::error_code& error) {
      if (error) return;
      attempts_.limit_logs();
      staging_.push_checkpoints();
      watch_logs();
    });
  }

  /// Leaves so that it is gone when its time is over; what runs then goes back free of charge.
  void watch_lifetime() {
    if (options_.lifetime_s == 0) return;
    const auto grace = std::chrono::duration<double>(
        std::min(options_.drain_grace_s, static_cast<double>(options_.lifetime_s) / 4));
    lifetime_.expires_at(ends_ - std::chrono::duration_cast<std::chrono::milliseconds>(grace));
    lifetime_.async_wait([this](const boost::system::error_code& error) {
      if (error || leaving_) return;
      spdlog::info("its time is over: stopping {} and leaving", count_of(attempts_.size(), "attempt"));
      asked_by_signal_ = true;  // nobody is waited for longer than for a signal
      leave();
    });
  }

  // ---- leases and reports

  void take(const proto::Frame& frame) {
    if (frame.has_lease_batch()) {
      for (const proto::Lease& lease : frame.lease_batch().leases()) take_lease(lease);
    } else if (frame.has_report_reply()) {
      for (const std::uint64_t lease : frame.report_reply().stale()) {
        spdlog::info("the report of lease {} came too late and was not counted", lease);
      }
      for (const std::uint64_t lease : frame.report_reply().settled()) reports_.settle(lease);
      leave_if_done();
    } else if (frame.has_heartbeat_reply()) {
      drop_stale(frame.heartbeat_reply().stale());
    } else if (frame.has_stop_attempts()) {
      const std::string& reason = frame.stop_attempts().reason();
      for (const proto::HeldLease& lease : frame.stop_attempts().attempts()) {
        const Error why{ErrorCode::kInterrupted, reason.empty() ? "stopped" : reason};
        attempts_.stop(lease.lease_id(), why);
        staging_.stop(lease.lease_id(), why);
      }
    } else if (frame.has_log_request()) {
      proto::Frame answer;
      answer.set_id(frame.id());
      *answer.mutable_log_reply() = log_reply(options_.workdir, frame.log_request());
      connection_.send(answer);
    } else if (frame.has_drain()) {
      spdlog::info("asked to drain: {} to finish first", count_of(attempts_.size(), "attempt"));
      leaving_ = true;
      leave_if_done();
    } else if (frame.has_failure()) {
      connection_.reconnect({ErrorCode::kIo, frame.failure().message()});
    }
    // Anything else is of a newer coordinator, and nothing this worker has asked for.
  }

  /// The coordinator counts a worker's GPUs from 0; CUDA may count otherwise.
  [[nodiscard]] proto::Lease with_own_numbers(proto::Lease lease) const {
    for (std::uint32_t& gpu : *lease.mutable_gpus()) {
      if (gpu < options_.gpus.size()) gpu = options_.gpus[gpu].index;
    }
    return lease;
  }

  void take_lease(const proto::Lease& lease) {
    if (!leaving_) return staging_.start(lease);
    refuse(lease);
  }

  /// Its inputs are here.
  void start(const proto::Lease& lease, const Result<spec::JobSpec>& job) {
    if (!leaving_) return attempts_.start(with_own_numbers(lease), job);
    staging_.abandon(lease.lease_id());
    refuse(lease);
  }

  void refuse(const proto::Lease& lease) {
    proto::Report report;
    report.set_job_id(lease.job_id());
    report.set_lease_id(lease.lease_id());
    report.set_attempt(lease.attempt());
    report.mutable_outcome()->set_code(static_cast<std::uint32_t>(ErrorCode::kInterrupted));
    report.mutable_outcome()->set_message("the worker is leaving");
    reports_.add(std::move(report));
  }

  template <class Leases>
  void drop_stale(const Leases& leases) {
    for (const proto::HeldLease& lease : leases) {
      spdlog::info("lease {} is no longer current; its attempt is stopped", lease.lease_id());
      attempts_.abandon(lease.lease_id());
      staging_.abandon(lease.lease_id());
      reports_.settle(lease.lease_id());
    }
    leave_if_done();
  }

  void send_reports() {
    if (!connection_.is_joined()) return;
    for (proto::ReportBatch& batch : reports_.take_unsent()) {
      proto::Frame frame;
      frame.set_id(next_request_++);
      *frame.mutable_report_batch() = std::move(batch);
      connection_.send(frame);
    }
  }

  void beat_later() {
    heartbeat_.expires_after(std::chrono::milliseconds(heartbeat_ms_));
    heartbeat_.async_wait([this](const boost::system::error_code& error) {
      if (error || !connection_.is_joined()) return;
      if (connection_.silence() > std::max(kLeastSilence, std::chrono::milliseconds(3 * heartbeat_ms_))) {
        return connection_.reconnect({ErrorCode::kTimedOut, "the coordinator has gone silent"});
      }
      proto::Frame frame;
      frame.set_id(next_request_++);
      proto::Heartbeat& beat = *frame.mutable_heartbeat();
      for (proto::AttemptProgress& progress : attempts_.progress())
        *beat.add_progress() = std::move(progress);
      for (proto::AttemptProgress& progress : staging_.progress()) *beat.add_progress() = std::move(progress);
      connection_.send(frame);
      beat_later();
    });
  }

  // ---- leaving

  void await_signal() {
    signals_.async_wait([this](const boost::system::error_code& error, int signal) {
      if (error) return;
      const char* const name = ::sigabbrev_np(signal);
      if (asked_by_signal_) {
        spdlog::warn("SIG{} again: leaving at once", name);
        exit_code_ = kExitInterrupted;
        return finish();
      }
      spdlog::info("SIG{}: leaving; {} may go on for {} (a second signal: at once)", name,
                   count_of(attempts_.size(), "attempt"), human_duration(options_.drain_grace_s));
      asked_by_signal_ = true;
      await_signal();
      leave();
    });
  }

  void leave() {
    leaving_ = true;
    send_drain();
    attempts_.note_leaving();
    staging_.stop_fetching({ErrorCode::kInterrupted, "the worker is leaving"});
    leave_if_done();
    if (options_.drain_grace_s <= 0) return stop_attempts();
    await_half_the_grace([this] {
      attempts_.ask_for_checkpoints();
      await_half_the_grace([this] { stop_attempts(); });
    });
  }

  /// Half of it for attempts that are nearly done, half for an epoch to end and its checkpoint to be saved.
  template <class Then>
  void await_half_the_grace(Then then) {
    const auto half = std::chrono::duration<double>(options_.drain_grace_s / 2);
    grace_.expires_after(std::chrono::duration_cast<std::chrono::milliseconds>(half));
    grace_.async_wait([then](const boost::system::error_code& error) {
      if (!error) then();
    });
  }

  void stop_attempts() {
    if (!attempts_.empty()) spdlog::info("stopping {}", count_of(attempts_.size(), "attempt"));
    leave_deadline_.expires_after(kLeaveDeadline);
    leave_deadline_.async_wait([this](const boost::system::error_code& error) {
      if (!error) finish();
    });
    attempts_.stop_all({ErrorCode::kInterrupted, "the worker was asked to leave"});
    leave_if_done();
  }

  void send_drain() {
    proto::Frame frame;
    frame.mutable_drain();
    connection_.send(frame);
  }

  /// A worker asked to leave goes when nothing runs and every report is settled; without a coordinator there
  /// is nobody to settle it, unless the coordinator asked.
  void leave_if_done() {
    if (!leaving_ || !attempts_.empty() || !staging_.empty()) return;
    const bool nobody_listens = asked_by_signal_ && !connection_.is_joined();
    if (reports_.empty() || nobody_listens) finish();
  }

  void finish() {
    connection_.stop();
    context_.stop();
  }

  AgentOptions options_;
  std::string id_;
  std::chrono::steady_clock::time_point ends_;  ///< of its lifetime, where it has one
  bool has_torch_;
  boost::asio::io_context context_{1};
  boost::asio::signal_set signals_;
  boost::asio::steady_timer heartbeat_;
  boost::asio::steady_timer grace_;
  boost::asio::steady_timer leave_deadline_;
  boost::asio::steady_timer alone_;
  boost::asio::steady_timer lifetime_;
  boost::asio::steady_timer logs_;
  Attempts attempts_;
  Staging staging_;
  Reports reports_;
  Connection connection_;
  std::uint32_t heartbeat_ms_ = kDefaultHeartbeatMs;
  std::uint64_t next_request_ = 3;  ///< after hello and join
  bool ever_joined_ = false;
  bool leaving_ = false;
  bool asked_by_signal_ = false;
  int exit_code_ = 0;
  std::optional<Error> error_;
};

}  // namespace

Result<int> run_agent(const AgentOptions& options) {
  GAUNTLET_TRY(AgentOptions completed, complete(options));
  try {
    Agent agent(std::move(completed));
    return agent.run();
  } catch (const boost::system::system_error& thrown) {
    return fail(ErrorCode::kIo, "the worker cannot go on: {}", thrown.what());
  }
}

}  // namespace gauntlet::worker
