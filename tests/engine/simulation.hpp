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

  std::vector<std::uint64_t> known_jobs(std::uint64_t one_in);
  PlannedJob random_job(std::uint64_t id);
  void submit();
  void change_by_client();

  // ---------------------------------------------------------------- agents

  std::vector<SimulatedAgent*> agents_that(const std::function<bool(const SimulatedAgent&)>& are);
  WorkerOffer random_offer();
  void connect();
  void open_link(std::size_t at);
  /// The agent's side of its connection ends; some of what it said last may never arrive.
  void close_link(SimulatedAgent& agent);
  void hang_up();
  void lose_or_drain_agent();
  void say(SimulatedAgent& agent, Said said);
  void end_attempt();
  void send_reports();
  void beat();

  // ---------------------------------------------------------------- connections

  /// A random link of those that are alive and fit; links that nobody will use again are forgotten.
  std::optional<std::size_t> any_link(const std::function<bool(const Link&)>& fits);
  void deliver_up();
  void deliver_down();
  void notice_closed();

  // ---------------------------------------------------------------- what agents are told

  void take(SimulatedAgent& agent, const GiveLeases& leases);
  void take(SimulatedAgent& agent, const StopLeases& stop);
  void take(SimulatedAgent& agent, const Disconnect&);
  void take(SimulatedAgent& agent, const WelcomeWorker& welcome);
  void take(SimulatedAgent& agent, const AnswerHeartbeat& answer);
  void drop(SimulatedAgent& agent, LeaseId lease);
  void take(SimulatedAgent& agent, const AnswerReports& answer);

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

}  // namespace gauntlet::engine
