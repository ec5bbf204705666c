// The durable changes the engine decides and the store writes, and the rows the store hands back at start and
// after a submission. Plain structs: no socket, no database, no protocol type. Order everywhere: decide →
// commit → send. The transitions of one Decision are committed together or not at all, and decisions are
// committed in the order in which they were made. Thread safety: plain values.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/spec/job_spec.hpp"
#include "core/spec/result_row.hpp"

namespace gauntlet::engine {

/// Names of the states a job can be in; the numbers are stored.
enum class JobStateTag : std::uint8_t {
  kWaiting = 0,
  kQueued = 1,
  kLeased = 2,
  kDone = 3,
  kFailed = 4,
  kBlocked = 5,
  kCancelled = 6,
};
inline constexpr std::size_t kJobStateCount = 7;
/// "waiting", "queued", "leased", "done", "failed", "blocked", "cancelled": the names of views, replies and
/// messages.
[[nodiscard]] std::string_view name_of(JobStateTag state);

/// Number of jobs in each state, by JobStateTag.
using StateCounts = std::array<std::uint64_t, kJobStateCount>;

/// What an attempt left behind besides its artifact. Of a failed attempt only message, log, wall_s,
/// environment matter.
struct AttemptOutcome {
  std::string message = {};  ///< one sentence; "" when done
  std::string log = {};      ///< path relative to the work folder
  std::vector<spec::ResultRow> rows = {};
  std::vector<spec::Curve> curves = {};
  double wall_s = 0;
  std::string environment = {};  ///< canonical JSON
  std::string manifest = {};     ///< SHA-256 of the artifact's manifest, hexadecimal; "" for jobs without one
};

// ---------------------------------------------------------------- transitions

/// The needs of the job are done (or it goes back after an attempt): it can be leased.
struct JobQueued {
  JobId job;
};
/// Some needs of the job are not done: released from blocked, retried, or a need has to run again.
struct JobWaiting {
  JobId job;
};
/// A need (direct or not) failed or was cancelled; `culprit` is that job.
struct JobBlocked {
  JobId job;
  JobId culprit;
};
struct JobFailed {
  JobId job;
  ErrorCode code = ErrorCode::kInternal;
};
struct JobCancelled {
  JobId job;
  std::string reason;
};
/// Asked for by `retry`: failures and losses start from 0 again; its new state follows.
struct JobRetried {
  JobId job;
};
/// A sweep that was handed in again asks for other resources for it.
struct JobReshaped {
  JobId job;
  std::int64_t stored_shape = 0;  ///< of a ShapeChange
};
/// What one worker contributes to a gang.
struct GangPart {
  WorkerId worker;
  std::uint32_t ranks = 0;
  std::uint64_t gpus = 0;  ///< devices of the worker, bit i = device i
  bool operator==(const GangPart&) const = default;
};
/// An attempt begins: the lease's row, state leased.
struct JobLeased {
  JobId job;
  LeaseId lease;
  AttemptNo attempt;
  WorkerId worker;
  std::uint64_t gpus = 0;            ///< devices of the worker, bit i = device i
  std::vector<GangPart> parts = {};  ///< of a gang over several workers, this one first; else empty
};
/// The attempt is done: rows, curves and the job's state change together; the lease's row becomes the
/// attempt's. A job that had to run again (its artifact was damaged) replaces its earlier rows: with attempt
/// > 1, rows of the job are removed first.
struct AttemptDone {
  JobId job;
  LeaseId lease;
  AttemptNo attempt;
  WorkerId worker;
  AttemptOutcome outcome;
};
/// The attempt is over without a result; the lease's row becomes the attempt's. The new state of the job
/// follows as a transition of its own in the same decision.
struct AttemptFailed {
  JobId job;
  LeaseId lease;
  AttemptNo attempt;
  WorkerId worker;
  ErrorCode code = ErrorCode::kInternal;
  AttemptOutcome outcome;
  std::uint8_t failures = 0;  ///< of the job, this attempt counted
  std::uint8_t losses = 0;
};
/// A worker is known from now on (leases refer to it). Written once per agent process, again when it offers
/// other resources at a reconnect.
struct WorkerJoined {
  WorkerId worker;
  std::string agent_id;
  std::string name;
  std::int64_t cpus = 0;
  std::int64_t memory_mb = 0;
  std::int64_t gpus = 0;
};
struct WorkerLeft {
  WorkerId worker;
  std::string reason;  ///< "drained", "lost: silent for 15.2s", …
};
struct SweepPaused {
  SweepId sweep;
  bool paused = false;
};

using Change =
    std::variant<JobQueued, JobWaiting, JobBlocked, JobFailed, JobCancelled, JobRetried, JobReshaped,
                 JobLeased, AttemptDone, AttemptFailed, WorkerJoined, WorkerLeft, SweepPaused>;

struct Transition {
  std::int64_t at_ms = 0;  ///< wall clock, for the record
  Change change;
};

// ---------------------------------------------------------------- rows for the engine

/// What placement has to know of a job; jobs with equal shapes share one.
struct JobShape {
  spec::JobKind kind = spec::JobKind::kNoop;
  std::string entry;  ///< "" where the kind has no entry
  std::int64_t version = 0;
  spec::Resources resources;
  bool operator==(const JobShape&) const = default;
};

/// A job as the database knows it. The key, canonical text, title and locations stay in the database.
struct JobRow {
  JobId id;
  std::uint32_t shape = 0;  ///< index into JobRows::shapes
  JobStateTag state = JobStateTag::kWaiting;
  ErrorCode code = ErrorCode::kInternal;  ///< of a failed job
  std::uint8_t failures = 0;
  std::uint8_t losses = 0;
  AttemptNo last_attempt;  ///< 0 = none yet
  JobId culprit;           ///< of a blocked job
};

struct NeedRow {
  JobId job;
  JobId need;
};

struct MemberRow {
  SweepId sweep;
  JobId job;
};

struct SweepRow {
  SweepId id;
  std::string name;
  std::int32_t priority = 0;
  bool paused = false;
  std::uint64_t reused = 0;  ///< jobs that were done before the submission
  std::int64_t submitted_ms = 0;
};

/// A set of jobs with everything the engine keeps about them. `needs` are grouped by job, in the order of
/// `jobs`.
struct JobRows {
  std::vector<JobShape> shapes;
  std::vector<JobRow> jobs;  ///< by growing id
  std::vector<NeedRow> needs;
  std::vector<MemberRow> members;
};

struct LeaseRow {
  JobId job;
  LeaseId lease;
  AttemptNo attempt;
  WorkerId worker;
  std::uint64_t gpus = 0;
  std::int64_t started_ms = 0;
  std::vector<GangPart> parts = {};  ///< as in JobLeased
};

/// A worker that holds leases.
struct WorkerRow {
  WorkerId id;
  std::string agent_id;
  std::string name;
  std::int64_t cpus = 0;
  std::int64_t memory_mb = 0;
  std::int64_t gpus = 0;
};

/// How long finished jobs of a kind took, for estimates.
struct KindTime {
  spec::JobKind kind = spec::JobKind::kNoop;
  std::uint64_t n = 0;
  double total_s = 0;
};

/// Everything the engine needs to go on after a restart.
struct RestoredRows {
  std::vector<SweepRow> sweeps;
  JobRows rows;  ///< every job
  std::vector<LeaseRow> leases;
  std::vector<WorkerRow> workers;  ///< at least those with leases
  std::vector<KindTime> times;
  LeaseId last_lease;    ///< greatest ever given
  WorkerId last_worker;  ///< greatest ever given
};

/// A known job, not done, for which a submission asks other resources. What becomes of it is the engine's
/// to decide: by now it may run.
struct ShapeChange {
  JobId job;
  std::uint32_t shape = 0;        ///< index into JobRows::shapes
  std::int64_t stored_shape = 0;  ///< what the database calls it
};

/// What a committed submission added. Jobs known before appear in `rows.members` and `changes` only.
struct SubmitOutcome {
  SweepRow sweep;
  JobRows rows;  ///< `jobs`: the new ones, waiting or queued as far as the database knew; `members`: new to
                 ///< the sweep
  std::vector<ShapeChange> changes;
  std::uint64_t new_jobs = 0;
  std::uint64_t reused_jobs = 0;  ///< known before and not failed; done ones included
  std::uint64_t done_jobs = 0;    ///< of the reused ones, already done
  std::uint64_t new_cells = 0;
};

/// What a lease carries besides its numbers; read in the transaction that wrote the lease.
struct JobPayload {
  JobId job;
  JobKey key;
  std::string canonical;
  std::string title;
  std::string locations;
  spec::Resources resources;
  std::int64_t waited_ms = 0;  ///< from its last change of state, to queued, to the lease
};

}  // namespace gauntlet::engine
