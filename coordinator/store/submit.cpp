#include <algorithm>

#include "coordinator/store/canonical_head.hpp"
#include "coordinator/store/cell_table.hpp"
#include "coordinator/store/job_table.hpp"
#include "coordinator/store/state.hpp"

namespace gauntlet::store {
namespace {

using engine::JobStateTag;

/// What check_job checks. Errors: its.
Result<CanonicalHead> checked_head(const SubmittedJob& job) {
  const Digest digest = sha256(job.canonical);
  if (digest != job.key.digest) {
    return fail(ErrorCode::kInvalid,
                "job {} ({}): the key is not the SHA-256 of the canonical text, which is {}", job.key.brief(),
                job.title, to_hex(digest).substr(0, 12));
  }
  Result<CanonicalHead> head = read_canonical_head(job.canonical);
  if (head) return head;
  return fail(ErrorCode::kInvalid, "job {} ({}): {}", job.key.brief(), job.title, head.error().message);
}

class Submitter final : public SubmissionWriter {
 public:
  Submitter(StoreState& state, std::shared_ptr<const SubmissionHead> head, std::int64_t at_ms)
      : state_(state),
        connection_(state.connection),
        head_(std::move(head)),
        at_ms_(at_ms),
        shapes_(connection_),
        jobs_(connection_, at_ms),
        cells_(state_, jobs_) {}

  Status begin() {
    GAUNTLET_CHECK_OK(add_sweep());
    cells_.begin(outcome_.sweep.id, revision_);
    return jobs_.begin(outcome_.sweep.id);
  }

  Status add(const SubmissionPart& part) override {
    for (const SubmittedJob& job : part.jobs) GAUNTLET_CHECK_OK(add_job(job));
    GAUNTLET_CHECK_OK(jobs_.flush());  // the part may go now
    for (const SubmittedCell& cell : part.cells) GAUNTLET_CHECK_OK(cells_.add(cell));
    return {};
  }

  Result<engine::SubmitOutcome> finish() override {
    GAUNTLET_CHECK_OK(jobs_.finish());
    outcome_.new_cells = cells_.n_new();
    outcome_.sweep.reused = outcome_.done_jobs;
    GAUNTLET_TRY(db::Statement * update,
                 connection_.cached("UPDATE sweeps SET reused = ? WHERE sweep_id = ?"));
    GAUNTLET_CHECK_OK(update->run_with(outcome_.done_jobs, outcome_.sweep.id));
    GAUNTLET_TRY(db::Statement * event,
                 connection_.cached("INSERT INTO events (at_ms, kind, sweep_id, detail) "
                                    "VALUES (?, 'submitted', ?, ?)"));
    GAUNTLET_CHECK_OK(event->run_with(at_ms_, outcome_.sweep.id,
                                      fmt::format("{} new jobs, {} known, {} new cells{}", outcome_.new_jobs,
                                                  outcome_.reused_jobs, outcome_.new_cells, submitter())));
    return std::move(outcome_);
  }

 private:
  Status add_sweep() {
    if (head_->name.empty()) return fail(ErrorCode::kInvalid, "a sweep needs a name");
    GAUNTLET_TRY(
        db::Statement * insert,
        connection_.cached("INSERT INTO sweeps (name, priority, submitted_ms) VALUES (?, ?, ?) ON CONFLICT "
                           "(name) DO UPDATE SET priority = excluded.priority, submitted_ms = "
                           "excluded.submitted_ms RETURNING sweep_id, paused"));
    GAUNTLET_CHECK_OK(insert->bind_all(head_->name, head_->priority, at_ms_));
    GAUNTLET_CHECK_OK(insert->step());
    outcome_.sweep.id = SweepId{static_cast<std::uint64_t>(insert->integer(0))};
    outcome_.sweep.paused = insert->integer(1) != 0;
    GAUNTLET_CHECK_OK(insert->run());
    outcome_.sweep.name = head_->name;
    outcome_.sweep.priority = head_->priority;
    outcome_.sweep.submitted_ms = at_ms_;
    return add_revision();
  }

