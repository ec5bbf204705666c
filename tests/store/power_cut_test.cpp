// The power goes at random moments while a store works: whatever it acknowledged is there afterwards.
// GAUNTLET_SEED=<n> runs one database.
#include <gmock/gmock.h>

#include <cstdlib>

#include "tests/store/store_history.hpp"
#include "tests/support/simulated_disk.hpp"

namespace gauntlet::store {
namespace {

using testing_support::SimulatedDisk;
using testing_support::Unsynced;

constexpr std::uint64_t kDatabases = 20;
constexpr int kCutsEach = 20;

struct Outcome {
  int n_cuts = 0;
  std::uint64_t n_acknowledged = 0;
  std::uint64_t n_kept = 0;
  std::uint64_t n_gone = 0;
  std::string problem;
};

/// One database that loses power again and again, and is finished in the end.
Outcome run_database(std::uint64_t seed, const std::string& pragma = "") {
  Outcome outcome;
  RandomStream random = RandomStream::of(seed, 4, 0);
  SimulatedDisk disk;
  StoreHistory history("/simulated/gauntlet.db", seed);
  history.extra_pragma = pragma;
  while (outcome.n_cuts < kCutsEach && history.problem.empty()) {
    disk.cut_power_after(1 + random.below(outcome.n_cuts == 0 ? 60 : 400));
    while (disk.has_power() && history.problem.empty()) {
      const Status status = history.step();
      if (!status && disk.has_power()) history.problem = "with power: " + status.error().message;
    }
    history.close();
    constexpr std::array kLeft = {Unsynced::kSome, Unsynced::kSome, Unsynced::kNothing, Unsynced::kAll,
                                  Unsynced::kAll};
    disk.restore_power(random, kLeft[random.below(kLeft.size())]);
    ++outcome.n_cuts;
  }
  if (history.problem.empty()) {
    const Status finished = history.finish();
    if (!finished) history.problem = finished.error().message;
  }
  outcome.n_acknowledged = history.n_acknowledged;
  outcome.n_kept = history.n_in_doubt_kept;
  outcome.n_gone = history.n_in_doubt_gone;
  outcome.problem = history.problem;
  history.close();
  return outcome;
}

TEST(PowerCut, LosesNothingAcknowledgedAndHalvesNothing) {
  const char* only = std::getenv("GAUNTLET_SEED");
  Outcome all;
  for (std::uint64_t seed = 1; seed <= kDatabases; ++seed) {
    if (only != nullptr && std::strtoull(only, nullptr, 10) != seed) continue;
    const Outcome one = run_database(seed);
    ASSERT_EQ(one.problem, "") << fmt::format(
        "seed {}, cut {}\nreplay: GAUNTLET_SEED={} build/bin/store_tests "
        "--gtest_filter=PowerCut.LosesNothing*",
        seed, one.n_cuts, seed);
    all.n_cuts += one.n_cuts;
    all.n_acknowledged += one.n_acknowledged;
    all.n_kept += one.n_kept;
    all.n_gone += one.n_gone;
  }
  RecordProperty("n_cuts", all.n_cuts);
  RecordProperty("n_acknowledged", static_cast<int>(all.n_acknowledged));
  RecordProperty("n_in_doubt_kept", static_cast<int>(all.n_kept));
  RecordProperty("n_in_doubt_gone", static_cast<int>(all.n_gone));
  if (only != nullptr) return;
  EXPECT_GE(all.n_cuts, 100);
  EXPECT_GT(all.n_gone, 20U) << "cuts fall into transactions";
  EXPECT_GT(all.n_kept, 0U) << "some after everything was written and before anybody heard of it";
}

// Without syncs the same cuts must be noticed: else the test above proves nothing.
TEST(PowerCut, IsNoticedWhenTheDatabaseDoesNotSync) {
  int n_noticed = 0;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    n_noticed += run_database(seed, "PRAGMA synchronous=OFF").problem.empty() ? 0 : 1;
  }
  EXPECT_EQ(n_noticed, 5);
}

// Syncing at checkpoints only keeps the file whole, but forgets what was acknowledged.
TEST(PowerCut, IsNoticedWhenCommitsDoNotSync) {
  int n_noticed = 0;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    n_noticed += run_database(seed, "PRAGMA synchronous=NORMAL").problem.empty() ? 0 : 1;
  }
  EXPECT_EQ(n_noticed, 5);
}

}  // namespace
}  // namespace gauntlet::store
