// The attempts in hand: each is a lease, the executors that run it (one per rank), and how it ends.
//
// An attempt ends once, when all its ranks have answered or are dead. The first thing that goes wrong decides
// its outcome: a rank that died or failed, a limit that passed, a wish to stop; from then on the remaining
// ranks are only ended. Thread safety: everything happens on the thread that runs the io_context.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/spec/job_spec.hpp"
#include "schemas/protocol.pb.h"
#include "worker/agent/executor_pool.hpp"
#include "worker/agent/gangs.hpp"
#include "worker/agent/numa_places.hpp"

namespace gauntlet::worker {

struct AttemptSettings {
  std::filesystem::path workdir;
  std::int64_t cpus = 1;  ///< threads the worker offers; an attempt gets no more
  bool has_torch = true;
  std::int64_t log_limit_mb = 64;
  std::filesystem::path system_root = "/";  ///< where /proc and /sys are; another one in tests
  double checkpoint_minutes = 5;            ///< between two checkpoints of a training
  GangSettings gangs = {};
  std::vector<NodeCpus> nodes = {};  ///< of the machine; with several, an attempt runs on one where it fits
  /// How long a job may wait behind others that were expected to be short; then it is given back.
  std::chrono::milliseconds ahead_limit{1000};
  /// A job that runs for so long is not short; nothing waits behind it in its executor's hands.
  std::chrono::milliseconds short_limit{50};
};

class Attempts {
 public:
  using OnReport = std::function<void(proto::Report)>;

  Attempts(boost::asio::io_context& context, AttemptSettings settings, ExecutorPool::Programs programs,
           OnReport on_report);

  /// Starts a lease of the job that it names, or the error of reading that; what cannot be started is
  /// reported at once. A job without torch that was leased ahead, for whose cpus there is no room yet, waits
  /// for what runs, and is given back when that takes long.
  void start(proto::Lease lease, const Result<spec::JobSpec>& job);
  /// Ends an attempt; it is reported with this reason, once its processes are gone, or as what it was if it
  /// was over by now. Unknown leases are ignored.
  void stop(std::uint64_t lease_id, const Error& reason);
  void stop_all(const Error& reason);
  /// The agent leaves. What somebody else ended by SIGTERM a moment ago, or ends from now on, was preempted
  /// together with the agent: that is reported as an interruption.
  void note_leaving();
  /// Asks trainings to save where their epoch ends and to stop there.
  void ask_for_checkpoints();
  /// Shortens the logs of running attempts that have grown too long; to be called about once a second.
  void limit_logs();
  /// Ends an attempt whose outcome nobody wants.
  void abandon(std::uint64_t lease_id);

  /// Whether there is something to start as soon as anything ends.
  [[nodiscard]] bool has_ahead() const { return !ahead_.empty() || pool_.has_waiting(); }

  [[nodiscard]] bool empty() const { return attempts_.empty(); }
  [[nodiscard]] std::size_t size() const { return attempts_.size(); }
  [[nodiscard]] std::vector<proto::HeldLease> held() const;
  /// One per attempt, told by its rank 0; attempts that told nothing yet name their lease only.
  [[nodiscard]] std::vector<proto::AttemptProgress> progress() const;

 private:
  struct Rank {
    std::uint64_t executor = 0;  ///< 0 = answered, or gone
    std::optional<proto::Outcome> outcome;
  };
  struct Attempt {
    proto::Lease lease;
    spec::JobKind kind = spec::JobKind::kNoop;
    bool is_plain = false;        ///< a command without an entry
    bool takes_no_time = false;   ///< a noop that is over at once
    bool shares_queries = false;  ///< an evaluation whose ranks do
    bool is_queued = false;       ///< in the hands of an executor that works on another one
    int n_returns = 0;            ///< how often an executor died that was to begin it next
    std::filesystem::path log;    ///< relative to the work folder
    std::vector<Rank> ranks;
    std::optional<Error> verdict;          ///< why it did not succeed
    bool stopping = false;                 ///< the remaining ranks are being ended
    bool wanted = true;                    ///< whether anybody hears how it ended
    bool maybe_preempted = false;          ///< a rank got SIGTERM from elsewhere; the agent may be next
    std::set<std::string> damaged_inputs;  ///< keys, as any rank found them
    proto::AttemptProgress progress;
    std::chrono::steady_clock::time_point started;  ///< or when it came, while it waits
    std::int64_t cpus = 0;                          ///< that it occupies here
    std::uint64_t oom_kills = 0;                    ///< of the machine when it began
    std::unique_ptr<boost::asio::steady_timer>
        limit;  ///< its time limit, later the patience with its remaining ranks
  };

