// A seeded life of a coordinator: agents that come, crash, stall and come back, messages that are lost, late,
// doubled or out of order, clients that submit, cancel, retry and pause, restarts from what was committed.
// After every event of the engine its invariants are checked; at the end everything must come to rest.
// Thread safety: none.
#pragma once

#include "core/base/random.hpp"
#include "tests/engine/simulated_coordinator.hpp"

namespace gauntlet::engine {

/// What happened, over all seeds: a simulation in which something never happens proves little.
using Tally = std::map<std::string, std::uint64_t>;

class Simulation {
 public:
  Simulation(std::uint64_t seed, Tally& tally, bool trace = false)
      : random_(RandomStream::of(seed, 1, 0)),
        in_order_(seed % 3 != 0),
        uniform_(seed % 5 == 0),
        calm_(1 + below(30)),
        tally_(tally),
        trace_(trace),
        coordinator_(random_config()) {}

  /// Until the engine has seen so many events, then to rest. Throws Broken.
  void run(std::uint64_t n_events) {
    submit();
    while (coordinator_.n_events < n_events) step();
    come_to_rest();
  }

  [[nodiscard]] std::uint64_t n_events() const { return coordinator_.n_events; }
  [[nodiscard]] const SimulatedCoordinator& coordinator() const { return coordinator_; }

 private:
  static constexpr std::size_t kAgents = 4;
  static constexpr std::uint64_t kJobs = 48;
  static constexpr std::uint64_t kSweeps = 4;

  std::uint64_t below(std::uint64_t n) { return random_.below(static_cast<std::uint32_t>(n)); }
  bool chance(std::uint64_t one_in) { return below(one_in) == 0; }
  template <class Item>
  const Item& any_of(const std::vector<Item>& items) {
    return items[below(items.size())];
  }

  void note(const std::string& what) {
    ++tally_[what];
    if (trace_) fmt::print(stderr, "{:>7} {}\n", coordinator_.n_events, what);
  }

  EngineConfig random_config() {
    EngineConfig config;
    config.max_failures = static_cast<std::uint8_t>(1 + below(3));
    config.max_losses = static_cast<std::uint8_t>(1 + below(5));
    config.quarantine_after = static_cast<std::uint32_t>(below(4));
    config.max_overtakes = static_cast<std::uint32_t>(below(9));
    return config;
  }

  // ---------------------------------------------------------------- what happens next

  void step() {
    coordinator_.steady += Milliseconds(below(60));
    coordinator_.wall_ms += static_cast<std::int64_t>(below(60));
    const std::uint64_t kind = below(1000);
    if (kind < 330) return deliver_up();
    if (kind < 560) return deliver_down();
    if (kind < 680) return commit();
    if (kind < 800) return call_back();
    if (kind < 860) return end_attempt();
    if (kind < 920) return send_reports();
    if (kind < 945) return connect();
    if (kind < 960) return beat();
    if (kind < 972) return tick();
    if (kind < 978) return notice_closed();
    if (kind < 981) return submit();
    if (chance(calm_)) return disturb(kind);
  }

  void disturb(std::uint64_t kind) {
    if (kind < 988) return change_by_client();
    if (kind < 994) return hang_up();
    if (kind < 997) return lose_or_drain_agent();
    if (kind < 999) return pass_time();
    return crash();
  }

  void pass_time() {
    coordinator_.steady += Milliseconds(below(20000));
    coordinator_.wall_ms +=
        static_cast<std::int64_t>(below(40000)) - 10000;  // the wall clock is set at times
    note("time passes");
  }

  void commit() {
    if (coordinator_.has_uncommitted()) coordinator_.commit(1 + below(4));
  }
  void call_back() {
    if (coordinator_.has_unsaid()) coordinator_.call_back();
  }
  void tick() { coordinator_.decide("tick", on_tick(coordinator_.state, coordinator_.now())); }
  void crash() {
    note("coordinator dies");
    coordinator_.crash();
  }

  // ---------------------------------------------------------------- clients

