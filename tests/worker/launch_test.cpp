#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <fstream>

#include "core/proto/convert.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/support/thread_sanitizer.hpp"
#include "tests/worker/processes.hpp"
#include "worker/launch/process_group.hpp"

namespace gauntlet::worker {
namespace {

namespace asio = boost::asio;
using ::testing::HasSubstr;

class LaunchTest : public ::testing::Test {
 protected:
  /// Runs a shell script; its arguments are $0 = "--fd" and $1 = the socket's number.
  Ending run_script(const std::string& script) {
    Ending seen;
    context_.restart();
    const auto process =
        ExecutorProcess::start(context_, {"/bin/sh", {"-c", script}, {{"GAUNTLET_TEST_VARIABLE", "told"}}},
                               {[](const proto::Frame&) {}, [&](const Ending& ending) { seen = ending; }});
    EXPECT_TRUE(process) << process.error().message;
    context_.run_for(kTestPatience);
    return seen;
  }
  asio::io_context context_;
};

TEST_F(LaunchTest, NamesTheProgramItCannotStart) {
  if (testing_support::kForksInsteadOfVfork) GTEST_SKIP() << "the sanitizer makes a fork of vfork";
  const auto process = ExecutorProcess::start(context_, {"/nonexistent/program", {}, {}}, {});
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(process.error().message, "cannot start /nonexistent/program: No such file or directory");
}

TEST_F(LaunchTest, TellsHowAProcessEnded) {
  EXPECT_EQ(describe(run_script("exit 0")), "exit code 0");
  EXPECT_EQ(describe(run_script("exit 3")), "exit code 3");
  EXPECT_EQ(describe(run_script("kill -9 $$")), "killed by signal 9 (SIGKILL)");
  EXPECT_EQ(describe(run_script("kill -15 $$")), "killed by signal 15 (SIGTERM)");
}

TEST_F(LaunchTest, GivesTheSocketTheVariablesAndNothingElse) {
  const int ours = ::open("/dev/null", O_RDONLY);  // inherited by whoever does not take care
  ASSERT_GE(ours, 3);
  EXPECT_EQ(run_script(fmt::format("test ! -e /proc/self/fd/{}", ours)).exit_code, 0);
  ::close(ours);
  EXPECT_EQ(run_script("test \"$0\" = --fd && test -S /proc/self/fd/$1").exit_code, 0);
  EXPECT_EQ(run_script("test \"$GAUNTLET_TEST_VARIABLE\" = told").exit_code, 0);
  EXPECT_EQ(run_script("test \"$(readlink /proc/self/fd/0)\" = /dev/null").exit_code, 0);
}

TEST_F(LaunchTest, EndsAProcessThatClosesItsSocket) {
  EXPECT_EQ(run_script("eval \"exec $1>&-\"; exec sleep 1000").signal, SIGTERM);
}

TEST_F(LaunchTest, KillsAProcessThatSendsNonsense) {
  EXPECT_EQ(run_script("echo this is no frame >&$1; exec sleep 1000").signal, SIGKILL);
}

TEST_F(LaunchTest, EndsWhatTheProcessLeavesBehind) {
  const testing_support::TempFolder folder;
  const std::filesystem::path file = folder.path() / "pid";
  run_script(fmt::format("sleep 1000 & echo $! > {}", file.string()));
  const pid_t left = read_pid(file);
  ASSERT_GT(left, 0);
  EXPECT_TRUE(is_gone(left));
}

TEST_F(LaunchTest, EndsWhatHasLeftTheProcessGroup) {
  const testing_support::TempFolder folder;
  const std::filesystem::path file = folder.path() / "pid";
  run_script(
      fmt::format("setsid sh -c 'echo $$ > {0}.part; mv {0}.part {0}; exec sleep 1000' & "
                  "while ! test -e {0}; do sleep 0.01; done",
                  file.string()));
  const pid_t left = read_pid(file);
  ASSERT_GT(left, 0);
  EXPECT_TRUE(is_gone(left));
}

TEST_F(LaunchTest, LeavesWhatOthersHaveStartedAlone) {
  const Child other({"/bin/sleep", "1000"});
  run_script("exit 0");
  EXPECT_EQ(::kill(other.pid(), 0), 0);
}

TEST_F(LaunchTest, KillsAProcessThatIgnoresTheRequestToEnd) {
  const testing_support::TempFolder folder;
  const std::filesystem::path file = folder.path() / "pid";
  std::optional<Ending> seen;
  const auto process = ExecutorProcess::start(
      context_,
      {"/bin/sh",
       {"-c", fmt::format("trap '' TERM; echo $$ > {0}.part; mv {0}.part {0}; while :; do sleep 1; done",
                          file.string())},
       {}},
      {[](const proto::Frame&) {}, [&](const Ending& ending) { seen = ending; }});
  ASSERT_TRUE(process);
  ASSERT_EQ(read_pid(file), (*process)->pid());
  (*process)->end();
  context_.run_for(kTestPatience);
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->signal, SIGKILL);
}

TEST_F(LaunchTest, KillsAndReapsWhenDropped) {
  pid_t pid = 0;
  {
    const auto process = ExecutorProcess::start(context_, {"/bin/sh", {"-c", "exec sleep 1000"}, {}}, {});
    ASSERT_TRUE(process);
    pid = (*process)->pid();
  }
  EXPECT_EQ(::kill(pid, 0), -1);  // not even a zombie
  EXPECT_EQ(errno, ESRCH);
}

TEST_F(LaunchTest, SpeaksFramesWithAnExecutor) {
  const testing_support::TempFolder folder;
  std::vector<proto::Frame> frames;
  std::optional<Ending> seen;
  std::shared_ptr<ExecutorProcess> process;
  const auto on_frame = [&](const proto::Frame& frame) {
    frames.push_back(frame);
    if (!frame.has_attempt_ended()) return;
    proto::Frame stop;
    stop.mutable_executor_stop();
    process->send(stop);
  };
  auto started = ExecutorProcess::start(context_, {GAUNTLET_TEST_EXECUTOR, {"executor"}, {}},
                                        {on_frame, [&](const Ending& ending) { seen = ending; }});
  ASSERT_TRUE(started);
  process = *started;
  spec::JobSpec job;
  proto::Frame run;
  run.mutable_run_attempt()->set_lease_id(5);
  run.mutable_run_attempt()->set_canonical(canonical_json(canonical_form(job)).value());
  run.mutable_run_attempt()->set_key(proto::key_bytes(key_of(job).value()));
  run.mutable_run_attempt()->set_log((folder.path() / "deep" / "er" / "1.log").string());
  process->send(run);
  context_.run_for(kTestPatience);
  ASSERT_EQ(frames.size(), 3U);
  EXPECT_EQ(frames[0].executor_ready().program(), "test_executor");
  EXPECT_EQ(frames[0].executor_ready().pid(), process->pid());
  EXPECT_EQ(frames[1].attempt_progress().phase(), "start");
  EXPECT_EQ(frames[2].attempt_ended().lease_id(), 5U);
  EXPECT_EQ(frames[2].attempt_ended().outcome().code(), 0U);
  ASSERT_TRUE(seen);
  EXPECT_EQ(describe(*seen), "exit code 0");
}

TEST(LogTail, GivesTheLastLines) {
  const testing_support::TempFolder folder;
  const std::filesystem::path file = folder.path() / "log";
  EXPECT_EQ(log_tail(file), "");
  std::ofstream(file) << "";
  EXPECT_EQ(log_tail(file), "");
  std::ofstream(file) << "one\n";
  EXPECT_EQ(log_tail(file), "one");
  std::ofstream(file) << "one\ntwo\nthree";
  EXPECT_EQ(log_tail(file, 2), "two\nthree");
  EXPECT_EQ(log_tail(file, 3), "one\ntwo\nthree");
  std::ofstream(file) << std::string(100'000, 'x') << "\nend\n\n";
  EXPECT_THAT(log_tail(file), HasSubstr("x\nend"));
  EXPECT_LE(log_tail(file).size(), 8192U);
}

}  // namespace
}  // namespace gauntlet::worker
