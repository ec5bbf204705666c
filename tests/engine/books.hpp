// What the transitions of an engine add up to: the database as a store would have it, kept by rules of its
// own. Thread safety: none.
#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "coordinator/engine/transitions.hpp"

namespace gauntlet::engine {

/// A job before it has a number.
struct PlannedJob {
  spec::Resources resources{.cpus = 1, .gpus = 0, .ranks = 1, .memory_mb = 0, .time_s = 0};
  std::vector<std::uint64_t> needs = {};  ///< ids
  spec::JobKind kind = spec::JobKind::kNoop;
  std::string entry = "";
  std::int64_t version = 0;
};

class Books {
 public:
  std::map<std::uint64_t, PlannedJob> plans;
  std::map<std::uint64_t, std::set<std::uint64_t>> sweeps_of;
  std::map<std::uint64_t, SweepRow> sweeps;
  std::map<std::uint64_t, JobStateTag> states;
  std::map<std::uint64_t, ErrorCode> codes;
  std::map<std::uint64_t, std::uint64_t> culprits;
  std::map<std::uint64_t, std::pair<std::uint8_t, std::uint8_t>> counters;  ///< failures, losses
  std::map<std::uint64_t, LeaseRow> leases;                                 ///< open ones, by job
  std::map<std::uint64_t, std::uint64_t> attempts;
  std::map<std::uint64_t, int> n_done;      ///< accepted results, by job
  std::map<std::uint64_t, int> n_reopened;  ///< results given up again because their artifact was damaged
  std::map<std::uint64_t, double>
      accepted;  ///< lease → value of the first row of its accepted result, 0 without
  std::map<std::uint64_t, std::pair<std::uint64_t, double>> results;  ///< attempt and first value, by job
  std::map<std::uint64_t, WorkerRow> workers;
  std::uint64_t last_job = 0;
  std::uint64_t last_lease = 0;
  std::uint64_t last_worker = 0;
  std::string problem;  ///< the first transition that contradicts what was before; "" for none

  void apply(const std::vector<Transition>& transitions) {
    for (const Transition& transition : transitions) {
      at_ms_ = transition.at_ms;
      std::visit([&](const auto& change) { take(change); }, transition.change);
    }
  }

  /// Resources that a submission asks for known jobs, by id.
  using Asks = std::map<std::uint64_t, spec::Resources>;

  /// Numbers new jobs on from the last and adds them to the sweep, with known ones; gives what a store would.
  SubmitOutcome submit(std::uint64_t sweep, std::int32_t priority, const std::vector<PlannedJob>& jobs,
                       const std::vector<std::uint64_t>& also, const Asks& asks = {}) {
    SubmitOutcome outcome;
    SweepRow& row = sweeps[sweep];
    row.id = SweepId{sweep};
    row.name = fmt::format("sweep{}", sweep);
    row.priority = priority;
    outcome.sweep = row;
    for (const PlannedJob& job : jobs) {
      const JobId id{++last_job};
      const bool ready = std::all_of(job.needs.begin(), job.needs.end(),
                                     [&](std::uint64_t need) { return states[need] == JobStateTag::kDone; });
      plans[id.value] = job;
      states[id.value] = ready ? JobStateTag::kQueued : JobStateTag::kWaiting;
      add_row(id.value, outcome.rows);
    }
    for (std::uint64_t id = last_job - jobs.size() + 1; id <= last_job; ++id) add_member(sweep, id, outcome);
    for (const std::uint64_t id : also) add_member(sweep, id, outcome);
    for (const auto& [id, resources] : asks) {
      asked_.push_back(resources);
      if (states[id] == JobStateTag::kDone) continue;
      const auto shape = static_cast<std::uint32_t>(outcome.rows.shapes.size());
      outcome.rows.shapes.push_back({plans[id].kind, plans[id].entry, plans[id].version, resources});
      outcome.changes.push_back({JobId{id}, shape, static_cast<std::int64_t>(asked_.size() - 1)});
    }
    outcome.new_jobs = jobs.size();
    outcome.reused_jobs = also.size();
    return outcome;
  }

  /// The rows a database would give now.
  [[nodiscard]] RestoredRows rows() const {
    RestoredRows made;
    for (const auto& [id, row] : sweeps) made.sweeps.push_back(row);
    for (const auto& [id, plan] : plans) {
      add_row(id, made.rows);
      for (const std::uint64_t sweep : sweeps_of.at(id))
        made.rows.members.push_back({SweepId{sweep}, JobId{id}});
    }
    for (const auto& [job, lease] : leases) made.leases.push_back(lease);
    std::set<std::uint64_t> holders;  // workers without leases are of no use after a restart
    for (const auto& [job, lease] : leases) {
      holders.insert(lease.worker.value);
      for (const GangPart& part : lease.parts) holders.insert(part.worker.value);
    }
    for (const std::uint64_t id : holders) made.workers.push_back(workers.at(id));
    made.last_lease = LeaseId{last_lease};
    made.last_worker = WorkerId{last_worker};
    return made;
  }

  /// Whether every job has as many results as its state says; "" or what is wrong.
  [[nodiscard]] std::string check_results() const {
    for (const auto& [id, state] : states) {
      const int n_standing = value_or_zero(n_done, id) - value_or_zero(n_reopened, id);
      if (n_standing == (state == JobStateTag::kDone ? 1 : 0)) continue;
      return fmt::format("job {} is {} with {} results", id, name_of(state), n_standing);
    }
    return "";
  }

