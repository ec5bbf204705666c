// A state machine of allocations with a clock of its own, and a batch system that does what a test says.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>

#include "coordinator/alloc/state.hpp"

namespace gauntlet::alloc {

inline QueueSpec slurm_spec() {
  return {.system = "slurm",
          .partition = "main",
          .time_s = 4 * 3600,
          .nodes = 1,
          .cpus = 4,
          .gpus = 0,
          .memory_mb = 0,
          .max = 3,
          .idle_s = 300,
          .min_work_s = 60,
          .extra = {}};
}

inline Demand jobs_of(double n_jobs, std::int64_t cpus = 4, double mean_s = -1) {
  Demand demand;
  demand.resources.cpus = cpus;
  demand.n_jobs = n_jobs;
  demand.mean_s = mean_s;
  return demand;
}

/// What has been decided so far, durable rows by id included.
class World {
 public:
  World() = default;

  [[nodiscard]] Now now() const { return {SteadyTime{} + time_, time_.count()}; }
  void pass(Milliseconds time) { time_ += time; }

  void take(const Decision& decision) {
    for (const Transition& transition : decision.transitions) {
      if (const auto* queue = std::get_if<QueueRow>(&transition)) queues[queue->id] = *queue;
      if (const auto* row = std::get_if<AllocationRow>(&transition)) rows[row->id] = *row;
    }
    submits.clear();
    cancels.clear();
    lists.clear();
    for (const Command& command : decision.commands) {
      if (const auto* submit = std::get_if<Submit>(&command)) submits.push_back(*submit);
      if (const auto* cancel = std::get_if<Cancel>(&command)) cancels.push_back(*cancel);
      if (const auto* list = std::get_if<List>(&command)) lists.push_back(*list);
    }
    drained = decision.drain;
    const Status status = state.check_invariants();
    EXPECT_TRUE(status) << status.error().message;
  }

  QueueId add(const QueueSpec& spec) {
    const auto decision = on_add(state, now(), spec, "0a1b2c");
    EXPECT_TRUE(decision) << decision.error().message;
    take(*decision);
    return std::get<QueueRow>(decision->transitions.at(0)).id;
  }
  void tick() { take(on_tick(state, now(), view)); }
  /// Time passes, then a tick.
  void tick_after(Milliseconds time) {
    pass(time);
    tick();
  }
  void list(const std::vector<BatchJob>& jobs) { take(on_listed(state, now(), "slurm", jobs)); }
  /// Ticks until it asks, and lets the submission succeed with the id.
  AllocationId submit(const std::string& batch_id) {
    tick_after(Milliseconds(1000));
    EXPECT_EQ(submits.size(), 1U);
    if (submits.empty()) return {};
    const AllocationId id = submits.front().allocation;
    take(on_submitted(state, now(), id, batch_id));
    return id;
  }
  /// An allocation whose agent has come.
  AllocationId running(const std::string& batch_id, std::size_t n_leases = 1) {
    const AllocationId id = submit(batch_id);
    view.agents[id] = {.n_workers = 1, .n_leases = n_leases, .offer = std::nullopt};
    const std::vector<Demand> rest = std::exchange(view.demand, {});  // the agent has taken what it can
    tick_after(Milliseconds(1000));
    view.demand = rest;
    return id;
  }
  [[nodiscard]] AllocationState state_of(AllocationId id) const { return rows.at(id).state; }
  [[nodiscard]] std::string why(QueueId id) const {
    return fmt::format("{}", fmt::join(explain(state, id, now(), view), "\n"));
  }
  /// What a restart reads.
  [[nodiscard]] Rows stored() const {
    Rows stored;
    for (const auto& [id, row] : queues) {
      if (row.state != QueueState::kRemoved) stored.queues.push_back(row);
      stored.last_queue = id;
    }
    for (const auto& [id, row] : rows) {
      if (row.state != AllocationState::kEnded) stored.allocations.push_back(row);
      stored.last_allocation = id;
    }
    return stored;
  }
  void restart() {
    const Rows kept = stored();
    state = State(state.config());
    state.restore(kept, now());
  }

  State state;
  View view;
  std::map<QueueId, QueueRow> queues;
  std::map<AllocationId, AllocationRow> rows;
  std::vector<Submit> submits;  ///< of the last decision, as the next two
  std::vector<Cancel> cancels;
  std::vector<List> lists;
  std::vector<AllocationId> drained;

 private:
  Milliseconds time_{1'000'000};
};

inline BatchJob job(const std::string& id, BatchJobState state, const std::string& word = "",
                    const std::string& reason = "", bool failed = false) {
  return {.id = id, .name = "other", .state = state, .word = word, .reason = reason, .failed = failed};
}

}  // namespace gauntlet::alloc
