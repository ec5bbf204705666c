// What the passing of time brings: agents that came, allocations without work, work without allocations.
#include <algorithm>

#include "coordinator/alloc/state.hpp"
#include "core/base/text.hpp"

namespace gauntlet::alloc {
namespace {

constexpr int kBlindListings = 3;  ///< failed in a row, after which nothing more is asked for

class Tick {
 public:
  Tick(State& state, const Now& now, const View& view)
      : state_(state), now_(now), view_(view), change_(state, now) {}

  Decision run() {
    for (auto& [id, allocation] : state_.allocations()) look_at(allocation);
    std::vector<Demand> rest = view_.demand;
    for (auto& [id, queue] : state_.queues()) absorb_queued(queue, rest);
    for (auto& [id, queue] : state_.queues()) ask(queue, rest);
    list_due();
    return change_.finish();
  }

 private:
  [[nodiscard]] NodeOffer offer_of(const Queue& queue) const {
    return queue.seen ? *queue.seen : expected_offer(queue.row.spec, view_.has_torch);
  }

  [[nodiscard]] bool is_over(SteadyTime since, std::int64_t seconds) const {
    return now_.steady >= since + std::chrono::seconds(seconds);
  }

  void look_at(Allocation& allocation) {
    const auto found = view_.agents.find(allocation.row.id);
    const Agents agents = found == view_.agents.end() ? Agents() : found->second;
    Queue& queue = state_.queues().at(allocation.row.queue);
    if (agents.n_workers > 0 || agents.came) take_agents(allocation, queue, agents);
    if (allocation.row.state == AllocationState::kRunning) look_at_running(allocation, queue, agents);
    const bool again = allocation.row.state == AllocationState::kEnding && allocation.cancelling &&
                       now_.steady >= allocation.since + 3 * state_.config().poll;
    if (again) allocation.cancelling = false;  // the listing still shows it: Change::finish cancels again
  }

  /// An agent tells more than a listing does, and sooner.
  void take_agents(Allocation& allocation, Queue& queue, const Agents& agents) {
    if (agents.offer) queue.seen = agents.offer;
    queue.trouble.clear();
    queue.failures = 0;
    const bool starts =
        allocation.row.state == AllocationState::kQueued;  // one that is being asked for has no id yet
    if (!starts && allocation.row.had_workers) return;
    allocation.row.had_workers = true;
    if (starts) {
      allocation.row.state = AllocationState::kRunning;
      allocation.row.started_ms = now_.wall_ms;
      allocation.row.message.clear();
      allocation.since = now_.steady;
    }
    change_.save(allocation);
  }

  void look_at_running(Allocation& allocation, Queue& queue, const Agents& agents) {
    if (!allocation.row.had_workers) {
      if (now_.steady < allocation.since + state_.config().start_limit) return;
      const std::string message =
          fmt::format("no agent came within {}",
                      human_duration(std::chrono::duration<double>(state_.config().start_limit).count()));
      allocation.row.failed = true;
      change_.give_back(allocation, message);
      change_.hold_against(queue, fmt::format("allocation {}: {}", allocation.row.id.value, message));
      return;
    }
    if (agents.n_leases > 0) {
      allocation.idle_since.reset();
      return;
    }
    if (!allocation.idle_since) allocation.idle_since = now_.steady;
    if (is_over(*allocation.idle_since, queue.row.spec.idle_s)) {
      change_.give_back(allocation, fmt::format("it had no job for {}",
                                                human_duration(static_cast<double>(queue.row.spec.idle_s))));
    }
  }

  /// Allocations that have asked or wait, and running ones whose agents have not come: they will do a part of
  /// what waits.
  [[nodiscard]] std::vector<AllocationId> coming(const Queue& queue) const {
    std::vector<AllocationId> ids;
    for (const auto& [id, allocation] : state_.allocations()) {
      const AllocationState state = allocation.row.state;
      const bool comes = state == AllocationState::kAsking || state == AllocationState::kQueued ||
                         (state == AllocationState::kRunning && !allocation.row.had_workers);
      if (allocation.row.queue == queue.row.id && comes) ids.push_back(id);
    }
    return ids;
  }

