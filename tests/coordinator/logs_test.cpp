// What attempts print, read in the work folder or by the worker that has it.
#include <spdlog/spdlog.h>

#include <fstream>

#include "core/base/log_file.hpp"
#include "tests/coordinator/fixture.hpp"

namespace gauntlet::coordinator {
namespace {

using testing::HasSubstr;

class Logs : public CoordinatorTest {
 protected:
  void SetUp() override {
    start();
    client_.emplace(connect());
    ASSERT_TRUE(submit(*client_, "logs", noops(1)));
    worker_.emplace(folder_.path(), "agent");
    worker_->await_leases(1);
  }
  [[nodiscard]] std::string key() const { return spec::key_of(noop_spec(0))->hex(); }
  [[nodiscard]] const proto::Lease& lease() const { return worker_->held.begin()->second; }

  [[nodiscard]] proto::Frame log_frame(std::uint64_t attempt = 0, std::uint64_t offset = 0) const {
    proto::Frame frame;
    frame.mutable_log_request()->set_key_prefix(key().substr(0, 10));
    frame.mutable_log_request()->set_attempt(attempt);
    frame.mutable_log_request()->set_offset(offset);
    return frame;
  }
  [[nodiscard]] Result<proto::LogReply> ask(proto::Frame frame) {
    GAUNTLET_TRY(const proto::Frame answer, client_->request(std::move(frame), kPatience));
    return answer.log_reply();
  }
  /// Asks on a thread of its own, so that this one can play the worker.
  template <class Play>
  [[nodiscard]] Result<proto::LogReply> ask_while(Play play) {
    Result<proto::LogReply> reply;
    std::thread asking([&] { reply = ask(log_frame()); });
    play();
    asking.join();
    return reply;
  }
  [[nodiscard]] proto::Frame next_log_request() {
    while (true) {
      auto frame = worker_->connection->receive(kPatience);
      if (!frame || frame->has_log_request()) return frame.value_or(proto::Frame());
    }
  }
  void report(std::optional<ErrorCode> code = {}) {
    const proto::Report made =
        FakeWorker::report_of(lease(), code ? static_cast<std::uint32_t>(*code) : 0, "why");
    worker_->held.clear();
    worker_->report({made});
  }
  void write_log(std::uint64_t attempt, const std::string& text) const {
    const std::filesystem::path log = attempt_log(folder_.path(), key(), attempt);
    std::filesystem::create_directories(log.parent_path());
    std::ofstream(log, std::ios::app) << text;
  }

  std::optional<client::Client> client_;
  std::optional<FakeWorker> worker_;
};

TEST(CoordinatorLog, HoldsWhatTheLogLevelAsksFor) {
  const auto before = spdlog::get_level();
  for (const bool is_quiet : {false, true}) {
    spdlog::set_level(is_quiet ? spdlog::level::warn : spdlog::level::info);
    const testing_support::TempFolder folder;
    { RunningServer server(options_for(folder)); }
    const std::string text = testing_support::bytes_of_file(folder / "logs/coordinator.log");
    EXPECT_EQ(text.find("listening on") == std::string::npos, is_quiet) << text;
  }
  spdlog::set_level(before);
}

TEST_F(Logs, OfASharedWorkFolderAreReadThere) {
  write_log(1, "hello\n");
  const auto first = ask(log_frame());
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first->data(), "hello\n");
  EXPECT_EQ(first->attempt(), 1U);
  EXPECT_TRUE(first->at_end());
  EXPECT_FALSE(first->ended());
  write_log(1, "bye\n");
  report();
  const auto rest = ask(log_frame(1, first->next_offset()));
  EXPECT_EQ(rest->data(), "bye\n");
  EXPECT_TRUE(rest->ended());
}

TEST_F(Logs, OfAnotherMachineAreAskedOfTheWorker) {
  const auto reply = ask_while([&] {
    const proto::Frame asked = next_log_request();
    EXPECT_EQ(asked.log_request().key(), lease().key());
    EXPECT_EQ(asked.log_request().attempt(), 1U);
    EXPECT_GT(asked.log_request().max_bytes(), 0U);
    proto::Frame answer;
    answer.set_id(asked.id());
    answer.mutable_log_reply()->set_data("far away\n");
    answer.mutable_log_reply()->set_next_offset(9);
    answer.mutable_log_reply()->set_at_end(true);
    EXPECT_TRUE(worker_->connection->send(answer));
  });
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->data(), "far away\n");
  EXPECT_EQ(reply->next_offset(), 9U);
  EXPECT_EQ(reply->attempt(), 1U);
}

