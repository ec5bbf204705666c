// A coordinator's life without sockets: the engine decides, a store on some disk commits, books remember what
// was acknowledged. Whenever the store is opened it must have exactly that, or that and the one transaction
// whose end was never heard. Thread safety: none.
#pragma once

#include <fmt/ranges.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/engine/handlers.hpp"
#include "coordinator/store/job_store.hpp"
#include "core/base/random.hpp"
#include "core/db/connection.hpp"
#include "tests/engine/books.hpp"
#include "tests/results/synthetic_database.hpp"

namespace gauntlet::store {

/// Everything an engine is restored from, as text.
inline std::string text_of(const engine::RestoredRows& rows) {
  std::string text =
      fmt::format("last lease {}, last worker {}\n", rows.last_lease.value, rows.last_worker.value);
  for (const engine::SweepRow& sweep : rows.sweeps) {
    text += fmt::format("sweep {} {} priority {} paused {}\n", sweep.id.value, sweep.name, sweep.priority,
                        sweep.paused);
  }
  for (const engine::JobRow& job : rows.rows.jobs) {
    const engine::JobShape& shape = rows.rows.shapes[job.shape];
    const bool failed = job.state == engine::JobStateTag::kFailed;
    const bool blocked = job.state == engine::JobStateTag::kBlocked;
    text +=
        fmt::format("job {} {} {} {} cpus {} gpus {} {}{} failures {} losses {} attempt {} culprit {}\n",
                    job.id.value, spec::name_of(shape.kind), shape.entry, shape.version, shape.resources.cpus,
                    shape.resources.gpus, engine::name_of(job.state), failed ? name_of(job.code) : "",
                    job.failures, job.losses, job.last_attempt.value, blocked ? job.culprit.value : 0);
  }
  std::set<std::pair<std::uint64_t, std::uint64_t>> needs, members;
  for (const engine::NeedRow& need : rows.rows.needs) needs.emplace(need.job.value, need.need.value);
  for (const engine::MemberRow& member : rows.rows.members)
    members.emplace(member.sweep.value, member.job.value);
  text += fmt::format("needs {}\nmembers {}\n", needs, members);
  std::map<std::uint64_t, std::string> leases;
  for (const engine::LeaseRow& lease : rows.leases) {
    leases[lease.lease.value] =
        fmt::format("job {} attempt {} worker {} gpus {} since {}", lease.job.value, lease.attempt.value,
                    lease.worker.value, lease.gpus, lease.started_ms);
  }
  text += fmt::format("leases {}\n", leases);
  for (const engine::WorkerRow& worker : rows.workers) {
    text += fmt::format("worker {} {} {} cpus {} gpus {}\n", worker.id.value, worker.agent_id, worker.name,
                        worker.cpus, worker.gpus);
  }
  return text;
}

class StoreHistory {
 public:
  StoreHistory(std::filesystem::path path, std::uint64_t seed)
      : path_(std::move(path)), random_(RandomStream::of(seed, 3, 0)) {}

  /// Opens the store and compares; then every agent comes back with what it holds. Errors: the store's.
  [[nodiscard]] Status open() {
    GAUNTLET_TRY(JobStore opened, JobStore::open(path_));
    store_.emplace(std::move(opened));
    GAUNTLET_CHECK_OK(
        store_->connection().execute(fmt::format("PRAGMA wal_autocheckpoint={}", checkpoint_pages)));
    if (!extra_pragma.empty()) GAUNTLET_CHECK_OK(store_->connection().execute(extra_pragma));
    GAUNTLET_TRY(const engine::RestoredRows rows, store_->load());
    GAUNTLET_CHECK_OK(compare(rows));
    if (!problem.empty()) return {};
    auto restored = engine::restore({}, rows, now());
    if (!restored) return blame(restored.error().message);
    if (const Status status = restored->state.check_invariants(); !status)
      return blame(status.error().message);
    if (!restored->transitions.empty() && !unsettled_) return blame("a restart contradicts the database");
    state_.emplace(std::move(restored->state));
    GAUNTLET_CHECK_OK(commit({std::move(restored->transitions), {}, 0}));
    for (const auto& [agent, held] : std::map(held_)) GAUNTLET_CHECK_OK(join(agent));
    return {};
  }
  /// What was not committed is forgotten.
  void close() {
    store_.reset();
    state_.reset();
    decided_.clear();
    messages_.clear();
  }
  [[nodiscard]] bool is_open() const { return store_.has_value(); }

  /// Whether the last step was a submission that the store refused. A coordinator tells the client and goes
  /// on: nothing of it may then be seen. Errors: the store's.
  [[nodiscard]] Result<bool> goes_on_after_refusal() {
    if (!is_open() || !std::exchange(was_submission_refused_, false)) return false;
    GAUNTLET_TRY(const engine::RestoredRows rows, store_->load());
    GAUNTLET_TRY(const std::string results, results_text());
    if (text_of(rows) + results != text_of_books(acknowledged_))
      static_cast<void>(blame("a refused submission is seen"));
    return true;
  }

