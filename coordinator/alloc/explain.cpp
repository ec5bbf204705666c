#include <algorithm>

#include "coordinator/alloc/state.hpp"
#include "core/base/text.hpp"

namespace gauntlet::alloc {
namespace {

std::string until(SteadyTime then, SteadyTime now) {
  return human_duration(std::max(0.0, std::chrono::duration<double>(then - now).count()));
}

std::string title_of(const std::string& system) {
  const Result<const BatchSystem*> found = find_batch_system(system);
  return found ? std::string((*found)->title) : system;
}

class Explainer {
 public:
  Explainer(const State& state, const Queue& queue, const Now& now, const View& view)
      : state_(state), queue_(queue), row_(queue.row), now_(now), view_(view) {}

  std::vector<std::string> run() {
    say_state();
    say_listing();
    if (row_.state == QueueState::kActive) say_demand();
    for (const auto& [id, allocation] : state_.allocations()) {
      if (allocation.row.queue == row_.id) say_allocation(allocation);
    }
    if (sentences_.empty()) sentences_.emplace_back("nothing waits for an allocation");
    return std::move(sentences_);
  }

 private:
  void say(std::string sentence) { sentences_.push_back(std::move(sentence)); }

  void say_state() {
    if (row_.state == QueueState::kPaused) {
      say(fmt::format("paused: {}; `gauntlet alloc resume {}` goes on", row_.reason, row_.id.value));
    } else if (row_.state == QueueState::kRemoving) {
      say("being removed: its allocations are given back");
    } else if (now_.steady < queue_.not_before) {
      say(fmt::format("asks again in {}{}", until(queue_.not_before, now_.steady),
                      queue_.trouble.empty() ? "" : ": " + queue_.trouble));
    } else if (!queue_.trouble.empty()) {
      say(queue_.trouble);
    }
  }

  void say_listing() {
    const auto listing = state_.listings().find(row_.spec.system);
    if (listing == state_.listings().end() || listing->second.failures == 0) return;
    say(fmt::format("{} cannot be asked what runs ({} in a row): {}", title_of(row_.spec.system),
                    count_of(static_cast<std::size_t>(listing->second.failures), "failure"),
                    listing->second.error));
  }

  void say_demand() {
    const std::int64_t n_live = state_.count(row_.id);
    const NodeOffer offer = queue_.seen ? *queue_.seen : expected_offer(row_.spec, view_.has_torch);
    double n_jobs = 0;
    std::string missing;
    for (const Demand& demand : view_.demand) {
      n_jobs += demand.n_jobs;
      if (missing.empty()) missing = lack(row_.spec, offer, demand);
    }
    const std::int64_t n_useful = useful_allocations(row_.spec, offer, view_.demand);
    if (n_useful > 0 && n_live >= row_.spec.max) {
      say(fmt::format("has {}, as many as it may", count_of(static_cast<std::size_t>(n_live), "allocation")));
    } else if (n_useful > 0) {
      say(fmt::format("{} useful for what waits",
                      n_useful == 1 ? "1 allocation is" : fmt::format("{} allocations are", n_useful)));
    } else if (n_jobs > 0) {
      say(fmt::format("no job that waits could run in it: {}", missing));
    }
  }

  void say_allocation(const Allocation& allocation) {
    const AllocationRow& row = allocation.row;
    const std::string job = row.batch_id.empty()
                                ? std::string()
                                : fmt::format(" ({} job {})", title_of(row_.spec.system), row.batch_id);
    const std::string name = fmt::format("allocation {}{}", row.id.value, job);
    switch (row.state) {
      case AllocationState::kAsking:
        say(allocation.submitting ? name + " is being handed in"
                                  : name + " may have been handed in; the next listings show it");
        return;
      case AllocationState::kQueued:
        say(fmt::format("{} waits for its nodes{}", name, row.message.empty() ? "" : ": " + row.message));
        return;
      case AllocationState::kRunning:
        say(!row.had_workers        ? name + " runs, its agents have not come yet"
            : allocation.idle_since ? fmt::format("{} has had no job for {}, and is given back after {}",
                                                  name, until(now_.steady, *allocation.idle_since),
                                                  human_duration(static_cast<double>(row_.spec.idle_s)))
                                    : name + " runs");
        return;
      case AllocationState::kEnding:
        say(fmt::format("{} is given back: {}", name, row.message));
        return;
      case AllocationState::kEnded:
        return;
    }
  }

  const State& state_;
  const Queue& queue_;
  const QueueRow& row_;
  const Now& now_;
  const View& view_;
  std::vector<std::string> sentences_;
};

}  // namespace

std::vector<std::string> explain(const State& state, QueueId queue, const Now& now, const View& view) {
  return Explainer(state, state.queues().at(queue), now, view).run();
}

}  // namespace gauntlet::alloc
