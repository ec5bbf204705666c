// What the simulated agents do by themselves.
#include "tests/engine/simulation.hpp"

namespace gauntlet::engine {

std::vector<SimulatedAgent*> Simulation::agents_that(const std::function<bool(const SimulatedAgent&)>& are) {
  std::vector<SimulatedAgent*> found;
  for (SimulatedAgent& agent : agents_) {
    if (agent.alive && are(agent)) found.push_back(&agent);
  }
  return found;
}

WorkerOffer Simulation::random_offer() {
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

void Simulation::connect() {
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

void Simulation::open_link(std::size_t at) {
  agents_[at].link = coordinator_.links.size();
  Link& link = coordinator_.links.emplace_back();
  link.agent = at;
  link.up.push_back(Join{agents_[at].offer, agents_[at].refs()});
  live_.push_back(coordinator_.links.size() - 1);
  note("connection");
}

void Simulation::close_link(SimulatedAgent& agent) {
  agent.joined = false;
  if (!agent.link) return;
  Link& link = coordinator_.links[*std::exchange(agent.link, {})];
  link.agent_open = false;
  link.down.clear();
  link.silent = chance(4);
  while (!link.up.empty() && chance(2)) link.up.pop_back();
}

void Simulation::hang_up() {
  const auto connected = agents_that([](const SimulatedAgent& agent) { return agent.link.has_value(); });
  if (connected.empty()) return;
  note("connection breaks");
  close_link(*any_of(connected));
}

void Simulation::lose_or_drain_agent() {
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

void Simulation::say(SimulatedAgent& agent, Said said) {
  if (agent.joined) coordinator_.links[*agent.link].up.push_back(std::move(said));
}

void Simulation::end_attempt() {
  const auto busy = agents_that([](const SimulatedAgent& agent) { return !agent.running().empty(); });
  if (busy.empty()) return;
  SimulatedAgent& agent = *any_of(busy);
  Held& lease = agent.held.at(any_of(agent.running()));
  if (!chance(uniform_ ? 40 : 4)) return agent.end(lease, {}, ++value_);
  std::vector<JobId> damaged;
  for (const std::uint64_t need : coordinator_.decided.plans.at(lease.ref.job.value).needs) {
    if (chance(2)) damaged.push_back(JobId{need});
  }
  const auto code = any_of<ErrorCode>({ErrorCode::kProcessDied, ErrorCode::kDiverged, ErrorCode::kInterrupted,
                                       ErrorCode::kTimedOut, ErrorCode::kCorrupt, ErrorCode::kIo,
                                       ErrorCode::kNoSpace, ErrorCode::kOutOfMemory, ErrorCode::kCollective});
  if (!damaged.empty()) note("damaged inputs");
  agent.end(lease, code, 0, std::move(damaged));
}

void Simulation::send_reports() {
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

void Simulation::beat() {
  for (SimulatedAgent& agent : agents_) {
    if (agent.alive && !chance(4)) say(agent, Beat{agent.running()});
  }
}

}  // namespace gauntlet::engine