  std::vector<std::uint64_t> known_jobs(std::uint64_t one_in) {
    std::vector<std::uint64_t> jobs;
    for (std::uint64_t id = 1; id <= coordinator_.decided.last_job; ++id) {
      if (chance(one_in)) jobs.push_back(id);
    }
    return jobs;
  }

  PlannedJob random_job(std::uint64_t id) {
    PlannedJob job;
    if (uniform_) {  // many of one shape, which are leased ahead
      job.kind = spec::JobKind::kCommand;
      return job;
    }
    job.resources.cpus = static_cast<std::int64_t>(below(4));
    job.resources.gpus = any_of<std::int64_t>({0, 0, 0, 1, 2, 8});
    job.resources.memory_mb = any_of<std::int64_t>({0, 0, 300, 700});
    job.resources.time_s = any_of<std::int64_t>({0, 0, 0, 4, 60});
    if (chance(4)) {
      spec::Resources other{.cpus = static_cast<std::int64_t>(below(4)),
                            .gpus = job.resources.gpus == 0 ? 1 : 0};
      other.time_s = job.resources.time_s;
      job.resources.or_else.push_back(std::move(other));
    }
    job.kind = any_of<spec::JobKind>({spec::JobKind::kNoop, spec::JobKind::kEvaluate, spec::JobKind::kCraft});
    if (job.kind == spec::JobKind::kCraft) {
      job.entry = "pgd";
      job.version = static_cast<std::int64_t>(1 + below(2));
    }
    for (std::uint64_t n_needs = below(3); n_needs > 0 && id > 1; --n_needs) {
      const std::uint64_t need = 1 + below(id - 1);
      if (std::find(job.needs.begin(), job.needs.end(), need) == job.needs.end()) job.needs.push_back(need);
    }
    return job;
  }

  void submit() {
    const std::uint64_t first = coordinator_.decided.last_job + 1;
    const std::uint64_t n_jobs = std::min(below(9), kJobs + 1 - first);
    std::vector<PlannedJob> jobs;
    for (std::uint64_t id = first; id < first + n_jobs; ++id) jobs.push_back(random_job(id));
    std::vector<std::uint64_t> also = known_jobs(10);
    if (jobs.empty() && also.empty()) return;
    note("submission");
    coordinator_.submit(1 + below(kSweeps), static_cast<std::int32_t>(below(3)), std::move(jobs),
                        std::move(also));
  }

  void change_by_client() {
    State& state = coordinator_.state;
    const Now now = coordinator_.now();
    std::vector<JobId> jobs;
    for (const std::uint64_t id : known_jobs(8)) jobs.push_back(JobId{id});
    switch (below(5)) {
      case 0:
        note("cancellation");
        return coordinator_.decide("cancel", on_cancel(state, now, jobs, SweepId{below(3)}, "cancelled"));
      case 1:
      case 2:
        note("retry");
        return coordinator_.decide("retry", on_retry(state, now, jobs));
      default:
        break;
    }
    const SweepId sweep{1 + below(kSweeps)};
    if (state.find_sweep(sweep) == kNone) return;
    note("pause or resume");
    coordinator_.decide("pause", *on_pause(state, now, sweep, chance(4)));
  }

  // ---------------------------------------------------------------- agents

  std::vector<SimulatedAgent*> agents_that(const std::function<bool(const SimulatedAgent&)>& are) {
    std::vector<SimulatedAgent*> found;
    for (SimulatedAgent& agent : agents_) {
      if (agent.alive && are(agent)) found.push_back(&agent);
    }
    return found;
  }

  WorkerOffer random_offer() {
    WorkerOffer offer;
    offer.agent_id = fmt::format("agent{}", ++n_agents_);
    offer.name = offer.agent_id;
    offer.cpus = static_cast<std::int64_t>(1 + below(6));
    offer.memory_mb = any_of<std::int64_t>({500, 1000, 2000});
    offer.gpus = any_of<std::int64_t>({0, 1, 2, 8});
    offer.credit = static_cast<std::uint32_t>(1 + below(6));
    offer.has_torch = !chance(4);
    for (std::int64_t version = 1; version <= 2; ++version) {
      if (!chance(3)) offer.entries.emplace_back("attack", "pgd", version);
    }
    return offer;
  }

