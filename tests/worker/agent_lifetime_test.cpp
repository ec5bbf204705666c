// An agent through restarts of its coordinator, stale leases, signals and its own end.
#include "core/base/files.hpp"
#include "tests/worker/agent_fixture.hpp"

namespace gauntlet::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

TEST_F(AgentTest, SurvivesItsCoordinatorAndHandsInWhatWasMadeMeanwhile) {
  join();
  const proto::Lease ends = coordinator_.lease(JobKind::kTrainModel, waiting("first"));
  const proto::Lease goes_on = coordinator_.lease(JobKind::kTrainModel, waiting("second"));
  coordinator_.send_leases({ends, goes_on});
  const pid_t running = pid_of(goes_on);
  ASSERT_GT(pid_of(ends), 0);
  coordinator_.drop(true);
  raise_flag("first");
  ASSERT_TRUE(eventually([&] {
    const Result<std::string> log = read_file(log_of(ends));
    return log && log->find("done after") != std::string::npos;
  }));
  const proto::WorkerJoin again = coordinator_.accept();  // at another port
  std::vector<std::uint64_t> held;
  for (const proto::HeldLease& lease : again.held()) held.push_back(lease.lease_id());
  EXPECT_THAT(held, UnorderedElementsAre(ends.lease_id(), goes_on.lease_id()));
  const proto::Report made_meanwhile = coordinator_.next_report();
  EXPECT_EQ(made_meanwhile.lease_id(), ends.lease_id());
  EXPECT_EQ(made_meanwhile.outcome().code(), 0U);
  raise_flag("second");
  const proto::Report later = coordinator_.next_report();
  EXPECT_EQ(later.lease_id(), goes_on.lease_id());
  EXPECT_EQ(values_of(later.outcome())["pid"], running);
}

TEST_F(AgentTest, RepeatsAReportUntilItIsSettled) {
  join();
  const proto::Lease lease = coordinator_.lease(JobKind::kEvaluate, {{"do", "rows"}});
  coordinator_.send_leases({lease});
  const proto::Report first = coordinator_.next_report(false);
  coordinator_.drop();
  EXPECT_THAT(coordinator_.accept().held(), SizeIs(1));
  const proto::Report second = coordinator_.next_report(true);
  EXPECT_EQ(second.SerializeAsString(), first.SerializeAsString());
  coordinator_.next_heartbeat([](const proto::Heartbeat&) { return true; });
  coordinator_.drop();
  EXPECT_THAT(coordinator_.accept().held(), IsEmpty());
}

TEST_F(AgentTest, AStaleLeaseInTheWelcomeIsStoppedWithoutAReport) {
  join();
  const proto::Lease lease = coordinator_.lease(JobKind::kTrainModel, waiting("never"));
  coordinator_.send_leases({lease});
  const pid_t pid = pid_of(lease);
  coordinator_.drop();
  coordinator_.accept({lease.lease_id()});
  EXPECT_TRUE(is_gone(pid));
  const proto::Lease next = coordinator_.lease(JobKind::kEvaluate, {{"do", "rows"}});
  coordinator_.send_leases({next});
  EXPECT_EQ(coordinator_.next_report().lease_id(), next.lease_id());
}

TEST_F(AgentTest, AStaleLeaseInAHeartbeatReplyIsStoppedWithoutAReport) {
  join();
  const proto::Lease lease = coordinator_.lease(JobKind::kEvaluate, waiting("never"));
  coordinator_.send_leases({lease});
  const pid_t pid = pid_of(lease);
  coordinator_.stale_in_heartbeats = {lease.lease_id()};
  coordinator_.next_heartbeat([](const proto::Heartbeat& beat) { return beat.progress_size() == 0; });
  EXPECT_TRUE(is_gone(pid));
}

TEST_F(AgentTest, StopsAnAttemptWhenToldSo) {
  join();
  const proto::Lease lease = coordinator_.lease(JobKind::kTrainModel, waiting("never"), 2, 2);
  coordinator_.send_leases({lease});
  const pid_t first = pid_of(lease, 0);
  const pid_t second = pid_of(lease, 1);
  coordinator_.send_stop(lease.lease_id(), "cancelled by a person");
  const proto::Report report = coordinator_.next_report();
  EXPECT_EQ(report.outcome().code(), number(ErrorCode::kInterrupted));
  EXPECT_EQ(report.outcome().message(), "cancelled by a person");
  EXPECT_TRUE(is_gone(first));
  EXPECT_TRUE(is_gone(second));
}

