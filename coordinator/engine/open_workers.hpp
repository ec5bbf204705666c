// Workers that may get something now, found by what they have free, in the order in which placement prefers
// them: jobs with GPUs take the worker with the fewest free ones that suffice, so that wide gangs find whole
// workers; jobs without take workers with few GPUs. Among equals the one with most free cpus, then the one
// that joined first. A search costs the logarithm of the workers and what it is refused by those that have
// enough; workers with too little are passed as a whole. Thread safety: one thread.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "core/base/ids.hpp"
#include "core/spec/job_spec.hpp"

namespace gauntlet::engine {

struct Worker;

class OpenWorkers {
 public:
  /// The worker may get something; it is not listed.
  void add(Worker& worker);
  /// It may not any more; it is listed.
  void remove(Worker& worker);
  /// To be called after its free resources changed. A worker that is not listed is none of ours.
  void update(Worker& worker);

  /// In no particular order; until the next add or remove.
  [[nodiscard]] const std::vector<Worker*>& all() const { return all_; }
  /// The first in order of preference that `takes` accepts, among those with enough free GPUs and cpus for
  /// `asked`, apart from its variants; null when there is none. A job that asks for more cpus than a worker
  /// has fits when all of the worker's are free.
  template <class Takes>
  [[nodiscard]] Worker* first_for(const spec::Resources& asked, Takes takes) const;
  /// Whether the worker is listed as it is now.
  [[nodiscard]] bool is_true_to(const Worker& worker) const;

 private:
  /// Where a worker stands among others.
  struct Rank {
    std::int64_t gpus = 0;  ///< free ones, or all there are
    std::int64_t busy = 0;  ///< minus the free cpus
    WorkerId id;
    Worker* worker = nullptr;
    bool operator<(const Rank& other) const {
      if (gpus != other.gpus) return gpus < other.gpus;
      if (busy != other.busy) return busy < other.busy;
      return id < other.id;
    }
  };
  using Order = std::set<Rank>;

  /// Takes a worker that is listed out of its place and puts it where it belongs by now.
  static void move(Order& order, const Rank& from, const Rank& to);

  std::vector<Worker*> all_;
  Order by_free_gpus_;
  Order by_all_gpus_;
  std::int64_t least_cpus_ = INT64_MAX;  ///< no listed worker has fewer in all
};

template <class Takes>
Worker* OpenWorkers::first_for(const spec::Resources& asked, Takes takes) const {
  const Order& order = asked.gpus > 0 ? by_free_gpus_ : by_all_gpus_;
  const std::int64_t fewest_cpus = asked.cpus < least_cpus_ ? asked.cpus : least_cpus_;
  auto at = order.lower_bound({.gpus = asked.gpus, .busy = INT64_MIN, .id = {}});
  while (at != order.end()) {
    if (-at->busy < fewest_cpus) {  // nor have those after it with as many GPUs
      at = order.lower_bound({.gpus = at->gpus + 1, .busy = INT64_MIN, .id = {}});
    } else if (takes(*at->worker)) {
      return at->worker;
    } else {
      ++at;
    }
  }
  return nullptr;
}

}  // namespace gauntlet::engine
