#include "coordinator/store/import.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>

#include "coordinator/store/state.hpp"
#include "results/store/selection.hpp"

namespace gauntlet::store {
namespace {

using engine::JobStateTag;

constexpr std::string_view kFreed = "imported without its artifact";

/// Equal to the last bit; what is measured but no number is equal to itself.
bool same_value(double a, double b) {
  return (std::isnan(a) && std::isnan(b)) ||
         std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
}

class Importer {
 public:
  Importer(StoreState& state, const ImportedWork& work, std::int64_t at_ms)
      : state_(state), connection_(state.connection), work_(work), at_ms_(at_ms) {}

  Result<ImportAnswer> import() {
    GAUNTLET_CHECK_OK(compare_jobs());
    for (const Submission& sweep : work_.sweeps) GAUNTLET_CHECK_OK(compare_cells(sweep));
    if (!answer_.conflicts.empty()) return std::move(answer_);
    for (const Submission& sweep : work_.sweeps) GAUNTLET_CHECK_OK(add_sweep(sweep));
    GAUNTLET_CHECK_OK(cancel_unfinished());
    GAUNTLET_CHECK_OK(finish_jobs());
    GAUNTLET_CHECK_OK(release_waiting());
    return std::move(answer_);
  }

 private:
  struct Known {
    JobId id;
    JobStateTag state = JobStateTag::kWaiting;
    std::uint64_t attempt = 0;
  };

  void conflict(std::string what) { answer_.conflicts.push_back({std::move(what)}); }

  Result<std::optional<Known>> find(const JobKey& key) {
    GAUNTLET_TRY(db::Statement * find,
                 connection_.cached("SELECT job_id, state, attempt FROM jobs WHERE key = ?"));
    GAUNTLET_CHECK_OK(find->bind_all(key));
    GAUNTLET_TRY(const bool row, find->step());
    if (!row) return std::optional<Known>();
    const Known known{.id = JobId{static_cast<std::uint64_t>(find->integer(0))},
                      .state = static_cast<JobStateTag>(find->integer(1)),
                      .attempt = static_cast<std::uint64_t>(find->integer(2))};
    find->reset();
    return std::optional(known);
  }

  // ---------------------------------------------------------------- conflicts

  Status compare_jobs() {
    for (const ImportedJob& job : work_.done) {
      GAUNTLET_TRY(const std::optional<Known> known, find(job.key));
      if (!known) {
        to_finish_.push_back(&job);
      } else if (known->state == JobStateTag::kLeased) {
        conflict(fmt::format("job {} runs here at present", job.key.brief()));
      } else if (known->state == JobStateTag::kDone) {
        GAUNTLET_CHECK_OK(compare_numbers(job, known->id));
      } else {
        to_finish_.push_back(&job);
      }
    }
    return {};
  }

  Status compare_numbers(const ImportedJob& job, JobId id) {
    std::map<std::tuple<std::string, std::string, bool>, std::pair<double, std::int64_t>> here;
    GAUNTLET_TRY(db::Statement * read,
                 connection_.cached("SELECT m.name, m.unit, m.higher_is_better, r.value, r.n FROM results r "
                                    "JOIN metrics m ON m.metric_id = r.metric_id WHERE r.job_id = ?"));
    GAUNTLET_CHECK_OK(read->bind_all(id));
    while (true) {
      GAUNTLET_TRY(const bool row, read->step());
      if (!row) break;
      here[{std::string(read->text(0)), std::string(read->text(1)), read->integer(2) != 0}] = {
          read->is_null(3) ? std::nan("") : read->real(3), read->integer(4)};
    }
    const std::size_t n_before = answer_.conflicts.size();
    for (const spec::ResultRow& row : job.outcome.rows) {
      const auto found = here.find({row.metric, row.unit, row.higher_is_better});
      if (found == here.end()) {
        conflict(fmt::format("job {}: {} is {} in the import and not measured here", job.key.brief(),
                             row.metric, row.value));
      } else if (!same_value(found->second.first, row.value) || found->second.second != row.n) {
        conflict(fmt::format("job {}: {} is {} (n = {}) here and {} (n = {}) in the import", job.key.brief(),
                             row.metric, found->second.first, found->second.second, row.value, row.n));
      }
      if (found != here.end()) here.erase(found);
    }
    for (const auto& [metric, value] : here) {
      conflict(fmt::format("job {}: {} is {} here and not measured in the import", job.key.brief(),
                           std::get<0>(metric), value.first));
    }
    if (answer_.conflicts.size() == n_before) ++answer_.outcome.same_jobs;
    return {};
  }