  void absorb_queued(Queue& queue, std::vector<Demand>& rest) {
    const NodeOffer offer = offer_of(queue);
    const std::vector<AllocationId> ids = coming(queue);
    const auto n_coming = static_cast<std::int64_t>(ids.size());
    const std::int64_t n_useful = std::min(n_coming, useful_allocations(queue.row.spec, offer, rest));
    absorb(queue.row.spec, offer, n_coming, rest);
    if (n_useful == n_coming) {
      queue.surplus_since.reset();
      return;
    }
    if (!queue.surplus_since) queue.surplus_since = now_.steady;
    if (!is_over(*queue.surplus_since, queue.row.spec.idle_s)) return;
    withdraw(ids, n_coming - n_useful);
    queue.surplus_since.reset();
  }

  /// The youngest of those that wait.
  void withdraw(const std::vector<AllocationId>& ids, std::int64_t n_surplus) {
    for (auto id = ids.rbegin(); id != ids.rend() && n_surplus > 0; ++id) {
      Allocation& allocation = *state_.find_allocation(*id);
      if (allocation.row.state != AllocationState::kQueued) continue;
      change_.give_back(allocation, "nothing waits for it any more");
      --n_surplus;
    }
  }

  void ask(Queue& queue, std::vector<Demand>& rest) {
    const QueueRow& row = queue.row;
    if (row.state != QueueState::kActive || now_.steady < queue.not_before) return;
    if (state_.count(row.id) >= row.spec.max || is_blind(row) || is_asking(row.id)) return;
    const NodeOffer offer = offer_of(queue);
    if (useful_allocations(row.spec, offer, rest) < 1) return;
    absorb(row.spec, offer, row.spec.max - state_.count(row.id), rest);  // they are asked for one by one
    const AllocationId id = state_.next_allocation();
    Allocation& allocation = state_.allocations()[id];
    allocation.row = {.id = id, .queue = row.id, .batch_id = {}, .message = {}, .asked_ms = now_.wall_ms};
    allocation.submitting = true;
    allocation.since = now_.steady;
    change_.save(allocation);
    change_.command(Submit{id});
  }

  [[nodiscard]] bool is_asking(QueueId queue) const {
    return std::any_of(state_.allocations().begin(), state_.allocations().end(), [&](const auto& pair) {
      return pair.second.row.queue == queue && pair.second.submitting;
    });
  }

  /// Asking without knowing what is there already could exceed the cap.
  [[nodiscard]] bool is_blind(const QueueRow& row) const {
    const auto listing = state_.listings().find(row.spec.system);
    if (listing == state_.listings().end()) return state_.count(row.id) > 0;
    if (listing->second.failures >= kBlindListings) return true;
    return !listing->second.known && state_.count(row.id) > 0;
  }

  void list_due() {
    std::map<std::string, List> lists;
    for (const auto& [id, queue] :
         state_.queues()) {  // whether it answers again decides whether more is asked for
      const auto listing = state_.listings().find(queue.row.spec.system);
      if (listing != state_.listings().end() && listing->second.failures > 0)
        lists[listing->first].system = listing->first;
    }
    for (const auto& [id, allocation] : state_.allocations()) {
      const std::string& system = state_.queues().at(allocation.row.queue).row.spec.system;
      lists[system].system = system;
      if (!allocation.row.batch_id.empty()) lists[system].batch_ids.push_back(allocation.row.batch_id);
    }
    for (auto& [system, list] : lists) {
      Listing& listing = state_.listings()[system];
      if (listing.running || now_.steady < listing.next) continue;
      listing.running = true;
      change_.command(std::move(list));
    }
  }

  State& state_;
  const Now& now_;
  const View& view_;
  Change change_;
};

}  // namespace

Decision on_tick(State& state, const Now& now, const View& view) { return Tick(state, now, view).run(); }

}  // namespace gauntlet::alloc
