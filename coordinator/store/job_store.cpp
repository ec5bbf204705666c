#include "coordinator/store/job_store.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "coordinator/store/lookup.hpp"
#include "coordinator/store/state.hpp"
#include "core/base/check.hpp"
#include "core/db/migrate.hpp"
#include "core/db/reserve_log.hpp"

namespace gauntlet::store {

JobStore::JobStore(std::unique_ptr<StoreState> state) : state_(std::move(state)) {}
JobStore::JobStore(JobStore&&) noexcept = default;
JobStore& JobStore::operator=(JobStore&&) noexcept = default;
JobStore::~JobStore() = default;

Result<JobStore> JobStore::open(const std::filesystem::path& path) {
  std::optional<db::Connection> opened;
  {
    GAUNTLET_TRY(db::Connection connection, db::Connection::open_read_write(path));
    // Closed, a connection that nobody else has beside it would write the whole log back; so one is enough
    // where nothing has to be migrated. One that has renamed a table has temporary storage for good, and a
    // large submission could not change where keys are sorted.
    if (db::check_version(connection)) {
      opened.emplace(std::move(connection));
    } else {
      GAUNTLET_CHECK_OK(db::migrate(connection));
    }
  }
  if (!opened) {
    GAUNTLET_TRY(opened, db::Connection::open_read_write(path));
  }
  db::Connection& connection = *opened;
  // Looking up what every row points at is more than half of a no-op job's time here. The ids written are
  // ones that this program read from the file, and `gauntlet verify` checks them all; a store in memory,
  // which tests use, refuses a wrong one at once.
  GAUNTLET_CHECK_OK(connection.execute("PRAGMA foreign_keys=OFF;"));
  db::reserve_log(connection, db::kLogBytes);
  return JobStore(std::make_unique<StoreState>(std::move(*opened)));
}

Result<JobStore> JobStore::open_in_memory() {
  GAUNTLET_TRY(db::Connection connection, db::Connection::open_in_memory());
  GAUNTLET_CHECK_OK(db::migrate(connection));
  return JobStore(std::make_unique<StoreState>(std::move(connection)));
}

Result<engine::RestoredRows> JobStore::load() { return load_all(state_->connection); }

namespace {

Status timed_commit(StoreState& state, db::Transaction& transaction) {
  const auto begun = std::chrono::steady_clock::now();
  GAUNTLET_CHECK_OK(transaction.commit());
  state.commit_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  return {};
}

/// New jobs from which on a submission is a large one.
constexpr std::uint64_t kManyJobs = 10'000;
/// Parts of a submission, each of about a megabyte, after which the disk is given what there is.
constexpr std::uint64_t kPartsAtOnce = 16;

/// Lets the system begin to write what the log has, so that the commit waits for the rest of it alone. Nobody
/// locks this file, so to close it gives up no lock.
void begin_writing_log(const std::string& database) {
  const int log = ::open((database + "-wal").c_str(), O_RDONLY | O_CLOEXEC);
  if (log < 0) return;
  ::sync_file_range(log, 0, 0, SYNC_FILE_RANGE_WRITE);
  ::close(log);
}

/// The commit of a large submission is durable once its log is; to write hundreds of megabytes back into the
/// database is left to another connection, beside the writer.
Status commit_many(StoreState& state, db::Transaction& transaction) {
  state.writing_back = {};  // an earlier one has ended
  GAUNTLET_CHECK_OK(state.connection.execute("PRAGMA wal_autocheckpoint=0;"));
  const Status committed = timed_commit(state, transaction);
  static_cast<void>(  // it only sets a number; what is committed is
      state.connection.execute(fmt::format("PRAGMA wal_autocheckpoint={};", db::kLogPages)));
  GAUNTLET_CHECK_OK(committed);
  state.writing_back = std::jthread([path = state.connection.path()] {
    Result<db::Connection> beside = db::Connection::open_read_write(path);
    if (beside) static_cast<void>(beside->execute("PRAGMA wal_checkpoint(PASSIVE);"));  // else a later commit
  });
  return {};
}

// Runs `work` in one transaction; after an error nothing of it is in the database or in memory.
template <class Work>
auto in_transaction(StoreState& state, Work work) -> decltype(work()) {
  auto attempt = [&]() -> decltype(work()) {
    GAUNTLET_TRY(db::Transaction transaction, db::Transaction::begin(state.connection));
    GAUNTLET_TRY(auto answer, work());
    GAUNTLET_CHECK_OK(timed_commit(state, transaction));
    return answer;
  };
  auto answer = attempt();
  if (!answer) state.forget();
  return answer;
}

}  // namespace

Result<engine::SubmitOutcome> JobStore::submit(const Submission& submission, std::int64_t at_ms) {
  return in_transaction(*state_, [&] { return submit_all(*state_, submission, at_ms); });
}

Status JobStore::begin_submission(std::shared_ptr<const SubmissionHead> head, std::int64_t at_ms) {
  GAUNTLET_CHECK(!has_open_submission());
  auto opened = [&]() -> Result<OpenSubmission> {
    GAUNTLET_TRY(db::Transaction transaction, db::Transaction::begin(state_->connection));
    GAUNTLET_TRY(auto writer, store::begin_submission(*state_, std::move(head), at_ms));
    return OpenSubmission{.transaction = std::move(transaction), .writer = std::move(writer)};
  }();
  if (!opened) {
    state_->forget();
    return fail(std::move(opened.error()));
  }
  state_->open_submission.emplace(std::move(*opened));
  return {};
}

Status JobStore::add_to_submission(const SubmissionPart& part) {
  GAUNTLET_CHECK(has_open_submission());
  Status added = state_->open_submission->writer->add(part);
  if (!added) drop_submission();
  if (added && ++state_->open_submission->n_parts % kPartsAtOnce == 0)
    begin_writing_log(state_->connection.path());
  return added;
}

Result<engine::SubmitOutcome> JobStore::finish_submission() {
  GAUNTLET_CHECK(has_open_submission());
  auto finished = [&]() -> Result<engine::SubmitOutcome> {
    GAUNTLET_TRY(auto outcome, state_->open_submission->writer->finish());
    db::Transaction& transaction = state_->open_submission->transaction;
    const bool is_large = outcome.new_jobs >= kManyJobs && state_->connection.path() != ":memory:";
    GAUNTLET_CHECK_OK(is_large ? commit_many(*state_, transaction) : timed_commit(*state_, transaction));
    return outcome;
  }();
  if (!finished) {
    drop_submission();
    return finished;
  }
  state_->open_submission.reset();
  return finished;
}

void JobStore::drop_submission() {
  state_->open_submission.reset();
  state_->forget();
}

bool JobStore::has_open_submission() const { return state_->open_submission.has_value(); }

Result<std::vector<engine::JobPayload>> JobStore::apply(std::span<const engine::Transition> transitions) {
  if (transitions.empty()) return std::vector<engine::JobPayload>();
  return in_transaction(*state_, [&] { return apply_all(*state_, transitions); });
}

Result<ImportAnswer> JobStore::import(const ImportedWork& work, std::int64_t at_ms) {
  return in_transaction(*state_, [&] { return import_all(*state_, work, at_ms); });
}

Result<std::vector<JobId>> JobStore::select(const Selection& selection) {
  return select_jobs(state_->connection, selection);
}

Result<std::vector<CancelledJobs>> JobStore::cancelled(SweepId sweep) {
  return cancelled_jobs(state_->connection, sweep);
}

Result<JobDetail> JobStore::find_one(const std::string& key_prefix) {
  return find_one_job(state_->connection, key_prefix);
}

Result<JobAttempts> JobStore::attempts(const std::string& key_prefix) {
  return job_attempts(state_->connection, key_prefix);
}

Result<std::vector<JobDetail>> JobStore::details(std::span<const JobId> jobs) {
  return job_details(state_->connection, jobs);
}

double JobStore::last_commit_s() const { return state_->commit_s; }

db::Connection& JobStore::connection() { return state_->connection; }

}  // namespace gauntlet::store
