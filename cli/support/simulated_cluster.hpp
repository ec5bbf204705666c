// A cluster in simulated time around the real engine and the real store: nodes that run what they are given,
// fail, are preempted and come back, and users who hand in studies. Thread safety: none.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <queue>
#include <vector>

#include "cli/support/simulated_mix.hpp"
#include "coordinator/engine/handlers.hpp"
#include "coordinator/store/job_store.hpp"
#include "core/base/random.hpp"
#include "core/base/result.hpp"

namespace gauntlet::cli {

struct ClusterOptions {
  int nodes = 1000;
  std::int64_t gpus = 8;  ///< of each node; 8 processors with each
  double days = 30;
  double load = 0.9;  ///< GPU time asked for, as a share of all there is
  std::uint64_t seed = 1;
  MeanHours hours = default_hours();
  double node_days_between_failures = 60;  ///< mean; a failed node is back after about half an hour
  double node_days_between_preemptions = 7;
  double attempt_failure_share = 0.02;  ///< of attempts, on top; a twentieth of these fail for good
};

/// What it came to; times in seconds.
struct ClusterFigures {
  std::uint64_t jobs_submitted = 0, jobs_done = 0, jobs_failed = 0, attempts = 0, losses = 0, preemptions = 0;
  std::uint64_t most_waiting = 0;        ///< ready jobs at one time
  double busy_gpu_s = 0, gpu_s = 0;      ///< of GPUs that were up
  std::vector<float> waits, gang_waits;  ///< from ready to leased; of all jobs, and of whole-node gangs
  double engine_cpu_s = 0;               ///< of everything but heartbeats and ticks
  double store_cpu_s = 0, heartbeat_cpu_s = 0, tick_cpu_s = 0;
  std::uint64_t heartbeats = 0, ticks = 0, transactions = 0;
};

class SimulatedCluster {
 public:
  /// The database lies in `folder`. Errors: those of the store.
  [[nodiscard]] static Result<std::unique_ptr<SimulatedCluster>> make(const ClusterOptions& options,
                                                                      const std::filesystem::path& folder);
  /// Until the days are over. Errors: those of the store; kInternal for a broken invariant of the engine.
  [[nodiscard]] Status run();
  [[nodiscard]] const ClusterFigures& figures() const { return figures_; }

 private:
  enum class What : std::uint8_t { kStudy, kEnd, kFail, kPreempt, kBack, kBeat, kTick };
  struct Event {
    double at_s;
    What what;
    std::uint64_t subject;  ///< node or lease
    bool operator>(const Event& other) const { return at_s > other.at_s; }
  };
  struct Running {
    engine::LeaseRef ref;
    std::int64_t gpus;
    double began_s;
  };
  struct Node {
    WorkerId worker;  ///< 0 = it is down
    std::uint64_t n_lives = 0;
    double up_since_s = 0;
    std::map<std::uint64_t, Running> running;  ///< by lease
  };
  struct JobFacts {
    float ready_s = -1;
    float left_s = -1;  ///< of a training that was cut off
    std::uint8_t kind = 0;
    std::uint8_t gpus = 0;
  };

  SimulatedCluster(const ClusterOptions& options, store::JobStore store);
  [[nodiscard]] engine::Now now() const;
  [[nodiscard]] Status handle(const Event& event);
  [[nodiscard]] Status submit();
  [[nodiscard]] Status commit();
  [[nodiscard]] Status decide(engine::Decision decision);
  /// Runs a handler on the engine's account.
  template <class Handler>
  [[nodiscard]] Status on_engine(double& cpu_s, const Handler& handler);
  [[nodiscard]] Status join(std::uint64_t node);
  [[nodiscard]] Status end_attempt(std::uint64_t lease);
  /// Everything it runs is cut off; `announced`: it says so, as when it is preempted.
  [[nodiscard]] Status take_down(std::uint64_t node, bool announced);
  void begin(std::uint64_t node, const engine::LeaseGrant& grant);
  void stop_clock(const Running& running);
  void schedule(double in_s, What what, std::uint64_t subject);
  [[nodiscard]] double exponential(double mean);
  [[nodiscard]] engine::ReportEvent report_of(const Running& running, std::optional<ErrorCode> code) const;

  ClusterOptions options_;
  store::JobStore store_;
  engine::State state_;
  RandomStream random_;
  double at_s_ = 0;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::vector<Node> nodes_;
  std::map<std::uint64_t, std::uint64_t> node_of_worker_;
  std::map<std::uint64_t, std::uint64_t> node_of_lease_;
  std::vector<JobFacts> jobs_;  ///< by job number
  std::vector<engine::Transition> uncommitted_;
  std::uint64_t n_studies_ = 0;
  ClusterFigures figures_;
};

}  // namespace gauntlet::cli
