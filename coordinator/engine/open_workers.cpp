#include "coordinator/engine/open_workers.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "coordinator/engine/state.hpp"

namespace gauntlet::engine {
namespace {

ListedWorker as_it_is(const Worker& worker) {
  return {.index = worker.listed.index,
          .free_gpus = std::popcount(worker.free_gpus),
          .all_gpus = worker.offer.gpus,
          .free_cpus = worker.free_cpus};
}

}  // namespace

void OpenWorkers::add(Worker& worker) {
  worker.listed = as_it_is(worker);
  worker.listed.index = static_cast<std::uint32_t>(all_.size());
  all_.push_back(&worker);
  by_free_gpus_.insert({worker.listed.free_gpus, -worker.listed.free_cpus, worker.id, &worker});
  by_all_gpus_.insert({worker.listed.all_gpus, -worker.listed.free_cpus, worker.id, &worker});
  least_cpus_ = std::min(least_cpus_, worker.offer.cpus);
}

void OpenWorkers::remove(Worker& worker) {
  Worker* const last = all_.back();
  all_[worker.listed.index] = last;
  last->listed.index = worker.listed.index;
  all_.pop_back();
  by_free_gpus_.erase({worker.listed.free_gpus, -worker.listed.free_cpus, worker.id, &worker});
  by_all_gpus_.erase({worker.listed.all_gpus, -worker.listed.free_cpus, worker.id, &worker});
  worker.listed = {};
  if (all_.empty()) least_cpus_ = INT64_MAX;
}

void OpenWorkers::update(Worker& worker) {
  if (worker.listed.index == kNone) return;
  least_cpus_ = std::min(least_cpus_, worker.offer.cpus);
  const ListedWorker before = worker.listed;
  const ListedWorker now = as_it_is(worker);
  if (now == before) return;
  worker.listed = now;
  move(by_free_gpus_, {before.free_gpus, -before.free_cpus, worker.id, &worker},
       {now.free_gpus, -now.free_cpus, worker.id, &worker});
  move(by_all_gpus_, {before.all_gpus, -before.free_cpus, worker.id, &worker},
       {now.all_gpus, -now.free_cpus, worker.id, &worker});
}

void OpenWorkers::move(Order& order, const Rank& from, const Rank& to) {
  auto place = order.extract(from);
  place.value() = to;
  order.insert(std::move(place));
}

bool OpenWorkers::is_true_to(const Worker& worker) const {
  const std::uint32_t index = worker.listed.index;
  return index < all_.size() && all_[index] == &worker && worker.listed == as_it_is(worker) &&
         worker.offer.cpus >= least_cpus_ && by_free_gpus_.size() == all_.size() &&
         by_all_gpus_.size() == all_.size();
}

}  // namespace gauntlet::engine
