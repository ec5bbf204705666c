// The coordinator's memory: jobs, leases, attempts and numbers in SQLite. The engine decides, this writes.
// Thread safety: none; one thread owns a store.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "coordinator/engine/transitions.hpp"
#include "coordinator/store/canonical_head.hpp"
#include "core/base/ids.hpp"
#include "core/base/result.hpp"
#include "core/spec/cell.hpp"
#include "core/spec/job_spec.hpp"

namespace gauntlet::db {
class Connection;
}

namespace gauntlet::store {

/// A job as a client hands it in.
struct SubmittedJob {
  JobKey key;
  std::string canonical;  ///< canonical JSON; its SHA-256 must be the key
  std::string title;
  spec::Resources resources;
  std::vector<JobKey> needs;
  std::string locations = "{}";       ///< JSON object
  std::optional<CanonicalHead> head;  ///< filled by check_job
};

/// What of a job can be checked without the database: that its key is the hash of its text, and that its text
/// is a job's. To be called before submit() by whoever has time for it; submit() does it for the others.
/// Errors: kInvalid, with the key and the title.
[[nodiscard]] Status check_job(SubmittedJob& job);

/// The part a job plays for a cell.
struct CellJob {
  JobKey key;
  std::string role;
};

struct SubmittedCell {
  spec::Cell cell;
  std::vector<CellJob> jobs;
  std::vector<std::string> metrics;  ///< the numbers this cell must have
};

/// Some of a sweep's jobs and cells: every job after the jobs it needs, every cell after its jobs.
struct SubmissionPart {
  std::vector<SubmittedJob> jobs;
  std::vector<SubmittedCell> cells;
};

struct SubmissionHead {
  std::string name;
  std::string spec_text;
  std::string spec_path;
  std::int32_t priority = 0;
  std::string revision;  ///< of the client's code
  std::string metrics;   ///< JSON, kept as it came
  std::string user;      ///< who handed it in and where, as the client says; "" = not said
  std::string host;
};

/// A whole sweep.
struct Submission : SubmissionHead, SubmissionPart {};

/// Which jobs a question or a change is about; everything given must hold.
struct Selection {
  SweepId sweep;                            ///< 0 = any
  std::vector<engine::JobStateTag> states;  ///< empty = any
  std::string key_prefix;                   ///< hexadecimal; "" = any
  /// Over cells and jobs: "dataset=flickr25k and attack=pgd", "cause=oom and kind=craft"; "" = any.
  std::string where;
  /// Leave out jobs that a cell outside `where` (or outside the sweep) needs too; for cancelling.
  bool exclusive = false;
};

/// What people want to read about a job.
struct JobDetail {
  JobId job;
  JobKey key;
  spec::JobKind kind = spec::JobKind::kNoop;
  std::string title;
  engine::JobStateTag state = engine::JobStateTag::kWaiting;
  ErrorCode code = ErrorCode::kInternal;  ///< of a failed job
  std::string message;                    ///< of the last failure or the cancellation; "" for none
  std::string log;                        ///< of the last attempt, relative to the work folder; "" for none
};

/// Jobs that were cancelled with the same words.
struct CancelledJobs {
  std::string message;
  std::uint64_t n_jobs = 0;
};

struct StoreState;
struct JobAttempts;
struct ImportedWork;
struct ImportAnswer;

class JobStore {
 public:
  /// Opens, creates or brings up to date. Errors: kRefused (locked, newer than this program, network file
  /// system), kCorrupt (not a database of ours, damaged), kIo (folder missing or read-only), kNoSpace; each
  /// names the path.
  [[nodiscard]] static Result<JobStore> open(const std::filesystem::path& path);
  /// Lives as long as the object.
  [[nodiscard]] static Result<JobStore> open_in_memory();
  JobStore(JobStore&&) noexcept;
  JobStore& operator=(JobStore&&) noexcept;
  ~JobStore();

  /// Everything the engine goes on from.
  [[nodiscard]] Result<engine::RestoredRows> load();

  /// Adds a sweep: all of it in one transaction, or nothing. Jobs are known by their key, sweeps by their
  /// name, cells by their axis values within the sweep: handing in the same spec again changes nothing;
  /// another spec under the same name is that sweep's next revision, and its cells are the union, each with
  /// the jobs its newest revision names. Errors: kInvalid (a key that is not the hash of its text, a need or
  /// a cell's job that is not known, a cell twice with different jobs; named), and those of open.
  [[nodiscard]] Result<engine::SubmitOutcome> submit(const Submission& submission, std::int64_t at_ms);

  /// The same for a sweep that is still arriving: begin, its parts as they come, finish, which commits. Until
  /// then one transaction stays open, and nothing else may be asked of the store but to drop it.
  [[nodiscard]] Status begin_submission(std::shared_ptr<const SubmissionHead> head, std::int64_t at_ms);
  /// An error has dropped all of it.
  [[nodiscard]] Status add_to_submission(const SubmissionPart& part);
  [[nodiscard]] Result<engine::SubmitOutcome> finish_submission();
  void drop_submission();
  [[nodiscard]] bool has_open_submission() const;

  /// Commits one batch of decisions: all or nothing. Returns the payloads of its leases, in their order.
  /// Errors: kStaleLease (the end of an attempt that holds no open lease; nothing is written), those of open.
  [[nodiscard]] Result<std::vector<engine::JobPayload>> apply(
      std::span<const engine::Transition> transitions);

  /// Takes over what was done elsewhere: all of it in one transaction, or nothing. Jobs are known by their
  /// key: one that is done here too must have the same numbers; one that is not done here is done afterwards,
  /// and its artifact counts as freed; a new one that was not done elsewhere is cancelled. A second time
  /// changes nothing. Errors: those of submit.
  [[nodiscard]] Result<ImportAnswer> import(const ImportedWork& work, std::int64_t at_ms);

  /// Job ids, growing. Errors (kInvalid): a `where` that cannot be read, a prefix that is not hexadecimal.
  [[nodiscard]] Result<std::vector<JobId>> select(const Selection& selection);
  /// By what was said when they were cancelled, the largest groups first, at most 20; 0 = of any sweep.
  [[nodiscard]] Result<std::vector<CancelledJobs>> cancelled(SweepId sweep);
  /// What lookup.hpp finds.
  [[nodiscard]] Result<JobDetail> find_one(const std::string& key_prefix);
  [[nodiscard]] Result<JobAttempts> attempts(const std::string& key_prefix);
  /// In the order asked for; unknown ids are left out.
  [[nodiscard]] Result<std::vector<JobDetail>> details(std::span<const JobId> jobs);

  /// Seconds that the COMMIT of the last transaction took: writing the log and syncing it.
  [[nodiscard]] double last_commit_s() const;

  /// For tests and read-only extras on the store's own thread.
  [[nodiscard]] db::Connection& connection();

 private:
  explicit JobStore(std::unique_ptr<StoreState> state);
  std::unique_ptr<StoreState> state_;
};

}  // namespace gauntlet::store
