// What is kept of allocations: queues (what somebody wants to be asked for) and the allocations asked for.
// Plain structs, as the store writes them and hands them back. Thread safety: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/base/result.hpp"

namespace gauntlet::alloc {

using QueueId = Id<struct QueueTag>;
using AllocationId = Id<struct AllocationTag>;

/// What one allocation of a queue is, and how many there may be.
struct QueueSpec {
  std::string system;              ///< "slurm", "pbs": a name of batch_systems.def
  std::string partition;           ///< Slurm's partition or PBS's queue; "" = the site's default
  std::int64_t time_s = 0;         ///< time limit of an allocation, >= 60
  std::int64_t nodes = 1;          ///< per allocation; each gets one agent
  std::int64_t cpus = 0;           ///< per node; 0 = what the site gives
  std::int64_t gpus = 0;           ///< per node
  std::int64_t memory_mb = 0;      ///< per node; 0 = what the site gives
  std::int64_t max = 1;            ///< allocations at a time, asked for ones included
  std::int64_t idle_s = 300;       ///< an allocation without a job for so long is given back
  std::int64_t min_work_s = 60;    ///< work that waits for a place before another place is asked for
  std::vector<std::string> extra;  ///< further arguments of the submission
  bool operator==(const QueueSpec&) const = default;
};
/// Errors (kInvalid): an unknown system (the known ones named), a number out of its range, a partition or
/// argument with a line break.
[[nodiscard]] Status check(const QueueSpec& spec);
[[nodiscard]] Json to_json(const QueueSpec& spec);
[[nodiscard]] Result<QueueSpec> queue_spec_from_json(const Json& value);

/// The numbers are stored.
enum class QueueState : std::uint8_t { kActive = 0, kPaused = 1, kRemoving = 2, kRemoved = 3 };
[[nodiscard]] std::string_view name_of(QueueState state);

/// The numbers are stored.
enum class AllocationState : std::uint8_t {
  kAsking = 0,   ///< its submission is being made, or nobody knows whether it was
  kQueued = 1,   ///< the batch system has it, and has not started it
  kRunning = 2,  ///< it has its nodes
  kEnding = 3,   ///< given back or withdrawn; the batch system has not confirmed that yet
  kEnded = 4,
};
[[nodiscard]] std::string_view name_of(AllocationState state);

struct QueueRow {
  QueueId id;
  QueueSpec spec;
  std::string tag;  ///< six hexadecimal digits, random: marks its allocations in the batch system
  QueueState state = QueueState::kActive;
  std::string reason;  ///< why it is paused
  std::int64_t created_ms = 0;
  bool operator==(const QueueRow&) const = default;
};

struct AllocationRow {
  AllocationId id;
  QueueId queue;
  std::string batch_id;  ///< "" until the batch system said it
  AllocationState state = AllocationState::kAsking;
  std::string message;  ///< why it waits, is given back or has ended
  bool had_workers = false;
  bool failed = false;  ///< ended, and that is held against the queue
  std::int64_t asked_ms = 0;
  std::int64_t started_ms = 0;  ///< 0 = not yet
  std::int64_t ended_ms = 0;
  bool operator==(const AllocationRow&) const = default;
};

/// "gauntlet-3fa9c2-17": by this name the batch system knows it, whoever asks.
[[nodiscard]] std::string job_name(const QueueRow& queue, AllocationId allocation);

/// A durable change: the row as it is from now on.
using Transition = std::variant<QueueRow, AllocationRow>;

/// What a restart goes on with: queues that are not removed, their allocations that have not ended, and the
/// greatest numbers ever given.
struct Rows {
  std::vector<QueueRow> queues;
  std::vector<AllocationRow> allocations;
  QueueId last_queue;
  AllocationId last_allocation;
};

}  // namespace gauntlet::alloc