  void connect() {
    if (agents_.size() < kAgents) {
      agents_.emplace_back();
      agents_.back().alive = false;
    }
    std::vector<std::size_t> places;
    for (std::size_t at = 0; at < agents_.size(); ++at) {
      if (!agents_[at].alive || !agents_[at].link) places.push_back(at);
    }
    if (places.empty()) return;
    const std::size_t at = any_of(places);
    SimulatedAgent& agent = agents_[at];
    if (!agent.alive) {
      agent = SimulatedAgent{};
      agent.offer = random_offer();
      note("new agent");
    } else if (!in_order_ && chance(20)) {
      agent.offer.cpus = static_cast<std::int64_t>(1 + below(6));
      note("agent offers something else");
    }
    open_link(at);
  }

  void open_link(std::size_t at) {
    agents_[at].link = coordinator_.links.size();
    Link& link = coordinator_.links.emplace_back();
    link.agent = at;
    link.up.push_back(Join{agents_[at].offer, agents_[at].refs()});
    live_.push_back(coordinator_.links.size() - 1);
    note("connection");
  }

  /// The agent's side of its connection ends; some of what it said last may never arrive.
  void close_link(SimulatedAgent& agent) {
    agent.joined = false;
    if (!agent.link) return;
    Link& link = coordinator_.links[*std::exchange(agent.link, {})];
    link.agent_open = false;
    link.down.clear();
    link.silent = chance(4);
    while (!link.up.empty() && chance(2)) link.up.pop_back();
  }

  void hang_up() {
    const auto connected = agents_that([](const SimulatedAgent& agent) { return agent.link.has_value(); });
    if (connected.empty()) return;
    note("connection breaks");
    close_link(*any_of(connected));
  }

  void lose_or_drain_agent() {
    const auto alive = agents_that([](const SimulatedAgent&) { return true; });
    if (alive.empty()) return;
    SimulatedAgent& agent = *any_of(alive);
    if (chance(2)) {
      note("agent dies");
      close_link(agent);
      agent.alive = false;
    } else if (agent.joined && !agent.leaving) {
      note("agent drains");
      agent.leaving = true;
      agent.end_all(ErrorCode::kInterrupted);
      say(agent, Drain{});
    }
  }

  void say(SimulatedAgent& agent, Said said) {
    if (agent.joined) coordinator_.links[*agent.link].up.push_back(std::move(said));
  }

  void end_attempt() {
    const auto busy = agents_that([](const SimulatedAgent& agent) { return !agent.running().empty(); });
    if (busy.empty()) return;
    SimulatedAgent& agent = *any_of(busy);
    Held& lease = agent.held.at(any_of(agent.running()));
    if (!chance(uniform_ ? 40 : 4)) return agent.end(lease, {}, ++value_);
    std::vector<JobId> damaged;
    for (const std::uint64_t need : coordinator_.decided.plans.at(lease.ref.job.value).needs) {
      if (chance(2)) damaged.push_back(JobId{need});
    }
    const auto code =
        any_of<ErrorCode>({ErrorCode::kProcessDied, ErrorCode::kDiverged, ErrorCode::kInterrupted,
                           ErrorCode::kTimedOut, ErrorCode::kCorrupt, ErrorCode::kIo, ErrorCode::kNoSpace,
                           ErrorCode::kOutOfMemory, ErrorCode::kCollective});
    if (!damaged.empty()) note("damaged inputs");
    agent.end(lease, code, 0, std::move(damaged));
  }

  void send_reports() {
    const auto joined = agents_that([](const SimulatedAgent& agent) { return agent.joined; });
    if (joined.empty()) return;
    SimulatedAgent& agent = *any_of(joined);
    if (!in_order_ && chance(8)) {
      for (auto& [id, lease] : agent.held) lease.sent = false;
    }
    std::vector<ReportEvent> reports = agent.take_unsent(1 + below(8));
    if (!reports.empty()) say(agent, Reports{std::move(reports)});
    if (agent.leaving && agent.held.empty()) {
      note("agent leaves");
      close_link(agent);
      agent.alive = false;
    }
  }

