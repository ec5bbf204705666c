// A real Slurm with two nodes on this machine: sweeps through it, a node that dies, a run inside one
// allocation.
#include "tests/allocations/site.hpp"
#include "tests/support/slurm_cluster.hpp"

namespace gauntlet {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing_support::SlurmCluster;

class SlurmSite : public Site {
 protected:
  void SetUp() override {
    const std::string why_not = SlurmCluster::why_not();
    if (!why_not.empty()) GTEST_SKIP() << why_not;
    slurm_ = std::make_unique<SlurmCluster>(folder_ / "slurm");
    set_environment(slurm_->environment());
  }
  void TearDown() override {
    Site::TearDown();
    if (HasFailure() && slurm_ != nullptr) std::cerr << jobs();
    coordinator_.reset();
    slurm_.reset();
  }

  [[nodiscard]] std::string jobs() const { return slurm_->ask("squeue -h -t all -o '%i %T %j %N %r'").out; }
  [[nodiscard]] int n_live_jobs() const {
    const std::string lines = slurm_->ask("squeue -h -o %i").out;
    return static_cast<int>(std::count(lines.begin(), lines.end(), '\n'));
  }
  /// A node on which an allocation of the queue runs.
  [[nodiscard]] std::string busy_node() const {
    const std::string line = slurm_->ask("squeue -h -t RUNNING -o %N | head -n 1").out;
    return line.substr(0, line.find('\n'));
  }

  std::unique_ptr<SlurmCluster> slurm_;
};

TEST_F(SlurmSite, ASweepSurvivesTheDeathOfANode) {
  start_coordinator();
  const Finished added = gauntlet({"alloc", "slurm", "add", "--partition", "main", "--time", "10m", "--cpus",
                                   "2", "--max", "2", "--idle", "2s", "--min-work", "1s"});
  ASSERT_EQ(added.exit_code, 0) << added.err;
  EXPECT_EQ(added.out, "queue 1: up to 2 allocations of 1 node at a time\n");
  EXPECT_EQ(n_live_jobs(), 0);  // nothing waits
  submit_noops(800, 6);
  ASSERT_TRUE(wait_until([&] { return number("SELECT count(*) AS n FROM v_jobs WHERE state = 'done'") > 50; },
                         kPatience));
  EXPECT_LE(n_live_jobs(), 2);
  const std::string node = busy_node();
  ASSERT_FALSE(node.empty());
  slurm_->kill_node(node);
  const Finished waited = gauntlet({"wait", "noops"});
  EXPECT_EQ(waited.exit_code, 0) << waited.err;
  expect_exactly_once(800);
  EXPECT_THAT(jobs(), HasSubstr("NODE_FAIL"));
  ASSERT_TRUE(wait_until(
      [&] { return n_live_jobs() == 0 && n_allocations("ended") > 0 && n_allocations("running") == 0; },
      kPatience));  // given back
  EXPECT_EQ(queue()["state"], "active");
  EXPECT_EQ(gauntlet({"alloc", "remove", "1"}).exit_code, 0);
  EXPECT_TRUE(
      wait_until([&] { return queue().is_null(); }, kPatience));  // once Slurm has said that all are over
}

TEST_F(SlurmSite, ARestartedCoordinatorFindsItsAllocationsAndRemovalCancelsThem) {
  start_coordinator();
  ASSERT_EQ(gauntlet({"alloc", "slurm", "add", "--time", "10m", "--cpus", "2", "--max", "1"}).exit_code, 0);
  submit_noops(3, 60'000);
  ASSERT_TRUE(wait_until([&] { return n_allocations("running") == 1; }, kPatience));
  const Json before = queue()["allocations"][0];
  kill_coordinator();
  start_coordinator();
  ASSERT_TRUE(
      wait_until([&] { return !queue().is_null() && queue()["allocations"][0]["workers"] == 1; }, kPatience));
  EXPECT_EQ(queue()["allocations"][0]["job"], before["job"]);
  EXPECT_EQ(n_live_jobs(), 1);
  EXPECT_EQ(gauntlet({"alloc", "remove", "1"}).exit_code, 0);
  EXPECT_TRUE(wait_until([&] { return n_live_jobs() == 0 && queue().is_null(); }, kPatience));
}

TEST_F(SlurmSite, RefusesWhatSlurmWouldNotTake) {
  start_coordinator();
  const auto add = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"alloc", "slurm", "add"});
    return gauntlet(words);
  };
  const Finished nope = add({"--partition", "nope", "--time", "1h"});
  EXPECT_EQ(nope.exit_code, 2);
  EXPECT_THAT(nope.err,
              AllOf(HasSubstr("Slurm has no partition or queue 'nope'"), HasSubstr("it has main, short")));
  const Finished wide = add({"--time", "1h", "--gpus", "9"});
  EXPECT_EQ(wide.exit_code, 2);
  EXPECT_THAT(wide.err, HasSubstr("Slurm refuses such an allocation: "));
  EXPECT_TRUE(queue().is_null());
  const Finished shown = add({"--time", "90m", "--gpus", "4", "--cpus", "2", "--dry-run"});
  EXPECT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_THAT(shown.out, AllOf(HasSubstr("#SBATCH --time=01:30:00\n"), HasSubstr("#SBATCH --gres=gpu:4\n")));
  EXPECT_THAT(shown.err, HasSubstr("Slurm would take it"));
  EXPECT_EQ(n_live_jobs(), 0);
}

TEST_F(SlurmSite, ARunLivesInsideOneAllocation) {
  const auto spec = folder_.write("sweep.yaml", "gauntlet: 1\nname: noops\nnoop: {jobs: 700, ms: 1}\n");
  const std::vector<std::string> command{"run", spec.string(), "--alloc", "slurm", "--nodes",
                                         "2",   "--time",      "5m",      "--json"};
  const Finished ran = gauntlet(command);
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("Slurm job "));
  const Json document = Json::parse(ran.out);
  EXPECT_EQ(document["jobs"]["done"], 700);
  EXPECT_TRUE(wait_until([&] { return n_live_jobs() == 0; }, kPatience));
  expect_exactly_once(700);
  EXPECT_EQ(number("SELECT count(*) AS n FROM workers"), 2);
  const Finished nope =
      gauntlet({"run", spec.string(), "--alloc", "slurm", "--time", "5m", "--partition", "nope"});
  EXPECT_EQ(nope.exit_code, 2);
  EXPECT_THAT(nope.err, HasSubstr("it has main, short"));
}

}  // namespace
}  // namespace gauntlet
