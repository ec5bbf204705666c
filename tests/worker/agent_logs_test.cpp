// What attempts print, told while they run, and logs that are too long or cannot be written.
#include "core/base/log_file.hpp"
#include "tests/worker/agent_fixture.hpp"

namespace gauntlet::worker {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(AgentTest, TellsWhatAnAttemptPrintsWhileItRuns) {
  join();
  Json config = {{"do", "epochs"}, {"until", flag("go").string()}};
  const proto::Lease lease = coordinator_.lease(JobKind::kTrainModel, config);
  coordinator_.send_leases({lease});
  ASSERT_GT(pid_of(lease), 0);
  const proto::LogReply first = coordinator_.ask_log(lease, 0);
  EXPECT_THAT(first.data(), HasSubstr(lease.title()));
  EXPECT_TRUE(first.at_end());
  const proto::LogReply events = coordinator_.ask_log(lease, 0, true);
  std::vector<std::string> kinds;
  std::istringstream lines(events.data());
  for (std::string line; std::getline(lines, line);) {
    const Json event = parse_json(line, "event").value();
    kinds.push_back(event["event"]);
    if (event["event"] == "progress" && event["phase"] == "epoch") {
      EXPECT_EQ(event["epoch"], 2);
      EXPECT_EQ(event["losses"]["total"], 0.5);
    }
  }
  EXPECT_THAT(kinds, ElementsAre("start", "progress", "progress"));
  raise_flag("go");
  coordinator_.next_report();
  const proto::LogReply rest = coordinator_.ask_log(lease, first.next_offset());
  EXPECT_THAT(rest.data(), AllOf(HasSubstr("done after"), Not(HasSubstr(lease.title()))));
  EXPECT_THAT(coordinator_.ask_log(lease, events.next_offset(), true).data(),
              HasSubstr("\"outcome\":\"done\""));
  proto::Lease unknown = lease;
  unknown.set_attempt(9);
  EXPECT_EQ(coordinator_.ask_log(unknown, 0).failure().code(), number(ErrorCode::kNotFound));
  unknown.set_key("no key");
  EXPECT_NE(coordinator_.ask_log(unknown, 0).failure().code(), 0U);
}

TEST_F(AgentTest, ALogThatIsTooLongLosesItsMiddle) {
  join();
  const proto::Lease lease =
      coordinator_.lease(JobKind::kTrainModel, {{"do", "flood"}, {"until", flag("go").string()}});
  coordinator_.send_leases({lease});
  ASSERT_GT(pid_of(lease), 0);
  const auto text = [&] {
    std::string all;
    for (LogPart part; !part.at_end;) {
      part = read_log(log_of(lease), part.next, 1 << 20).value();
      all += part.bytes;
    }
    return all;
  };
  EXPECT_TRUE(eventually([&] { return text().size() <= 1 << 20; }));  // the agent under test allows 1 MiB
  EXPECT_THAT(text(), AllOf(HasSubstr("line 0000000000\n"), HasSubstr("[gauntlet: the log was too long;"),
                            HasSubstr("line 0000499999\nflooded\n")));
  raise_flag("go");
  EXPECT_EQ(coordinator_.next_report().outcome().code(), 0U);
  EXPECT_THAT(text(), HasSubstr("done after"));
}

TEST_F(AgentTest, NamesALogThatCannotBeWritten) {
  std::ofstream(workdir() / "logs") << "a file where the folder should be";
  join();
  const proto::Outcome outcome = run(JobKind::kEvaluate, {{"do", "rows"}});
  EXPECT_EQ(outcome.code(), number(ErrorCode::kIo));
  EXPECT_THAT(outcome.message(),
              AllOf(HasSubstr("cannot write the log"), HasSubstr((workdir() / "logs").string())));
}

}  // namespace
}  // namespace gauntlet::worker
