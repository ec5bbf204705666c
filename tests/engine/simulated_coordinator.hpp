// The engine with everything around it that may fail: a queue of decisions that are not durable yet, the
// durable books, the connections. Decisions are committed in order, some at a time; only then are their
// messages sent; a crash forgets the rest. Thread safety: none.
#pragma once

#include "tests/engine/simulated_peers.hpp"

namespace gauntlet::engine {

class SimulatedCoordinator {
 public:
  explicit SimulatedCoordinator(const EngineConfig& config) : state(config) {}

  State state;
  Books decided;    ///< what the engine has decided
  Books committed;  ///< what would be found after a crash
  std::vector<Link> links;
  SteadyTime steady{std::chrono::hours(1)};
  std::int64_t wall_ms = 1'700'000'000'000;
  std::uint64_t n_events = 0;
  std::uint64_t n_restarts = 0;
  std::uint64_t n_quarantines = 0;
  std::string last_event;

  [[nodiscard]] Now now() const { return {steady, wall_ms}; }

  // ---------------------------------------------------------------- decisions

  /// What the engine answered to an event; `asker` gets the answers among its messages.
  void decide(std::string event, Decision decision, std::optional<std::size_t> asker = {},
              std::vector<std::uint64_t> settles = {}) {
    last_event = std::move(event);
    ++n_events;
    n_quarantines += decision.warnings.size();
    decided.apply(decision.transitions);
    Entry entry;
    entry.transitions = std::move(decision.transitions);
    entry.settles = std::move(settles);
    for (Outgoing& message : decision.messages) {
      const auto recipient = recipient_of(message, asker);
      if (const auto* gone = std::get_if<Disconnect>(&message)) hub_.erase(gone->worker);
      if (recipient) entry.messages.emplace_back(*recipient, std::move(message));
    }
    queue_.push_back(std::move(entry));
    check();
  }

  /// A submission reaches the store in its turn, and the engine after that.
  void submit(std::uint64_t sweep, std::int32_t priority, std::vector<PlannedJob> jobs,
              std::vector<std::uint64_t> also, Books::Asks asks) {
    static_cast<void>(decided.submit(sweep, priority, jobs, also, asks));
    Entry entry;
    entry.submission = {sweep, priority, std::move(jobs), std::move(also), std::move(asks)};
    queue_.push_back(std::move(entry));
  }

  [[nodiscard]] bool has_uncommitted() const { return !queue_.empty(); }
  [[nodiscard]] bool has_unsaid() const { return !durable_.empty(); }

  /// The writer's transaction: the first `n` entries of the queue.
  void commit(std::size_t n) {
    for (; n > 0 && !queue_.empty(); --n) {
      Entry entry = std::move(queue_.front());
      queue_.pop_front();
      committed.apply(entry.transitions);
      for (const std::uint64_t id : entry.settles) unsettled_.erase(id);
      if (entry.submission) {
        const Submission& asked = *entry.submission;
        entry.outcome = committed.submit(asked.sweep, asked.priority, asked.jobs, asked.also, asked.asks);
        for (const JobRow& job : entry.outcome->rows.jobs) unsettled_.insert(job.id.value);
      }
      durable_.push_back(std::move(entry));
    }
    require(committed.problem.empty(), "{}", committed.problem);
  }

  /// What waited for one entry's transaction happens: its messages leave, the engine hears of the submission.
  void call_back() {
    Entry entry = std::move(durable_.front());
    durable_.pop_front();
    for (auto& [at, message] : entry.messages) {
      Link& link = links[at];
      if (!link.coordinator_open) continue;
      link.down.push_back(message);
      if (std::holds_alternative<Disconnect>(message)) link.coordinator_open = false;
    }
    if (!entry.outcome) return;
    Result<Decision> decision = on_submit(state, now(), *entry.outcome);
    require(decision.has_value(), "on_submit: {}", decision ? "" : decision.error().message);
    std::vector<std::uint64_t> settles;
    for (const JobRow& job : entry.outcome->rows.jobs) settles.push_back(job.id.value);
    decide("submit", std::move(*decision), {}, std::move(settles));
  }

  /// Dies and starts again from what was committed.
  void crash() {
    queue_.clear();
    durable_.clear();
    hub_.clear();
    for (Link& link : links) link.coordinator_open = false;
    decided = committed;
    Result<Restored> restored = restore(state.config(), committed.rows(), now());
    require(restored.has_value(), "restore: {}", restored ? "" : restored.error().message);
    for (const Transition& transition : restored->transitions) {
      const std::uint64_t job =
          std::visit([](const auto& change) { return job_of(change); }, transition.change);
      require(unsettled_.contains(job), "a restart contradicts the database about job {}", job);
    }
    state = std::move(restored->state);
    ++n_restarts;
    Decision decision;
    decision.transitions = std::move(restored->transitions);
    decide("restart", std::move(decision), {}, {unsettled_.begin(), unsettled_.end()});
  }

  // ---------------------------------------------------------------- connections

  void hear(std::size_t at, const Said& said) {
    const WorkerId worker = links[at].worker;
    if (const auto* join = std::get_if<Join>(&said)) {
      join_worker(at, *join);
    } else if (const auto* reports = std::get_if<Reports>(&said)) {
      decide("reports", on_report(state, now(), worker, reports->reports), at);
    } else if (const auto* beat = std::get_if<Beat>(&said)) {
      decide("heartbeat", on_heartbeat(state, now(), worker, beat->running), at);
    } else {
      decide("drain", on_drain(state, now(), worker), at);
    }
  }

