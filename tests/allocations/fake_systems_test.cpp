// Batch systems that do what a test says: programs of the same names, first in PATH. PBS is tested this way
// alone.
#include <fstream>

#include "tests/allocations/site.hpp"

namespace gauntlet {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

class FakeSystems : public Site {
 protected:
  void SetUp() override {
    fs::create_directories(folder_ / "bin");
    fs::create_directories(folder_ / "jobs");
    set_environment({{"PATH", (folder_ / "bin").string() + ":" + std::getenv("PATH")},
                     {"JOBS", (folder_ / "jobs").string()}});
  }
  void TearDown() override {
    Site::TearDown();
    for (const auto& entry :
         fs::directory_iterator(folder_ / "jobs")) {  // what the fake batch system started
      std::ifstream file(entry.path() / "pid");
      pid_t pid = 0;
      if (file >> pid && pid > 0) ::kill(-pid, SIGKILL);
    }
  }

  void program(const std::string& name, const std::string& body) const {
    const fs::path path = folder_.write("bin/" + name, "#!/bin/bash\n" + body);
    fs::permissions(path, fs::perms::owner_all);
  }

  /// A Slurm that refuses everything but a test.
  void refusing_slurm(const std::string& words) const {
    program("sbatch",
            "case $1 in --test-only) exit 0;; esac\necho 'sbatch: error: " + words + "' >&2\nexit 1\n");
    program("squeue", "exit 0\n");
    program("scancel", "exit 0\n");
  }
};

TEST_F(FakeSystems, PausesAfterRefusalsSaysWhyAndGoesOnWhenAsked) {
  refusing_slurm("Batch job submission failed: Job violates accounting/QOS policy");
  start_coordinator();
  ASSERT_EQ(gauntlet({"alloc", "slurm", "add", "--time", "1h"}).exit_code, 0);
  submit_noops(1, 0);
  ASSERT_TRUE(wait_until([&] { return queue()["state"] == "paused"; }, kPatience)) << explained();
  EXPECT_THAT(explained(), AllOf(HasSubstr("5 submissions in a row failed"), HasSubstr("QOS policy"),
                                 HasSubstr("`gauntlet alloc resume 1` goes on")));
  kill_coordinator();
  start_coordinator();
  EXPECT_EQ(queue()["state"], "paused");
  EXPECT_EQ(gauntlet({"alloc", "resume", "1"}).exit_code, 0);
  EXPECT_EQ(gauntlet({"alloc", "resume", "7"}).exit_code, 4);
  ASSERT_TRUE(wait_until([&] { return queue()["state"] == "paused"; }, kPatience));
  EXPECT_EQ(gauntlet({"alloc", "remove", "1"}).exit_code, 0);
  EXPECT_TRUE(queue().is_null());
}

TEST_F(FakeSystems, ASlurmThatHangsHoldsNothingUp) {
  refusing_slurm("");
  program("squeue", "sleep 1000\n");
  program("sbatch", "case $1 in --test-only) exit 0;; esac\nsleep 1000\n");
  start_coordinator();
  ASSERT_EQ(gauntlet({"alloc", "slurm", "add", "--time", "1h", "--", "--account=a b"}).exit_code, 0);
  submit_noops(1, 0);
  ASSERT_TRUE(wait_until([&] { return n_allocations("asking") == 1; }, kPatience));
  EXPECT_EQ(gauntlet({"status"}).exit_code, 0);
  EXPECT_EQ(queue()["spec"]["extra"], Json::array({"--account=a b"}));
  EXPECT_EQ(gauntlet({"coordinator", "--stop"}).exit_code, 0);
  EXPECT_EQ(coordinator_->wait(std::chrono::seconds(60)).exit_code,
            0);  // the children are ended, not waited for
}

TEST_F(FakeSystems, WithoutABatchSystemAddingIsRefusedAndADryRunStillShowsTheScript) {
  program("sbatch", "");
  fs::remove(folder_ / "bin" / "sbatch");
  set_environment({{"PATH", (folder_ / "bin").string()}});
  start_coordinator();
  const Finished added = gauntlet({"alloc", "slurm", "add", "--time", "1h"});
  EXPECT_EQ(added.exit_code, 4);
  EXPECT_THAT(added.err, HasSubstr("cannot run sbatch"));
  const Finished shown = gauntlet({"alloc", "slurm", "add", "--time", "1h", "--dry-run", "--json"});
  ASSERT_EQ(shown.exit_code, 0) << shown.err;
  const Json document = Json::parse(shown.out);
  EXPECT_EQ(document["format"], 1);
  EXPECT_EQ(document["checked"], false);
  EXPECT_THAT(document["script"].get<std::string>(), HasSubstr("#SBATCH --time=01:00:00"));
}

TEST_F(FakeSystems, MistakesAreNamed) {
  EXPECT_THAT(gauntlet({"alloc", "slurm", "add", "--dry-run"}).err, HasSubstr("--time is missing"));
  EXPECT_THAT(gauntlet({"alloc", "slurm", "add", "--time", "soon"}).err, HasSubstr("--time: "));
  EXPECT_THAT(gauntlet({"alloc", "slurm", "add", "--time", "30s"}).err, HasSubstr("at least 1m"));
  EXPECT_EQ(gauntlet({"alloc", "slurm", "ad", "--time", "1h"}).exit_code, 2);
  const auto spec = folder_.write("s.yaml", "gauntlet: 1\nname: n\nnoop: {jobs: 1}\n");
  const Finished unknown = gauntlet({"run", spec.string(), "--alloc", "slrum", "--time", "1h"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("did you mean 'slurm'?"));
}

TEST_F(FakeSystems, ASweepThroughAPbsThatIsNone) {
  set_environment({{"PATH", GAUNTLET_SOURCE_DIR "/tests/allocations/pbs:" + std::string(std::getenv("PATH"))},
                   {"JOBS", (folder_ / "jobs").string()}});
  start_coordinator();
  const Finished added =
      gauntlet({"alloc", "pbs", "add", "--queue", "work", "--time", "10m", "--cpus", "1", "--idle", "2s"});
  ASSERT_EQ(added.exit_code, 0) << added.err;
  submit_noops(50, 1);
  const Finished waited = gauntlet({"wait", "noops"});
  EXPECT_EQ(waited.exit_code, 0) << waited.err;
  expect_exactly_once(50);
  EXPECT_TRUE(wait_until([&] { return n_allocations("ended") == 1; }, kPatience)) << explained();
  EXPECT_EQ(gauntlet({"alloc", "remove", "1"}).exit_code, 0);
}

}  // namespace
}  // namespace gauntlet
