// The executor processes of one agent, kept warm between attempts.
// Thread safety: everything happens on the thread that runs the io_context.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "core/base/result.hpp"
#include "schemas/protocol.pb.h"
#include "worker/executor/attempt_board.hpp"
#include "worker/launch/launched_gang.hpp"
#include "worker/launch/process_group.hpp"

namespace gauntlet::worker {

/// What an executor is kept for. Executors of different kinds or devices never stand in for each other.
enum class ExecutorKind : std::uint8_t {
  kNoop,   ///< gauntlet executor: attempts that take no time, many in hand at once
  kLight,  ///< gauntlet executor: one attempt at a time, others may wait in its hands
  kRank,   ///< gauntlet-rank: one attempt at a time
};

/// One executor process and the attempts it has been given, oldest first: it works on the first.
struct Executor {
  ExecutorKind kind = ExecutorKind::kLight;
  std::optional<std::uint32_t> gpu;
  std::uint64_t id = 0;
  std::shared_ptr<ExecutorLink> process;
  std::optional<AttemptBoard> board;  ///< of light ones: which of `leases` it has not begun
  std::deque<std::uint64_t> leases;
  bool ready = false;
  bool ending = false;     ///< gets nothing new
  bool is_judged = false;  ///< nothing more into its hands: one of `leases` is about to be ended
  bool launched = false;   ///< by mpirun or the like, for one attempt
  /// The latest RunAttempt, until it is known to be taken up.
  std::optional<std::chrono::steady_clock::time_point> told;
  bool was_warm = false;  ///< when it was told
};

class ExecutorPool {
 public:
  struct Programs {
    Command light;
    Command rank;
  };
  struct Handlers {
    std::function<void(Executor&, const proto::AttemptProgress&)> on_progress;
    std::function<void(Executor&, const proto::AttemptEnded&)> on_ended;
    /// The process is gone; the executor is dropped after this call. `leases` still names what it had in
    /// hand.
    std::function<void(Executor&, const Ending&)> on_died;
  };

  struct GangHandlers {
    std::function<void(std::string_view)> on_output;  ///< what launcher and ranks print
    std::function<void(const Error&)> on_refused;     ///< the gang could not come together
  };

  ExecutorPool(boost::asio::io_context& context, Programs programs)
      : context_(context), programs_(std::move(programs)) {}
  void set_handlers(Handlers handlers) { handlers_ = std::move(handlers); }

  /// One that has nothing in hand, started if need be. Errors: kIo, kNoSpace (cannot be started: the
  /// machine's fault, whatever the reason).
  [[nodiscard]] Result<Executor*> idle(ExecutorKind kind, std::optional<std::uint32_t> gpu);
  /// One for each rank of a gang, behind a launcher, for one attempt only. Errors: as idle.
  [[nodiscard]] Result<std::vector<Executor*>> launch(GangOptions options, GangHandlers handlers);
  /// The one for noops, however much it has in hand.
  [[nodiscard]] Result<Executor*> noop();
  [[nodiscard]] std::size_t count(ExecutorKind kind) const;
  [[nodiscard]] bool has_idle(ExecutorKind kind) const;
  /// Null when it is gone.
  [[nodiscard]] Executor* find(std::uint64_t id);
  [[nodiscard]] std::list<Executor>& executors() { return executors_; }
  /// Whether attempts wait in the hands of any executor.
  [[nodiscard]] bool has_waiting() const;

  void run(Executor& executor, proto::RunAttempt attempt);
  /// Takes back an attempt that the executor has not begun, and will not. False: it has.
  [[nodiscard]] bool take_back(Executor& executor, std::uint64_t lease_id);
  /// Ends the process; on_died follows.
  void end(Executor& executor);
  /// Ends one that has answered and is of no further use.
  void retire(Executor& executor);

 private:
  [[nodiscard]] Result<Executor*> start(ExecutorKind kind, std::optional<std::uint32_t> gpu);
  [[nodiscard]] ExecutorLink::Handlers handlers_of(std::uint64_t id);
  [[nodiscard]] std::chrono::milliseconds patience_with(std::uint64_t id);
  void take(std::uint64_t id, const proto::Frame& frame);
  void died(std::uint64_t id, const Ending& ending);

  boost::asio::io_context& context_;
  Programs programs_;
  Handlers handlers_;
  std::list<std::shared_ptr<LaunchedGang>> gangs_;
  std::list<Executor> executors_;  ///< addresses stay valid while others come and go
  std::uint64_t next_id_ = 1;
};

}  // namespace gauntlet::worker
