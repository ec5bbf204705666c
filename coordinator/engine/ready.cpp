// Sweeps and their ready queues: which job of a sweep comes next.
#include <algorithm>

#include "coordinator/engine/state.hpp"

namespace gauntlet::engine {

void State::add_sweep(const SweepRow& row) {
  const auto next = static_cast<std::uint32_t>(sweeps_.size());
  const auto [at, is_new] = sweep_index_.try_emplace(row.id, next);
  if (is_new) {
    sweeps_.emplace_back().row = row;
    return;
  }
  // Handed in again: its facts are newer, apart from a pause, which was decided here and may not be written
  // yet.
  SweepRow& known = sweeps_[at->second].row;
  const bool paused = known.paused;
  known = row;
  known.paused = paused;
}

std::uint32_t State::find_sweep(SweepId id) const {
  const auto found = sweep_index_.find(id);
  return found == sweep_index_.end() ? kNone : found->second;
}

std::uint32_t State::best_home(JobId id) const {
  std::uint32_t best = kNone;
  for (std::uint32_t at = job(id).first_member; at != kNone; at = member_next_[at]) {
    const std::uint32_t candidate = member_sweep_[at];
    if (best == kNone) {
      best = candidate;
      continue;
    }
    const SweepRow& mine = sweeps_[candidate].row;
    const SweepRow& other = sweeps_[best].row;
    if (mine.paused != other.paused) {
      if (!mine.paused) best = candidate;
    } else if (mine.priority != other.priority) {
      if (mine.priority > other.priority) best = candidate;
    } else if (mine.id < other.id) {
      best = candidate;
    }
  }
  return best;
}

void State::push_ready(JobId id) {
  Job& ready = job(id);
  if (auto* queued = std::get_if<Queued>(&ready.state)) queued->not_before = SteadyTime{};
  const std::uint32_t home = best_home(id);
  if (home == kNone) return;  // wanted by no sweep
  ready.home = home;
  std::vector<ReadyQueue>& queues = sweeps_[home].queues;
  auto queue = std::find_if(queues.begin(), queues.end(),
                            [&](const ReadyQueue& candidate) { return candidate.shape == ready.shape; });
  if (queue == queues.end()) {
    queues.push_back({.shape = ready.shape, .heap = {}, .overtaken = 0, .reserved = {}});
    queue = queues.end() - 1;
  }
  queue->heap.push_back(static_cast<std::uint32_t>(id.value));
  std::push_heap(queue->heap.begin(), queue->heap.end(), std::greater<>{});
  activate(home);
}

void State::activate(std::uint32_t sweep_index) {
  Sweep& sweep = sweeps_[sweep_index];
  if (sweep.active || sweep.row.paused) return;
  double least = sweep.served;
  bool has_peer = false;
  for (const std::uint32_t other_index : active_sweeps_) {
    const Sweep& other = sweeps_[other_index];
    if (other.row.priority != sweep.row.priority) continue;
    least = has_peer ? std::min(least, other.served) : other.served;
    has_peer = true;
  }
  sweep.served = std::max(sweep.served, least);  // time spent without work gives no claim on the future
  sweep.active = true;
  active_sweeps_.push_back(sweep_index);
}

bool State::is_ready_in(std::uint32_t number, std::uint32_t sweep) const {
  const Job& entry = jobs_[number];
  const auto* queued = std::get_if<Queued>(&entry.state);
  return queued != nullptr && queued->not_before == SteadyTime{} && entry.home == sweep;
}

bool State::clean_top(std::uint32_t sweep, ReadyQueue& queue) {
  while (!queue.heap.empty()) {
    const std::uint32_t first = queue.heap.front();
    if (jobs_[first].shape == queue.shape && is_ready_in(first, sweep)) return true;
    std::pop_heap(queue.heap.begin(), queue.heap.end(), std::greater<>{});
    queue.heap.pop_back();
  }
  if (queue.heap.capacity() > 1024) std::vector<std::uint32_t>().swap(queue.heap);
  queue.overtaken = 0;
  queue.reserved.clear();
  return false;
}

void State::drop_idle_sweeps() {
  std::erase_if(active_sweeps_, [&](std::uint32_t index) {
    Sweep& sweep = sweeps_[index];
    const bool idle =
        sweep.row.paused || std::all_of(sweep.queues.begin(), sweep.queues.end(),
                                        [](const ReadyQueue& queue) { return queue.heap.empty(); });
    if (idle) sweep.active = false;
    return idle;
  });
}

void State::set_paused(std::uint32_t sweep_index, bool paused) {
  Sweep& changed = sweeps_[sweep_index];
  if (changed.row.paused == paused) return;
  changed.row.paused = paused;
  if (!paused) activate(sweep_index);
  drop_idle_sweeps();
  std::vector<JobId> moving;  // ready jobs of paused sweeps that a sweep going on wants too
  for (std::uint32_t index = 0; index < sweeps_.size(); ++index) {
    Sweep& sweep = sweeps_[index];
    if (!sweep.row.paused || (paused && index != sweep_index)) continue;
    for (ReadyQueue& queue : sweep.queues) {
      queue.overtaken = 0;
      queue.reserved.clear();
      for (const std::uint32_t number : queue.heap) {
        if (is_ready_in(number, index) && !sweeps_[best_home(JobId{number})].row.paused)
          moving.emplace_back(JobId{number});
      }
    }
  }
  for (const JobId id : moving) push_ready(id);
}

}  // namespace gauntlet::engine