  /// One random thing happens. Errors: the store's; the engine's state is then worth nothing and `close` is
  /// next, unless the error is a submission's.
  [[nodiscard]] Status step() {
    if (!is_open()) return open();
    steady_ += Milliseconds(random_.below(1500));
    wall_ms_ += 700;
    switch (random_.below(16)) {
      case 0:
      case 1:
      case 2:
        return submit();
      case 3:
        return join(fmt::format("agent{}", random_.below(3)));
      case 4:
        return commit(on_worker_left(*state_, now(), worker_of(fmt::format("agent{}", random_.below(3)))));
      case 5:
        return commit(on_tick(*state_, now()));
      case 6:
        return commit(on_cancel(*state_, now(), some_jobs(20), {}, "not needed"));
      case 7:
        return commit(on_retry(*state_, now(), some_jobs(3)));
      case 8:
        return pause();
      case 9:
        close();
        return open();
      default:
        return report();
    }
  }

  /// Ends everything well: every job done. Errors: the store's.
  [[nodiscard]] Status finish() {
    if (!is_open()) GAUNTLET_CHECK_OK(open());
    for (const engine::Sweep& sweep : std::vector(state_->sweeps())) {
      GAUNTLET_CHECK_OK(commit(*on_pause(*state_, now(), sweep.row.id, false)));
    }
    for (int round = 0; round < 100 && !all_done() && problem.empty(); ++round) {
      GAUNTLET_CHECK_OK(join("agent0"));
      GAUNTLET_CHECK_OK(commit(on_retry(*state_, now(), some_jobs(1))));
      while (!held_["agent0"].empty()) GAUNTLET_CHECK_OK(report_of("agent0", 0, {}));
      steady_ += Milliseconds(60000);
      GAUNTLET_CHECK_OK(commit(on_tick(*state_, now())));
    }
    if (!all_done()) static_cast<void>(blame("not every job could be finished"));
    return {};
  }

  /// The first promise that does not hold; "" while all do.
  std::string problem;
  std::uint64_t n_acknowledged = 0;   ///< transactions
  std::uint64_t n_in_doubt_kept = 0;  ///< transactions without an answer that were found afterwards
  std::uint64_t n_in_doubt_gone = 0;
  int checkpoint_pages = 40;     ///< small, so that checkpoints happen often
  std::uint64_t max_jobs = 150;  ///< about
  std::string extra_pragma;

 private:
  [[nodiscard]] engine::Now now() const { return {steady_, wall_ms_}; }

  Status blame(const std::string& what) {
    if (problem.empty()) problem = what;
    return {};
  }

  // ---------------------------------------------------------------- comparing

  /// Numbers in the database, by job.
  [[nodiscard]] Result<std::string> results_text() {
    std::map<std::uint64_t, std::pair<std::uint64_t, double>> found;
    GAUNTLET_TRY(
        db::Statement * read,
        store_->connection().cached("SELECT r.job_id, r.attempt, r.value FROM results r JOIN metrics m "
                                    "ON m.metric_id = r.metric_id WHERE m.name = 'first'"));
    while (true) {
      GAUNTLET_TRY(const bool row, read->step());
      if (!row) return fmt::format("results {}\n", found);
      found[static_cast<std::uint64_t>(read->integer(0))] = {static_cast<std::uint64_t>(read->integer(1)),
                                                             read->real(2)};
    }
  }

  static std::string text_of_books(const engine::Books& books) {
    return text_of(books.rows()) + fmt::format("results {}\n", books.results);
  }

  Status compare(const engine::RestoredRows& rows) {
    GAUNTLET_TRY(const std::string integrity, store_->connection().text("PRAGMA integrity_check"));
    if (integrity.find("unable to get the page") != std::string::npos ||
        integrity.find("failed to get page") != std::string::npos) {  // the disk's word, not the database's
      return fail(ErrorCode::kIo, "database {}: disk I/O error: {}", path_.string(), integrity);
    }
    if (integrity != "ok") return blame("integrity check: " + integrity);
    GAUNTLET_TRY(const std::int64_t n_orphans,
                 store_->connection().integer("SELECT count(*) FROM pragma_foreign_key_check"));
    if (n_orphans > 0) return blame("rows point at nothing");
    GAUNTLET_TRY(const std::string results, results_text());
    const std::string found = text_of(rows) + results;
    const std::string acknowledged = text_of_books(acknowledged_);
    if (found == acknowledged) {
      n_in_doubt_gone += in_doubt_.empty() ? 0 : 1;
      in_doubt_.clear();
      return {};
    }
    for (InDoubt& doubt : in_doubt_) {
      if (found != text_of_books(doubt.books)) continue;
      acknowledged_ = std::move(doubt.books);
      unsettled_ = unsettled_ || doubt.is_submission;
      ++n_in_doubt_kept;
      in_doubt_.clear();
      return {};
    }
    return blame("acknowledged:\n" + acknowledged + "found:\n" + found);
  }

