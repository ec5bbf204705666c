// Between sockets and engine: turns frames into events, hands decisions to the commit queue, and sends their
// messages once they are durable. Thread safety: the io_context's thread only.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "coordinator/alloc/state.hpp"
#include "coordinator/engine/handlers.hpp"
#include "coordinator/net/commit_queue.hpp"
#include "coordinator/net/metrics.hpp"
#include "coordinator/net/session.hpp"
#include "coordinator/net/token_guard.hpp"
#include "core/base/clock.hpp"
#include "core/transfer/exchange.hpp"

namespace gauntlet::coordinator {

struct HubOptions {
  std::string token;
  std::string database;           ///< path told to clients
  std::filesystem::path workdir;  ///< where logs and artifacts are
  TokenLimits tokens = {};
  std::string work_folder = {};  ///< file in it by which workers know whether they share it
};

class AllocDesk;
struct AllocOptions;
class PayloadFinder;

class Hub final : public FrameHandler {
 public:
  Hub(HubOptions options, const Clock& clock, CommitQueue& queue, engine::State state,
      std::shared_ptr<spdlog::logger> log, std::function<void(const Error&)> on_fatal,
      std::function<void()> on_shutdown);
  ~Hub() override;
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

  [[nodiscard]] boost::asio::awaitable<void> handle(std::shared_ptr<Session> session,
                                                    proto::Frame frame) override;
  [[nodiscard]] boost::asio::awaitable<Result<proto::Welcome>> greet(std::shared_ptr<Session> session,
                                                                     proto::Hello hello) override;
  void closed(Session& session) override;
  [[nodiscard]] NetCounters& net() override { return net_; }

  /// From now on allocations are looked after (hub_alloc.cpp).
  void open_alloc_desk(boost::asio::io_context& io, AllocOptions options, const alloc::Rows& rows);
  /// Deadlines and placement; to be called a few times a second.
  void tick();
  /// Commits transitions that no peer waits for.
  void settle(engine::Decision decision);
  /// Every session ends when what it is owed has been sent.
  void close_all();

  // What clients and the page are told; errors are those of the protocol's answers (hub_status.cpp,
  // hub_logs.cpp). A sweep of 0 is all of them.
  [[nodiscard]] boost::asio::awaitable<Result<proto::StatusReply>> tell_status(SweepId sweep);
  [[nodiscard]] boost::asio::awaitable<Result<proto::ExplainReply>> tell_explain(std::string key_prefix);
  [[nodiscard]] boost::asio::awaitable<Result<proto::AttemptsReply>> tell_attempts(std::string key_prefix);
  [[nodiscard]] boost::asio::awaitable<Result<proto::LogReply>> tell_log(proto::LogRequest request);

  /// Everything countable, in Prometheus' text format (hub_metrics.cpp).
  [[nodiscard]] std::string metrics() const;
  /// Why it should not be relied on now; nothing when it is well.
  [[nodiscard]] std::optional<std::string> illness() const;

  [[nodiscard]] std::size_t n_clients() const { return n_clients_; }
  [[nodiscard]] bool had_clients() const { return had_clients_; }
  [[nodiscard]] std::size_t n_sessions() const { return sessions_.size(); }

 private:
  using SessionPtr = std::shared_ptr<Session>;
  using Ask = proto::Frame;  ///< a request; its answer is sent with its id

  [[nodiscard]] engine::Now now() const { return {clock_.now(), clock_.wall_ms()}; }
  [[nodiscard]] boost::asio::awaitable<Status> check_token(SessionPtr session, std::string token);

  // Decisions.
  void count(const engine::Decision& decision);
  void settle(engine::Decision decision, const SessionPtr& asker, std::uint64_t request);
  void deliver(const engine::GiveLeases& leases, Session& session, PayloadFinder& payloads);
  void answer(Session& session, std::uint64_t request, const engine::Outgoing& message);

  // What workers say (hub_workers.cpp).
  void on_join(const SessionPtr& session, std::uint64_t request, const proto::WorkerJoin& join);
  void on_heartbeat(const SessionPtr& session, std::uint64_t request, proto::Heartbeat& beat);
  [[nodiscard]] boost::asio::awaitable<void> on_reports(SessionPtr session, Ask ask);
  [[nodiscard]] boost::asio::awaitable<void> on_artifact(SessionPtr session, Ask ask);  // hub_artifacts.cpp
  [[nodiscard]] boost::asio::awaitable<std::vector<JobId>> jobs_of_keys(std::vector<std::string> keys);

