// Errors, full disks and killed writers at any point.
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "tests/store/job_store_fixture.hpp"

namespace gauntlet::store {
namespace {

using engine::Transition;
using testing::HasSubstr;
using testing::SizeIs;
using testing_support::finish_job;
using testing_support::make_job;
using testing_support::make_submission;
using testing_support::ratio;
using testing_support::SyntheticCell;
using testing_support::worker_joined;

// Every statement of a batch fails once; each time the old state stays, and afterwards the batch goes
// through.
class Failing {
 public:
  explicit Failing(sqlite3* handle) : handle_(handle) {}
  void arm(int after) {
    left_ = after;
    fired_ = false;
    sqlite3_progress_handler(handle_, 1, &Failing::tick, this);
  }
  [[nodiscard]] bool fired() const { return fired_; }
  void disarm() { sqlite3_progress_handler(handle_, 0, nullptr, nullptr); }

 private:
  static int tick(void* context) {
    auto& self = *static_cast<Failing*>(context);
    if (self.fired_ || committing(self.handle_) || self.left_-- > 0) return 0;
    self.fired_ = true;
    return 1;
  }
  // An interruption after the commit's own work would be told as an error of something that happened.
  static bool committing(sqlite3* handle) {
    if (sqlite3_get_autocommit(handle) != 0) return true;  // just done, or not begun
    for (sqlite3_stmt* s = sqlite3_next_stmt(handle, nullptr); s != nullptr;
         s = sqlite3_next_stmt(handle, s)) {
      if (sqlite3_stmt_busy(s) != 0 && std::string_view(sqlite3_sql(s)) == "COMMIT") return true;
    }
    return false;
  }

