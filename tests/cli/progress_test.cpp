// A running job as one line of a terminal.
#include "cli/support/progress.hpp"

#include <gtest/gtest.h>

namespace gauntlet::cli {
namespace {

proto::RunningJob training() {
  proto::RunningJob job;
  job.set_title("train_defense drfgd text cpah 16 bits seed 2 w/o L_Ali");
  job.set_attempt(1);
  job.mutable_progress()->set_epoch(3);
  job.mutable_progress()->set_epochs(10);
  (*job.mutable_progress()->mutable_losses())["total"] = 0.125;
  return job;
}

TEST(Progress, ALongTitleLeavesEpochAndLossTheirRoom) {
  const proto::RunningJob job = training();
  const std::string whole = "train_defense drfgd text cpah 16 bits seed 2 w/o L_Ali: epoch 3/10, loss 0.125";
  EXPECT_EQ(line_of(job), whole);
  EXPECT_EQ(line_of(job, 200), whole);
  EXPECT_EQ(line_of(job, whole.size()), whole);
  EXPECT_EQ(line_of(job, 44), "train_defense drfgd…: epoch 3/10, loss 0.125");
}

TEST(Progress, TitlesAreCutBetweenLettersAndNeverToNothing) {
  proto::RunningJob job = training();
  job.set_title("ää字ääääääääääääääääääää");
  EXPECT_EQ(line_of(job, 30), "ää字ääääääää…: epoch 3/10, loss 0.125");
  job.mutable_progress()->Clear();
  EXPECT_EQ(line_of(job, 16), "ää字ääääääääääää…");
}

}  // namespace
}  // namespace gauntlet::cli