  // What clients ask (hub_clients.cpp, hub_status.cpp).
  void drop_pending(Session& session);
  void on_submit_begin(Session& session, std::uint64_t request, const proto::SubmitBegin& begin);
  void on_submit_chunk(Session& session, std::uint64_t request, proto::SubmitChunk& chunk);
  [[nodiscard]] boost::asio::awaitable<Status> on_submit_commit(SessionPtr session, Ask ask);
  [[nodiscard]] boost::asio::awaitable<Status> on_cancel(SessionPtr session, Ask ask);
  [[nodiscard]] boost::asio::awaitable<Status> on_retry(SessionPtr session, Ask ask);
  [[nodiscard]] boost::asio::awaitable<Status> on_pause(SessionPtr session, Ask ask);
  [[nodiscard]] boost::asio::awaitable<Status> on_status(SessionPtr session, Ask ask);
  [[nodiscard]] boost::asio::awaitable<Status> on_explain(SessionPtr session, Ask ask);
  // Verdicts of robustness checks (hub_checks.cpp).
  [[nodiscard]] boost::asio::awaitable<Status> on_store_checks(SessionPtr session, Ask ask);
  // Allocations (hub_alloc.cpp).
  [[nodiscard]] boost::asio::awaitable<Status> on_alloc(SessionPtr session, Ask ask);
  [[nodiscard]] alloc::View allocation_view() const;
  void drain_allocation(alloc::AllocationId allocation);
  void note_agent(const engine::WorkerOffer& offer);
  // Attempts and what they print (hub_logs.cpp).
  [[nodiscard]] boost::asio::awaitable<Status> on_attempts(SessionPtr session, Ask ask);
  [[nodiscard]] boost::asio::awaitable<Status> on_log(SessionPtr session, Ask ask);
  [[nodiscard]] boost::asio::awaitable<Result<proto::LogReply>> ask_worker(WorkerId worker,
                                                                           proto::LogRequest request);
  void on_log_reply(std::uint64_t request, proto::LogReply& reply);
  /// Of one worker, or of all with a number of 0.
  void give_up_log_questions(WorkerId worker, std::string_view why);
  [[nodiscard]] boost::asio::awaitable<Status> answer_client(SessionPtr session, Ask ask);
  /// Commits the decision, sends its messages, then tells the client how many jobs changed.
  [[nodiscard]] boost::asio::awaitable<void> settle_change(SessionPtr session, std::uint64_t request,
                                                           engine::Decision decision);
  void add_sweep_status(const engine::Sweep& sweep, proto::StatusReply& reply) const;
  void add_worker_status(proto::StatusReply& reply) const;
  [[nodiscard]] std::vector<JobId> running_jobs(SweepId sweep) const;
  void add_running(const store::JobDetail& detail, proto::StatusReply& reply) const;
  void add_failed(const store::JobDetail& detail, proto::StatusReply& reply) const;

  HubOptions options_;
  TokenGuard token_guard_;
  const Clock& clock_;
  CommitQueue& queue_;
  engine::State state_;
  std::shared_ptr<spdlog::logger> log_;
  std::function<void(const Error&)> on_fatal_;
  std::function<void()> on_shutdown_;
  std::unordered_map<Session*, std::weak_ptr<Session>> sessions_;  ///< greeted ones
  std::unordered_map<WorkerId, SessionPtr> workers_;
  /// A part of a log that a worker was asked for; at most one per client.
  struct LogQuestion {
    boost::asio::steady_timer answered;  ///< cancelled by the answer
    WorkerId worker;
    std::optional<Result<proto::LogReply>> answer;
  };
  std::map<std::uint64_t, std::shared_ptr<LogQuestion>> log_questions_;
  std::uint64_t last_log_question_ = 0;
  boost::asio::thread_pool log_reader_{1};        ///< a slow file system must not hold up commits
  transfer::Exchange exchange_;                   ///< used by artifact_threads_
  boost::asio::thread_pool artifact_threads_{4};  ///< neither frames nor commits wait for artifacts
  std::unique_ptr<AllocDesk> desk_;
  std::size_t n_clients_ = 0;
  bool had_clients_ = false;
  std::int64_t started_ms_;
  WorkCounters work_;
  NetCounters net_;
};

}  // namespace gauntlet::coordinator
