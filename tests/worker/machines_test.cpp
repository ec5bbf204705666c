// Gangs over two machines: over mpirun and two network namespaces, joined by a veth pair, so that ranks speak
// real TCP; and over srun in a Slurm of two nodes.
#include "tests/support/second_machine.hpp"
#include "tests/support/slurm_cluster.hpp"
#include "tests/worker/gang_fixture.hpp"
#include "worker/launch/launcher.hpp"

namespace gauntlet::worker {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::SecondMachine;
using testing_support::SlurmCluster;

class TwoMachines : public GangFixture {
 protected:
  void SetUp() override {
    if (const auto program = launcher_program("", "mpirun");
        !program || !std::filesystem::exists(GAUNTLET_TEST_MPI))
      GTEST_SKIP() << "skipped: no Open MPI on this machine (openmpi-bin, libopenmpi-dev)";
    if (!second_.why_not().empty()) GTEST_SKIP() << "skipped: " << second_.why_not();
  }
  void join(const std::string& address, const std::string& extra = "GAUNTLET_TEST_NOTHING=1") {
    GangFixture::join({extra, "GAUNTLET_TEST_LAUNCHER=mpirun", "GAUNTLET_TEST_ADDRESS=" + address,
                       "GAUNTLET_TEST_ARGUMENTS=--mca plm_rsh_agent " + second_.remote_shell() +
                           " --mca oob_tcp_if_include " + second_.network() + " --mca btl_tcp_if_include " +
                           second_.network()});
  }
  proto::Lease start(const Json& config) {
    return GangFixture::start(config, 2, {second_.here(), second_.there()});
  }

  SecondMachine second_;
};

TEST_F(TwoMachines, RunAGangAndItsLogHasWhatBothPrint) {
  join(second_.here());
  const proto::Lease lease = start({{"do", "chatter"}});
  const proto::Outcome outcome = coordinator_.next_report().outcome();
  EXPECT_EQ(outcome.code(), 0U) << outcome.message() << log_of(lease);
  EXPECT_TRUE(eventually([&] { return n_said(lease, "to stderr\n") == 2; })) << log_of(lease);
}

TEST_F(TwoMachines, AKilledRankThereIsToldWithItsMachineAndEndsTheGang) {
  join(second_.here());
  const proto::Lease lease = start(never("spawn_deep"));
  const std::vector<pid_t> all = all_pids(lease, {"", ".child", ".grandchild"});
  ASSERT_EQ(::kill(pid_of(lease, 1), SIGKILL), 0);
  expect_all_gone(all);
  EXPECT_THAT(
      coordinator_.next_report().outcome().message(),
      HasSubstr(fmt::format("(rank 1 of 2) died: killed by signal 9 (SIGKILL) on {}", second_.name())));
}

TEST_F(TwoMachines, NothingOutlivesAKilledAgent) {
  if (!is_full()) GTEST_SKIP() << kOnlyFull;
  join(second_.here());
  const proto::Lease lease = start(never("wait"));
  std::vector<pid_t> all = all_pids(lease, {""});
  for (const pid_t pid : descendants_of(agent_.pid())) all.push_back(pid);
  ASSERT_EQ(::kill(agent_.pid(), SIGKILL), 0);
  expect_all_gone(all);
}

TEST_F(TwoMachines, NothingOutlivesAKilledMpirun) {
  if (!is_full()) GTEST_SKIP() << kOnlyFull;
  join(second_.here());
  const proto::Lease lease = start(never("wait"));
  const std::vector<pid_t> all = all_pids(lease, {""});
  const std::vector<pid_t> launcher = children_of(agent_.pid());
  ASSERT_EQ(launcher.size(), 1U);
  ASSERT_EQ(::kill(launcher.front(), SIGKILL), 0);
  expect_all_gone(all);
  EXPECT_THAT(coordinator_.next_report().outcome().message(),
              HasSubstr("mpirun ended (killed by signal 9 (SIGKILL))"));
}

TEST_F(TwoMachines, AMachineThatGoesWithoutAWordIsMissed) {
  if (!is_full()) GTEST_SKIP() << kOnlyFull;
  join(second_.here());
  const proto::Lease lease = start(never("wait"));
  const std::vector<pid_t> all = all_pids(lease, {""});
  second_.cut_the_cable();
  const proto::Outcome outcome = coordinator_.next_report().outcome();
  EXPECT_EQ(outcome.code(), number(ErrorCode::kProcessDied));
  expect_all_gone(all, kTestPatience);
}

TEST_F(TwoMachines, ANameThatIsLoopbackThereIsSaid) {
  if (!is_full()) GTEST_SKIP() << kOnlyFull;
  join("localhost");
  const proto::Lease lease = start({{"do", "rows"}});
  EXPECT_THAT(coordinator_.next_report().outcome().message(),
              AllOf(HasSubstr("before this rank did: rank 1 of 2 on " + second_.name() +
                              " cannot reach the gang's worker"),
                    HasSubstr("its address localhost resolves to"), HasSubstr("--address")));
}

TEST_F(TwoMachines, AnAddressNobodyReachesIsSaid) {
  if (!is_full()) GTEST_SKIP() << kOnlyFull;
  join("10.63.255.254");
  const proto::Lease lease = start({{"do", "rows"}});
  EXPECT_THAT(
      coordinator_.next_report().outcome().message(),
      AllOf(HasSubstr("could not reach the gang's worker at 10.63.255.254:"), HasSubstr("tried for")));
}

TEST_F(TwoMachines, ARankOfAnotherCatalogIsRefused) {
  if (!is_full()) GTEST_SKIP() << kOnlyFull;
  join(second_.here(), "GAUNTLET_TEST_STRANGER=1");
  start({{"do", "rows"}});
  EXPECT_THAT(coordinator_.next_report().outcome().message(),
              HasSubstr(fmt::format("rank 1 of 2 on {} has another catalog", second_.name())));
}

class TwoSlurmNodes : public GangFixture {
 protected:
  void SetUp() override {
    if (!is_full()) GTEST_SKIP() << kOnlyFull;
    if (const std::string why = SlurmCluster::why_not(); !why.empty()) GTEST_SKIP() << "skipped: " << why;
    slurm_ = std::make_unique<SlurmCluster>(folder_ / "slurm");
    const auto allocated = slurm_->ask(
        "id=$(sbatch --parsable -N2 --ntasks-per-node=1 --wrap 'sleep 600') && for n in $(seq 300); do [ "
        "\"$(squeue -h "
        "-j $id -o %t)\" = R ] && break; sleep 0.1; done; printf %s $id");
    job_ = allocated.out;
    ASSERT_FALSE(job_.empty()) << allocated.err;
  }
  void TearDown() override { agent_ = Child(); }
  void join() {
    GangFixture::join({"SLURM_CONF=" + slurm_->environment().at("SLURM_CONF"), "SLURM_JOB_ID=" + job_,
                       "SLURMD_NODENAME=n1", "GAUNTLET_TEST_LAUNCHER=srun",
                       "GAUNTLET_TEST_ADDRESS=127.0.0.1"});
  }
  proto::Lease start(const Json& config) { return GangFixture::start(config, 2, {"n1", "n2"}); }