  void notice_closed(std::size_t at) {
    links[at].coordinator_open = false;
    const auto mine = hub_.find(links[at].worker);
    if (mine == hub_.end() || mine->second != at) return;
    hub_.erase(mine);
    decide("worker left", on_worker_left(state, now(), links[at].worker));
  }

  // ---------------------------------------------------------------- promises

  void check() {
    const Status status = state.check_invariants();
    require(status.has_value(), "{}", status ? "" : status.error().message);
    require(decided.problem.empty(), "{}", decided.problem);
    const std::string results = decided.check_results();
    require(results.empty(), "{}", results);
    check_against_books();
    check_that_nothing_idles();
  }

 private:
  struct Submission {
    std::uint64_t sweep = 0;
    std::int32_t priority = 0;
    std::vector<PlannedJob> jobs;
    std::vector<std::uint64_t> also;
    Books::Asks asks;
  };
  struct Entry {
    std::vector<Transition> transitions;
    std::vector<std::pair<std::size_t, Outgoing>> messages;  ///< by link
    std::vector<std::uint64_t> settles;  ///< new jobs whose states are the engine's from here on
    std::optional<Submission> submission;
    std::optional<SubmitOutcome> outcome;
  };

  template <class Change>
  static std::uint64_t job_of(const Change& change) {
    if constexpr (requires { change.job; }) return change.job.value;
    return 0;
  }

  std::optional<std::size_t> recipient_of(const Outgoing& message, std::optional<std::size_t> asker) const {
    const bool is_answer = std::holds_alternative<WelcomeWorker>(message) ||
                           std::holds_alternative<AnswerReports>(message) ||
                           std::holds_alternative<AnswerHeartbeat>(message);
    if (is_answer) return asker;
    const auto found = hub_.find(std::visit([](const auto& any) { return any.worker; }, message));
    return found == hub_.end() ? std::nullopt : std::optional(found->second);
  }

  void join_worker(std::size_t at, const Join& join) {
    Decision decision = on_worker_joined(state, now(), {join.offer, join.held});
    for (const Outgoing& message : decision.messages) {
      if (const auto* welcome = std::get_if<WelcomeWorker>(&message)) links[at].worker = welcome->worker;
    }
    const auto [known, is_new] = hub_.try_emplace(links[at].worker, at);
    if (!is_new && known->second != at) links[std::exchange(known->second, at)].coordinator_open = false;
    decide("join", std::move(decision), at);
  }

  void check_against_books() const {
    std::size_t n_leased = 0;
    for (const auto& [id, tag] : decided.states) {
      if (!state.has_job(JobId{id})) continue;  // submitted, and not yet told
      const Job& job = state.job(JobId{id});
      require(tag == tag_of(job.state), "job {} is {} in the database and {} in memory", id, name_of(tag),
              name_of(tag_of(job.state)));
      const auto* lease = std::get_if<Leased>(&job.state);
      if (lease == nullptr) continue;
      ++n_leased;
      const LeaseRow& row = decided.leases.at(id);
      require(row.lease == lease->lease && row.worker == lease->worker && row.gpus == lease->gpus &&
                  row.attempt.value == job.attempts,
              "the lease of job {} differs from the database's", id);
    }
    require(n_leased == decided.leases.size(), "{} leases in the database, {} in memory",
            decided.leases.size(), n_leased);
    for (const Sweep& sweep : state.sweeps()) {
      const bool paused = decided.sweeps.at(sweep.row.id.value).paused;
      require(paused == sweep.row.paused, "{} is {} in the database only", sweep.row.name,
              paused ? "paused" : "running");
    }
  }

  /// No ready job waits beside an open worker that could take it, unless that worker is kept for another job.
  void check_that_nothing_idles() {
    std::set<WorkerId> kept;
    for (const Sweep& sweep : state.sweeps()) {
      for (const ReadyQueue& queue : sweep.queues) kept.insert(queue.reserved.begin(), queue.reserved.end());
    }
    for (Worker* open : state.open_workers().all()) {
      Worker& worker = *open;
      if (kept.contains(worker.id)) continue;
      for (std::uint64_t number = 1; number < state.end_of_jobs(); ++number) {
        if (!state.has_job(JobId{number})) continue;
        const Job& job = state.job(JobId{number});
        const auto* queued = std::get_if<Queued>(&job.state);
        if (queued == nullptr || queued->not_before != SteadyTime{} || job.home == kNone) continue;
        if (state.sweeps()[job.home].row.paused || !fits_now(worker, state.shape_of(job).job.resources))
          continue;
        require(!state.hosts(worker, job.shape), "job {} waits while worker {} is free for it", number,
                worker.id.value);
      }
    }
  }

  std::deque<Entry> queue_;    ///< decided, not committed
  std::deque<Entry> durable_;  ///< committed, not said
  std::map<WorkerId, std::size_t> hub_;
  std::set<std::uint64_t> unsettled_;  ///< in the database by a submission whose on_submit is not committed
};

}  // namespace gauntlet::engine
