// Changes to a part of the jobs: by cause, by kind, by key; and what is said of cancelled ones.
#include "tests/coordinator/fixture.hpp"

namespace gauntlet::coordinator {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class Selections : public CoordinatorTest {
 protected:
  /// Jobs 0 to 5: failed by memory, by memory, by a worker lost too often; done; two that wait.
  void SetUp() override {
    ServeOptions options = options_for(folder_);
    start(options);
    client_.emplace(connect());
    ASSERT_TRUE(submit(*client_, "noops", noops(6)));
    FakeWorker worker(folder_.path(), "agent", 4);
    worker.await_leases(4);
    std::vector<proto::Report> reports;
    for (const auto& [id, lease] : worker.held) {
      const ErrorCode codes[] = {ErrorCode::kOutOfMemory, ErrorCode::kOutOfMemory, ErrorCode::kDiverged};
      const std::size_t at = reports.size();
      reports.push_back(
          FakeWorker::report_of(lease, at < 3 ? static_cast<std::uint32_t>(codes[at]) : 0, "it failed"));
    }
    worker.held.clear();
    worker.report(reports);
    ASSERT_TRUE(reaches(*client_, "failed", 3));
  }
  Result<std::uint64_t> retry(const std::string& where, const std::string& key = "") {
    proto::Frame frame;
    proto::Selection& selection = *frame.mutable_retry_request()->mutable_selection();
    selection.set_where(where);
    selection.set_key_prefix(key);
    GAUNTLET_TRY(const proto::Frame reply, client_->request(frame, kPatience));
    return reply.change_reply().n_jobs();
  }
  Result<std::uint64_t> cancel(const std::string& where, const std::string& reason,
                               const std::string& key = "") {
    proto::Frame frame;
    proto::Selection& selection = *frame.mutable_cancel_request()->mutable_selection();
    selection.set_where(where);
    selection.set_key_prefix(key);
    frame.mutable_cancel_request()->set_reason(reason);
    GAUNTLET_TRY(const proto::Frame reply, client_->request(frame, kPatience));
    return reply.change_reply().n_jobs();
  }

  std::optional<client::Client> client_;
};

TEST_F(Selections, ByTheCauseOfFailure) {
  EXPECT_EQ(*retry("cause=lost"), 0U);
  EXPECT_EQ(*retry("cause=nan"), 1U);
  EXPECT_EQ(*retry("cause=oom and kind=craft"), 0U);
  EXPECT_EQ(*retry("cause=out_of_memory and kind=noop"), 2U);
  EXPECT_EQ(count_in(*client_, "failed"), 0U);
}

TEST_F(Selections, CausesAreComparedLikeEverythingElse) {
  EXPECT_EQ(*retry("not cause in (oom, lost)"), 1U);
  EXPECT_EQ(*retry("cause like 'out%'"), 2U);
  const auto unknown = retry("cause=bad_luck");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(unknown.error().message, AllOf(HasSubstr("unknown cause 'bad_luck'"), HasSubstr("lost")));
}

TEST_F(Selections, AKeyNamesOneJobOrIsAnError) {
  const std::string hex = spec::key_of(noop_spec(0))->hex();
  EXPECT_EQ(*retry("", hex.substr(0, 12)), 1U);
  const auto none = retry("", "00000000");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kNotFound);
  const auto too_short = cancel("", "", "ab");
  ASSERT_FALSE(too_short);
  EXPECT_EQ(too_short.error().code, ErrorCode::kInvalid);
}

TEST_F(Selections, ReasonsOfCancelledJobsAreKeptAndShown) {
  EXPECT_EQ(*cancel("", "not needed", spec::key_of(noop_spec(4))->hex()), 1U);
  EXPECT_EQ(*cancel("kind=noop", "wrong epsilon"), 1U) << "what is failed or done stays";
  const auto status = status_of(*client_);
  ASSERT_TRUE(status);
  ASSERT_EQ(status->cancelled_size(), 2);
  EXPECT_EQ(status->cancelled(0).message(), "cancelled: not needed");
  EXPECT_EQ(status->cancelled(0).n_jobs(), 1U);
  EXPECT_EQ(status->cancelled(1).message(), "cancelled: wrong epsilon");
  proto::Frame frame;
  frame.mutable_explain_request()->set_key_prefix(spec::key_of(noop_spec(4))->hex());
  const auto explained = client_->request(frame, kPatience);
  ASSERT_TRUE(explained);
  EXPECT_EQ(explained->explain_reply().reasons(1), "last message: cancelled: not needed");
}

}  // namespace
}  // namespace gauntlet::coordinator