  void beat() {
    for (SimulatedAgent& agent : agents_) {
      if (agent.alive && !chance(4)) say(agent, Beat{agent.running()});
    }
  }

  // ---------------------------------------------------------------- connections

  /// A random link of those that are alive and fit; links that nobody will use again are forgotten.
  std::optional<std::size_t> any_link(const std::function<bool(const Link&)>& fits) {
    std::erase_if(live_, [&](std::size_t at) {
      const Link& link = coordinator_.links[at];
      return !link.coordinator_open && !link.agent_open && (in_order_ || link.up.empty());
    });
    std::vector<std::size_t> found;
    for (const std::size_t at : live_) {
      if (fits(coordinator_.links[at])) found.push_back(at);
    }
    if (found.empty()) return {};
    return any_of(found);
  }

  void deliver_up() {
    const auto at = any_link([&](const Link& link) {
      if (link.up.empty()) return false;
      return link.coordinator_open || (!in_order_ && link.worker);  // a report may be taken up late
    });
    if (!at) return;
    Link& link = coordinator_.links[*at];
    std::size_t place = 0;
    if (!in_order_ && link.worker) place = below(link.up.size());
    const Said said = link.up[place];
    const bool again = !in_order_ && chance(12);
    if (!again) link.up.erase(link.up.begin() + static_cast<std::ptrdiff_t>(place));
    if (again) note("doubled message");
    if (!link.coordinator_open) {
      if (std::holds_alternative<Join>(said)) return;
      note("late message");
    }
    coordinator_.hear(*at, said);
  }

  void deliver_down() {
    const auto at = any_link([](const Link& link) { return link.agent_open && !link.down.empty(); });
    if (!at) return;
    Link& link = coordinator_.links[*at];
    const std::size_t place = in_order_ ? 0 : below(link.down.size());
    const Outgoing message = link.down[place];
    link.down.erase(link.down.begin() + static_cast<std::ptrdiff_t>(place));
    SimulatedAgent& agent = agents_[link.agent];
    if (!in_order_ && chance(100)) {  // lost, so the connection is of no use any more
      note("lost message");
      return close_link(agent);
    }
    std::visit([&](const auto& any) { take(agent, any); }, message);
    if (in_order_) agent.check_load(coordinator_.decided);
  }

  void notice_closed() {
    const auto by_coordinator = any_link([&](const Link& link) {
      return link.coordinator_open && !link.agent_open && !link.silent && (link.up.empty() || !in_order_);
    });
    if (by_coordinator) coordinator_.notice_closed(*by_coordinator);
    const auto by_agent =
        any_link([](const Link& link) { return link.agent_open && !link.coordinator_open; });
    if (by_agent) close_link(agents_[coordinator_.links[*by_agent].agent]);
  }

  // ---------------------------------------------------------------- what agents are told

  void take(SimulatedAgent& agent, const GiveLeases& leases) {
    for (const LeaseGrant& grant : leases.grants) {
      const auto [holder, is_new] = holder_of_.emplace(grant.lease.value, agent.offer.agent_id);
      require(is_new || holder->second == agent.offer.agent_id, "lease {} is given to {} and {}",
              grant.lease.value, holder->second, agent.offer.agent_id);
      const auto [place, is_unknown] = agent.held.try_emplace(grant.lease);
      if (!is_unknown) continue;
      place->second.ref = {grant.job, grant.lease, grant.attempt};
      place->second.gpus = grant.gpus;
      if (agent.leaving) agent.end(place->second, ErrorCode::kInterrupted);
      note("attempt");
      if (uniform_ && agent.running().size() > static_cast<std::size_t>(agent.offer.cpus))
        note("lease ahead");
    }
  }

  void take(SimulatedAgent& agent, const StopLeases& stop) {
    for (const LeaseRef& ref : stop.attempts) {
      const auto held = agent.held.find(ref.lease);
      if (held != agent.held.end() && !held->second.report) agent.end(held->second, ErrorCode::kInterrupted);
    }
    note("attempts are stopped");
  }

  void take(SimulatedAgent& agent, const Disconnect&) {
    note("worker is given up");
    close_link(agent);
  }