  // ---------------------------------------------------------------- committing

  Status commit(engine::Decision decision) {
    std::move(decision.transitions.begin(), decision.transitions.end(), std::back_inserter(decided_));
    std::move(decision.messages.begin(), decision.messages.end(), std::back_inserter(messages_));
    if (random_.below(3) == 0) return {};  // together with the next decision
    return flush();
  }

  void acknowledge() {
    acknowledged_ = std::move(in_doubt_.back().books);
    in_doubt_.clear();
    ++n_acknowledged;
  }

  Status flush() {
    const std::vector<engine::Transition> transitions = std::exchange(decided_, {});
    const std::vector<engine::Outgoing> messages = std::exchange(messages_, {});
    in_doubt_.emplace_back(acknowledged_).books.apply(transitions);
    GAUNTLET_CHECK_OK(store_->apply(transitions));
    acknowledge();
    unsettled_ = false;
    if (!acknowledged_.problem.empty()) return blame(acknowledged_.problem);
    for (const engine::Outgoing& message : messages) {
      if (const auto* leases = std::get_if<engine::GiveLeases>(&message)) take(*leases);
    }
    return {};
  }

  void take(const engine::GiveLeases& leases) {
    for (auto& [agent, held] : held_) {
      if (worker_of(agent) != leases.worker) continue;
      for (const engine::LeaseGrant& grant : leases.grants)
        held.push_back({grant.job, grant.lease, grant.attempt});
    }
  }

  // ---------------------------------------------------------------- what happens

  [[nodiscard]] WorkerId worker_of(const std::string& agent) {
    const engine::Worker* worker = state_->find_agent(agent);
    return worker == nullptr ? WorkerId{} : worker->id;
  }

  Status submit() {
    GAUNTLET_CHECK_OK(flush());
    const std::uint64_t sweep =
        1 +
        random_.below(static_cast<std::uint32_t>(std::min<std::size_t>(4, acknowledged_.sweeps.size() + 1)));
    Submission submission;
    submission.name = fmt::format("sweep{}", sweep);
    submission.priority = static_cast<std::int32_t>(random_.below(2));
    submission.spec_text = fmt::format("revision {}", random_.below(3));
    std::vector<std::uint64_t> also;
    for (std::uint64_t id = 1; id <= acknowledged_.last_job; ++id) {
      if (random_.below(12) != 0) continue;
      also.push_back(id);
      submission.jobs.push_back(jobs_[id - 1]);
    }
    std::vector<engine::PlannedJob> plans;
    jobs_.resize(acknowledged_.last_job);  // of a submission that never happened
    for (std::uint64_t n_jobs = acknowledged_.last_job < max_jobs ? random_.below(12) : 0; n_jobs > 0;
         --n_jobs) {
      plans.push_back(plan_job());
      submission.jobs.push_back(jobs_.back());
    }
    for (const SubmittedJob& job : submission.jobs) {
      SubmittedCell& cell = submission.cells.emplace_back();
      cell.cell.dataset = job.key.brief();
      cell.jobs = {{job.key, "work"}};
      cell.metrics = {"first", "second"};
    }
    InDoubt& doubt = in_doubt_.emplace_back(acknowledged_);
    doubt.is_submission = true;
    const engine::SubmitOutcome expected = doubt.books.submit(sweep, submission.priority, plans, also);
    auto submitted = store_->submit(submission, wall_ms_);
    was_submission_refused_ = !submitted.has_value();
    if (!submitted) return fail(std::move(submitted.error()));
    const engine::SubmitOutcome outcome = std::move(*submitted);
    acknowledge();
    unsettled_ = true;
    if (outcome.new_jobs != expected.new_jobs || outcome.sweep.id != expected.sweep.id) {
      return blame("the store counted another submission");
    }
    auto decision = on_submit(*state_, now(), outcome);
    if (!decision) return blame(decision.error().message);
    return commit(std::move(*decision));
  }