TEST_F(AgentTest, EndsAnAttemptAtItsTimeLimit) {
  join();
  proto::Lease lease =
      coordinator_.lease(JobKind::kTrainModel, {{"do", "stubborn"}, {"until", flag("never").string()}});
  lease.mutable_resources()->set_time_s(1);
  coordinator_.send_leases({lease});
  const pid_t pid = pid_of(lease);
  const proto::Report report = coordinator_.next_report();
  EXPECT_EQ(report.outcome().code(), number(ErrorCode::kTimedOut));
  EXPECT_THAT(report.outcome().message(), HasSubstr("longer than its limit of 1"));
  EXPECT_TRUE(is_gone(pid));
}

TEST_F(AgentTest, LeavesInOrderOnASignal) {
  join();
  const proto::Lease lease = coordinator_.lease(JobKind::kTrainModel, waiting("never"));
  coordinator_.send_leases({lease});
  const pid_t pid = pid_of(lease);
  agent_.signal(SIGTERM);
  coordinator_.expect_drain();
  const proto::Report report = coordinator_.next_report();
  EXPECT_EQ(report.outcome().code(), number(ErrorCode::kInterrupted));
  EXPECT_EQ(report.outcome().message(), "the worker was asked to leave");
  EXPECT_EQ(agent_.wait(), 0);
  EXPECT_TRUE(is_gone(pid));
}

TEST_F(AgentTest, LeavesAtOnceOnASecondSignal) {
  join();
  const proto::Lease lease =
      coordinator_.lease(JobKind::kTrainModel, {{"do", "stubborn"}, {"until", flag("never").string()}});
  coordinator_.send_leases({lease});
  const pid_t pid = pid_of(lease);
  agent_.signal(SIGINT);
  coordinator_.expect_drain();
  agent_.signal(SIGINT);
  EXPECT_EQ(agent_.wait(), 130);
  EXPECT_TRUE(is_gone(pid));
}

TEST_F(AgentTest, AfterASignalAttemptsMayEndByThemselves) {
  join_with_grace(3600);
  const proto::Lease lease = coordinator_.lease(JobKind::kTrainModel, waiting("go"));
  coordinator_.send_leases({lease});
  ASSERT_GT(pid_of(lease), 0);
  agent_.signal(SIGTERM);
  coordinator_.expect_drain();
  const proto::Lease late = coordinator_.lease(JobKind::kTrainModel, {{"do", "rows"}});
  coordinator_.send_leases({late});
  const proto::Report refused = coordinator_.next_report();
  EXPECT_EQ(refused.lease_id(), late.lease_id()) << "no new leases";
  EXPECT_EQ(refused.outcome().code(), number(ErrorCode::kInterrupted));
  raise_flag("go");
  EXPECT_EQ(coordinator_.next_report().outcome().code(), 0U);
  EXPECT_EQ(agent_.wait(), 0);
}

TEST_F(AgentTest, WhenTheGraceIsOverAttemptsGoBackFreeOfCharge) {
  join_with_grace(0.2);
  const proto::Lease lease = coordinator_.lease(JobKind::kTrainModel, waiting("never"), 2, 2);
  coordinator_.send_leases({lease});
  const pid_t first = pid_of(lease, 0);
  const pid_t second = pid_of(lease, 1);
  agent_.signal(SIGTERM);
  coordinator_.expect_drain();
  EXPECT_EQ(coordinator_.next_report().outcome().code(), number(ErrorCode::kInterrupted));
  EXPECT_EQ(agent_.wait(), 0);
  EXPECT_TRUE(is_gone(first));
  EXPECT_TRUE(is_gone(second));
}

TEST_F(AgentTest, TrainingsAreAskedForACheckpointBeforeTheGraceIsOver) {
  join_with_grace(2);
  const proto::Lease lease =
      coordinator_.lease(JobKind::kTrainModel, {{"do", "save"}, {"rank", 0}, {"until", flag("never")}}, 2, 2);
  coordinator_.send_leases({lease});
  ASSERT_GT(pid_of(lease, 0), 0);
  const pid_t other = pid_of(lease, 1);
  agent_.signal(SIGTERM);
  coordinator_.expect_drain();
  const proto::Outcome outcome = coordinator_.next_report().outcome();
  EXPECT_EQ(outcome.code(), number(ErrorCode::kInterrupted));
  EXPECT_THAT(outcome.message(), HasSubstr("saved after epoch 2"));
  EXPECT_EQ(agent_.wait(), 0);
  EXPECT_TRUE(is_gone(other));
}

TEST_F(AgentTest, ASecondSignalEndsTheGrace) {
  join_with_grace(3600);
  const proto::Lease lease = coordinator_.lease(JobKind::kTrainModel, waiting("never"));
  coordinator_.send_leases({lease});
  const pid_t pid = pid_of(lease);
  agent_.signal(SIGTERM);
  coordinator_.expect_drain();
  agent_.signal(SIGINT);
  EXPECT_EQ(agent_.wait(), 130);
  EXPECT_TRUE(is_gone(pid));
}