  [[nodiscard]] Status assign(Attempt& attempt);
  [[nodiscard]] Status assign_noop(Attempt& attempt);
  [[nodiscard]] Status assign_ranks(Attempt& attempt);
  [[nodiscard]] Status assign_launched(Attempt& attempt);
  void tell(Attempt& attempt, std::size_t rank, Executor& executor, std::optional<std::uint32_t> gpu = {});
  void remove_old_log(const Attempt& attempt) const;
  /// Counts it among those that run, from now on.
  void begin(Attempt& attempt);
  /// Threads of the attempt on this machine.
  [[nodiscard]] std::int64_t cpus_of(const Attempt& attempt) const;
  void watch_limit(Attempt& attempt);
  // What was leased ahead (attempts_ahead.cpp).
  [[nodiscard]] bool has_room(const Attempt& attempt) const;
  void run_ahead();
  void run_now(Attempt& attempt);
  void fill_queues();
  [[nodiscard]] Executor* queue_for(const Attempt& attempt);
  [[nodiscard]] bool is_held_up(const Executor& executor);
  void level_queues();
  void begin_next(const Executor& executor, std::uint64_t gone);
  [[nodiscard]] bool take_back(Attempt& attempt);
  void take_back_all(const Executor& executor);
  void wait_again(const std::vector<std::uint64_t>& leases);
  [[nodiscard]] std::vector<std::uint64_t> waiting_ahead();
  void watch_ahead();
  void give_back_ahead(const Error& reason, std::chrono::steady_clock::time_point came_before);
  void isolate(const Attempt& attempt);
  void give_verdict(Attempt& attempt, Error reason);
  void wait_then_end(Attempt& attempt);
  void end_ranks(Attempt& attempt);
  void finish_if_over(std::uint64_t lease_id);
  void await_own_signal(Attempt& attempt);
  void finish(Attempt attempt);
  void run_waiting();

  void take_progress(const Executor& executor, const proto::AttemptProgress& progress);
  void take_end(const Executor& executor, const proto::AttemptEnded& ended);
  void take_death(Executor& executor, const Ending& ending);
  [[nodiscard]] bool runs_again(Attempt& attempt, bool was_next);
  void take_death_of(Attempt& attempt, std::size_t rank, const Executor& executor, const Ending& ending);
  [[nodiscard]] Error cause_of_death(const Attempt& attempt, const Executor& executor, std::size_t rank,
                                     const Ending& ending);

  /// Of the machine, as of a moment ago.
  [[nodiscard]] std::uint64_t recent_oom_kills();

  [[nodiscard]] Attempt* find(std::uint64_t lease_id);
  [[nodiscard]] std::filesystem::path rendezvous_of(const Attempt& attempt) const;

  boost::asio::io_context& context_;
  AttemptSettings settings_;
  ExecutorPool pool_;
  NumaPlaces places_;
  OnReport on_report_;
  std::map<std::uint64_t, Attempt> attempts_;  ///< by lease id
  std::deque<std::uint64_t> waiting_;          ///< noops that take time and have no executor yet
  std::deque<std::uint64_t> ahead_;            ///< jobs that wait for cpus, in the order in which they came
  bool ahead_watched_ = false;
  boost::asio::steady_timer ahead_limit_;
  std::int64_t cpus_in_use_ = 0;
  bool leaving_ = false;
  bool warned_of_logs_ = false;
  std::uint64_t oom_kills_ = 0;  ///< of the machine, as far as deaths were put down to them
  std::uint64_t oom_kills_seen_ = 0;
  std::chrono::steady_clock::time_point oom_kills_at_;  ///< when they were seen
};

}  // namespace gauntlet::worker
