// What the coordinator knows, in memory: jobs and their graph, sweeps with their ready queues, workers and
// leases. Pure data with the operations that keep its counters and indices true; decisions are made in
// handlers.cpp and placement.cpp. Per job it costs about 90 bytes plus 12 per need and 8 per sweep; texts
// stay in the database. Thread safety: one thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

#include "coordinator/engine/open_workers.hpp"
#include "coordinator/engine/transitions.hpp"
#include "core/base/clock.hpp"
#include "core/base/json.hpp"
#include "core/base/result.hpp"

namespace gauntlet::engine {

struct EngineConfig {
  // Bounds of what retry_policy allows by cause.
  std::uint8_t max_failures = 3;  ///< attempts that may fail before the job does
  std::uint8_t max_losses = 5;    ///< workers that may be lost under a job before it fails
  Milliseconds backoff{1000};     ///< the unit of waits before another attempt
  Milliseconds max_backoff{60000};
  Milliseconds heartbeat{5000};
  int silent_heartbeats = 3;  ///< missed heartbeats after which an attached worker is lost
  Milliseconds grace{800};    ///< time a worker has to come back after its connection closed; one that lives
                              ///< tries again within a tenth of it
  Milliseconds restart_grace{15000};  ///< the same after the coordinator was away; longer than agents pause
  /// Jobs in a row that failed on a worker or device and then succeeded elsewhere, after which it gets
  /// nothing more; 0 = never.
  std::uint32_t quarantine_after = 3;
  /// Placements that may pass older jobs of a shape that does not fit, for every worker that is then kept.
  std::uint32_t max_overtakes = 8;
  /// Half of the work that is leased to a worker ahead of its cpus being free, by what such jobs took lately,
  /// so that it has something to start while results become durable. Jobs that take longer than this are
  /// never leased ahead; 0 = none is.
  Milliseconds ahead{20};
  /// What a worker may take to begin a job that it got ahead; then it gives it back.
  Milliseconds ahead_wait{1000};
};

/// Both times of one moment.
struct Now {
  SteadyTime steady;
  std::int64_t wall_ms = 0;
};

inline constexpr std::uint32_t kNone = UINT32_MAX;

// ---------------------------------------------------------------- jobs

struct Waiting {
  std::uint32_t n_unmet = 0;  ///< needs that are not done, > 0
};
struct Queued {
  SteadyTime not_before{};                 ///< the epoch = at once; else a timer moves it to the ready queue
  ErrorCode cause = ErrorCode::kInternal;  ///< of a delay: how the last attempt ended
};
struct Leased {
  LeaseId lease;
  WorkerId worker;
  std::uint64_t gpus = 0;
  SteadyTime started;
  SteadyTime deadline = SteadyTime::max();  ///< of the job's own time limit
  std::uint32_t slot = 0;                   ///< place in the worker's list of leases
};
struct Done {};
struct Failed {
  ErrorCode code = ErrorCode::kInternal;
};
struct Blocked {
  JobId culprit;
};
struct Cancelled {};

/// In the order of JobStateTag.
using JobState = std::variant<Waiting, Queued, Leased, Done, Failed, Blocked, Cancelled>;
static_assert(std::variant_size_v<JobState> == kJobStateCount);

[[nodiscard]] inline JobStateTag tag_of(const JobState& state) {
  return static_cast<JobStateTag>(state.index());
}

struct Job {
  JobState state = Waiting{};
  std::uint32_t shape = 0;
  std::uint32_t attempts = 0;  ///< number of the last attempt; only grows
  std::uint32_t home = kNone;  ///< sweep whose ready queue holds the job's valid entry
  std::uint32_t needs_begin = 0;
  std::uint32_t n_needs = 0;
  std::uint32_t first_edge = kNone;    ///< list of dependants
  std::uint32_t first_member = kNone;  ///< list of sweeps
  std::uint8_t failures = 0;
  std::uint8_t losses = 0;
  bool exists = false;
};

/// What the latest jobs of a shape took; known once enough in a row were short.
struct RecentTime {
  std::uint32_t n = 0;
  double mean_s = 0;
};

/// A shape with what placement derives from it.
struct Shape {
  JobShape job;
  std::uint32_t entry = kNone;  ///< index of the entry a worker must have; kNone = any worker will do
  bool needs_torch = false;
  bool keeps_progress = false;  ///< goes on from a checkpoint when it was cut off
  std::int64_t least_s = 0;     ///< its jobs have run so long without being done
  /// Seconds that a worker must stay; 0 = nothing is known.
  [[nodiscard]] std::int64_t needs_s() const { return std::max(job.resources.time_s, least_s); }
  RecentTime recent = {};
};

// ---------------------------------------------------------------- sweeps

/// The ready jobs of one sweep and one shape: a heap of job numbers, so that the first submitted goes first.
/// Entries whose job moved on are dropped when they reach the top.
struct ReadyQueue {
  std::uint32_t shape = 0;
  std::vector<std::uint32_t> heap;
  /// Placements that passed jobs of it that did not fit; each of its own takes `max_overtakes` off.
  std::uint32_t overtaken = 0;
  std::vector<WorkerId> reserved;  ///< workers kept for its first jobs
};

struct Sweep {
  SweepRow row;
  StateCounts counts{};
  std::array<std::uint64_t, spec::kJobKindCount> live_by_kind{};  ///< waiting, queued or leased
  std::vector<ReadyQueue> queues;
  double served = 0;    ///< cost of what it was given; among equal priorities the least served goes next
  bool active = false;  ///< listed in State::active_sweeps
  std::uint64_t exhausted_round = 0;  ///< placement round in which nothing of it fitted
};

// ---------------------------------------------------------------- workers

struct WorkerOffer {
  std::string agent_id;
  std::string name;
  std::int64_t cpus = 1;
  std::int64_t memory_mb = 0;
  std::int64_t gpus = 0;  ///< at most 64
  std::uint32_t credit = 1;
  bool has_torch = false;
  std::map<std::string, std::string> labels = {};
  std::string reach = {};    ///< workers with equal ones can share a gang; "" = its gangs stay with it
  std::string address = {};  ///< what its launcher calls it
  std::vector<std::uint32_t> gpu_indices = {};  ///< how CUDA counts its devices there; empty = as we do
  SteadyTime ends = SteadyTime::max();  ///< when it leaves; jobs whose time limit is later are not started
  std::vector<std::tuple<std::string, std::string, std::int64_t>> entries;  ///< kind of entry, name, version
};

/// A job that failed at some place.
struct SuspectJob {
  JobId job;
  bool done_elsewhere = false;
};
/// What failed at a place since anything last succeeded there; see quarantine.hpp.
struct Suspicion {
  std::vector<SuspectJob> jobs;
};

/// What OpenWorkers knows of a worker.
struct ListedWorker {
  std::uint32_t index = kNone;  ///< in the list of all; kNone = not listed
  std::int64_t free_gpus = 0, all_gpus = 0, free_cpus = 0;
  bool operator==(const ListedWorker&) const = default;
};

struct Worker {
  WorkerId id;
  WorkerOffer offer;
  std::set<std::uint32_t> entries;  ///< indices of interned entries
  std::int64_t free_cpus = 0;       ///< below 0 by those of jobs that were leased ahead
  std::int64_t free_memory_mb = 0;
  std::uint64_t free_gpus = 0;  ///< bit i = device i
  std::vector<JobId> leases;
  std::vector<JobId> parts;  ///< gangs led by another worker that have ranks here
  bool attached = false;
  bool draining = false;
  SteadyTime last_heard;  ///< attached: last frame; else: when the connection closed
  SteadyTime back_by;     ///< not attached: when it is lost
  Suspicion suspicion;
  std::map<std::uint32_t, Suspicion> gpu_suspicions;  ///< by device
  std::string quarantine;                             ///< why it gets nothing more; "" = it does
  std::uint64_t bad_gpus = 0;                         ///< in quarantine; bit i = device i
  ListedWorker listed;                                ///< in State::open_workers
  std::uint32_t kept = kNone;                         ///< reservation of the placement round that runs
  std::vector<std::uint8_t> hosts;  ///< by shape: 0 = not worked out, 1 = never, 2 = when free
};

/// Running time of finished jobs of a kind.
struct MeanTime {
  std::uint64_t n = 0;
  double total_s = 0;
};

class State {
 public:
  explicit State(EngineConfig config) : config_(config) {}
  State(State&&) = default;
  State& operator=(State&&) = default;
  State(const State&) = delete;  // open_ points into workers_, whose nodes move with it
  State& operator=(const State&) = delete;
  ~State() = default;

