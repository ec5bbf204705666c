// What status counts as done is in the database.
#include "core/db/connection.hpp"
#include "tests/coordinator/fixture.hpp"

namespace gauntlet::coordinator {
namespace {

constexpr Milliseconds kShort{300};  ///< far below the time a commit waits for another program's lock

using DurableStatus = CoordinatorTest;

TEST_F(DurableStatus, TellsNoResultBeforeItsCommit) {
  start();
  client::Client client = connect();
  ASSERT_TRUE(submit(client, "one", noops(1)));
  FakeWorker worker(folder_.path(), "agent");
  worker.await_leases(1);
  auto other = db::Connection::open_read_write(folder_ / "gauntlet.db");
  ASSERT_TRUE(other) << other.error().message;
  ASSERT_TRUE(other->execute("BEGIN IMMEDIATE"));  // commits wait for this
  proto::Frame report;
  report.set_id(7);
  *report.mutable_report_batch()->add_reports() = FakeWorker::report_of(worker.held.begin()->second);
  ASSERT_TRUE(worker.connection->send(report, kPatience));
  for (bool answered = true; answered;) {  // until the report was taken and status waits for its commit
    proto::Frame question;
    question.mutable_status_request();
    const auto answer = client.request(question, kShort);
    answered = answer.has_value();
    if (answered) {
      ASSERT_FALSE(answer->status_reply().sweeps(0).jobs().contains("done")) << "nothing is committed yet";
    } else {
      EXPECT_EQ(answer.error().code, ErrorCode::kTimedOut) << answer.error().message;
    }
  }
  ASSERT_TRUE(other->execute("ROLLBACK"));
  client::Client later = connect();
  EXPECT_TRUE(reaches(later, "done", 1));
}

}  // namespace
}  // namespace gauntlet::coordinator
