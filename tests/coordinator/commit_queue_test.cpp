#include "coordinator/net/commit_queue.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <optional>
#include <string>
#include <thread>

#include "tests/results/synthetic_database.hpp"

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

// ---------------------------------------------------------------- submissions that are still arriving

class EarlySubmissions : public CommitQueueTest {
 protected:
  static std::shared_ptr<const store::SubmissionHead> head(const std::string& name) {
    store::SubmissionHead head;
    head.name = name;
    return std::make_shared<store::SubmissionHead>(std::move(head));
  }
  static std::shared_ptr<const store::SubmissionPart> part(int index) {
    auto part = std::make_shared<store::SubmissionPart>();
    part->jobs.push_back(testing_support::make_job("noop", "", 1, {{"index", index}, {"ms", 0}}, {}));
    return part;
  }
  /// Ends the submission; writing it as a whole is noted and writes one job more than the parts above.
  engine::SubmitOutcome finish(std::uint64_t ticket) {
    std::optional<Result<engine::SubmitOutcome>> outcome;
    bool done = false;
    CommitQueue::Work<Result<engine::SubmitOutcome>> whole =
        [this](store::JobStore& store) -> Result<engine::SubmitOutcome> {
      written_as_a_whole_ = true;
      GAUNTLET_CHECK_OK(store.begin_submission(head("whole"), 1));
      GAUNTLET_CHECK_OK(store.add_to_submission(*part(1)));
      return store.finish_submission();
    };
    boost::asio::co_spawn(
        io_,
        [&]() -> boost::asio::awaitable<void> {
          outcome.emplace(co_await queue_->submitted(ticket, whole));
          done = true;
        },
        boost::asio::detached);
    run_until(done);
    EXPECT_TRUE(*outcome) << outcome->error().message;
    return **outcome;
  }
  /// Until the writer has nothing to do.
  void wait_for_writer() {
    bool done = false;
    queue_->ask<bool>([](store::JobStore& store) { return store.has_open_submission(); },
                      [&](bool open) { open_seen_ = open, done = true; });
    run_until(done);
  }

  std::atomic<bool> written_as_a_whole_ = false;
  bool open_seen_ = false;
};

TEST_F(EarlySubmissions, AreWrittenWhileNothingElseIsAsked) {
  const std::uint64_t ticket = queue_->begin_early(head("early"), 1);
  ASSERT_NE(ticket, 0U);
  for (int index = 0; index < 20; ++index) queue_->add_early(ticket, part(index));
  while (!queue_->early_is_written()) std::this_thread::yield();
  EXPECT_EQ(finish(ticket).new_jobs, 20U);
  EXPECT_FALSE(written_as_a_whole_);
}

TEST_F(EarlySubmissions, GiveWayToEverythingElseAndAreWrittenAsAWhole) {
  const std::uint64_t ticket = queue_->begin_early(head("early"), 1);
  for (int index = 0; index < 20; ++index) queue_->add_early(ticket, part(index));
  while (!queue_->early_is_written()) std::this_thread::yield();
  bool done = false;
  queue_->commit(joined(1), [&](std::span<const engine::JobPayload>) { done = true; });
  run_until(done);
  wait_for_writer();
  EXPECT_FALSE(open_seen_);
  queue_->add_early(ticket, part(30));
  EXPECT_EQ(finish(ticket).new_jobs, 1U) << "nothing that was written early is left";
  EXPECT_TRUE(written_as_a_whole_);
  EXPECT_NE(queue_->begin_early(head("next"), 1), 0U);
}

TEST_F(EarlySubmissions, OneAtATime) {
  const std::uint64_t first = queue_->begin_early(head("first"), 1);
  EXPECT_EQ(queue_->begin_early(head("second"), 1), 0U);
  queue_->add_early(first, part(1));
  while (!queue_->early_is_written()) std::this_thread::yield();
  EXPECT_EQ(finish(0).new_jobs, 1U) << "the second makes the first give way";
  EXPECT_TRUE(written_as_a_whole_.exchange(false));
  EXPECT_EQ(finish(first).new_jobs, 0U);
  EXPECT_TRUE(written_as_a_whole_);
}

TEST_F(EarlySubmissions, ADroppedOneLeavesNothing) {
  const std::uint64_t ticket = queue_->begin_early(head("early"), 1);
  queue_->add_early(ticket, part(1));
  while (!queue_->early_is_written()) std::this_thread::yield();
  queue_->drop_early(ticket);
  wait_for_writer();
  EXPECT_FALSE(open_seen_);
  const std::uint64_t next = queue_->begin_early(head("next"), 1);
  ASSERT_NE(next, 0U);
  queue_->add_early(next, part(1));
  while (!queue_->early_is_written()) std::this_thread::yield();
  EXPECT_EQ(finish(next).new_jobs, 1U);
}

}  // namespace
}  // namespace gauntlet::coordinator
