// What arrives over the simulated connections, and what it does to an agent.
#include "tests/engine/simulation.hpp"

namespace gauntlet::engine {

std::optional<std::size_t> Simulation::any_link(const std::function<bool(const Link&)>& fits) {
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

void Simulation::deliver_up() {
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

void Simulation::deliver_down() {
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

void Simulation::notice_closed() {
  const auto by_coordinator = any_link([&](const Link& link) {
    return link.coordinator_open && !link.agent_open && !link.silent && (link.up.empty() || !in_order_);
  });
  if (by_coordinator) coordinator_.notice_closed(*by_coordinator);
  const auto by_agent = any_link([](const Link& link) { return link.agent_open && !link.coordinator_open; });
  if (by_agent) close_link(agents_[coordinator_.links[*by_agent].agent]);
}

void Simulation::take(SimulatedAgent& agent, const GiveLeases& leases) {
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
    if (uniform_ && agent.running().size() > static_cast<std::size_t>(agent.offer.cpus)) note("lease ahead");
  }
}

void Simulation::take(SimulatedAgent& agent, const StopLeases& stop) {
  for (const LeaseRef& ref : stop.attempts) {
    const auto held = agent.held.find(ref.lease);
    if (held != agent.held.end() && !held->second.report) agent.end(held->second, ErrorCode::kInterrupted);
  }
  note("attempts are stopped");
}

void Simulation::take(SimulatedAgent& agent, const Disconnect&) {
  note("worker is given up");
  close_link(agent);
}

void Simulation::take(SimulatedAgent& agent, const WelcomeWorker& welcome) {
  agent.joined = true;
  for (const LeaseRef& ref : welcome.stale) drop(agent, ref.lease);
  for (auto& [id, lease] : agent.held) lease.sent = false;
  if (agent.leaving) say(agent, Drain{});
}

void Simulation::take(SimulatedAgent& agent, const AnswerHeartbeat& answer) {
  for (const LeaseRef& ref : answer.stale) drop(agent, ref.lease);
}

void Simulation::drop(SimulatedAgent& agent, LeaseId lease) {
  if (agent.held.erase(lease) > 0) note("stale attempt is dropped");
}

void Simulation::take(SimulatedAgent& agent, const AnswerReports& answer) {
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

}  // namespace gauntlet::engine