  sqlite3* handle_;
  int left_ = 0;
  bool fired_ = false;
};

TEST_F(Store, AnErrorAtAnyPointOfASubmissionOrABatchLeavesTheOldState) {
  JobStore store = *JobStore::open(path_);
  Failing failing(store.connection().handle());
  std::vector<Transition> batch = finish_job(JobId{1}, LeaseId{1}, AttemptNo{1}, {ratio("map", 0.5)});
  batch.insert(batch.begin(), worker_joined());
  const auto fails_everywhere = [&](auto work) {
    const std::string before = dump(store);
    int n_points = 0;
    for (int after = 0;; after += 7) {  // virtual machine steps; a statement has more than seven
      failing.arm(after);
      const auto answer = work();
      failing.disarm();
      if (answer) break;
      ASSERT_TRUE(failing.fired()) << answer.error().message;
      ASSERT_EQ(dump(store), before) << "after " << after << " steps";
      ++n_points;
    }
    EXPECT_GT(n_points, 20);
    EXPECT_NE(dump(store), before);
  };
  fails_everywhere([&] { return store.submit(small_sweep(), 1000); });
  fails_everywhere([&] { return store.apply(batch); });
  EXPECT_EQ(*store.connection().text("PRAGMA integrity_check"), "ok");
  EXPECT_EQ(*store.connection().integer("SELECT count(*) FROM pragma_foreign_key_check"), 0);
}

TEST_F(Store, AFailedCommitLeavesTheOldState) {
  JobStore store = *JobStore::open(path_);
  const std::string before = dump(store);
  sqlite3_commit_hook(
      store.connection().handle(), [](void*) { return 1; }, nullptr);
  EXPECT_FALSE(store.submit(small_sweep(), 1000));
  sqlite3_commit_hook(store.connection().handle(), nullptr, nullptr);
  EXPECT_EQ(dump(store), before);
  EXPECT_TRUE(store.submit(small_sweep(), 1000));
}

TEST_F(Store, AFullDiskIsNoSpaceAndLosesNothing) {
  JobStore store = *JobStore::open(path_);
  ASSERT_TRUE(store.submit(small_sweep(), 1000));
  const std::string before = dump(store);
  const std::int64_t pages = *store.connection().integer("PRAGMA page_count");
  ASSERT_TRUE(store.connection().execute(fmt::format("PRAGMA max_page_count={}", pages)));
  std::vector<SyntheticCell> cells;
  for (std::uint64_t seed = 1; seed < 200; ++seed) cells.push_back(cell("pgd", seed));
  const auto refused = store.submit(make_submission("large", cells), 2000);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kNoSpace);
  EXPECT_EQ(dump(store), before);
  ASSERT_TRUE(store.connection().execute("PRAGMA max_page_count=1073741823"));
  EXPECT_TRUE(store.submit(make_submission("large", cells), 2000));
}

TEST_F(Store, AKilledWriterLosesNoCommitAndLeavesNoHalf) {
  constexpr int kRounds = 8;
  std::uint64_t committed = 0;
  for (int round = 0; round < kRounds; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      JobStore store = *JobStore::open(path_);
      for (std::uint64_t n = committed;; ++n) {
        const auto outcome = store.submit(
            make_submission(fmt::format("sweep{}", n), {cell("none", n + 1), cell("pgd", n + 1)}), 1);
        if (!outcome) ::_exit(1);
        const char told = 1;
        if (::write(pipe_ends[1], &told, 1) != 1) ::_exit(2);
      }
    }
    ::close(pipe_ends[1]);
    std::uint64_t told = 0;
    char byte = 0;
    while (told < 3 + static_cast<std::uint64_t>(round) && ::read(pipe_ends[0], &byte, 1) == 1) ++told;
    ::kill(child, SIGKILL);
    while (::read(pipe_ends[0], &byte, 1) == 1) ++told;
    ::close(pipe_ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer ended by itself: " << status;
    JobStore store = *JobStore::open(path_);
    const auto loaded = store.load();
    ASSERT_TRUE(loaded) << loaded.error().message;
    const std::uint64_t n_sweeps = loaded->sweeps.size();
    // All that were reported, and at most the one that was being reported.
    EXPECT_GE(n_sweeps, committed + told);
    EXPECT_LE(n_sweeps, committed + told + 1);
    EXPECT_EQ(loaded->rows.jobs.size(), 3 * n_sweeps);
    EXPECT_EQ(count(store, "cells"), static_cast<std::int64_t>(2 * n_sweeps));
    EXPECT_EQ(*store.connection().text("PRAGMA integrity_check"), "ok");
    committed = n_sweeps;
  }
}

TEST_F(Store, OpeningNamesWhatIsWrong) {
  std::ofstream(path_) << std::string(9000, '#');
  const auto garbage = JobStore::open(path_);
  ASSERT_FALSE(garbage);
  EXPECT_EQ(garbage.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(exit_code_of(JobStore::open("/proc/gauntlet.db").error().code), 1);
  EXPECT_THAT(JobStore::open("/proc/gauntlet.db").error().message, HasSubstr("/proc/gauntlet.db"));
  fs::remove(path_);
  { ASSERT_TRUE(JobStore::open(path_)); }
  db::Connection raw = *db::Connection::open_read_write(path_);
  ASSERT_TRUE(raw.execute("PRAGMA user_version = 99"));
  const auto newer = JobStore::open(path_);
  ASSERT_FALSE(newer);
  EXPECT_EQ(newer.error().code, ErrorCode::kRefused);
  EXPECT_THAT(newer.error().message, HasSubstr("has version 99"));
}

TEST_F(Store, ABatchOfThousandsIsOneCommit) {
  JobStore store = *JobStore::open(path_);
  Submission submission;
  submission.name = "noops";
  for (int i = 0; i < 3000; ++i)
    submission.jobs.push_back(make_job("noop", "", 1, {{"index", i}, {"ms", 0}}, {}));
  ASSERT_TRUE(store.submit(submission, 1000));
  std::vector<Transition> batch = {worker_joined()};
  for (std::uint64_t i = 1; i <= 3000; ++i) {
    for (Transition& transition :
         finish_job(JobId{i}, LeaseId{i}, AttemptNo{1}, {ratio("a", 1), ratio("b", 2)})) {
      batch.push_back(std::move(transition));
    }
  }
  int commits = 0;
  sqlite3_commit_hook(
      store.connection().handle(), [](void* n) { return ++*static_cast<int*>(n), 0; }, &commits);
  const auto payloads = store.apply(batch);
  ASSERT_TRUE(payloads);
  EXPECT_THAT(*payloads, SizeIs(3000));
  EXPECT_EQ(commits, 1);
  EXPECT_EQ(count(store, "results"), 6000);
}

}  // namespace
}  // namespace gauntlet::store