 private:
  template <class Map>
  static typename Map::mapped_type value_or_zero(const Map& map, std::uint64_t key) {
    const auto found = map.find(key);
    return found == map.end() ? typename Map::mapped_type{} : found->second;
  }

  void add_row(std::uint64_t id, JobRows& rows) const {
    const PlannedJob& plan = plans.at(id);
    JobRow row;
    row.id = JobId{id};
    row.shape = static_cast<std::uint32_t>(rows.shapes.size());
    rows.shapes.push_back({plan.kind, plan.entry, plan.version, plan.resources});
    row.state = states.at(id);
    if (codes.contains(id)) row.code = codes.at(id);
    row.culprit = JobId{value_or_zero(culprits, id)};
    std::tie(row.failures, row.losses) = value_or_zero(counters, id);
    row.last_attempt = AttemptNo{value_or_zero(attempts, id)};
    rows.jobs.push_back(row);
    for (const std::uint64_t need : plan.needs) rows.needs.push_back({row.id, JobId{need}});
  }

  void add_member(std::uint64_t sweep, std::uint64_t job, SubmitOutcome& outcome) {
    if (sweeps_of[job].insert(sweep).second) outcome.rows.members.push_back({SweepId{sweep}, JobId{job}});
  }

  template <class... Args>
  void expect(bool holds, fmt::format_string<Args...> text, Args&&... args) {
    if (!holds && problem.empty()) problem = fmt::format(text, std::forward<Args>(args)...);
  }

  /// A state that says the job will run: a result it has is given up.
  void set_state(JobId job, JobStateTag state) {
    JobStateTag& known = states[job.value];
    if (known == JobStateTag::kDone) ++n_reopened[job.value];
    expect(!leases.contains(job.value), "job {} becomes {} with an open lease", job.value, name_of(state));
    known = state;
  }
  void take(const JobQueued& change) { set_state(change.job, JobStateTag::kQueued); }
  void take(const JobWaiting& change) { set_state(change.job, JobStateTag::kWaiting); }
  void take(const JobBlocked& change) {
    set_state(change.job, JobStateTag::kBlocked);
    culprits[change.job.value] = change.culprit.value;
  }
  void take(const JobFailed& change) {
    set_state(change.job, JobStateTag::kFailed);
    codes[change.job.value] = change.code;
  }
  void take(const JobCancelled& change) {
    expect(states[change.job.value] != JobStateTag::kDone, "job {} is cancelled after its end",
           change.job.value);
    set_state(change.job, JobStateTag::kCancelled);
  }
  void take(const JobRetried& change) { counters[change.job.value] = {0, 0}; }
  void take(const JobReshaped& change) {
    expect(!leases.contains(change.job.value), "job {} is reshaped while it runs", change.job.value);
    plans[change.job.value].resources = asked_.at(static_cast<std::size_t>(change.stored_shape));
  }
  void take(const JobLeased& change) {
    const std::uint64_t job = change.job.value;
    expect(change.lease.value > last_lease, "lease {} after lease {}", change.lease.value, last_lease);
    expect(change.attempt.value == attempts[job] + 1, "job {}: attempt {} after attempt {}", job,
           change.attempt.value, attempts[job]);
    expect(states[job] == JobStateTag::kQueued, "job {} is leased while {}", job, name_of(states[job]));
    expect(!leases.contains(job), "job {} has two leases", job);
    expect(workers.contains(change.worker.value), "lease {} names worker {}, which is not known",
           change.lease.value, change.worker.value);
    last_lease = change.lease.value;
    attempts[job] = change.attempt.value;
    states[job] = JobStateTag::kLeased;
    leases[job] = {change.job,  change.lease, change.attempt, change.worker,
                   change.gpus, at_ms_,       change.parts};
  }
  void take(const AttemptDone& change) {
    end(change.job, change.lease, change.attempt, change.worker);
    states[change.job.value] = JobStateTag::kDone;
    ++n_done[change.job.value];
    const double value = change.outcome.rows.empty() ? 0 : change.outcome.rows.front().value;
    expect(accepted.emplace(change.lease.value, value).second, "lease {} is counted twice",
           change.lease.value);
    results[change.job.value] = {change.attempt.value, value};
  }
  void take(const AttemptFailed& change) {
    end(change.job, change.lease, change.attempt, change.worker);
    counters[change.job.value] = {change.failures, change.losses};
  }
  void take(const WorkerJoined& change) {
    workers[change.worker.value] = {change.worker, change.agent_id,  change.name,
                                    change.cpus,   change.memory_mb, change.gpus};
    last_worker = std::max(last_worker, change.worker.value);
  }
  void take(const WorkerLeft& change) {
    expect(workers.contains(change.worker.value), "worker {} leaves without having come",
           change.worker.value);
  }
  void take(const SweepPaused& change) { sweeps[change.sweep.value].paused = change.paused; }

  void end(JobId job, LeaseId lease, AttemptNo attempt, WorkerId worker) {
    const auto open = leases.find(job.value);
    const bool is_open = open != leases.end() && open->second.lease == lease &&
                         open->second.attempt == attempt && open->second.worker == worker;
    expect(is_open, "lease {} of job {}, attempt {}, ends without being open", lease.value, job.value,
           attempt.value);
    if (open != leases.end()) leases.erase(open);
  }

  std::vector<spec::Resources> asked_;  ///< by submissions, for known jobs
  std::int64_t at_ms_ = 0;
};

}  // namespace gauntlet::engine
