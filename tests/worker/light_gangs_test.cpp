// Evaluate jobs on several ranks: executors without torch, which share the queries.
#include "core/base/files.hpp"
#include "tests/worker/agent_fixture.hpp"

namespace gauntlet::worker {
namespace {

using ::testing::HasSubstr;

double world_in(const proto::Outcome& outcome) {
  return parse_json(outcome.environment(), "environment").value()["world"].get<double>();
}

TEST_F(AgentTest, RanksOfAnEvaluationShareProcessorsAndAFolder) {
  join();
  const proto::Lease lease = coordinator_.lease(JobKind::kEvaluate, waiting("go"), 2, 2);
  coordinator_.send_leases({lease});
  EXPECT_NE(pid_of(lease, 0), pid_of(lease, 1));
  const fs::path meeting = workdir() / "tmp" / fmt::format("gang-{}-1", lease.lease_id());
  EXPECT_TRUE(fs::is_directory(meeting));
  std::ofstream(meeting / "share") << "left behind";
  raise_flag("go");
  const proto::Outcome outcome = coordinator_.next_report().outcome();
  EXPECT_EQ(outcome.code(), 0U) << outcome.message();
  EXPECT_EQ(world_in(outcome), 2);
  EXPECT_EQ(values_of(outcome)["rank"], 0);
  EXPECT_EQ(values_of(outcome)["threads"], 1);
  EXPECT_EQ(values_of(outcome)["has_rendezvous"], 1);
  EXPECT_FALSE(fs::exists(meeting));
}

TEST_F(AgentTest, WhatLooksAtAllQueriesHasOneRankWithAllProcessors) {
  join();
  const Json config = {{"do", "rows"}, {"worst", Json::object()}};
  coordinator_.send_leases({coordinator_.lease(JobKind::kEvaluate, config, 2, 2)});
  const proto::Outcome outcome = coordinator_.next_report().outcome();
  EXPECT_EQ(outcome.code(), 0U) << outcome.message();
  EXPECT_EQ(world_in(outcome), 1);
  EXPECT_EQ(values_of(outcome)["threads"], 2);
}

TEST_F(AgentTest, ARankOfAnEvaluationThatDiesEndsTheOthers) {
  join();
  const proto::Lease lease = coordinator_.lease(JobKind::kEvaluate, {{"do", "crash"}, {"rank", 1}}, 2, 2);
  coordinator_.send_leases({lease});
  const proto::Outcome outcome = coordinator_.next_report().outcome();
  EXPECT_EQ(outcome.code(), number(ErrorCode::kProcessDied));
  EXPECT_THAT(outcome.message(), HasSubstr("(rank 1 of 2) died"));
  EXPECT_FALSE(fs::exists(workdir() / "tmp" / fmt::format("gang-{}-1", lease.lease_id())));
}

}  // namespace
}  // namespace gauntlet::worker