TEST_F(Logs, AnAttemptThatHasNotPrintedYetHasAnEmptyOne) {
  const auto reply = ask_while([&] {
    const proto::Frame asked = next_log_request();
    proto::Frame answer;
    answer.set_id(asked.id());
    answer.mutable_log_reply()->mutable_failure()->set_code(static_cast<std::uint32_t>(ErrorCode::kNotFound));
    EXPECT_TRUE(worker_->connection->send(answer));
  });
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->data(), "");
  EXPECT_TRUE(reply->at_end());
}

TEST_F(Logs, AWorkerThatGoesAwayMeanwhileIsNamed) {
  const auto reply = ask_while([&] {
    EXPECT_TRUE(next_log_request().has_log_request());
    worker_->disconnect();
  });
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::kUnreachable);
  EXPECT_THAT(reply.error().message, HasSubstr("lost its connection"));
}

TEST_F(Logs, ACoordinatorThatStopsDoesNotWaitForAWorker) {
  const auto reply = ask_while([&] {
    EXPECT_TRUE(next_log_request().has_log_request());
    EXPECT_TRUE(server_->stop());
  });
  EXPECT_FALSE(reply);
}

TEST_F(Logs, WhatIsNotThereIsSaid) {
  report();
  worker_->disconnect();
  const auto gone = ask(log_frame());
  EXPECT_EQ(gone.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(gone.error().message, HasSubstr("left no log here or on its worker, agent"));
  const auto unknown = ask(log_frame(7));
  EXPECT_EQ(unknown.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(unknown.error().message, HasSubstr("has no attempt 7; the last one is 1"));
  ASSERT_TRUE(submit(*client_, "more", noops(1, 5)));
  proto::Frame frame;
  frame.mutable_log_request()->set_key_prefix(spec::key_of(noop_spec(5))->hex());
  EXPECT_THAT(ask(frame).error().message, HasSubstr("no attempt of noop 5"));
}

TEST_F(Logs, AttemptsAreListedWithHowTheyEnded) {
  report(ErrorCode::kProcessDied);
  worker_->await_leases(1);
  proto::Frame frame;
  frame.mutable_attempts_request()->set_key_prefix(key());
  const auto answer = client_->request(frame, kPatience);
  ASSERT_TRUE(answer) << answer.error().message;
  const proto::AttemptsReply& reply = answer->attempts_reply();
  EXPECT_EQ(reply.title(), "noop 0");
  EXPECT_EQ(reply.state(), "leased");
  ASSERT_EQ(reply.attempts_size(), 2);
  EXPECT_EQ(reply.attempts(0).outcome(), "process_died");
  EXPECT_EQ(reply.attempts(0).message(), "why");
  EXPECT_EQ(reply.attempts(0).worker(), "agent");
  EXPECT_TRUE(reply.attempts(0).superseded());
  EXPECT_GT(reply.attempts(0).ended_ms(), 0);
  EXPECT_EQ(reply.attempts(1).outcome(), "running");
  EXPECT_FALSE(reply.attempts(1).superseded());
  EXPECT_EQ(reply.attempts(1).ended_ms(), 0);
}

}  // namespace
}  // namespace gauntlet::coordinator