  /// ", by alice on node1"
  [[nodiscard]] std::string submitter() const {
    if (head_->user.empty() && head_->host.empty()) return "";
    return fmt::format(", by {} on {}", head_->user.empty() ? "?" : head_->user,
                       head_->host.empty() ? "?" : head_->host);
  }

  Status add_revision() {
    const JobKey hash{sha256(head_->spec_text)};
    GAUNTLET_TRY(db::Statement * latest,
                 connection_.cached("SELECT revision, spec_hash = ? FROM spec_revisions WHERE "
                                    "sweep_id = ? ORDER BY revision DESC LIMIT 1"));
    GAUNTLET_CHECK_OK(latest->bind_all(hash, outcome_.sweep.id));
    GAUNTLET_TRY(const bool known, latest->step());
    revision_ = known ? latest->integer(0) : 0;
    const bool same = known && latest->integer(1) != 0;
    latest->reset();
    if (same) return {};
    ++revision_;
    GAUNTLET_TRY(
        db::Statement * insert,
        connection_.cached("INSERT INTO spec_revisions (sweep_id, revision, spec_hash, spec_text, spec_path, "
                           "code_revision, metrics, submitted_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"));
    return insert->run_with(outcome_.sweep.id, revision_, hash, head_->spec_text, head_->spec_path,
                            head_->revision, head_->metrics, at_ms_);
  }

  // ---------------------------------------------------------------- jobs

  Status add_job(const SubmittedJob& job) {
    if (job.head) return add_checked(job, *job.head);
    GAUNTLET_TRY(const CanonicalHead head, checked_head(job));
    return add_checked(job, head);
  }

  Status add_checked(const SubmittedJob& job, const CanonicalHead& head) {
    GAUNTLET_TRY(KnownJob * known, jobs_.find(job.key));
    if (known == nullptr) return insert_job(job, head);
    if (known->member) return {};
    known->member = true;
    const KnownJob reused = *known;
    GAUNTLET_CHECK_OK(reuse_job(job, head, reused));
    return add_member(reused.id);
  }

  Status reuse_job(const SubmittedJob& job, const CanonicalHead& head, const KnownJob& known) {
    if (known.state == JobStateTag::kDone) ++outcome_.done_jobs;
    if (known.state != JobStateTag::kFailed) ++outcome_.reused_jobs;
    if (known.state == JobStateTag::kDone) return {};
    GAUNTLET_CHECK_OK(take_shape(head, job.resources));
    if (last_shape_ != known.shape) outcome_.changes.push_back({known.id, last_index_, last_shape_});
    // Sources may have moved since the job was first handed in.
    GAUNTLET_TRY(db::Statement * update,
                 connection_.cached("UPDATE job_specs SET locations = ?1 WHERE job_id = ?2 AND "
                                    "locations <> ?1"));
    return update->run_with(job.locations, known.id);
  }

  Status insert_job(const SubmittedJob& job, const CanonicalHead& head) {
    std::vector<JobId> needs;
    bool ready = true;
    for (const JobKey& key : job.needs) {
      GAUNTLET_TRY(const KnownJob* need, jobs_.find(key));
      if (need == nullptr) {  // not there, or this job itself
        return fail(ErrorCode::kInvalid,
                    "job {} ({}) needs job {}, which is neither known nor handed in before it",
                    job.key.brief(), job.title, key.brief());
      }
      ready = ready && need->state == JobStateTag::kDone;
      if (std::find(needs.begin(), needs.end(), need->id) == needs.end()) needs.push_back(need->id);
    }
    engine::JobRow row;
    row.state = ready ? JobStateTag::kQueued : JobStateTag::kWaiting;
    GAUNTLET_CHECK_OK(take_shape(head, job.resources));
    row.shape = last_index_;
    GAUNTLET_TRY(row.id, jobs_.insert(job, last_shape_, row.state, needs));
    outcome_.rows.jobs.push_back(row);
    for (const JobId need : needs) outcome_.rows.needs.push_back({row.id, need});
    outcome_.rows.members.push_back({outcome_.sweep.id, row.id});
    ++outcome_.new_jobs;
    return {};
  }