  [[nodiscard]] const EngineConfig& config() const { return config_; }

  // Jobs and their graph.
  [[nodiscard]] bool has_job(JobId id) const { return id.value < jobs_.size() && jobs_[id.value].exists; }
  [[nodiscard]] const Job& job(JobId id) const { return jobs_[id.value]; }
  [[nodiscard]] Job& job(JobId id) { return jobs_[id.value]; }
  [[nodiscard]] std::uint64_t end_of_jobs() const { return jobs_.size(); }
  [[nodiscard]] const Shape& shape_of(const Job& job) const { return shapes_[job.shape]; }
  [[nodiscard]] const Shape& shape(std::uint32_t index) const { return shapes_[index]; }
  /// A job took so long; nothing: how long such jobs take is not known any more.
  void note_time(JobId id, std::optional<double> wall_s);
  [[nodiscard]] std::span<const std::uint32_t> needs(JobId id) const;
  [[nodiscard]] std::vector<JobId> dependants(JobId id) const;
  [[nodiscard]] std::vector<std::uint32_t> sweeps_of(JobId id) const;
  [[nodiscard]] const StateCounts& counts() const { return counts_; }
  /// The state a job without an attempt must have, given its needs.
  [[nodiscard]] JobState settled(JobId id) const;
  /// The job has run so long on a worker that left, and has to begin anew: it is not started where less time
  /// is left. Forgotten by a restart, which costs one more try.
  void note_cut_off(JobId id, std::int64_t ran_s);
  /// The job, which has no lease, asks for these resources from now on; what was learned of its time stays.
  void set_resources(JobId id, const spec::Resources& resources);
  /// Before a job becomes leased: it is a gang over these workers, the lease's first.
  void set_gang(JobId id, std::vector<GangPart> parts) { gangs_[id] = std::move(parts); }
  /// Empty for every job that is not leased to several workers.
  [[nodiscard]] std::span<const GangPart> gang(JobId id) const;
  /// Every change of a job's state: counters, ready queues, timers, the worker's resources.
  void set_state(JobId id, JobState state);
  /// Adds jobs (waiting, not yet counted in any sweep), needs and memberships. Errors (kCorrupt): an unknown
  /// shape, need or sweep, a job twice, a need that is not older than its job.
  [[nodiscard]] Status add_rows(const JobRows& rows);

