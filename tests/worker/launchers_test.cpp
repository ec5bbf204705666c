// Gangs of two and four ranks under every launcher: output, exit codes and signals of each rank reach the
// agent, and nothing is left after a kill of a rank, of the launcher, of the agent.
#include "tests/worker/gang_fixture.hpp"
#include "worker/launch/launcher.hpp"

namespace gauntlet::worker {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

struct Case {
  std::string launcher;
  int world = 2;
};

class Launched : public GangFixture, public ::testing::WithParamInterface<Case> {
 protected:
  void SetUp() override {
    if (GetParam().launcher != "mpirun") return;
    if (const auto program = launcher_program("", "mpirun");
        !program || !std::filesystem::exists(GAUNTLET_TEST_MPI))
      GTEST_SKIP() << "skipped: no Open MPI on this machine (openmpi-bin, libopenmpi-dev)";
  }

  void join(double grace_s = 0, const std::string& extra = "GAUNTLET_TEST_NOTHING=1") {
    std::vector<std::string> environment = {extra, "GAUNTLET_TEST_LAUNCHER=" + GetParam().launcher,
                                            "GAUNTLET_TEST_ADDRESS=127.0.0.1"};
    if (GetParam().launcher == "mpirun") environment.emplace_back("GAUNTLET_TEST_ARGUMENTS=--oversubscribe");
    if (GetParam().launcher == "srun") {
      environment.emplace_back("SLURM_JOB_ID=1");
      environment.emplace_back("GAUNTLET_TEST_PROGRAM=" GAUNTLET_SOURCE_DIR "/tests/worker/fake_srun.sh");
    }
    GangFixture::join(environment, grace_s);
  }
  proto::Lease start(const Json& config) { return GangFixture::start(config, GetParam().world); }
};

TEST_P(Launched, RunsAndPassesOnWhatEveryRankPrints) {
  join();
  const proto::Lease lease = start({{"do", "chatter"}});
  const proto::Outcome outcome = coordinator_.next_report().outcome();
  EXPECT_EQ(outcome.code(), 0U) << outcome.message();
  EXPECT_EQ(parse_json(outcome.environment(), "environment").value()["world"], GetParam().world);
  std::map<std::string, double> values;
  for (const proto::Row& row : outcome.rows()) values[row.metric()] = row.value();
  EXPECT_EQ(values["rank"], 0);
  EXPECT_EQ(values["threads"], 1);
  EXPECT_EQ(values["has_rendezvous"], 1);
  EXPECT_TRUE(eventually([&] { return n_said(lease, "to stderr\n") == GetParam().world; })) << log_of(lease);
}

TEST_P(Launched, AKilledRankEndsItsGangAndEverythingItStarted) {
  join();
  const proto::Lease lease = start(never("spawn_deep"));
  const std::vector<pid_t> all = all_pids(lease, {"", ".child", ".grandchild"});
  ASSERT_EQ(::kill(pid_of(lease, 1), SIGKILL), 0);
  expect_all_gone(all);
  const proto::Outcome outcome = coordinator_.next_report().outcome();
  EXPECT_EQ(outcome.code(), number(ErrorCode::kProcessDied));
  EXPECT_THAT(outcome.message(),
              HasSubstr(fmt::format("gauntlet-rank (rank 1 of {}) died: killed by signal 9 (SIGKILL)",
                                    GetParam().world)));
}

TEST_P(Launched, TheExitCodeOfARankIsTold) {
  join();
  Json config = never("exit");
  config["rank"] = 1;
  start(config);
  const proto::Outcome outcome = coordinator_.next_report().outcome();
  EXPECT_EQ(outcome.code(), number(ErrorCode::kProcessDied));
  EXPECT_THAT(outcome.message(),
              HasSubstr(fmt::format("(rank 1 of {}) died: exit code 3", GetParam().world)));
}

TEST_P(Launched, AnErrorOfOneRankIsTheGangs) {
  if (!is_full()) GTEST_SKIP() << kOnlyFull;
  join();
  Json config = never("fail");
  config["rank"] = 1;
  const proto::Lease lease = start(config);
  const pid_t other = pid_of(lease, 0);
  EXPECT_EQ(coordinator_.next_report().outcome().code(), number(ErrorCode::kDiverged));
  EXPECT_TRUE(is_gone(other));
}

TEST_P(Launched, AStopEndsEveryRank) {
  if (!is_full()) GTEST_SKIP() << kOnlyFull;
  join();
  const proto::Lease lease = start(never("stubborn"));
  const std::vector<pid_t> all = all_pids(lease, {""});
  coordinator_.send_stop(lease.lease_id(), "cancelled");
  expect_all_gone(all);
  EXPECT_EQ(coordinator_.next_report().outcome().code(), number(ErrorCode::kInterrupted));
}

TEST_P(Launched, AnAgentThatLeavesHasItsTrainingSave) {
  if (!is_full()) GTEST_SKIP() << kOnlyFull;
  join(4);
  Json config = never("save");
  const proto::Lease lease = start(config);
  for (const pid_t pid : all_pids(lease, {""})) ASSERT_GT(pid, 0);
  agent_.signal(SIGTERM);
  EXPECT_THAT(coordinator_.next_report().outcome().message(), HasSubstr("asked to stop: saved"));
}

TEST_P(Launched, NothingOutlivesAKilledAgent) {
  join();
  const proto::Lease lease = start(never("wait"));
  std::vector<pid_t> all = all_pids(lease, {""});
  for (const pid_t child : descendants_of(agent_.pid())) all.push_back(child);
  ASSERT_EQ(::kill(agent_.pid(), SIGKILL), 0);
  expect_all_gone(all);
}

TEST_P(Launched, NothingOutlivesAKilledLauncher) {
  if (GetParam().launcher == "direct") GTEST_SKIP() << "skipped: the agent itself is the launcher";
  join();
  const proto::Lease lease = start(never("spawn_deep"));
  const std::vector<pid_t> all = all_pids(lease, {"", ".child", ".grandchild"});
  const std::vector<pid_t> launcher = children_of(agent_.pid());
  ASSERT_EQ(launcher.size(), 1U);
  ASSERT_EQ(::kill(launcher.front(), SIGKILL), 0);
  expect_all_gone(all);
  const proto::Outcome outcome = coordinator_.next_report().outcome();
  EXPECT_EQ(outcome.code(), number(ErrorCode::kProcessDied));
  EXPECT_THAT(outcome.message(),
              HasSubstr(fmt::format("{} ended (killed by signal 9 (SIGKILL))", GetParam().launcher)));
}

TEST_P(Launched, ARankOfAnotherCatalogIsRefused) {
  if (GetParam().launcher == "direct") GTEST_SKIP() << "skipped: forked ranks are of one program";
  join(0, "GAUNTLET_TEST_STRANGER=1");
  start({{"do", "rows"}});
  const proto::Outcome outcome = coordinator_.next_report().outcome();
  EXPECT_EQ(outcome.code(), number(ErrorCode::kInvalid));
  EXPECT_THAT(outcome.message(), AllOf(HasSubstr(fmt::format("rank 1 of {}", GetParam().world)),
                                       HasSubstr("has another catalog"), HasSubstr("there and"),
                                       HasSubstr("all machines of a gang need the same gauntlet")));
}

std::vector<Case> cases() {
  if (!is_full()) return {{"mpirun", 2}, {"srun", 4}};  // ranks forked by the agent: agent_test.cpp
  std::vector<Case> all;
  for (const std::string& launcher : launcher_names()) {
    for (const int world : {2, 4}) all.push_back({launcher, world});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, Launched, ::testing::ValuesIn(cases()), [](const auto& of) {
  return fmt::format("{}{}", of.param.launcher, of.param.world);
});

}  // namespace
}  // namespace gauntlet::worker
