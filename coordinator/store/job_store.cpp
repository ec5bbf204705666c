#include "coordinator/store/job_store.hpp"

#include <chrono>

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
  {
    // Its own connection: one that has renamed a table has temporary storage for good, and a large submission
    // could not change where keys are sorted.
    GAUNTLET_TRY(db::Connection migrating, db::Connection::open_read_write(path));
    GAUNTLET_CHECK_OK(db::migrate(migrating));
  }
  GAUNTLET_TRY(db::Connection connection, db::Connection::open_read_write(path));
  // Looking up what every row points at is more than half of a no-op job's time here. The ids written are
  // ones that this program read from the file, and `gauntlet verify` checks them all; a store in memory,
  // which tests use, refuses a wrong one at once.
  GAUNTLET_CHECK_OK(connection.execute("PRAGMA foreign_keys=OFF;"));
  db::reserve_log(connection, db::kLogBytes);
  return JobStore(std::make_unique<StoreState>(std::move(connection)));
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
  return added;
}

Result<engine::SubmitOutcome> JobStore::finish_submission() {
  GAUNTLET_CHECK(has_open_submission());
  auto finished = [&]() -> Result<engine::SubmitOutcome> {
    GAUNTLET_TRY(auto outcome, state_->open_submission->writer->finish());
    GAUNTLET_CHECK_OK(timed_commit(*state_, state_->open_submission->transaction));
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
