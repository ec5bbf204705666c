// Gangs through the whole program: coordinator, workers, mpirun, ranks that meet over Gloo.

#include <gmock/gmock.h>

#include <filesystem>

#include "tests/e2e/cluster.hpp"

namespace gauntlet {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing_support::Finished;

class Gang : public testing_support::Cluster {};

/// Neither worker has the two cpus alone. They share no folder: what the ranks read comes through the
/// coordinator.
TEST_F(Gang, TwoWorkersTrainOneModel) {
  if (!fs::exists("/usr/bin/mpirun")) GTEST_SKIP() << "no mpirun here: apt-get install openmpi-bin";
  for (const char* name : {"one", "two"})
    work(name, {"--cpus", "1", "--launcher", "mpirun", "--address", "127.0.0.1"});
  submit(2, 2, 64);
  const Finished done = gauntlet({"wait", "gang"});
  const Finished status = gauntlet({"status"});
  ASSERT_EQ(done.exit_code, 0) << done.err << status.out << workers_[0]->err() << workers_[1]->err();
  EXPECT_EQ(row("SELECT outcome, world_size FROM v_attempts WHERE kind = 'train_model'"), (Json{"done", 2}));
  EXPECT_EQ(row("SELECT outcome, world_size FROM v_attempts WHERE kind = 'evaluate'"), (Json{"done", 1}));
  EXPECT_GT(row("SELECT value FROM v_results WHERE metric = 'map'").at(0).get<double>(), 0.1);
  EXPECT_EQ(gauntlet({"verify"}).exit_code, 0);
}

TEST_F(Gang, MoreRanksThanABatchHasPairsAreRefusedInOneSentence) {
  work("one", {"--cpus", "4"});
  submit(4, 4, 3);
  EXPECT_EQ(gauntlet({"wait", "gang"}).exit_code, 3);
  const Json failed = row("SELECT outcome, message FROM v_attempts WHERE kind = 'train_model'");
  EXPECT_EQ(failed.at(0), "invalid");
  EXPECT_THAT(failed.at(1).get<std::string>(),
              HasSubstr("cpah: a batch of 3 pairs cannot be split over 4 ranks; allowed: at most 3 ranks, or "
                        "batch_size at least 4"));
  EXPECT_EQ(row("SELECT count(*) FROM v_attempts WHERE kind = 'train_model'"), (Json{1}))
      << "another attempt would end the same way";
}

}  // namespace
}  // namespace gauntlet
