// Commands wait in the hands of executors: what becomes of them when these die, or when somebody wants them
// back. The agent's side runs in the test, which decides when it hears what its executors say.
#include <gmock/gmock.h>
#include <signal.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <map>
#include <set>
#include <thread>

#include "tests/worker/agent_fixture.hpp"
#include "worker/agent/attempts.hpp"

namespace gauntlet::worker {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

class QueueTest : public ::testing::Test {
 protected:
  explicit QueueTest(milliseconds ahead_limit = std::chrono::hours(1)) : ahead_limit_(ahead_limit) {}

  /// That a machine is busy changes nothing unless a test says so.
  milliseconds short_limit_ = std::chrono::hours(1);

  void use_cpus(int cpus) {
    const Command executor{GAUNTLET_TEST_EXECUTOR};
    attempts_.emplace(context_,
                      AttemptSettings{.workdir = folder_.path(),
                                      .cpus = cpus,
                                      .ahead_limit = ahead_limit_,
                                      .short_limit = short_limit_},
                      ExecutorPool::Programs{executor, executor}, [this](const proto::Report& report) {
                        EXPECT_TRUE(outcomes_.emplace(report.lease_id(), report.outcome()).second)
                            << "lease " << report.lease_id() << " is reported twice";
                      });
  }
  proto::Lease start(const Json& config, int limit_s = 0) {
    proto::Lease lease = leases_.lease(JobKind::kCommand, config);
    lease.mutable_resources()->set_time_s(limit_s);
    attempts_->start(lease, spec::job_from_canonical(parse_json(lease.canonical(), "the job").value()));
    return lease;
  }
  std::vector<proto::Lease> start_rows(std::size_t n) {
    std::vector<proto::Lease> leases;
    while (leases.size() < n) leases.push_back(start({{"do", "rows"}}));
    return leases;
  }
  /// Ends when the flag is raised.
  [[nodiscard]] Json until(const std::string& flag) const {
    return {{"do", "wait"}, {"until", (folder_.path() / flag).string()}};
  }
  void raise_flag(const std::string& name) const { std::ofstream(folder_.path() / name) << "go"; }

  /// The agent does its work until then.
  [[nodiscard]] bool serve_until(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + kTestPatience;
    while (!condition() && std::chrono::steady_clock::now() < deadline) context_.run_for(milliseconds(2));
    return condition();
  }
  [[nodiscard]] bool serve_until_reported(std::size_t n) {
    return serve_until([&] { return outcomes_.size() >= n; });
  }
  [[nodiscard]] bool serve_until_begun(const proto::Lease& lease) {
    return serve_until([&] { return was_begun(lease); });
  }
  [[nodiscard]] fs::path pid_file(const proto::Lease& lease) const {
    return folder_.path() / "pids" / fmt::format("{}.0", lease.lease_id());
  }
  [[nodiscard]] bool was_begun(const proto::Lease& lease) const { return fs::exists(pid_file(lease)); }
  /// The agent hears nothing meanwhile.
  [[nodiscard]] pid_t wait_unheard_for(const proto::Lease& lease) const { return read_pid(pid_file(lease)); }
  [[nodiscard]] const proto::Outcome& outcome_of(const proto::Lease& lease) const {
    return outcomes_.at(lease.lease_id());
  }
  /// Of the executor that did it; 0 when it was not done.
  [[nodiscard]] pid_t pid_of_done(const proto::Lease& lease) const {
    EXPECT_EQ(outcome_of(lease).code(), 0U) << outcome_of(lease).message();
    return static_cast<pid_t>(values_of(outcome_of(lease))["pid"]);
  }
  [[nodiscard]] static Error unwanted() { return {ErrorCode::kInterrupted, "not wanted"}; }