  /// A cell that a sweep of the same name has here already must have the same jobs.
  Status compare_cells(const Submission& sweep) {
    GAUNTLET_TRY(const auto here, cells_of(sweep.name));
    bool all_known = true;
    for (const SubmittedCell& cell : sweep.cells) {
      const auto known = here.find(cell.cell);
      if (known == here.end()) {
        all_known = false;
        continue;
      }
      std::set<std::string> keys;
      for (const CellJob& job : cell.jobs) keys.insert(job.key.hex());
      if (keys == known->second) continue;
      const spec::Cell& c = cell.cell;
      conflict(fmt::format(
          "sweep '{}' has the cell {} {} {} bits {} {} {} {} seed {} here too, with other jobs", sweep.name,
          c.dataset, c.model, c.bits, c.defense, c.attack, c.direction, c.variant, c.seed));
    }
    if (all_known) complete_.insert(sweep.name);
    return {};
  }

  Result<std::map<spec::Cell, std::set<std::string>>> cells_of(const std::string& sweep) {
    std::map<spec::Cell, std::set<std::string>> cells;
    GAUNTLET_TRY(const results::CellSelection rows,
                 results::select_cells(connection_, {{"sweep", {sweep}}}, {}));
    for (const results::CellRow& row : rows.cells) {
      std::set<std::string>& keys = cells[row.cell];
      GAUNTLET_TRY(db::Statement * jobs,
                   connection_.cached("SELECT j.key FROM cell_jobs cj JOIN jobs j ON j.job_id = cj.job_id "
                                      "WHERE cj.cell_id = ?"));
      GAUNTLET_CHECK_OK(jobs->bind_all(row.cell_id));
      while (true) {
        GAUNTLET_TRY(const bool any, jobs->step());
        if (!any) break;
        keys.insert(jobs->key(0).hex());
      }
    }
    return cells;
  }

  // ---------------------------------------------------------------- writing

  Status add_sweep(const Submission& sweep) {
    if (complete_.contains(sweep.name)) return {};  // a second import of the same changes nothing
    GAUNTLET_TRY(const engine::SubmitOutcome submitted, submit_all(state_, sweep, at_ms_));
    answer_.outcome.new_jobs += submitted.new_jobs;
    answer_.outcome.new_cells += submitted.new_cells;
    for (const engine::JobRow& job : submitted.rows.jobs) new_jobs_.insert(job.id);
    return {};
  }

  /// What was not done elsewhere is not started here unless somebody asks for it (`gauntlet retry`).
  Status cancel_unfinished() {
    std::set<JobId> finishing;
    for (const ImportedJob* job : to_finish_) {
      GAUNTLET_TRY(const std::optional<Known> known, find(job->key));
      if (known) finishing.insert(known->id);
    }
    std::vector<engine::Transition> changes;
    for (const JobId job : new_jobs_) {
      if (finishing.contains(job)) continue;
      changes.push_back({at_ms_, engine::JobCancelled{job, "not done where it was exported"}});
    }
    return apply_all(state_, changes).map([](const auto&) {});
  }

