#include "core/base/subprocess.hpp"

#include <gmock/gmock.h>

#include <thread>

namespace gauntlet {
namespace {

constexpr Milliseconds kLong{60000};

TEST(Subprocess, GivesOutputAndExitCode) {
  const auto ended = run_subprocess({"sh", "-c", "echo data; echo words >&2; exit 3"}, kLong);
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(ended->exit_code, 3);
  EXPECT_EQ(ended->out, "data\n");
  EXPECT_EQ(ended->err, "words\n");
  EXPECT_EQ(run_subprocess({"sh", "-c", "kill -9 $$"}, kLong)->exit_code, 137);
}

TEST(Subprocess, HasAnEmptyInput) { EXPECT_EQ(run_subprocess({"cat"}, kLong)->out, ""); }

TEST(Subprocess, TakesMoreThanAPipeHolds) {
  const auto ended =
      run_subprocess({"sh", "-c", "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2"}, kLong);
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_EQ(ended->out.size(), 300000U);
  EXPECT_EQ(ended->err.size(), 300000U);
}

TEST(Subprocess, SaysWhichProgramIsMissing) {
  const auto ended = run_subprocess({"no-such-program-here"}, kLong);
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(ended.error().message, testing::HasSubstr("no-such-program-here"));
}

TEST(Subprocess, IsKilledWithItsGroupAfterTheLimit) {
  const auto ended = run_subprocess({"sh", "-c", "sleep 1000 & wait"}, Milliseconds(50));
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, ErrorCode::kTimedOut);
}

TEST(Subprocess, StopsWhenAskedTo) {
  std::atomic<bool> stop = false;
  std::thread asker([&] { stop = true; });
  const auto ended = run_subprocess({"sleep", "1000"}, kLong, &stop);
  asker.join();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, ErrorCode::kInterrupted);
}

}  // namespace
}  // namespace gauntlet
