#include <fmt/format.h>

#include <algorithm>

#include "coordinator/alloc/state.hpp"
#include "core/base/text.hpp"

namespace gauntlet::alloc {
namespace {

Error no_such_queue(const State& state, QueueId id) {
  std::vector<std::string> known;
  for (const auto& [number, queue] : state.queues()) known.push_back(fmt::format("{}", number.value));
  if (known.empty())
    return {ErrorCode::kNotFound,
            "there are no allocations to be asked for; `gauntlet alloc slurm add` adds some"};
  return {ErrorCode::kNotFound,
          fmt::format("there is no queue of allocations {}; known are {}", id.value, fmt::join(known, ", "))};
}

/// Whether the submission of an allocation without an id may still turn up.
bool is_unsure(const State& state, const Allocation& allocation, const Now& now) {
  return now.steady < allocation.since + state.config().unsure;
}

const BatchJob* find_job(const std::vector<BatchJob>& jobs, const Allocation& allocation,
                         const std::string& name) {
  const auto found = std::find_if(jobs.begin(), jobs.end(), [&](const BatchJob& job) {
    return allocation.row.batch_id.empty() ? job.name == name : job.id == allocation.row.batch_id;
  });
  return found == jobs.end() ? nullptr : &*found;
}

void take_running(Change& change, Allocation& allocation, const Now& now) {
  if (allocation.row.state == AllocationState::kEnding || allocation.row.state == AllocationState::kRunning)
    return;
  allocation.row.state = AllocationState::kRunning;
  allocation.row.started_ms = now.wall_ms;
  allocation.row.message.clear();
  allocation.since = now.steady;
  change.save(allocation);
}

/// What the listing says of an allocation.
void take_job(Change& change, Allocation& allocation, const BatchJob& job, const Now& now) {
  allocation.misses = 0;
  if (allocation.row.batch_id.empty()) {  // handed in before a crash, or without an answer
    allocation.row.batch_id = job.id;
    if (allocation.row.state == AllocationState::kAsking) allocation.row.state = AllocationState::kQueued;
    change.save(allocation);
  }
  switch (job.state) {
    case BatchJobState::kPending:
      if (allocation.row.state == AllocationState::kQueued && allocation.row.message != job.reason) {
        allocation.row.message = job.reason;
        change.save(allocation);
      }
      return;
    case BatchJobState::kRunning:
      return take_running(change, allocation, now);
    case BatchJobState::kEnded:
      return change.end(allocation,
                        job.reason.empty() ? job.word : fmt::format("{} ({})", job.word, job.reason),
                        job.failed);
    case BatchJobState::kUnknown:  // it is there; a word that nobody knows changes nothing
      change.note(fmt::format("job {} is '{}', which is not known", job.id, job.word));
      return;
  }
}

void miss(Change& change, const State& state, Allocation& allocation, const Now& now) {
  if (allocation.submitting) return;
  ++allocation.misses;
  const bool has_id = !allocation.row.batch_id.empty();
  if (allocation.misses < state.config().max_misses || (!has_id && is_unsure(state, allocation, now))) return;
  if (has_id) {
    change.end(allocation, fmt::format("job {} is no longer known", allocation.row.batch_id), false);
  } else {
    change.end(allocation, "it was never handed in", false);
  }
}

}  // namespace

Result<Decision> on_add(State& state, const Now& now, const QueueSpec& spec, std::string tag) {
  GAUNTLET_CHECK_OK(check(spec));
  Change change(state, now);
  const QueueId id = state.next_queue();
  Queue& queue = state.queues()[id];
  queue.row = {.id = id, .spec = spec, .tag = std::move(tag), .reason = {}, .created_ms = now.wall_ms};
  change.save(queue);
  return change.finish();
}

Result<Decision> on_remove(State& state, const Now& now, QueueId id) {
  Queue* queue = state.find_queue(id);
  if (queue == nullptr) return fail(no_such_queue(state, id));
  Change change(state, now);
  queue->row.state = QueueState::kRemoving;
  queue->row.reason.clear();
  change.save(*queue);
  for (auto& [number, allocation] : state.allocations()) {
    if (allocation.row.queue == id) change.give_back(allocation, "its queue was removed");
  }
  change.look_soon(queue->row.spec.system);
  return change.finish();
}

Result<Decision> on_resume(State& state, const Now& now, QueueId id) {
  Queue* queue = state.find_queue(id);
  if (queue == nullptr) return fail(no_such_queue(state, id));
  if (queue->row.state != QueueState::kPaused)
    return fail(ErrorCode::kInvalid, "queue {} is {}, not paused", id.value, name_of(queue->row.state));
  Change change(state, now);
  queue->row.state = QueueState::kActive;
  queue->row.reason.clear();
  queue->refusals = 0;
  queue->failures = 0;
  queue->not_before = now.steady;
  change.save(*queue);
  return change.finish();
}

Decision on_submitted(State& state, const Now& now, AllocationId id, const std::string& batch_id) {
  Change change(state, now);
  Allocation* allocation = state.find_allocation(id);
  if (allocation == nullptr) return change.finish();
  Queue& queue = state.queues().at(allocation->row.queue);
  allocation->submitting = false;
  allocation->row.batch_id = batch_id;
  if (allocation->row.state == AllocationState::kAsking) allocation->row.state = AllocationState::kQueued;
  queue.refusals = 0;
  change.save(*allocation);
  change.look_soon(queue.row.spec.system);
  return change.finish();
}

Decision on_refused(State& state, const Now& now, AllocationId id, const std::string& message, bool unsure) {
  Change change(state, now);
  Allocation* allocation = state.find_allocation(id);
  if (allocation == nullptr) return change.finish();
  Queue& queue = state.queues().at(allocation->row.queue);
  allocation->submitting = false;
  queue.trouble = fmt::format("the submission failed: {}", message);
  ++queue.refusals;
  change.note(fmt::format("allocation {}: {}", id.value, queue.trouble));
  if (unsure) {
    allocation->since = now.steady;
    allocation->misses = 0;
    allocation->row.message = message;
    change.save(*allocation);
    change.look_soon(queue.row.spec.system);
  } else {
    change.end(*allocation, message, false);
  }
  change.wait_a_while(queue, queue.refusals);
  if (queue.refusals >= state.config().max_refusals) {
    change.pause(queue, fmt::format("{} submissions in a row failed; the last: {}", queue.refusals, message));
  }
  return change.finish();
}

Decision on_listed(State& state, const Now& now, const std::string& system,
                   const std::vector<BatchJob>& jobs) {
  Change change(state, now);
  Listing& listing = state.listings()[system];
  listing.running = false;
  listing.known = true;
  listing.failures = 0;
  listing.error.clear();
  listing.next = now.steady + state.config().poll;
  std::set<std::string> ours;
  std::vector<AllocationId> live;
  for (const auto& [id, allocation] : state.allocations()) {
    if (state.queues().at(allocation.row.queue).row.spec.system == system) live.push_back(id);
  }
  for (const AllocationId id : live) {
    Allocation& allocation = *state.find_allocation(id);
    const std::string name = job_name(state.queues().at(allocation.row.queue).row, id);
    ours.insert(name);
    const BatchJob* job = find_job(jobs, allocation, name);
    if (job != nullptr && !allocation.submitting) {
      take_job(change, allocation, *job, now);
    } else if (job == nullptr) {
      miss(change, state, allocation, now);
    }
  }
  // Jobs with our mark that we have given up, such as one whose submission showed after all.
  for (const BatchJob& job : jobs) {
    if (job.state == BatchJobState::kEnded || ours.contains(job.name)) continue;
    for (const auto& [id, queue] : state.queues()) {
      if (queue.row.spec.system != system ||
          !job.name.starts_with(fmt::format("gauntlet-{}-", queue.row.tag)))
        continue;
      change.note(fmt::format("job {} ({}) is ours and not wanted: it is cancelled", job.id, job.name));
      change.cancel_stray(system, job.id);
    }
  }
  return change.finish();
}

Decision on_list_failed(State& state, const Now& now, const std::string& system, const std::string& message) {
  Change change(state, now);
  Listing& listing = state.listings()[system];
  listing.running = false;
  ++listing.failures;
  if (listing.error != message) change.note(fmt::format("cannot list the jobs of {}: {}", system, message));
  listing.error = message;
  Milliseconds pause = state.config().poll;
  for (int doubling = 1; doubling < listing.failures && pause < state.config().max_backoff; ++doubling)
    pause *= 2;
  listing.next = now.steady + std::min(pause, state.config().max_backoff);
  return change.finish();
}

Decision on_cancelled(State& state, const Now& now, const std::vector<AllocationId>& allocations,
                      const std::string& error) {
  Change change(state, now);
  for (const AllocationId id : allocations) {
    Allocation* allocation = state.find_allocation(id);
    if (allocation == nullptr) continue;
    change.look_soon(state.queues().at(allocation->row.queue).row.spec.system);
    allocation->since = now.steady;  // the next try is due after a while; see on_tick
  }
  if (!error.empty()) change.note(fmt::format("cannot cancel: {}", error));
  // `cancelling` stays set: on_tick clears it, so that a cancellation is not made again in the same breath.
  return change.finish();
}

}  // namespace gauntlet::alloc