  void take(SimulatedAgent& agent, const WelcomeWorker& welcome) {
    agent.joined = true;
    for (const LeaseRef& ref : welcome.stale) drop(agent, ref.lease);
    for (auto& [id, lease] : agent.held) lease.sent = false;
    if (agent.leaving) say(agent, Drain{});
  }

  void take(SimulatedAgent& agent, const AnswerHeartbeat& answer) {
    for (const LeaseRef& ref : answer.stale) drop(agent, ref.lease);
  }

  void drop(SimulatedAgent& agent, LeaseId lease) {
    if (agent.held.erase(lease) > 0) note("stale attempt is dropped");
  }

  void take(SimulatedAgent& agent, const AnswerReports& answer) {
    const Books& durable = coordinator_.committed;
    for (const LeaseId lease : answer.settled) {
      const auto held = agent.held.find(lease);
      if (held == agent.held.end()) continue;
      require(held->second.report.has_value(), "lease {} is settled before its end", lease.value);
      const ReportEvent& report = *held->second.report;
      const bool refused = std::count(answer.stale.begin(), answer.stale.end(), lease) > 0;
      const auto counted = durable.accepted.find(lease.value);
      if (!report.code && !refused) {
        require(counted != durable.accepted.end(), "the result of lease {} is acknowledged, but not kept",
                lease.value);
        require(counted->second == report.outcome.rows.front().value, "lease {} is kept with another result",
                lease.value);
        note("result is acknowledged");
      } else if (refused) {
        const auto again = durable.n_reopened.find(report.ref.job.value);
        require(counted == durable.accepted.end() || again != durable.n_reopened.end(),
                "the result of lease {} is refused, but counted", lease.value);
        note("report is refused");
      }
      agent.held.erase(held);
    }
  }

  // ---------------------------------------------------------------- the end

  /// Nothing goes wrong any more: every connection is opened again, every sweep resumed, everything retried.
  /// All jobs must get done, and nothing may be left held, reserved or queued.
  void come_to_rest();
  void settle_everything(bool end_attempts);
  void check_attempts();
  void check_rest();

