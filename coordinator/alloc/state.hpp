// Allocations of a batch system, as a state machine: events in, decisions out; no clock, no process, no disk.
// Order as in the engine: decide → commit `transitions` → run `commands`. Its promises, which
// check_invariants() and a test over random sequences hold it to: a queue never has more than `max`
// allocations that may hold or get nodes; what nobody knows to be gone counts; a queue that is paused or
// being removed asks for nothing. Thread safety: one thread.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "coordinator/alloc/batch_system.hpp"
#include "coordinator/alloc/demand.hpp"
#include "core/base/clock.hpp"

namespace gauntlet::alloc {

struct Config {
  Milliseconds poll{10'000};     ///< between two listings while an allocation lives
  Milliseconds backoff{10'000};  ///< after the first trouble; doubles
  Milliseconds max_backoff{600'000};
  int max_refusals = 5;               ///< submissions refused in a row, after which the queue pauses
  int max_failures = 3;               ///< allocations in a row to which no agent came, likewise
  Milliseconds start_limit{600'000};  ///< for the first agent of an allocation that has its nodes
  Milliseconds unsure{120'000};  ///< a submission without an answer may still show in a listing for so long
  int max_misses = 2;            ///< listings in a row without it, after which an allocation is gone
  std::size_t n_recent = 10;     ///< ended allocations remembered per queue, to be shown
};

/// Both times of one moment.
struct Now {
  SteadyTime steady;
  std::int64_t wall_ms = 0;
};

struct Allocation {
  AllocationRow row;
  bool submitting = false;  ///< its submission runs and will be answered
  bool cancelling = false;  ///< likewise
  int misses = 0;
  SteadyTime since{};                    ///< of asking or running, whichever it does
  std::optional<SteadyTime> idle_since;  ///< running and without a job
};

struct Queue {
  QueueRow row;
  int refusals = 0;
  int failures = 0;
  SteadyTime not_before{};                  ///< of the next submission
  std::string trouble;                      ///< the last one; "" = none since something went well
  std::optional<NodeOffer> seen;            ///< what an agent of it last said of itself
  std::optional<SteadyTime> surplus_since;  ///< more are queued than are useful
  std::vector<AllocationRow> recent;        ///< ended, the last one last
};

/// The listing of one batch system.
struct Listing {
  bool running = false;
  bool known = false;  ///< one has succeeded since the start
  SteadyTime next{};
  int failures = 0;  ///< in a row
  std::string error;
};

// ---------------------------------------------------------------- what the rest of the coordinator knows

/// Agents of an allocation at this moment.
struct Agents {
  std::size_t n_workers = 0;
  std::size_t n_leases = 0;
  std::optional<NodeOffer> offer;  ///< of one of them
  bool came = false;               ///< one joined since the last look, gone again or not
};

struct View {
  std::vector<Demand> demand;  ///< ready jobs, those of the most important sweep first
  std::map<AllocationId, Agents> agents;
  bool has_torch = true;  ///< this installation has gauntlet-rank
};

// ---------------------------------------------------------------- what is to be done

struct Submit {
  AllocationId allocation;
};
struct Cancel {
  std::string system;
  std::vector<AllocationId> allocations;  ///< that are told of the answer
  std::vector<std::string> batch_ids;
};
struct List {
  std::string system;
  std::vector<std::string> batch_ids;
};
using Command = std::variant<Submit, Cancel, List>;

struct Decision {
  std::vector<Transition> transitions;
  std::vector<Command> commands;
  std::vector<AllocationId> drain;   ///< their agents get no further job
  std::vector<std::string> notices;  ///< for the coordinator's log
};

class State {
 public:
  explicit State(Config config = {}) : config_(config) {}

  [[nodiscard]] const Config& config() const { return config_; }
  [[nodiscard]] const std::map<QueueId, Queue>& queues() const { return queues_; }
  [[nodiscard]] std::map<QueueId, Queue>& queues() { return queues_; }
  /// Those that have not ended.
  [[nodiscard]] const std::map<AllocationId, Allocation>& allocations() const { return allocations_; }
  [[nodiscard]] std::map<AllocationId, Allocation>& allocations() { return allocations_; }
  [[nodiscard]] std::map<std::string, Listing>& listings() { return listings_; }
  [[nodiscard]] const std::map<std::string, Listing>& listings() const { return listings_; }
  [[nodiscard]] Queue* find_queue(QueueId id);
  [[nodiscard]] Allocation* find_allocation(AllocationId id);
  /// Live allocations of a queue in one of the states; in any without.
  [[nodiscard]] std::int64_t count(QueueId queue, std::set<AllocationState> states = {}) const;
  [[nodiscard]] QueueId next_queue() { return QueueId{++last_queue_.value}; }
  [[nodiscard]] AllocationId next_allocation() { return AllocationId{++last_allocation_.value}; }
  void restore(const Rows& rows, const Now& now);

  /// Errors (kInternal): the first promise that does not hold.
  [[nodiscard]] Status check_invariants() const;

 private:
  Config config_;
  std::map<QueueId, Queue> queues_;
  std::map<AllocationId, Allocation> allocations_;
  std::map<std::string, Listing> listings_;
  QueueId last_queue_;
  AllocationId last_allocation_;
};

// ---------------------------------------------------------------- events

/// Somebody wants allocations. `tag`: six random hexadecimal digits. Errors (kInvalid): those of check.
[[nodiscard]] Result<Decision> on_add(State& state, const Now& now, const QueueSpec& spec, std::string tag);
/// Nothing more is asked for, and what there is is given back. Errors (kNotFound): names the known ones.
[[nodiscard]] Result<Decision> on_remove(State& state, const Now& now, QueueId queue);
/// A paused queue goes on. Errors (kNotFound).
[[nodiscard]] Result<Decision> on_resume(State& state, const Now& now, QueueId queue);

[[nodiscard]] Decision on_submitted(State& state, const Now& now, AllocationId id,
                                    const std::string& batch_id);
/// `unsure`: it may have been handed in all the same, which a listing will show.
[[nodiscard]] Decision on_refused(State& state, const Now& now, AllocationId id, const std::string& message,
                                  bool unsure);
[[nodiscard]] Decision on_listed(State& state, const Now& now, const std::string& system,
                                 const std::vector<BatchJob>& jobs);
[[nodiscard]] Decision on_list_failed(State& state, const Now& now, const std::string& system,
                                      const std::string& message);
/// A cancellation was made, or was not; one that did not help is made again after a listing.
[[nodiscard]] Decision on_cancelled(State& state, const Now& now,
                                    const std::vector<AllocationId>& allocations, const std::string& error);
/// Time has passed; to be called about once a second.
[[nodiscard]] Decision on_tick(State& state, const Now& now, const View& view);

/// Sentences about what a queue does and why, the most important first; never empty.
[[nodiscard]] std::vector<std::string> explain(const State& state, QueueId queue, const Now& now,
                                               const View& view);

// ---------------------------------------------------------------- shared by the handlers

/// Changes of one decision; rows are listed once, as they are in the end.
class Change {
 public:
  Change(State& state, const Now& now) : state_(state), now_(now) {}

  void save(const Queue& queue) { queues_.insert(queue.row.id); }
  void save(const Allocation& allocation) { allocations_.insert(allocation.row.id); }
  /// It is over; `fault`: held against the queue if no agent ever came.
  void end(Allocation& allocation, std::string message, bool fault);
  /// It is to be cancelled, now or once its id is known.
  void give_back(Allocation& allocation, std::string message);
  void hold_against(Queue& queue, std::string trouble);
  void wait_a_while(Queue& queue, int n_troubles);
  void pause(Queue& queue, std::string reason);
  void cancel_due();
  void look_soon(const std::string& system);
  void note(std::string sentence) { decision_.notices.push_back(std::move(sentence)); }
  template <class Any>
  void command(Any any) {
    decision_.commands.emplace_back(std::move(any));
  }
  void cancel_stray(const std::string& system, const std::string& batch_id);

  [[nodiscard]] Decision finish();

 private:
  void finish_removals();

  State& state_;
  Now now_;
  std::set<QueueId> queues_;
  std::set<AllocationId> allocations_;
  std::vector<AllocationRow> ended_;
  std::map<std::string, std::vector<std::string>> strays_;
  Decision decision_;
};

}  // namespace gauntlet::alloc