  // Sweeps.
  /// Adds the sweep, or takes its newer row; a known sweep stays paused or not.
  void add_sweep(const SweepRow& row);
  [[nodiscard]] std::uint32_t find_sweep(SweepId id) const;  ///< kNone when unknown
  [[nodiscard]] std::vector<Sweep>& sweeps() { return sweeps_; }
  [[nodiscard]] const std::vector<Sweep>& sweeps() const { return sweeps_; }
  [[nodiscard]] const std::vector<std::uint32_t>& active_sweeps() const { return active_sweeps_; }
  void set_paused(std::uint32_t sweep, bool paused);

  // Ready queues and timers.
  /// The first job of a queue that can still be leased; drops what cannot. Returns false when none is left.
  [[nodiscard]] bool clean_top(std::uint32_t sweep, ReadyQueue& queue);
  /// Drops sweeps without ready jobs from active_sweeps.
  void drop_idle_sweeps();
  /// Jobs whose timer is due: backoff over, or time limit passed. Each is returned once.
  [[nodiscard]] std::vector<JobId> pop_due(SteadyTime now);
  void push_ready(JobId id);

  // Workers.
  [[nodiscard]] Worker* find_worker(WorkerId id);
  [[nodiscard]] const Worker* find_worker(WorkerId id) const;
  [[nodiscard]] Worker* find_agent(const std::string& agent_id);
  [[nodiscard]] const std::map<WorkerId, Worker>& workers() const { return workers_; }
  [[nodiscard]] std::map<WorkerId, Worker>& workers() { return workers_; }
  /// Adds a worker without a connection.
  Worker& add_worker(WorkerId id, const WorkerOffer& offer);
  /// Takes a new offer: resources are counted again.
  void set_offer(Worker& worker, const WorkerOffer& offer);
  void remove_worker(WorkerId id);
  /// To be called after attached, draining, quarantine or credit changed.
  void refresh_open(Worker& worker);
  /// The device is given to nobody any more; an attempt that has it goes on.
  void quarantine_gpu(Worker& worker, std::uint32_t device);
  /// Workers with failures held against them or their devices; some may have gone.
  [[nodiscard]] std::set<WorkerId>& suspects() { return suspects_; }
  /// Attached, not draining, not in quarantine, with spare credit.
  [[nodiscard]] const OpenWorkers& open_workers() const { return open_; }
  /// What the lease occupies: the variant with so many GPUs.
  [[nodiscard]] const spec::Resources& occupied(JobId id, const Leased& lease) const;
  /// Whether the worker could run such jobs when it has nothing else to do and enough time left.
  [[nodiscard]] bool hosts(Worker& worker, std::uint32_t shape) const;
  [[nodiscard]] std::uint32_t intern_entry(std::string_view kind, std::string_view name,
                                           std::int64_t version);

