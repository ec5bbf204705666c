// A million events of simulated coordinators, each followed by every invariant. GAUNTLET_SEED=<n> runs one
// seed and tells what happens; GAUNTLET_SEEDS=<n> runs more of them.
#include "tests/engine/simulation.hpp"

#include <gmock/gmock.h>

#include <cstdlib>
#include <iostream>

namespace gauntlet::engine {
namespace {

constexpr std::uint64_t kEventsPerSeed = 2500;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kSeeds = 40;  // the same code some ten times slower
#else
constexpr std::uint64_t kSeeds = 410;
#endif

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

/// The events of one seed; 0 after a broken promise.
std::uint64_t run_seed(std::uint64_t seed, Tally& tally, bool trace) {
  Simulation simulation(seed, tally, trace);
  try {
    simulation.run(kEventsPerSeed);
    tally["quarantine"] += simulation.coordinator().n_quarantines;
    return simulation.n_events();
  } catch (const Broken& broken) {
    ADD_FAILURE() << fmt::format(
        "seed {}, event {} ({}): {}\nreplay: GAUNTLET_SEED={} build/bin/engine_tests "
        "--gtest_filter=Simulation.*",
        seed, simulation.n_events(), simulation.coordinator().last_event, broken.what(), seed);
    return 0;
  }
}

TEST(Simulation, KeepsEveryPromiseOverAMillionEvents) {
  Tally tally;
  if (const std::uint64_t seed = number_from("GAUNTLET_SEED", 0); seed != 0) {
    run_seed(seed, tally, true);
    return;
  }
  const std::uint64_t n_seeds = number_from("GAUNTLET_SEEDS", kSeeds);
  std::uint64_t n_events = 0;
  for (std::uint64_t seed = 1; seed <= n_seeds; ++seed) {
    n_events += run_seed(seed, tally, false);
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GE(n_events, n_seeds * kEventsPerSeed);
  for (const auto& [what, n] : tally) std::cout << fmt::format("{:>9} {}\n", n, what);
  EXPECT_GE(tally["quarantine"], n_seeds / 40)
      << "rare, since the same worker has to fail three jobs in a row";
  for (const char* what : {"coordinator dies",
                           "agent dies",
                           "agent drains",
                           "agent leaves",
                           "worker is given up",
                           "connection breaks",
                           "late message",
                           "doubled message",
                           "lost message",
                           "cancellation",
                           "retry",
                           "pause or resume",
                           "damaged inputs",
                           "attempts are stopped",
                           "stale attempt is dropped",
                           "report is refused",
                           "result is acknowledged",
                           "known jobs ask for other resources",
                           "agent offers something else",
                           "lease ahead"}) {
    EXPECT_GE(tally[what], n_seeds / 4) << what;
  }
}

}  // namespace
}  // namespace gauntlet::engine
