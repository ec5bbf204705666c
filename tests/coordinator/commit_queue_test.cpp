#include "coordinator/net/commit_queue.hpp"

#include <gmock/gmock.h>

#include <boost/asio/executor_work_guard.hpp>
#include <optional>
#include <string>

namespace gauntlet::coordinator {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class CommitQueueTest : public testing::Test {
 protected:
  CommitQueueTest() {
    auto store = store::JobStore::open_in_memory();
    EXPECT_TRUE(store) << store.error().message;
    queue_.emplace(io_, std::move(*store), [this](const Error& error) { failure_ = error; });
  }
  static std::vector<engine::Transition> joined(std::uint64_t worker) {
    return {{0, engine::WorkerJoined{WorkerId{worker}, "agent", "host", 1, 0, 0}}};
  }
  /// Ends an attempt that nobody began: the store refuses it.
  static std::vector<engine::Transition> refused() {
    return {{0, engine::AttemptDone{JobId{1}, LeaseId{1}, AttemptNo{1}, WorkerId{1}, {}}}};
  }
  void run_until(const bool& done) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!done && std::chrono::steady_clock::now() < deadline) io_.run_one_for(std::chrono::seconds(1));
    EXPECT_TRUE(done);
  }
  CommitQueue::Committed note(const std::string& what) {
    return [this, what](std::span<const engine::JobPayload>) { seen_.push_back(what); };
  }

  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> waiting_ =
      boost::asio::make_work_guard(io_);
  std::optional<Error> failure_;
  std::vector<std::string> seen_;
  std::optional<CommitQueue> queue_;
};

TEST_F(CommitQueueTest, CallsBackInTheOrderOfDecisionsAndQuestions) {
  bool done = false;
  queue_->commit(joined(1), note("first"));
  queue_->ask<std::uint64_t>([](store::JobStore& store) { return store.load()->last_worker.value; },
                             [this](std::uint64_t last) { seen_.push_back(fmt::format("worker {}", last)); });
  queue_->commit({}, note("nothing to write, still in turn"));
  queue_->commit(joined(2), [&](std::span<const engine::JobPayload>) { done = true; });
  EXPECT_TRUE(seen_.empty()) << "nothing is said before it is durable";
  run_until(done);
  EXPECT_THAT(seen_, ElementsAre("first", "worker 1", "nothing to write, still in turn"));
  EXPECT_TRUE(queue_->is_idle());
}

TEST_F(CommitQueueTest, SaysAtOnceWhatWaitsForNothing) {
  queue_->commit({}, note("at once"));
  EXPECT_THAT(seen_, ElementsAre("at once"));
}

TEST_F(CommitQueueTest, AFailedCommitIsReportedAndNothingAfterItHappens) {
  bool done = false;
  queue_->commit(joined(1), [&](std::span<const engine::JobPayload>) { done = true; });
  run_until(done);
  queue_->commit(refused(), note("refused"));
  while (!failure_) io_.run_one_for(std::chrono::seconds(1));
  EXPECT_EQ(failure_->code, ErrorCode::kStaleLease);
  EXPECT_THAT(failure_->message, HasSubstr("lease 1"));
  queue_->commit(joined(2), note("after"));
  queue_->ask<int>([](store::JobStore&) { return 1; }, [this](int) { seen_.emplace_back("asked"); });
  queue_.reset();  // joins the writer: whatever it would still do is done
  io_.poll();
  EXPECT_TRUE(seen_.empty());
}

}  // namespace
}  // namespace gauntlet::coordinator
