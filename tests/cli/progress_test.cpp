// A running job as one line of a terminal.
#include "cli/support/progress.hpp"

#include <gmock/gmock.h>
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

proto::SweepStatus half_done(const std::string& name) {
  proto::SweepStatus sweep;
  sweep.set_name(name);
  sweep.set_eta_s(0.5);
  sweep.set_reused(120);
  auto& jobs = *sweep.mutable_jobs();
  jobs["done"] = 500;
  jobs["leased"] = 16;
  jobs["queued"] = 484;
  return sweep;
}

TEST(Progress, ALongNameLeavesTheCountsAndTheTimeTheirRoom) {
  using testing::ElementsAre;
  const std::string counts = ": 500 of 1000 jobs done (120 reused), 16 running, 0 failed";
  const std::string bar = "] " + std::string(" 50 %, less than a second left");
  const std::string name(90, 'n');
  EXPECT_THAT(lines_of(half_done(name), 80),
              ElementsAre(std::string(80 - counts.size() - 1, 'n') + "…" + counts,
                          "[" + std::string(23, '=') + std::string(24, ' ') + bar));
  EXPECT_THAT(lines_of(half_done(name), 59),
              ElementsAre("nnnnnnnnnnn…: 500 of 1000 jobs done (120 reused),", "  16 running, 0 failed",
                          "[" + std::string(13, '=') + std::string(13, ' ') + bar));
  EXPECT_THAT(lines_of(half_done("short"), 200), ElementsAre("short" + counts, testing::EndsWith(bar)));
  EXPECT_THAT(lines_of(half_done("short"), 63), ElementsAre("short" + counts, testing::EndsWith(bar)))
      << "a line that just fits is not broken";
}

TEST(Progress, NothingOfTheCountsIsLostHoweverMany) {
  proto::SweepStatus sweep = half_done("defense-comparison");
  (*sweep.mutable_jobs())["failed"] = 12;
  (*sweep.mutable_jobs())["blocked"] = 340;
  (*sweep.mutable_jobs())["cancelled"] = 7;
  sweep.set_paused(true);
  for (std::size_t columns = 50; columns < 200; ++columns) {
    std::string whole;
    for (const std::string& line : lines_of(sweep, columns)) {
      EXPECT_LE(line.size(), columns + 2) << line;  // "…" has three bytes
      whole += line;
    }
    for (const char* part : {": 500 of 1359 jobs done (120 reused)", "16 running", "12 failed",
                             "340 blocked by them", "7 cancelled", "paused", "37 %"})
      EXPECT_THAT(whole, testing::HasSubstr(part)) << columns;
  }
}

}  // namespace
}  // namespace gauntlet::cli
