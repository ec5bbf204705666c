// A program that has nothing to tell leaves no files; one that has, leaves all of them.
#include "worker/executor/attempt_record.hpp"

#include <gmock/gmock.h>

#include <chrono>

#include "core/base/files.hpp"
#include "tests/support/temp_folder.hpp"
#include "worker/executor/light_runner.hpp"

namespace gauntlet::worker {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class AttemptRecordTest : public testing::Test {
 protected:
  [[nodiscard]] AttemptContext command(std::vector<std::string> run) const {
    AttemptContext attempt;
    attempt.job.kind = spec::JobKind::kCommand;
    attempt.job.config = {{"run", std::move(run)}};
    attempt.job.title = "command 7";
    attempt.attempt = AttemptNo{1};
    attempt.workdir = folder_.path();
    attempt.log = log_;
    return attempt;
  }

  testing_support::TempFolder folder_;
  const fs::path log_ = folder_.path() / "logs" / "job" / "1.log";
};

/// Opens the record as the executor's own sink does.
class Sink final : public ProgressSink {
 public:
  explicit Sink(AttemptRecord& record) : record_(record) {}
  void update(const Progress& progress) override { record_.progressed(progress); }

 private:
  AttemptRecord& record_;
};

TEST_F(AttemptRecordTest, ASilentProgramLeavesNothing) {
  const AttemptContext attempt = command({"true"});
  const auto begun = std::chrono::steady_clock::now();
  {
    AttemptRecord record(attempt, "gauntlet");
    Sink sink(record);
    const auto result = LightRunner().run(attempt, sink);
    ASSERT_TRUE(result) << result.error().message;
    record.ended(result);
  }
  const auto took = std::chrono::steady_clock::now() - begun;
  if (fs::exists(log_)) {
    EXPECT_GE(took, std::chrono::milliseconds(100)) << "files, though it was over in a moment";
    EXPECT_THAT(read_file(log_).value(), HasSubstr("done after"));
  } else {
    EXPECT_FALSE(fs::exists(folder_.path() / "logs"));
  }
}

TEST_F(AttemptRecordTest, WhatIsPrintedIsAllThere) {
  const AttemptContext attempt = command({"sh", "-c", "echo hello; echo again >&2"});
  {
    AttemptRecord record(attempt, "gauntlet");
    Sink sink(record);
    const auto result = LightRunner().run(attempt, sink);
    ASSERT_TRUE(result) << result.error().message;
    record.ended(result);
  }
  const std::string log = read_file(log_).value();
  EXPECT_THAT(log, HasSubstr("gauntlet: command 7, key "));
  EXPECT_THAT(log, HasSubstr("hello\nagain\ndone after"));
  const std::string events = read_file(folder_.path() / "logs" / "job" / "1.log.events").value();
  EXPECT_THAT(events, HasSubstr("\"event\":\"start\""));
  EXPECT_THAT(events, HasSubstr("\"outcome\":\"done\""));
}

TEST_F(AttemptRecordTest, ASilentFailureIsToldInTheLog) {
  const AttemptContext attempt = command({"false"});
  {
    AttemptRecord record(attempt, "gauntlet");
    Sink sink(record);
    const auto result = LightRunner().run(attempt, sink);
    ASSERT_FALSE(result);
    record.ended(result);
    EXPECT_TRUE(record.opened());
  }
  EXPECT_THAT(read_file(log_).value(), HasSubstr("'false' ended with exit code 1"));
}

TEST_F(AttemptRecordTest, ASilentProgramIsHeardOfWhileItRuns) {
  const AttemptContext attempt = command({"sh", "-c", "while [ ! -e " + log_.string() + " ]; do :; done"});
  AttemptRecord record(attempt, "gauntlet");
  Sink sink(record);
  const auto result = LightRunner().run(attempt, sink);
  ASSERT_TRUE(result) << result.error().message;
}

TEST_F(AttemptRecordTest, ALogThatCannotBeWrittenIsSaid) {
  const AttemptContext attempt = command({"echo", "hello"});
  ASSERT_TRUE(write_file_atomic(folder_.path() / "logs", "a file where the folder should be"));
  AttemptRecord record(attempt, "gauntlet");
  Sink sink(record);
  testing::internal::CaptureStdout();
  record.ended(LightRunner().run(attempt, sink));
  testing::internal::GetCapturedStdout();
  ASSERT_FALSE(record.opened());
  EXPECT_EQ(record.opened().error().code, ErrorCode::kIo);
  EXPECT_THAT(record.opened().error().message, HasSubstr("1.log"));
}

}  // namespace
}  // namespace gauntlet::worker
