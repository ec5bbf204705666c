// What the parts of the job store share: the connection and the small tables kept in memory.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "coordinator/store/import.hpp"
#include "coordinator/store/job_store.hpp"
#include "core/db/connection.hpp"
#include "core/db/transaction.hpp"
#include "results/store/row_store.hpp"

namespace gauntlet::store {

/// Writes one submission within a transaction of the caller's, part by part.
class SubmissionWriter {
 public:
  virtual ~SubmissionWriter() = default;
  [[nodiscard]] virtual Status add(const SubmissionPart& part) = 0;
  /// Once, after the last part.
  [[nodiscard]] virtual Result<engine::SubmitOutcome> finish() = 0;
};

/// A submission whose transaction is open.
struct OpenSubmission {
  db::Transaction transaction;
  std::unique_ptr<SubmissionWriter> writer;
  std::uint64_t n_parts = 0;  ///< so far
};

struct StoreState {
  explicit StoreState(db::Connection opened) : connection(std::move(opened)), rows(connection) {}

  /// After anything was rolled back: what was remembered of it may not be in the database.
  void forget() {
    rows.forget();
    roles.clear();
    metric_sets.clear();
    shapes.clear();
  }

  db::Connection connection;
  results::RowStore rows;
  std::map<std::string, std::int64_t> roles;
  std::map<std::vector<std::string>, std::int64_t> metric_sets;
  std::map<std::string, std::int64_t> shapes;  ///< by all their columns, joined
  double commit_s = 0;                         ///< of the last transaction
  std::optional<OpenSubmission> open_submission;
  std::jthread writing_back;  ///< the log of a large submission, which is on disk in it
};

/// Parts of JobStore, one per file; each runs inside the caller's transaction.
[[nodiscard]] Result<engine::SubmitOutcome> submit_all(StoreState& state, const Submission& submission,
                                                       std::int64_t at_ms);
[[nodiscard]] Result<std::unique_ptr<SubmissionWriter>> begin_submission(
    StoreState& state, std::shared_ptr<const SubmissionHead> head, std::int64_t at_ms);
[[nodiscard]] Result<ImportAnswer> import_all(StoreState& state, const ImportedWork& work,
                                              std::int64_t at_ms);
[[nodiscard]] Result<std::vector<engine::JobPayload>> apply_all(
    StoreState& state, std::span<const engine::Transition> transitions);
[[nodiscard]] Result<engine::RestoredRows> load_all(db::Connection& connection);
[[nodiscard]] Result<std::vector<JobId>> select_jobs(db::Connection& connection, const Selection& selection);
[[nodiscard]] Result<std::vector<CancelledJobs>> cancelled_jobs(db::Connection& connection, SweepId sweep);
[[nodiscard]] Result<std::vector<JobDetail>> job_details(db::Connection& connection,
                                                         std::span<const JobId> jobs);

/// Reads shapes as the engine knows them: database id → index into the list, which grows.
class ShapeReader {
 public:
  explicit ShapeReader(db::Connection& connection) : connection_(connection) {}
  [[nodiscard]] Result<std::uint32_t> index_of(std::int64_t shape_id, std::vector<engine::JobShape>& shapes);

 private:
  db::Connection& connection_;
  std::map<std::int64_t, std::uint32_t> known_;
};

}  // namespace gauntlet::store