  engine::PlannedJob plan_job() {
    engine::PlannedJob plan;
    plan.version = 1;
    plan.resources.cpus = static_cast<std::int64_t>(random_.below(3));
    plan.resources.gpus = static_cast<std::int64_t>(random_.below(2));
    std::vector<JobKey> needs;
    for (std::uint64_t n_needs = jobs_.empty() ? 0 : random_.below(3); n_needs > 0; --n_needs) {
      const std::uint64_t need = 1 + random_.below(static_cast<std::uint32_t>(jobs_.size()));
      if (std::count(plan.needs.begin(), plan.needs.end(), need) > 0) continue;
      plan.needs.push_back(need);
      needs.push_back(jobs_[need - 1].key);
    }
    SubmittedJob job = testing_support::make_job("noop", "", 1, {{"index", ++n_planned_}}, std::move(needs));
    job.resources = plan.resources;
    jobs_.push_back(std::move(job));
    return plan;
  }

  Status join(const std::string& agent) {
    engine::WorkerJoinedEvent event;
    event.offer.agent_id = event.offer.name = agent;
    event.offer.cpus = 4;
    event.offer.gpus = 2;
    event.offer.credit = 6;
    event.held = held_[agent];
    GAUNTLET_CHECK_OK(flush());  // its leases until here are known to it
    event.held = held_[agent];
    engine::Decision decision = on_worker_joined(*state_, now(), event);
    for (const engine::Outgoing& message : decision.messages) {
      const auto* welcome = std::get_if<engine::WelcomeWorker>(&message);
      if (welcome == nullptr) continue;
      std::erase_if(held_[agent], [&](const engine::LeaseRef& ref) {
        return std::count(welcome->stale.begin(), welcome->stale.end(), ref) > 0;
      });
    }
    return commit(std::move(decision));
  }

  Status pause() {
    if (state_->sweeps().empty()) return {};
    const auto sweep = random_.below(static_cast<std::uint32_t>(state_->sweeps().size()));
    return commit(*on_pause(*state_, now(), state_->sweeps()[sweep].row.id, random_.below(3) == 0));
  }

  std::vector<JobId> some_jobs(std::uint32_t one_in) {
    std::vector<JobId> jobs;
    for (std::uint64_t id = 1; id <= acknowledged_.last_job; ++id) {
      if (random_.below(one_in) == 0) jobs.push_back(JobId{id});
    }
    return jobs;
  }

  Status report() {
    const std::string agent = fmt::format("agent{}", random_.below(3));
    if (held_[agent].empty()) return join(agent);
    const std::size_t place = random_.below(static_cast<std::uint32_t>(held_[agent].size()));
    std::optional<ErrorCode> code;
    if (random_.below(5) == 0) code = random_.below(2) == 0 ? ErrorCode::kProcessDied : ErrorCode::kInvalid;
    return report_of(agent, place, code);
  }

  Status report_of(const std::string& agent, std::size_t place, std::optional<ErrorCode> code) {
    std::vector<engine::LeaseRef>& held = held_[agent];
    engine::ReportEvent event;
    event.ref = held[place];
    event.code = code;
    event.outcome.wall_s = 1;
    event.outcome.environment = testing_support::kEnvironment;
    if (!code) {
      event.outcome.rows = {testing_support::ratio("first", static_cast<double>(++n_reports_)),
                            testing_support::ratio("second", 0.5)};
      event.outcome.rows.back().per_query.assign(300, 0.25F);
      event.outcome.curves = {
          {"loss", "step", "value", std::vector<float>(200, 1), std::vector<float>(200, 2)}};
    }
    std::vector<engine::ReportEvent> events;
    events.push_back(std::move(event));
    GAUNTLET_CHECK_OK(commit(on_report(*state_, now(), worker_of(agent), std::move(events))));
    if (decided_.empty()) held.erase(held.begin() + static_cast<std::ptrdiff_t>(place));  // settled
    return {};
  }

  [[nodiscard]] bool all_done() const {
    return state_->counts()[static_cast<std::size_t>(engine::JobStateTag::kDone)] == acknowledged_.last_job;
  }

  struct InDoubt {
    explicit InDoubt(const engine::Books& before) : books(before) {}
    engine::Books books;
    bool is_submission = false;
  };
  std::filesystem::path path_;
  RandomStream random_;
  std::optional<JobStore> store_;
  std::optional<engine::State> state_;
  engine::Books acknowledged_;
  std::vector<InDoubt> in_doubt_;  ///< acknowledged_ and a transaction that was begun, each
  bool was_submission_refused_ = false;
  bool unsettled_ = false;  ///< a submission is in the database, the engine's word on it is not
  std::vector<engine::Transition> decided_;
  std::vector<engine::Outgoing> messages_;
  std::vector<SubmittedJob> jobs_;  ///< by id, from 1
  std::map<std::string, std::vector<engine::LeaseRef>> held_;
  std::uint64_t n_planned_ = 0;
  std::uint64_t n_reports_ = 0;
  SteadyTime steady_{std::chrono::hours(1)};
  std::int64_t wall_ms_ = 1'700'000'000'000;
};

}  // namespace gauntlet::store
