#include "coordinator/alloc/state.hpp"

#include <algorithm>
#include <utility>

#include "core/base/text.hpp"

namespace gauntlet::alloc {

Queue* State::find_queue(QueueId id) {
  const auto found = queues_.find(id);
  return found == queues_.end() ? nullptr : &found->second;
}

Allocation* State::find_allocation(AllocationId id) {
  const auto found = allocations_.find(id);
  return found == allocations_.end() ? nullptr : &found->second;
}

std::int64_t State::count(QueueId queue, std::set<AllocationState> states) const {
  return std::count_if(allocations_.begin(), allocations_.end(), [&](const auto& pair) {
    const AllocationRow& row = pair.second.row;
    return row.queue == queue && (states.empty() || states.contains(row.state));
  });
}

void State::restore(const Rows& rows, const Now& now) {
  for (const QueueRow& row : rows.queues) queues_[row.id].row = row;
  for (const AllocationRow& row : rows.allocations) {
    Allocation& allocation = allocations_[row.id];
    allocation.row = row;
    allocation.since = now.steady;
  }
  last_queue_ = rows.last_queue;
  last_allocation_ = rows.last_allocation;
}

namespace {

Status broken(const std::string& what) { return fail(ErrorCode::kInternal, "allocations: {}", what); }

Status check_allocation(const State& state, const Allocation& allocation) {
  const AllocationRow& row = allocation.row;
  const std::string name = fmt::format("allocation {}", row.id.value);
  const auto queue = state.queues().find(row.queue);
  if (queue == state.queues().end()) return broken(name + " is of no queue");
  if (row.state == AllocationState::kEnded) return broken(name + " has ended and is kept");
  const bool needs_id = row.state == AllocationState::kQueued || row.state == AllocationState::kRunning;
  if (needs_id && row.batch_id.empty()) return broken(name + " has no id");
  if (allocation.submitting && !row.batch_id.empty()) return broken(name + " is handed in twice");
  if (queue->second.row.state == QueueState::kRemoving && row.state != AllocationState::kEnding)
    return broken(name + " outlives its queue");
  return {};
}

}  // namespace

Status State::check_invariants() const {
  std::map<QueueId, std::int64_t> n_submitting;
  for (const auto& [id, allocation] : allocations_) {
    GAUNTLET_CHECK_OK(check_allocation(*this, allocation));
    if (allocation.submitting) ++n_submitting[allocation.row.queue];
  }
  std::set<std::string> ids;
  for (const auto& [id, allocation] : allocations_) {
    const std::string& batch_id = allocation.row.batch_id;
    if (!batch_id.empty() && !ids.insert(queues_.at(allocation.row.queue).row.spec.system + batch_id).second)
      return broken(fmt::format("job {} is two allocations", batch_id));
  }
  for (const auto& [id, queue] : queues_) {
    const std::string name = fmt::format("queue {}", id.value);
    if (count(id) > queue.row.spec.max) return broken(name + " is above its cap");
    if (n_submitting[id] > 1) return broken(name + " hands in two at a time");
    if (queue.row.state == QueueState::kRemoved) return broken(name + " is removed and kept");
    if ((queue.row.state == QueueState::kPaused) == queue.row.reason.empty())
      return broken(name + " is paused without a reason, or has one and is not");
  }
  return {};
}

// ---------------------------------------------------------------- changes

void Change::end(Allocation& allocation, std::string message, bool fault) {
  AllocationRow& row = allocation.row;
  Queue& queue = state_.queues().at(row.queue);
  const bool expected = row.state == AllocationState::kEnding;
  row.state = AllocationState::kEnded;
  row.ended_ms = now_.wall_ms;
  if (!expected || row.message.empty()) row.message = std::move(message);
  if (row.had_workers) {
    queue.failures = 0;
  } else if (!expected && fault) {
    row.failed = true;
    hold_against(queue, fmt::format("allocation {} ended without an agent having come: {}", row.id.value,
                                    row.message));
  } else if (!expected) {  // somebody else ended it; asking again at once would be a quarrel
    wait_a_while(queue, 1);
  }
  ended_.push_back(row);
  queue.recent.push_back(row);
  if (queue.recent.size() > state_.config().n_recent) queue.recent.erase(queue.recent.begin());
  allocations_.erase(row.id);
  state_.allocations().erase(row.id);  // the reference is gone from here on
}

void Change::give_back(Allocation& allocation, std::string message) {
  if (allocation.row.state == AllocationState::kEnding) return;
  allocation.row.state = AllocationState::kEnding;
  allocation.row.message = std::move(message);
  decision_.drain.push_back(allocation.row.id);
  save(allocation);
}

void Change::wait_a_while(Queue& queue, int n_troubles) {
  const Config& config = state_.config();
  Milliseconds pause = config.backoff;
  for (int doubling = 1; doubling < n_troubles && pause < config.max_backoff; ++doubling) pause *= 2;
  queue.not_before = now_.steady + std::min(pause, config.max_backoff);
}

void Change::hold_against(Queue& queue, std::string trouble) {
  queue.trouble = std::move(trouble);
  ++queue.failures;
  wait_a_while(queue, queue.failures);
  if (queue.failures < state_.config().max_failures) return;
  pause(queue,
        fmt::format("{} allocations in a row got no agent; the last: {}", queue.failures, queue.trouble));
}

void Change::pause(Queue& queue, std::string reason) {
  if (queue.row.state != QueueState::kActive) return;
  queue.row.state = QueueState::kPaused;
  queue.row.reason = std::move(reason);
  note(fmt::format("allocations of queue {} are paused: {}", queue.row.id.value, queue.row.reason));
  save(queue);
}

void Change::look_soon(const std::string& system) {
  Listing& listing = state_.listings()[system];
  listing.next = std::min(listing.next, now_.steady + state_.config().poll / 10);
}

void Change::cancel_stray(const std::string& system, const std::string& batch_id) {
  strays_[system].push_back(batch_id);
}

void Change::cancel_due() {
  std::map<std::string, Cancel> by_system;
  for (auto& [id, allocation] : state_.allocations()) {
    if (allocation.row.state != AllocationState::kEnding || allocation.row.batch_id.empty() ||
        allocation.cancelling)
      continue;
    const std::string& system = state_.queues().at(allocation.row.queue).row.spec.system;
    Cancel& cancel = by_system[system];
    cancel.system = system;
    cancel.allocations.push_back(id);
    cancel.batch_ids.push_back(allocation.row.batch_id);
    allocation.cancelling = true;
    allocation.since = now_.steady;
  }
  for (auto& [system, ids] : std::exchange(strays_, {})) {
    Cancel& cancel = by_system[system];
    cancel.system = system;
    cancel.batch_ids.insert(cancel.batch_ids.end(), ids.begin(), ids.end());
  }
  for (auto& [system, cancel] : by_system) command(std::move(cancel));
}

void Change::finish_removals() {
  std::vector<QueueId> gone;
  for (auto& [id, queue] : state_.queues()) {
    if (queue.row.state != QueueState::kRemoving || state_.count(id) > 0) continue;
    queue.row.state = QueueState::kRemoved;
    decision_.transitions.emplace_back(queue.row);
    gone.push_back(id);
  }
  for (const QueueId id : gone) {
    queues_.erase(id);
    state_.queues().erase(id);
  }
}

Decision Change::finish() {
  cancel_due();
  for (const AllocationRow& row : ended_) decision_.transitions.emplace_back(row);
  finish_removals();
  for (const QueueId id : queues_) decision_.transitions.emplace_back(state_.queues().at(id).row);
  for (const AllocationId id : allocations_)
    decision_.transitions.emplace_back(state_.allocations().at(id).row);
  return std::move(decision_);
}

}  // namespace gauntlet::alloc