  Status finish_jobs() {
    GAUNTLET_TRY(std::int64_t lease,
                 connection_.integer("SELECT value FROM counters WHERE name = 'last_lease'"));
    std::vector<engine::Transition> changes;
    std::vector<std::pair<JobId, std::int64_t>> finished;  // and when
    for (const ImportedJob* job : to_finish_) {
      GAUNTLET_TRY(const std::optional<Known> known, find(job->key));
      if (!known) continue;  // of a sweep that is complete here without it
      GAUNTLET_TRY(const WorkerId worker, worker_named(job->worker, changes));
      const AttemptNo attempt{known->attempt + 1};
      const LeaseId id{static_cast<std::uint64_t>(++lease)};
      changes.push_back({job->started_ms, engine::JobLeased{known->id, id, attempt, worker, 0}});
      changes.push_back({job->ended_ms, engine::AttemptDone{known->id, id, attempt, worker, job->outcome}});
      if (!job->outcome.manifest.empty()) finished.emplace_back(known->id, job->ended_ms);
      ++answer_.outcome.done_jobs;
    }
    for (const auto& [name, id] : workers_) changes.push_back({at_ms_, engine::WorkerLeft{id, "imported"}});
    GAUNTLET_CHECK_OK(apply_all(state_, changes));
    // Its artifact is elsewhere: as one that was freed, it is made again when something needs it.
    GAUNTLET_TRY(
        db::Statement * freed,
        connection_.cached("INSERT INTO events (at_ms, kind, job_id, detail) VALUES (?, 'freed', ?, ?)"));
    // Clocks differ: never before the attempt that made it.
    for (const auto& [job, ended_ms] : finished)
      GAUNTLET_CHECK_OK(freed->run_with(std::max(at_ms_, ended_ms), job, kFreed));
    return {};
  }

  Result<WorkerId> worker_named(const std::string& name, std::vector<engine::Transition>& changes) {
    const auto known = workers_.find(name);
    if (known != workers_.end()) return known->second;
    GAUNTLET_TRY(const std::int64_t last,
                 connection_.integer("SELECT value FROM counters WHERE name = 'last_worker'"));
    const WorkerId id{static_cast<std::uint64_t>(last) + workers_.size() + 1};
    changes.push_back({at_ms_, engine::WorkerJoined{id, "import", name, 0, 0, 0}});
    workers_.emplace(name, id);
    return id;
  }

  /// Jobs of this database whose needs are done now are ready; those whose culprit is done wait again.
  Status release_waiting() {
    if (answer_.outcome.done_jobs == 0) return {};
    for (const std::string_view sql :
         {"UPDATE jobs SET state = 0, blocked_by = NULL WHERE state = 5 AND NOT EXISTS (SELECT 1 FROM needs "
          "e "
          "JOIN jobs n ON n.job_id = e.needs_job_id WHERE e.job_id = jobs.job_id AND n.state IN (4, 5, 6))",
          "UPDATE jobs SET state = 1 WHERE state = 0 AND NOT EXISTS (SELECT 1 FROM needs e JOIN jobs n ON "
          "n.job_id = e.needs_job_id WHERE e.job_id = jobs.job_id AND n.state <> 3)"}) {
      GAUNTLET_TRY(db::Statement * update, connection_.cached(sql));
      // A blocked job may wait for a blocked one.
      do {
        GAUNTLET_CHECK_OK(update->run_with());
      } while (connection_.changes() > 0);
    }
    return {};
  }

  StoreState& state_;
  db::Connection& connection_;
  const ImportedWork& work_;
  std::int64_t at_ms_;
  ImportAnswer answer_;
  std::vector<const ImportedJob*> to_finish_;
  std::set<std::string> complete_;  ///< sweeps that have all their cells here
  std::set<JobId> new_jobs_;
  std::map<std::string, WorkerId> workers_;
};

}  // namespace

Result<ImportAnswer> import_all(StoreState& state, const ImportedWork& work, std::int64_t at_ms) {
  return Importer(state, work, at_ms).import();
}

}  // namespace gauntlet::store