  [[nodiscard]] LeaseId next_lease() { return LeaseId{++last_lease_}; }
  [[nodiscard]] WorkerId next_worker() { return WorkerId{++last_worker_}; }
  void set_last_ids(LeaseId lease, WorkerId worker);
  [[nodiscard]] std::uint64_t next_round() { return ++round_; }
  [[nodiscard]] std::size_t& rotation() { return rotation_; }

  [[nodiscard]] std::array<MeanTime, spec::kJobKindCount>& times() { return times_; }
  [[nodiscard]] const std::array<MeanTime, spec::kJobKindCount>& times() const { return times_; }

  /// Derives every counter and index again and compares. Errors (kInternal): the first difference.
  [[nodiscard]] Status check_invariants() const;
  /// Everything, for debugging.
  [[nodiscard]] Json dump() const;

 private:
  struct Timer {
    SteadyTime at;
    std::uint32_t job;
    bool operator>(const Timer& other) const { return at > other.at; }
  };

  [[nodiscard]] std::uint32_t intern_shape(const JobShape& shape, std::int64_t least_s = 0);
  void count(JobId id, const JobState& state, std::int64_t by);
  void take(JobId id, Leased& lease);
  void release(JobId id, const Leased& lease);
  /// What the job occupies at one of its workers, and the devices there.
  struct Use {
    std::int64_t cpus = 0;
    std::int64_t memory_mb = 0;
    std::uint64_t gpus = 0;
  };
  [[nodiscard]] Use use_of(JobId id, const Leased& lease, const Worker& worker) const;
  void occupy(Worker& worker, const Use& use);
  void free(Worker& worker, const Use& use);
  void count_free(Worker& worker);
  [[nodiscard]] std::uint32_t best_home(JobId id) const;
  void activate(std::uint32_t sweep);
  /// Whether an entry of the sweep's ready queues is valid.
  [[nodiscard]] bool is_ready_in(std::uint32_t number, std::uint32_t sweep) const;
  void reserve_jobs(std::uint64_t n_jobs);
  [[nodiscard]] Status add_job(const JobRow& row, const std::vector<std::uint32_t>& shapes);
  [[nodiscard]] Status add_needs(std::span<const NeedRow> needs);
  [[nodiscard]] Status add_member(const MemberRow& member);
  [[nodiscard]] Status check_jobs() const;
  [[nodiscard]] Status check_state(JobId id) const;
  [[nodiscard]] Status check_lease(JobId id, const Leased& lease) const;
  [[nodiscard]] Status check_counts() const;
  [[nodiscard]] Status check_workers() const;
  [[nodiscard]] Status check_gang(JobId id, const Leased& lease) const;

  EngineConfig config_;
  std::vector<Job> jobs_;
  std::vector<Shape> shapes_;
  std::map<std::tuple<std::string, std::string, std::int64_t>, std::uint32_t> entries_;
  std::vector<std::uint32_t> needs_;       ///< job numbers, grouped by job
  std::vector<std::uint32_t> edge_owner_;  ///< job that has the need at the same place of needs_
  std::vector<std::uint32_t> edge_next_;   ///< next edge with the same need
  std::vector<std::uint32_t> member_sweep_;
  std::vector<std::uint32_t> member_next_;
  StateCounts counts_{};

  std::vector<Sweep> sweeps_;
  std::unordered_map<SweepId, std::uint32_t> sweep_index_;
  std::vector<std::uint32_t> active_sweeps_;
  std::vector<Timer> timers_;  ///< heap, earliest first; entries whose job moved on are dropped when due

  std::unordered_map<JobId, std::vector<GangPart>> gangs_;  ///< of leased jobs
  std::map<WorkerId, Worker> workers_;
  std::unordered_map<std::string, WorkerId> agents_;
  OpenWorkers open_;  ///< of workers_
  std::set<WorkerId> suspects_;
  std::array<MeanTime, spec::kJobKindCount> times_{};
  std::uint64_t last_lease_ = 0;
  std::uint64_t last_worker_ = 0;
  std::uint64_t round_ = 0;
  std::size_t rotation_ = 0;
};

/// Whether the worker has what such jobs need besides resources: labels, torch, the entry.
[[nodiscard]] bool qualifies(const Worker& worker, const Shape& shape);

/// What a restart goes on with; `transitions` bring the database to what the graph implies, and are usually
/// none.
struct Restored {
  State state;
  std::vector<Transition> transitions;
};

/// Builds the state of a database. Leases stay with their workers, which have `restart_grace` to come back.
/// Errors (kCorrupt): rows that contradict each other.
[[nodiscard]] Result<Restored> restore(const EngineConfig& config, const RestoredRows& rows, const Now& now);

}  // namespace gauntlet::engine
