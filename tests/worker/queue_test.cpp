// Commands wait in the hands of executors: what becomes of them when these die, or when somebody wants them
// back.
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <map>

#include "tests/worker/agent_fixture.hpp"
#include "worker/executor/attempt_board.hpp"

namespace gauntlet::worker {
namespace {

using testing::HasSubstr;

class QueueTest : public AgentTest {
 protected:
  void join_with_cpus(int cpus) {
    agent_ = Child({GAUNTLET_TEST_AGENT, workdir().string(), GAUNTLET_TEST_EXECUTOR, GAUNTLET_TEST_EXECUTOR,
                    fmt::format("{}", cpus), "0", "0"});
    ASSERT_GT(agent_.pid(), 0);
    coordinator_.accept();
  }
  proto::Lease command(const Json& config) { return coordinator_.lease(JobKind::kCommand, config); }
  std::vector<proto::Lease> commands(std::size_t n, const Json& config) {
    std::vector<proto::Lease> leases;
    while (leases.size() < n) leases.push_back(command(config));
    return leases;
  }
  /// So many reports, by lease. Each lease is reported once.
  std::map<std::uint64_t, proto::Outcome> reports(std::size_t n) {
    std::map<std::uint64_t, proto::Outcome> outcomes;
    for (std::size_t at = 0; at < n; ++at) {
      const proto::Report report = coordinator_.next_report();
      EXPECT_TRUE(outcomes.emplace(report.lease_id(), report.outcome()).second)
          << "lease " << report.lease_id() << " is reported twice";
    }
    return outcomes;
  }
  [[nodiscard]] bool was_begun(const proto::Lease& lease) const {
    return fs::exists(workdir() / "pids" / fmt::format("{}.0", lease.lease_id()));
  }
};

TEST_F(QueueTest, NothingIsLostWithAnExecutorThatIsKilled) {
  join_with_cpus(1);
  std::vector<proto::Lease> leases = {command(waiting("never"))};
  for (const proto::Lease& lease : commands(8, {{"do", "rows"}})) leases.push_back(lease);
  coordinator_.send_leases(leases);
  ::kill(pid_of(leases.front()), SIGKILL);
  auto outcomes = reports(leases.size());
  EXPECT_EQ(outcomes.at(leases.front().lease_id()).code(), number(ErrorCode::kProcessDied));
  for (std::size_t at = 1; at < leases.size(); ++at) {
    EXPECT_EQ(outcomes.at(leases[at].lease_id()).code(), 0U) << outcomes.at(leases[at].lease_id()).message();
  }
}

TEST_F(QueueTest, WhatAnExecutorHadDoneBeforeItDiedIsDone) {
  join_with_cpus(1);
  std::vector<proto::Lease> leases = commands(4, {{"do", "rows"}});
  leases.push_back(command({{"do", "crash"}}));
  for (const proto::Lease& lease : commands(3, {{"do", "rows"}})) leases.push_back(lease);
  coordinator_.send_leases(leases);
  auto outcomes = reports(leases.size());
  const auto pid_at = [&](std::size_t at) {
    const proto::Outcome& outcome = outcomes.at(leases[at].lease_id());
    EXPECT_EQ(outcome.code(), 0U) << outcome.message();
    return values_of(outcome)["pid"];
  };
  EXPECT_EQ(outcomes.at(leases[4].lease_id()).code(), number(ErrorCode::kProcessDied));
  for (std::size_t at = 1; at < 4; ++at) EXPECT_EQ(pid_at(at), pid_at(0)) << "each was run once";
  for (std::size_t at = 5; at < leases.size(); ++at) EXPECT_NE(pid_at(at), pid_at(0));
}

TEST_F(QueueTest, OneThatWaitsIsCancelledAndTheOthersGoOn) {
  join_with_cpus(1);
  const proto::Lease running = command(waiting("go")), cancelled = command(waiting("go")),
                     last = command({{"do", "rows"}});
  coordinator_.send_leases({running, cancelled, last});
  ASSERT_GT(pid_of(running), 0);
  coordinator_.send_stop(cancelled.lease_id(), "not wanted");
  const proto::Report report = coordinator_.next_report();
  EXPECT_EQ(report.lease_id(), cancelled.lease_id());
  EXPECT_EQ(report.outcome().message(), "not wanted");
  raise_flag("go");
  auto outcomes = reports(2);
  EXPECT_EQ(outcomes.at(running.lease_id()).code(), 0U);
  EXPECT_EQ(outcomes.at(last.lease_id()).code(), 0U);
  EXPECT_EQ(values_of(outcomes.at(last.lease_id()))["pid"],
            values_of(outcomes.at(running.lease_id()))["pid"]);
  EXPECT_FALSE(was_begun(cancelled));
}

TEST_F(QueueTest, WhatWaitsBehindOneThatIsCancelledRuns) {
  join_with_cpus(1);
  const proto::Lease running = command(waiting("never"));
  std::vector<proto::Lease> leases = commands(3, {{"do", "rows"}});
  leases.insert(leases.begin(), running);
  coordinator_.send_leases(leases);
  ASSERT_GT(pid_of(running), 0);
  coordinator_.send_stop(running.lease_id(), "not wanted");
  auto outcomes = reports(leases.size());
  EXPECT_EQ(outcomes.at(running.lease_id()).message(), "not wanted");
  for (std::size_t at = 1; at < leases.size(); ++at)
    EXPECT_EQ(outcomes.at(leases[at].lease_id()).code(), 0U) << outcomes.at(leases[at].lease_id()).message();
}

TEST_F(QueueTest, WhatWaitsBehindALongOneIsGivenBack) {
  join_with_cpus(1);
  const proto::Lease running = command(waiting("go")), waits = command(waiting("go"));
  coordinator_.send_leases({running, waits});
  const proto::Report report = coordinator_.next_report();
  EXPECT_EQ(report.lease_id(), waits.lease_id());
  EXPECT_EQ(report.outcome().code(), number(ErrorCode::kInterrupted));
  EXPECT_THAT(report.outcome().message(), HasSubstr("not started"));
  raise_flag("go");
  EXPECT_EQ(coordinator_.next_report().outcome().code(), 0U);
  EXPECT_FALSE(was_begun(waits));
}

TEST_F(QueueTest, ALeavingWorkerGivesBackWhatWaits) {
  join_with_grace(60);
  const std::vector<proto::Lease> running = commands(2, waiting("go"));
  const std::vector<proto::Lease> waits = commands(4, waiting("go"));
  coordinator_.send_leases(running);
  for (const proto::Lease& lease : running) ASSERT_GT(pid_of(lease), 0);
  coordinator_.send_leases(waits);
  ::kill(agent_.pid(), SIGTERM);
  for (const auto& [lease, outcome] : reports(waits.size())) {
    EXPECT_GE(lease, waits.front().lease_id());
    EXPECT_EQ(outcome.code(), number(ErrorCode::kInterrupted));
  }
  raise_flag("go");
  for (const auto& [lease, outcome] : reports(running.size())) EXPECT_EQ(outcome.code(), 0U);
  for (const proto::Lease& lease : waits) EXPECT_FALSE(was_begun(lease));
}

TEST_F(QueueTest, AnExecutorWithoutWorkTakesWhatWaitsBehindALongOne) {
  join_with_cpus(2);
  const proto::Lease running = command(waiting("go"));
  coordinator_.send_leases({running});
  ASSERT_GT(pid_of(running), 0);
  // A machine that is busy enough gives some back; not time and again.
  bool all_ran = false;
  for (int round = 0; round < 5 && !all_ran; ++round) {
    const std::vector<proto::Lease> leases = commands(9, {{"do", "rows"}});
    coordinator_.send_leases(leases);
    all_ran = true;
    for (const auto& [lease, outcome] : reports(leases.size())) all_ran = all_ran && outcome.code() == 0;
  }
  EXPECT_TRUE(all_ran);
  raise_flag("go");
  EXPECT_EQ(coordinator_.next_report().outcome().code(), 0U);
}

TEST(AttemptBoardTest, WhoeverTakesAnAttemptHasItAlone) {
  AttemptBoard agent = AttemptBoard::make().value();
  AttemptBoard executor = AttemptBoard::open(::dup(agent.descriptor())).value();
  EXPECT_FALSE(executor.take(7)) << "nobody has offered it";
  ASSERT_TRUE(agent.offer(7));
  ASSERT_TRUE(agent.offer(8));
  EXPECT_TRUE(executor.take(7));
  EXPECT_FALSE(agent.take(7));
  EXPECT_TRUE(agent.take(8));
  EXPECT_FALSE(executor.take(8));
}

TEST(AttemptBoardTest, ItHasSoManyPlaces) {
  AttemptBoard board = AttemptBoard::make().value();
  for (std::uint64_t lease = 1; lease <= AttemptBoard::kPlaces; ++lease) EXPECT_TRUE(board.offer(lease));
  EXPECT_FALSE(board.offer(100));
  EXPECT_TRUE(board.take(3));
  EXPECT_TRUE(board.offer(100));
}

TEST(AttemptBoardTest, ItKeepsWhatIsNotSent) {
  AttemptBoard agent = AttemptBoard::make().value();
  {
    AttemptBoard executor = AttemptBoard::open(::dup(agent.descriptor())).value();
    EXPECT_TRUE(executor.keep("sent"));
    executor.forget();
    EXPECT_TRUE(executor.keep("one "));
    EXPECT_TRUE(executor.keep("two"));
    EXPECT_FALSE(executor.keep(std::string(AttemptBoard::kKeptBytes, 'x'))) << "there is no room for it";
  }
  EXPECT_EQ(agent.kept(), "one two");
}

TEST(AttemptBoardTest, OtherDescriptorsAreRefused) {
  EXPECT_EQ(AttemptBoard::open(::dup(STDERR_FILENO)).error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace gauntlet::worker