  /// Variants and labels as the column `more` holds them.
  static Result<std::string> more_of(const spec::Resources& asks) {
    if (asks.labels.empty() && asks.or_else.empty()) return std::string();
    Json more = spec::to_json(asks);
    for (const char* column : {"cpus", "gpus", "ranks", "memory_mb", "time_s"}) more.erase(column);
    return canonical_json(more);
  }

  /// Jobs come in long runs of one shape.
  Status take_shape(const CanonicalHead& head, const spec::Resources& asks) {
    if (last_shape_ != 0 && head == last_head_ && asks == last_asks_) return {};
    GAUNTLET_TRY(last_shape_, find_shape(head, asks));
    GAUNTLET_TRY(last_index_, shapes_.index_of(last_shape_, outcome_.rows.shapes));
    last_head_ = head;
    last_asks_ = asks;
    return {};
  }

  Result<std::int64_t> find_shape(const CanonicalHead& head, const spec::Resources& asks) {
    GAUNTLET_TRY(const std::string more, more_of(asks));
    const std::string name = fmt::format("{} {} {} {} {} {} {} {} {}", head.kind, head.entry, head.version,
                                         asks.cpus, asks.gpus, asks.ranks, asks.memory_mb, asks.time_s, more);
    const auto known = state_.shapes.find(name);
    if (known != state_.shapes.end()) return known->second;
    GAUNTLET_TRY(db::Statement * insert,
                 connection_.cached(
                     "INSERT INTO job_shapes (kind, entry, version, cpus, gpus, ranks, memory_mb, "
                     "time_s, more) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET kind = kind "
                     "RETURNING shape_id"));
    GAUNTLET_CHECK_OK(insert->bind_all(head.kind, head.entry, head.version, asks.cpus, asks.gpus, asks.ranks,
                                       asks.memory_mb, asks.time_s, more));
    GAUNTLET_CHECK_OK(insert->step());
    const std::int64_t id = insert->integer(0);
    GAUNTLET_CHECK_OK(insert->run());
    state_.shapes.emplace(name, id);
    return id;
  }

  Status add_member(JobId known) {
    GAUNTLET_TRY(db::Statement * insert,
                 connection_.cached("INSERT OR IGNORE INTO sweep_jobs (sweep_id, job_id) "
                                    "VALUES (?, ?)"));
    GAUNTLET_CHECK_OK(insert->run_with(outcome_.sweep.id, known));
    if (connection_.changes() > 0) outcome_.rows.members.push_back({outcome_.sweep.id, known});
    return {};
  }

  StoreState& state_;
  db::Connection& connection_;
  std::shared_ptr<const SubmissionHead> head_;
  std::int64_t at_ms_;
  ShapeReader shapes_;
  std::int64_t revision_ = 0;
  JobTable jobs_;
  CellTable cells_;
  CanonicalHead last_head_;
  spec::Resources last_asks_;
  std::int64_t last_shape_ = 0;   ///< of these two; 0 = none yet
  std::uint32_t last_index_ = 0;  ///< of that one in the outcome
  engine::SubmitOutcome outcome_;
};

}  // namespace

Status check_job(SubmittedJob& job) {
  GAUNTLET_TRY(job.head, checked_head(job));
  return {};
}

Result<std::unique_ptr<SubmissionWriter>> begin_submission(StoreState& state,
                                                           std::shared_ptr<const SubmissionHead> head,
                                                           std::int64_t at_ms) {
  auto submitter = std::make_unique<Submitter>(state, std::move(head), at_ms);
  GAUNTLET_CHECK_OK(submitter->begin());
  return submitter;
}

Result<engine::SubmitOutcome> submit_all(StoreState& state, const Submission& submission,
                                         std::int64_t at_ms) {
  Submitter submitter(state, std::make_shared<SubmissionHead>(submission), at_ms);
  GAUNTLET_CHECK_OK(submitter.begin());
  GAUNTLET_CHECK_OK(submitter.add(submission));
  return submitter.finish();
}

}  // namespace gauntlet::store