  testing_support::TempFolder folder_;
  FakeCoordinator leases_{folder_.path()};
  milliseconds ahead_limit_;
  boost::asio::io_context context_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{context_.get_executor()};
  std::map<std::uint64_t, proto::Outcome> outcomes_;  ///< by lease
  std::optional<Attempts> attempts_;
};

TEST_F(QueueTest, NothingIsLostWithAnExecutorThatIsKilled) {
  use_cpus(1);
  const proto::Lease running = start(until("never"));
  const std::vector<proto::Lease> waiting = start_rows(8);
  ASSERT_TRUE(serve_until_begun(running));
  const pid_t pid = wait_unheard_for(running);
  ::kill(pid, SIGKILL);
  ASSERT_TRUE(serve_until_reported(9));
  EXPECT_EQ(outcome_of(running).code(), number(ErrorCode::kProcessDied));
  for (const proto::Lease& lease : waiting) EXPECT_NE(pid_of_done(lease), pid);
}

TEST_F(QueueTest, WhatAnExecutorHadDoneBeforeItDiedIsDone) {
  use_cpus(1);
  const proto::Lease first = start(until("go"));
  const std::vector<proto::Lease> before = start_rows(3);
  const proto::Lease crash = start({{"do", "crash"}});
  const std::vector<proto::Lease> after = start_rows(3);
  ASSERT_TRUE(serve_until_begun(first));
  raise_flag("go");
  const pid_t pid = wait_unheard_for(first);
  ASSERT_TRUE(is_gone(pid)) << "nobody has heard a word of what it did";
  ASSERT_TRUE(serve_until_reported(8));
  EXPECT_EQ(outcome_of(crash).code(), number(ErrorCode::kProcessDied));
  for (const proto::Lease& lease : before) EXPECT_EQ(pid_of_done(lease), pid) << "each was run once";
  for (const proto::Lease& lease : after) EXPECT_NE(pid_of_done(lease), pid);
}

TEST_F(QueueTest, OneThatWaitsIsCancelledAndTheOthersGoOn) {
  use_cpus(1);
  const proto::Lease running = start(until("go")), cancelled = start(until("never")),
                     last = start({{"do", "rows"}});
  ASSERT_TRUE(serve_until_begun(running));
  attempts_->stop(cancelled.lease_id(), unwanted());
  EXPECT_EQ(outcome_of(cancelled).message(), "not wanted") << "at once";
  raise_flag("go");
  ASSERT_TRUE(serve_until_reported(3));
  EXPECT_EQ(pid_of_done(last), pid_of_done(running));
  EXPECT_FALSE(was_begun(cancelled));
}

TEST_F(QueueTest, WhatWaitsBehindOneThatIsCancelledRuns) {
  use_cpus(1);
  const proto::Lease running = start(until("never"));
  const std::vector<proto::Lease> waiting = start_rows(3);
  ASSERT_TRUE(serve_until_begun(running));
  attempts_->stop(running.lease_id(), unwanted());
  ASSERT_TRUE(serve_until_reported(4));
  EXPECT_EQ(outcome_of(running).message(), "not wanted");
  for (const proto::Lease& lease : waiting) EXPECT_NE(pid_of_done(lease), wait_unheard_for(running));
}

TEST_F(QueueTest, OneThatWasBegunUnheardIsCancelledAlone) {
  use_cpus(1);
  const proto::Lease first = start(until("go")), cancelled = start(until("never")),
                     last = start({{"do", "rows"}});
  ASSERT_TRUE(serve_until_begun(first));
  raise_flag("go");
  const pid_t pid = wait_unheard_for(cancelled);
  attempts_->stop(cancelled.lease_id(), unwanted());
  EXPECT_EQ(pid_of_done(first), pid) << "it was over";
  ASSERT_TRUE(serve_until_reported(3));
  EXPECT_EQ(outcome_of(cancelled).message(), "not wanted");
  EXPECT_TRUE(is_gone(pid));
  EXPECT_NE(pid_of_done(last), pid);
}

TEST_F(QueueTest, OneThatIsOverIsNotCancelledAndTheOneThatRunsLives) {
  use_cpus(1);
  const proto::Lease first = start(until("go")), late = start({{"do", "rows"}}),
                     running = start(until("end")), last = start({{"do", "rows"}});
  ASSERT_TRUE(serve_until_begun(first));
  raise_flag("go");
  const pid_t pid = wait_unheard_for(running);
  attempts_->stop(late.lease_id(), unwanted());
  EXPECT_EQ(pid_of_done(first), pid);
  EXPECT_EQ(pid_of_done(late), pid);
  EXPECT_EQ(attempts_->size(), 2U);
  raise_flag("end");
  ASSERT_TRUE(serve_until_reported(4));
  EXPECT_EQ(pid_of_done(running), pid);
  EXPECT_EQ(pid_of_done(last), pid) << "it serves on";
}

TEST_F(QueueTest, OneThatIsOverUnheardKeepsItsTimeLimit) {
  use_cpus(1);
  const proto::Lease first = start(until("go"), 1), next = start(until("end"));
  ASSERT_TRUE(serve_until_begun(first));
  raise_flag("go");
  ASSERT_GT(wait_unheard_for(next), 0);
  std::this_thread::sleep_for(std::chrono::seconds(1));
  ASSERT_TRUE(serve_until_reported(1));
  EXPECT_EQ(outcome_of(first).code(), 0U) << outcome_of(first).message();
  raise_flag("end");
  ASSERT_TRUE(serve_until_reported(2));
  EXPECT_EQ(outcome_of(next).code(), 0U) << outcome_of(next).message();
}

TEST_F(QueueTest, OneThatWaitedHasATimeLimit) {
  use_cpus(1);
  const proto::Lease first = start(until("go")), slow = start(until("never"), 1),
                     last = start({{"do", "rows"}});
  ASSERT_TRUE(serve_until_begun(first));
  raise_flag("go");
  ASSERT_TRUE(serve_until_reported(3));
  EXPECT_EQ(outcome_of(slow).code(), number(ErrorCode::kTimedOut));
  EXPECT_NE(pid_of_done(last), pid_of_done(first));
}

TEST_F(QueueTest, OneThatIsStoppedWithTheWorkerIsDoneIfItWasOver) {
  use_cpus(1);
  const proto::Lease first = start(until("go")), running = start(until("never"));
  ASSERT_TRUE(serve_until_begun(first));
  raise_flag("go");
  ASSERT_GT(wait_unheard_for(running), 0);
  attempts_->note_leaving();
  attempts_->stop_all({ErrorCode::kInterrupted, "the worker was asked to leave"});
  ASSERT_TRUE(serve_until_reported(2));
  EXPECT_EQ(outcome_of(first).code(), 0U) << outcome_of(first).message();
  EXPECT_EQ(outcome_of(running).code(), number(ErrorCode::kInterrupted));
}

TEST_F(QueueTest, ALeavingWorkerGivesBackWhatWaits) {
  use_cpus(2);
  const std::vector<proto::Lease> running = {start(until("go")), start(until("go"))};
  for (const proto::Lease& lease : running) ASSERT_TRUE(serve_until_begun(lease));
  const std::vector<proto::Lease> waiting = {start(until("go")), start(until("go")), start(until("go"))};
  attempts_->note_leaving();
  for (const proto::Lease& lease : waiting)
    EXPECT_EQ(outcome_of(lease).code(), number(ErrorCode::kInterrupted)) << "at once";
  raise_flag("go");
  ASSERT_TRUE(serve_until_reported(5));
  for (const proto::Lease& lease : running) EXPECT_EQ(outcome_of(lease).code(), 0U);
  for (const proto::Lease& lease : waiting) EXPECT_FALSE(was_begun(lease));
}

TEST_F(QueueTest, AnExecutorWithoutWorkTakesWhatWaitsBehindALongOne) {
  use_cpus(2);
  const proto::Lease running = start(until("end")), other = start(until("go"));
  const std::vector<proto::Lease> waiting = start_rows(9);
  ASSERT_TRUE(serve_until_begun(running) && serve_until_begun(other));
  raise_flag("go");
  ASSERT_TRUE(serve_until_reported(10));
  for (const proto::Lease& lease : waiting) EXPECT_EQ(pid_of_done(lease), wait_unheard_for(other));
  raise_flag("end");
  ASSERT_TRUE(serve_until_reported(11));
}

TEST_F(QueueTest, NothingStaysInTheHandsOfAnExecutorWithALongJob) {
  short_limit_ = milliseconds(50);
  use_cpus(1);
  const proto::Lease running = start(until("go")), next = start(until("go"));
  ASSERT_TRUE(serve_until_begun(running));
  context_.run_for(milliseconds(300));
  raise_flag("go");
  std::this_thread::sleep_for(milliseconds(200));
  EXPECT_FALSE(was_begun(next)) << "it is the agent's to begin";
  ASSERT_TRUE(serve_until_reported(2));
  EXPECT_EQ(pid_of_done(next), pid_of_done(running));
}

class ShortWaitQueueTest : public QueueTest {
 protected:
  ShortWaitQueueTest() : QueueTest(milliseconds(100)) {}
};

TEST_F(ShortWaitQueueTest, WhatWaitsBehindALongOneIsGivenBack) {
  use_cpus(1);
  const proto::Lease running = start(until("go")), waits = start(until("go"));
  ASSERT_TRUE(serve_until_reported(1));
  EXPECT_EQ(outcome_of(waits).code(), number(ErrorCode::kInterrupted));
  EXPECT_THAT(outcome_of(waits).message(), HasSubstr("not started"));
  raise_flag("go");
  ASSERT_TRUE(serve_until_reported(2));
  EXPECT_EQ(outcome_of(running).code(), 0U);
  EXPECT_FALSE(was_begun(waits));
}

}  // namespace
}  // namespace gauntlet::worker
