// Workers kept for jobs that were passed too often, for the length of one placement round (placement.hpp says
// when). A worker that is kept goes on to take what leaves room for the job it is kept for, jobs of the same
// shape, and jobs of higher priority. Internal to the engine. Thread safety: one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

#include "coordinator/engine/state.hpp"

namespace gauntlet::engine {

/// A ready queue by place, since vectors of queues may move.
struct QueueRef {
  std::uint32_t sweep = kNone;
  std::uint32_t queue = 0;
  [[nodiscard]] explicit operator bool() const { return sweep != kNone; }
  bool operator==(const QueueRef&) const = default;
};

/// Whether the sweep's turn comes before the other's.
[[nodiscard]] bool goes_before(const Sweep& one, const Sweep& other);

class Reservations {
 public:
  Reservations(State& state, SteadyTime now) : state_(state), now_(now) {}
  Reservations(const Reservations&) = delete;
  Reservations& operator=(const Reservations&) = delete;
  /// Nothing is kept between rounds, but queues remember which workers were theirs.
  ~Reservations();

  /// Keeps workers for every queue that was passed too often; to be called once, before anything is placed.
  void make();
  /// Whether the worker may take the job without touching what it keeps for another.
  [[nodiscard]] bool respects(const Worker& worker, QueueRef ref, std::uint32_t shape,
                              const spec::Resources& asked) const;
  /// A job of the queue was given to the worker: one kept worker fewer is needed. Returns whether one was let
  /// go, so that what did not fit may fit now.
  [[nodiscard]] bool settle(QueueRef ref, const Worker& worker);
  /// Lets go all that are kept for the queue; whether there were any.
  [[nodiscard]] bool drop_of(QueueRef ref);

  /// Whether jobs of the shape go over several workers.
  [[nodiscard]] bool is_spread(std::uint32_t shape);
  /// Whether the worker could run jobs of the shape, or ranks of one, with nothing else to do.
  [[nodiscard]] bool could_take(Worker& worker, std::uint32_t shape);

 private:
  /// A worker kept for a queue.
  struct Kept {
    Worker* worker = nullptr;
    QueueRef owner;
    std::uint32_t shape = 0;                 ///< jobs of this shape may take it, whichever sweep's turn it is
    const spec::Resources* asked = nullptr;  ///< of the variant it is kept for
    std::int32_t priority = 0;
  };

  ReadyQueue& queue(QueueRef ref) { return state_.sweeps()[ref.sweep].queues[ref.queue]; }
  [[nodiscard]] std::vector<QueueRef> starved();
  [[nodiscard]] std::size_t n_owed(QueueRef ref);
  [[nodiscard]] bool may_be_kept(Worker& worker, std::uint32_t shape);
  void keep_workers_for(QueueRef ref, const std::vector<WorkerId>& before, std::size_t n_wanted);
  void keep_emptiest_for(QueueRef ref, std::size_t n_more);
  void keep_gang_for(QueueRef ref);
  void keep(QueueRef ref, Worker& worker, const spec::Resources& asked);
  void drop(std::uint32_t at);

  State& state_;
  SteadyTime now_;
  std::vector<Kept> kept_;
  std::deque<spec::Resources> shares_;                     ///< that kept gangs ask for
  std::unordered_map<std::uint32_t, bool> spread_shapes_;  ///< by shape, as far as worked out
};

}  // namespace gauntlet::engine