TEST_F(AgentTest, RanksThatAreToldToEndTogetherWithTheWorkerArePreempted) {
  join_with_grace(3600);
  const proto::Lease before = coordinator_.lease(JobKind::kTrainModel, waiting("never"));
  const proto::Lease after = coordinator_.lease(JobKind::kTrainModel, waiting("never"));
  coordinator_.send_leases({before, after});
  const pid_t one = pid_of(before);
  const pid_t other = pid_of(after);
  ASSERT_EQ(::kill(one, SIGTERM), 0);
  ASSERT_TRUE(is_gone(one));
  agent_.signal(SIGTERM);
  coordinator_.expect_drain();
  ASSERT_EQ(::kill(other, SIGTERM), 0);
  for (int n = 0; n < 2; ++n) {
    const proto::Outcome outcome = coordinator_.next_report().outcome();
    EXPECT_EQ(outcome.code(), number(ErrorCode::kInterrupted)) << outcome.message();
    EXPECT_THAT(outcome.message(), HasSubstr("together with the worker"));
  }
  EXPECT_EQ(agent_.wait(), 0);
}

TEST_F(AgentTest, ARankThatIsToldToEndAloneHasDied) {
  join_with_grace(3600);
  const proto::Lease lease = coordinator_.lease(JobKind::kTrainModel, waiting("never"));
  coordinator_.send_leases({lease});
  ASSERT_EQ(::kill(pid_of(lease), SIGTERM), 0);
  const proto::Outcome outcome = coordinator_.next_report().outcome();
  EXPECT_EQ(outcome.code(), number(ErrorCode::kProcessDied));
  EXPECT_THAT(outcome.message(), HasSubstr("SIGTERM"));
}

TEST_F(AgentTest, FinishesItsAttemptsWhenDrained) {
  join();
  const proto::Lease lease = coordinator_.lease(JobKind::kTrainModel, waiting("go"));
  coordinator_.send_leases({lease});
  ASSERT_GT(pid_of(lease), 0);
  coordinator_.send_drain();
  const proto::Lease late = coordinator_.lease(JobKind::kTrainModel, {{"do", "rows"}});
  coordinator_.send_leases({late});
  const proto::Report refused = coordinator_.next_report();
  EXPECT_EQ(refused.lease_id(), late.lease_id());
  EXPECT_EQ(refused.outcome().code(), number(ErrorCode::kInterrupted));
  raise_flag("go");
  EXPECT_EQ(coordinator_.next_report().outcome().code(), 0U);
  EXPECT_TRUE(coordinator_.sees_end());
  EXPECT_EQ(agent_.wait(), 0);
}

TEST_F(AgentTest, ItsExecutorsDieWithIt) {
  join();
  const proto::Lease rank = coordinator_.lease(JobKind::kTrainModel, waiting("never"));
  const proto::Lease light = coordinator_.lease(JobKind::kEvaluate, waiting("never"));
  coordinator_.send_leases({rank, light});
  const std::vector<pid_t> pids = {pid_of(rank), pid_of(light)};
  agent_.signal(SIGKILL);
  EXPECT_EQ(agent_.wait(), 128 + SIGKILL);
  for (const pid_t pid : pids) EXPECT_TRUE(is_gone(pid));
}

TEST_F(AgentTest, EndsWhenItsTokenIsRefused) {
  start_agent();
  coordinator_.refuse({ErrorCode::kRefused, "wrong token"});
  EXPECT_EQ(agent_.wait(), 6);
}

TEST_F(AgentTest, TriesAgainWhenTheCoordinatorIsBusy) {
  start_agent();
  coordinator_.refuse({ErrorCode::kIo, "not ready yet"});
  EXPECT_EQ(coordinator_.accept().cpus(), 2);
}

TEST_F(AgentTest, EndsWithItsCoordinator) {
  start_agent(GAUNTLET_TEST_EXECUTOR, 4);  // long enough to join on a busy machine
  coordinator_.accept();
  coordinator_.drop(true);
  EXPECT_EQ(agent_.wait(), 0);
}

TEST_F(AgentTest, SaysWhenThereNeverWasACoordinator) {
  coordinator_.drop(true);
  start_agent(GAUNTLET_TEST_EXECUTOR, 0.2);
  EXPECT_EQ(agent_.wait(), exit_code_of(ErrorCode::kUnreachable));
}

}  // namespace
}  // namespace gauntlet::worker
