// kill -9 of coordinator, agents and executors at random moments, hundreds of times, while sweeps are handed
// in and worked off: whatever a client was told is true afterwards, every result is there once, and the rows
// are those of a run that nobody disturbed.
// GAUNTLET_KILLS=<n> kills (default 200), GAUNTLET_SEED=<n> other moments.
#include <poll.h>

#include <cstdlib>
#include <fstream>
#include <iostream>

#include "core/base/json.hpp"
#include "tests/kill/cluster.hpp"
#include "tests/kill/watch.hpp"

namespace gauntlet::kill {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kBacklog = 60;  ///< jobs; fewer, and the next sweep is handed in
constexpr std::uint32_t kMeanPauseMs = 100;
constexpr int kUnreachable = 5;  ///< exit code of a command that finds no coordinator
constexpr std::chrono::minutes kStormLimit{40};

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

const char* const kRows =
    "SELECT s.name AS sweep, lower(hex(j.key)) AS job, m.name AS metric, r.value, r.n, m.unit, "
    "m.higher_is_better FROM sweeps s JOIN sweep_jobs USING (sweep_id) JOIN jobs j USING (job_id) JOIN "
    "results "
    "r USING (job_id) JOIN metrics m USING (metric_id) ORDER BY 1, 2, 3";

class Kill : public testing::Test {
 protected:
  void TearDown() override {
    if (!HasFailure()) return;
    std::cout << fmt::format("replay: GAUNTLET_SEED={} GAUNTLET_KILLS={} build/bin/kill_tests\n", seed_,
                             n_kills_);
  }

  /// Kills at random moments until there were enough.
  void rage(Cluster& cluster, Watch& watch) {
    RandomStream random = RandomStream::of(seed_, 1, 0);
    const auto deadline = Clock::now() + kStormLimit;
    Clock::time_point next = Clock::now();
    Role role = Role::kExecutor;
    std::uint64_t n_killed = 0;
    while (n_killed < n_kills_ && !HasFailure()) {
      ASSERT_LT(Clock::now(), deadline) << n_killed << " kills only";
      cluster.tend();
      watch.look();
      watch.hand_in(kBacklog);
      ::poll(nullptr, 0, 2);
      if (Clock::now() < next || !cluster.kill_one(role, random)) continue;
      ++n_killed;
      ++n_by_role_[static_cast<std::size_t>(role)];
      next = Clock::now() + std::chrono::milliseconds(random.below(2 * kMeanPauseMs));
      constexpr std::array kOdds = {Role::kCoordinator, Role::kAgent, Role::kExecutor, Role::kExecutor};
      role = kOdds[random.below(kOdds.size())];
    }
  }

  /// Lets everything come to its end. Jobs that lost too many processes are asked for again, as a person
  /// would.
  void calm_down(Cluster& cluster, Watch& watch) {
    const bool ended = testing_support::wait_until(
        [&] {
          cluster.tend();
          watch.look();
          if (watch.is_handing_in()) watch.hand_in(0);
          if (watch.n_failed() > 0) {
            const std::uint64_t n_failed = watch.n_failed();
            const int answer = cluster.run({"retry", "--failed"}).exit_code;
            if (answer == kUnreachable) return false;  // the coordinator is still starting again
            EXPECT_EQ(answer, 0);
            n_retried_ += n_failed;
            watch.look();
          }
          return HasFailure() || (!watch.is_handing_in() && watch.n_left() == 0);
        },
        std::chrono::seconds(300));
    EXPECT_TRUE(ended) << watch.n_left() << " jobs are left: " << cluster.run({"status"}).out;
  }

  void expect_kept(const Cluster& cluster, const Watch& watch) {
    const Finished verified = cluster.run({"verify"});
    EXPECT_EQ(verified.exit_code, 0) << verified.out << verified.err;
    const Finished query =
        cluster.run({"query", "--json",
                     "SELECT lower(hex(key)), state, attempt, (SELECT count(*) FROM results r WHERE r.job_id "
                     "= j.job_id AND "
                     "r.attempt = j.attempt), (SELECT count(*) FROM attempts a WHERE a.job_id = j.job_id AND "
                     "a.code = 0), "
                     "(SELECT count(*) FROM results r WHERE r.job_id = j.job_id) FROM jobs j"});
    ASSERT_EQ(query.exit_code, 0) << query.err;
    std::map<std::string, std::uint64_t> attempt_of;
    const Json document = Json::parse(query.out);
    for (const Json& row : document.at("rows")) {
      attempt_of[row[0].get<std::string>()] = row[2].get<std::uint64_t>();
      EXPECT_EQ(row[1], 3) << row[0] << " is not done";
      EXPECT_EQ(row[3], 3) << row[0] << " has not three numbers of its last attempt";
      EXPECT_EQ(row[4], 1) << row[0] << " was done by so many attempts";
      EXPECT_EQ(row[5], 3) << row[0] << " has numbers of other attempts";
    }
    for (const Sweep& sweep : watch.sweeps()) {
      for (const std::string& key : sweep.keys)
        EXPECT_TRUE(attempt_of.contains(key)) << sweep.name << " was acknowledged without " << key;
    }
    for (const auto& [key, attempt] : watch.done_jobs())
      EXPECT_EQ(attempt_of[key], attempt) << key << " was done by another attempt";
    EXPECT_GT(watch.done_jobs().size(), n_kills_ / 4)
        << "too few acknowledgements were heard to mean anything";
  }

