// Open workers by what they have free, compared with looking at every one of them.
#include "coordinator/engine/open_workers.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <deque>
#include <tuple>

#include "coordinator/engine/placement.hpp"
#include "core/base/random.hpp"

namespace gauntlet::engine {
namespace {

/// A few dozen workers that come, change and go.
class Site {
 public:
  explicit Site(std::uint64_t seed) : random_(RandomStream::of(seed, 1, 0)) {
    for (std::uint64_t id = 1; id <= 40; ++id) {
      Worker& worker = workers_.emplace_back();
      worker.id = WorkerId{id};
      renew(worker);
    }
  }

  void change_one() {
    Worker& worker = workers_[random_.below(static_cast<std::uint32_t>(workers_.size()))];
    const bool listed = worker.listed.index != kNone;
    switch (random_.below(4)) {
      case 0:
        listed ? open_.remove(worker) : open_.add(worker);
        break;
      case 1:
        renew(worker);  // another offer
        break;
      default:
        use_some(worker);
    }
    open_.update(worker);
  }

  /// Compares for one job; `refuses` are workers it may not have for other reasons.
  void check() {
    const spec::Resources asked{
        .cpus = random_.below(10), .gpus = random_.below(2) == 0 ? 0 : random_.below(5), .memory_mb = 1};
    const std::uint32_t refused = random_.below(4);
    const auto takes = [&](const Worker& worker) {
      return fits_now(worker, asked) && (refused == 0 || worker.id.value % 4 != refused);
    };
    const Worker* best = nullptr;
    for (const Worker& worker : workers_) {
      if (worker.listed.index == kNone || !takes(worker)) continue;
      if (best == nullptr || rank_of(worker, asked) < rank_of(*best, asked)) best = &worker;
    }
    EXPECT_EQ(open_.first_for(asked, takes), best) << asked.cpus << " cpus, " << asked.gpus << " gpus";
    for (const Worker& worker : workers_) {
      EXPECT_EQ(worker.listed.index != kNone, open_.is_true_to(worker)) << worker.id.value;
    }
  }

 private:
  static std::tuple<std::int64_t, std::int64_t, std::uint64_t> rank_of(const Worker& worker,
                                                                       const spec::Resources& asked) {
    const std::int64_t gpus = asked.gpus > 0 ? std::popcount(worker.free_gpus) : worker.offer.gpus;
    return {gpus, -worker.free_cpus, worker.id.value};
  }
  void renew(Worker& worker) {
    worker.offer.cpus = 1 + random_.below(8);
    worker.offer.gpus = random_.below(5);
    worker.free_memory_mb = 1;
    use_some(worker);
  }
  void use_some(Worker& worker) {
    worker.free_cpus = random_.below(static_cast<std::uint32_t>(worker.offer.cpus) + 1);
    worker.free_gpus = random_.below(1U << worker.offer.gpus);
  }

  RandomStream random_;
  std::deque<Worker> workers_;
  OpenWorkers open_;
};

TEST(OpenWorkers, FindWhatLookingAtAllOfThemFinds) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Site site(seed);
    for (int step = 0; step < 300 && !::testing::Test::HasFailure(); ++step) {
      site.change_one();
      site.check();
    }
  }
}

}  // namespace
}  // namespace gauntlet::engine
