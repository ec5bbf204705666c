// Every step that SQLite asks of the disk fails once, and fails for good: the store refuses as a whole, says
// what happened and where, and loses nothing it acknowledged.
#include <gmock/gmock.h>
#include <sqlite3.h>

#include "tests/store/store_history.hpp"
#include "tests/support/simulated_disk.hpp"

namespace gauntlet::store {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing_support::DiskStep;
using testing_support::SimulatedDisk;
using testing_support::Unsynced;

constexpr std::uint64_t kSeed = 7;
constexpr int kSteps = 30;
const std::string kPath = "/simulated/gauntlet.db";

struct FaultKind {
  const char* name;
  DiskStep step;
  int code;
  ErrorCode expected;
  const char* words;         ///< part of the message
  std::uint64_t stride = 1;  ///< every so many-th place
};

void PrintTo(const FaultKind& kind, std::ostream* out) { *out << kind.name; }

const std::vector<FaultKind> kKinds = {
    {"DiskFull", DiskStep::kWrite, SQLITE_FULL, ErrorCode::kNoSpace, "no space left", 2},
    {"WriteError", DiskStep::kWrite, SQLITE_IOERR_WRITE, ErrorCode::kIo, "disk I/O error", 5},
    {"ReadError", DiskStep::kRead, SQLITE_IOERR_READ, ErrorCode::kIo, "disk I/O error"},
    {"SyncError", DiskStep::kSync, SQLITE_IOERR_FSYNC, ErrorCode::kIo, "disk I/O error"},
    {"TruncateError", DiskStep::kTruncate, SQLITE_IOERR_TRUNCATE, ErrorCode::kIo, "disk I/O error"},
    {"SizeError", DiskStep::kSize, SQLITE_IOERR_FSTAT, ErrorCode::kIo, "disk I/O error"},
    {"DeleteError", DiskStep::kDelete, SQLITE_IOERR_DELETE, ErrorCode::kIo, "disk I/O error"},
    {"OpenError", DiskStep::kOpen, SQLITE_CANTOPEN, ErrorCode::kIo, "cannot open"},
    {"Busy", DiskStep::kLock, SQLITE_BUSY, ErrorCode::kRefused, "is locked by another program"},
    {"LockError", DiskStep::kLock, SQLITE_IOERR_LOCK, ErrorCode::kIo, "disk I/O error"},
    {"SharedMemoryError", DiskStep::kSharedMemory, SQLITE_IOERR_SHMMAP, ErrorCode::kIo, "disk I/O error"},
};

/// What happened to one history with one fault.
struct Life {
  int n_refusals = 0;
  int n_submissions_refused = 0;  ///< after which the store went on
  bool met = false;
};

class DiskFaults : public testing::TestWithParam<std::tuple<FaultKind, bool>> {
 protected:
  /// Runs the history with the fault at its nth step; a refusal is followed by a restart, as a coordinator
  /// does it. A lasting fault is healed after some refusals.
  Life live(std::uint64_t nth) {
    const auto& [kind, lasting] = GetParam();
    SimulatedDisk disk;
    StoreHistory history(kPath, kSeed);
    history.max_jobs = 15;
    history.checkpoint_pages = 20;
    disk.fail(kind.step, nth, kind.code, lasting);
    Life life;
    for (int n_steps = 0; n_steps < kSteps && history.problem.empty(); ++n_steps) {
      const Status status = history.step();
      if (status) continue;
      expect_explained(status.error());
      ++life.n_refusals;
      const Result<bool> goes_on = history.goes_on_after_refusal();
      if (goes_on && *goes_on) {
        ++life.n_submissions_refused;
      } else {
        history.close();
      }
      if (life.n_refusals == 3) disk.heal();
    }
    life.met = disk.has_failed();
    disk.heal();
    if (life.n_refusals > 0 && nth % 4 < 2) {  // and then the power goes too
      disk.cut_power_after(1);
      history.close();
      RandomStream random(nth);
      disk.restore_power(random, Unsynced::kSome);
    }
    const Status finished = history.problem.empty() ? history.finish() : Status();
    EXPECT_TRUE(finished) << finished.error().message;
    EXPECT_EQ(history.problem, "") << kind.name << ", step " << nth;
    history.close();
    return life;
  }

  void expect_explained(const Error& error) {
    const FaultKind& kind = std::get<0>(GetParam());
    EXPECT_EQ(error.code, kind.expected) << error.message;
    EXPECT_THAT(error.message, HasSubstr(kPath));
    EXPECT_THAT(error.message, HasSubstr(kind.words));
  }
};

TEST_P(DiskFaults, AtEveryStepLoseNothingAndAreExplained) {
  int n_met = 0;
  int n_refused = 0;
  int n_submissions_refused = 0;
  for (std::uint64_t nth = std::get<1>(GetParam()) ? 1 : 2;; nth += std::get<0>(GetParam()).stride) {
    const Life life = live(nth);
    ASSERT_FALSE(HasFailure()) << "at step " << nth;
    if (!life.met) break;  // the history asks less often than that
    ++n_met;
    n_refused += life.n_refusals > 0 ? 1 : 0;
    n_submissions_refused += life.n_submissions_refused;
  }
  RecordProperty("n_places", n_met);
  RecordProperty("n_refused", n_refused);
  RecordProperty("n_submissions_refused", n_submissions_refused);
  EXPECT_GT(n_met, 0);
}

INSTANTIATE_TEST_SUITE_P(Kinds, DiskFaults, testing::Combine(testing::ValuesIn(kKinds), testing::Bool()),
                         [](const auto& test) {
                           return std::string(std::get<0>(test.param).name) +
                                  (std::get<1>(test.param) ? "ForGood" : "Once");
                         });

}  // namespace
}  // namespace gauntlet::store