  RandomStream random_;
  bool in_order_;       ///< messages of a connection arrive once and in order, as TCP does it
  bool uniform_;        ///< all jobs are short ones of one shape
  std::uint64_t calm_;  ///< of so many disturbances one happens
  Tally& tally_;
  bool trace_;
  SimulatedCoordinator coordinator_;
  std::vector<SimulatedAgent> agents_;
  std::vector<std::size_t> live_;                   ///< links that somebody may still use
  std::map<std::uint64_t, std::string> holder_of_;  ///< agent, by lease
  std::uint64_t n_agents_ = 0;
  double value_ = 0;
};

// ---------------------------------------------------------------- rest

/// Delivers everything; every attempt ends well if asked for.
inline void Simulation::settle_everything(bool end_attempts) {
  for (int n_quiet = 0; n_quiet < 2; ++n_quiet) {
    while (coordinator_.has_uncommitted()) coordinator_.commit(100);
    while (coordinator_.has_unsaid()) {
      coordinator_.call_back();
      n_quiet = 0;
    }
    for (std::size_t at = 0; at < coordinator_.links.size(); ++at) {
      if (!coordinator_.links[at].agent_open) continue;
      SimulatedAgent& agent = agents_[coordinator_.links[at].agent];
      while (agent.link == at && !coordinator_.links[at].down.empty()) {
        const Outgoing message = coordinator_.links[at].down.front();
        coordinator_.links[at].down.pop_front();
        std::visit([&](const auto& any) { take(agent, any); }, message);
        n_quiet = 0;
      }
      for (const LeaseId lease : agent.running()) {
        if (end_attempts) agent.end(agent.held.at(lease), {}, ++value_);
      }
      if (auto reports = agent.take_unsent(100); agent.joined && !reports.empty()) {
        say(agent, Reports{std::move(reports)});
      }
      while (!coordinator_.links[at].up.empty()) {
        const Said said = coordinator_.links[at].up.front();
        coordinator_.links[at].up.pop_front();
        if (coordinator_.links[at].coordinator_open) coordinator_.hear(at, said);
        n_quiet = 0;
      }
    }
  }
}

/// After a heartbeat an agent runs nothing but what is leased to it.
inline void Simulation::check_attempts() {
  for (SimulatedAgent& agent : agents_) {
    if (!agent.alive || !agent.joined || !coordinator_.links[*agent.link].coordinator_open) continue;
    for (const LeaseId id : agent.running()) {
      const JobId job = agent.held.at(id).ref.job;
      const auto* lease = std::get_if<Leased>(&coordinator_.state.job(job).state);
      require(lease != nullptr && lease->lease == id, "agent {} runs lease {}, which nobody wants",
              agent.offer.name, id.value);
    }
  }
}

inline void Simulation::come_to_rest() {
  in_order_ = true;
  settle_everything(false);
  for (SimulatedAgent& agent : agents_) {
    if (agent.alive) say(agent, Beat{agent.running()});
  }
  settle_everything(false);
  check_attempts();
  for (SimulatedAgent& agent : agents_) {
    close_link(agent);
    if (agent.leaving) agent.alive = false;
  }
  for (std::size_t at = 0; at < coordinator_.links.size(); ++at) {
    coordinator_.links[at].up.clear();
    if (coordinator_.links[at].coordinator_open) coordinator_.notice_closed(at);
  }
  SimulatedAgent& strong = agents_.emplace_back();
  strong.offer = random_offer();
  strong.offer.cpus = strong.offer.gpus = 8;
  strong.offer.memory_mb = 4000;
  strong.offer.has_torch = true;
  strong.offer.entries = {{"attack", "pgd", 1}, {"attack", "pgd", 2}};
  for (std::size_t at = 0; at < agents_.size(); ++at) {
    if (agents_[at].alive) open_link(at);
  }
  settle_everything(true);
  for (std::uint64_t sweep = 1; sweep <= kSweeps; ++sweep) {
    if (coordinator_.state.find_sweep(SweepId{sweep}) == kNone) continue;
    coordinator_.decide("resume", *on_pause(coordinator_.state, coordinator_.now(), SweepId{sweep}, false));
  }
  std::vector<JobId> all;
  for (std::uint64_t id = 1; id <= coordinator_.decided.last_job; ++id) all.push_back(JobId{id});
  const auto n_done = [&] {
    return coordinator_.state.counts()[static_cast<std::size_t>(JobStateTag::kDone)];
  };
  for (int round = 0; round < 200 && n_done() < all.size(); ++round) {
    coordinator_.decide("retry", on_retry(coordinator_.state, coordinator_.now(), all));
    settle_everything(true);
    coordinator_.steady += Milliseconds(1000);
    coordinator_.wall_ms += 1000;
    beat();
    settle_everything(true);
    tick();
  }
  settle_everything(true);
  check_rest();
}

inline void Simulation::check_rest() {
  const State& state = coordinator_.state;
  for (std::uint64_t id = 1; id <= coordinator_.decided.last_job; ++id) {
    const JobStateTag tag = tag_of(state.job(JobId{id}).state);
    require(tag == JobStateTag::kDone, "at rest job {} is {}", id, name_of(tag));
  }
  require(coordinator_.committed.leases.empty() && coordinator_.committed.check_results().empty(),
          "at rest the database holds leases, or a job without its one result");
  for (const auto& [id, worker] : state.workers()) {
    require(worker.leases.empty() && worker.free_cpus == worker.offer.cpus &&
                worker.free_memory_mb == worker.offer.memory_mb &&
                std::popcount(worker.free_gpus | worker.bad_gpus) == worker.offer.gpus,
            "at rest worker {} is not free", id.value);
  }
  for (const Sweep& sweep : state.sweeps()) {
    for (const ReadyQueue& queue : sweep.queues) {
      require(queue.heap.empty() && queue.reserved.empty(), "at rest sweep {} keeps something",
              sweep.row.id.value);
    }
  }
  require(state.active_sweeps().empty(), "at rest a sweep is active");
  for (const SimulatedAgent& agent : agents_) {
    require(!agent.alive || agent.held.empty(), "at rest agent {} holds {} leases", agent.offer.name,
            agent.held.size());
  }
}

}  // namespace gauntlet::engine
