// How many allocations waiting work is worth. Thread safety: plain values.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "coordinator/alloc/rows.hpp"
#include "core/spec/job_spec.hpp"

namespace gauntlet::alloc {

/// What a node of an allocation offers, or is believed to.
struct NodeOffer {
  std::int64_t cpus = 1;
  std::int64_t gpus = 0;
  std::int64_t memory_mb = 0;  ///< 0 = not known, so any job fits
  bool has_torch = true;
  std::map<std::string, std::string> labels = {};
};

/// Jobs of one kind that could start now if there were room.
struct Demand {
  spec::Resources resources;
  bool needs_torch = false;
  double n_jobs = 0;
  double mean_s = -1;  ///< of finished jobs of the kind; < 0: none has finished
};

/// What a node is believed to offer before one has been seen: what is asked for; a site that is not asked for
/// processors gives one.
[[nodiscard]] NodeOffer expected_offer(const QueueSpec& spec, bool has_torch);

/// Why such a job cannot run on such a node of the queue, however empty; "" when it can.
[[nodiscard]] std::string lack(const QueueSpec& spec, const NodeOffer& offer, const Demand& demand);

/// Allocations whose nodes the work would fill: each place for a job counts if `min_work_s` of work wait for
/// it, where job times are known, else if a job does. At least 1 when anything fits, 0 when nothing does.
[[nodiscard]] std::int64_t useful_allocations(const QueueSpec& spec, const NodeOffer& offer,
                                              const std::vector<Demand>& demand);

/// Takes away what so many allocations will do.
void absorb(const QueueSpec& spec, const NodeOffer& offer, std::int64_t n_allocations,
            std::vector<Demand>& demand);

}  // namespace gauntlet::alloc