  std::unique_ptr<SlurmCluster> slurm_;
  std::string job_;
};

TEST_F(TwoSlurmNodes, RunGangsAndNothingOutlivesAnyKill) {
  join();
  const proto::Lease chatter = start({{"do", "chatter"}});
  const proto::Outcome outcome = coordinator_.next_report().outcome();
  EXPECT_EQ(outcome.code(), 0U) << outcome.message() << log_of(chatter);
  EXPECT_TRUE(eventually([&] { return n_said(chatter, "to stderr\n") == 2; })) << log_of(chatter);

  const proto::Lease killed = start(never("spawn_deep"));
  const std::vector<pid_t> all = all_pids(killed, {"", ".child", ".grandchild"});
  ASSERT_EQ(::kill(pid_of(killed, 1), SIGKILL), 0);
  expect_all_gone(all);
  EXPECT_THAT(coordinator_.next_report().outcome().message(),
              HasSubstr("(rank 1 of 2) died: killed by signal 9 (SIGKILL)"));

  const proto::Lease without = start(never("wait"));
  const std::vector<pid_t> ranks = all_pids(without, {""});
  for (const pid_t launcher : children_of(agent_.pid())) ::kill(launcher, SIGKILL);
  expect_all_gone(ranks);
  EXPECT_EQ(coordinator_.next_report().outcome().code(), number(ErrorCode::kProcessDied));

  const proto::Lease last = start(never("wait"));
  const std::vector<pid_t> orphans = all_pids(last, {""});
  ASSERT_EQ(::kill(agent_.pid(), SIGKILL), 0);
  expect_all_gone(orphans);
}

}  // namespace
}  // namespace gauntlet::worker
