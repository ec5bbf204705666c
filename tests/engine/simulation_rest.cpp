// The end of a simulation, when nothing goes wrong any more.
#include "tests/engine/simulation.hpp"

namespace gauntlet::engine {

/// Delivers everything; every attempt ends well if asked for.
void Simulation::settle_everything(bool end_attempts) {
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
void Simulation::check_attempts() {
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

void Simulation::come_to_rest() {
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

void Simulation::check_rest() {
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