  static std::string rows_of(const Cluster& cluster) {
    const Finished query = cluster.run({"query", "--format", "csv", kRows});
    EXPECT_EQ(query.exit_code, 0) << query.err;
    return query.out;
  }

  /// The same sweeps in peace.
  std::string undisturbed_rows(std::size_t n_sweeps) {
    Cluster cluster("reference", 1, 32);
    Watch watch(cluster, seed_);
    EXPECT_TRUE(testing_support::wait_until(
        [&] {
          watch.look();
          if (watch.sweeps().size() < n_sweeps) watch.hand_in(SIZE_MAX);
          return watch.sweeps().size() == n_sweeps && watch.n_left() == 0;
        },
        std::chrono::seconds(300)));
    cluster.stop();
    return rows_of(cluster);
  }

  const std::uint64_t seed_ = setting("GAUNTLET_SEED", 1);
  const std::uint64_t n_kills_ = setting("GAUNTLET_KILLS", 200);
  std::array<std::uint64_t, kRoles> n_by_role_{};
  std::uint64_t n_retried_ = 0;
};

TEST_F(Kill, LosesNothingAcknowledgedAndCountsNothingTwice) {
  const auto began = Clock::now();
  Cluster cluster("killed", 2, 2);
  Watch watch(cluster, seed_);
  rage(cluster, watch);
  calm_down(cluster, watch);
  cluster.stop();
  expect_kept(cluster, watch);
  const std::string rows = rows_of(cluster);
  EXPECT_FALSE(HasFailure()) << testing_support::bytes_of_file(cluster.workdir() / "logs/coordinator.log");
  const std::chrono::duration<double> stormed = Clock::now() - began;
  const bool same = rows == undisturbed_rows(watch.sweeps().size());
  EXPECT_TRUE(same) << "the rows are not those of an undisturbed run";
  const std::chrono::duration<double> took = Clock::now() - began;
  std::cout << fmt::format(
      "seed {}: killed {} times a coordinator, {} an agent, {} an executor; {} sweeps with {} rows; {} jobs "
      "seen "
      "done in {} answers over {} connections; {} failed jobs asked for again; {:.0f} s, {:.0f} s of them "
      "undisturbed\n",
      seed_, n_by_role_[0], n_by_role_[1], n_by_role_[2], watch.sweeps().size(),
      std::count(rows.begin(), rows.end(), '\n') - 1, watch.done_jobs().size(), watch.n_answers,
      watch.n_connections, n_retried_, took.count(), (took - stormed).count());
}

/// Jobs that no other sweep of the test has: `round` is part of what they do.
std::string large_sweep(int round, int n_jobs) {
  return fmt::format("gauntlet: 1\nname: large-{0}\nnoop: {{jobs: {1}, ms: {0}}}\n", round, n_jobs);
}

// A large submission is answered once the log is on disk, and written back beside the writer.
TEST(LargeSubmission, IsThereAfterAKillWhileItIsWrittenBack) {
  constexpr int kRounds = 8;
  constexpr int kJobs = 20'000;
  Cluster cluster("large", 0, 1);
  RandomStream random = RandomStream::of(setting("GAUNTLET_SEED", 1), 2, 0);
  for (int round = 1; round <= kRounds; ++round) {
    const auto path = cluster.folder() / "large.yaml";
    std::ofstream(path) << large_sweep(round, kJobs);
    const bool answered = testing_support::wait_until(
        [&] {
          return cluster.run({"submit", path.string()}).exit_code == 0;
        },
        kPatience);
    ASSERT_TRUE(answered);
    ::poll(nullptr, 0, static_cast<int>(random.below(60)));
    ASSERT_TRUE(cluster.kill_one(Role::kCoordinator, random));
    cluster.tend();
  }
  const bool serves =
      testing_support::wait_until([&] { return cluster.run({"status"}).exit_code == 0; }, kPatience);
  EXPECT_TRUE(serves);
  const Finished verified = cluster.run({"verify"});
  EXPECT_EQ(verified.exit_code, 0) << verified.out << verified.err;
  const Finished counted = cluster.run({"query", "--json",
                                        "SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM "
                                        "sweep_jobs), (SELECT count(*) FROM sweeps)"});
  ASSERT_EQ(counted.exit_code, 0) << counted.err;
  EXPECT_EQ(Json::parse(counted.out).at("rows")[0], (Json{kRounds * kJobs, kRounds * kJobs, kRounds}));
  cluster.stop();
}

}  // namespace
}  // namespace gauntlet::kill
