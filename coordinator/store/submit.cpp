#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "coordinator/store/canonical_head.hpp"
#include "coordinator/store/state.hpp"

namespace gauntlet::store {
namespace {

using engine::JobStateTag;

struct KnownJob {
  JobId id;
  JobStateTag state = JobStateTag::kWaiting;
  bool member = false;  ///< of the sweep, by this submission
};

class Submitter final : public SubmissionWriter {
 public:
  Submitter(StoreState& state, std::shared_ptr<const SubmissionHead> head, std::int64_t at_ms)
      : state_(state),
        connection_(state.connection),
        head_(std::move(head)),
        at_ms_(at_ms),
        shapes_(connection_) {}

  Status begin() { return add_sweep(); }

  Status add(const SubmissionPart& part) override {
    for (const SubmittedJob& job : part.jobs) GAUNTLET_CHECK_OK(add_job(job));
    for (const SubmittedCell& cell : part.cells) GAUNTLET_CHECK_OK(add_cell(cell));
    return {};
  }

  Result<engine::SubmitOutcome> finish() override {
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

  Result<KnownJob*> find_job(const JobKey& key) {
    const auto seen = jobs_.find(key);
    if (seen != jobs_.end()) return &seen->second;
    GAUNTLET_TRY(db::Statement * find, connection_.cached("SELECT job_id, state FROM jobs WHERE key = ?"));
    GAUNTLET_CHECK_OK(find->bind_all(key));
    GAUNTLET_TRY(const bool row, find->step());
    if (!row) return nullptr;
    const KnownJob job{.id = JobId{static_cast<std::uint64_t>(find->integer(0))},
                       .state = static_cast<JobStateTag>(find->integer(1))};
    find->reset();
    return &jobs_.emplace(key, job).first->second;
  }

  Status add_job(const SubmittedJob& job) {
    if (job.head) return add_checked(job);
    SubmittedJob checked = job;
    GAUNTLET_CHECK_OK(check_job(checked));
    return add_checked(checked);
  }

  Status add_checked(const SubmittedJob& job) {
    const auto [seen, is_new] = jobs_.try_emplace(job.key);
    KnownJob& here = seen->second;  // stays where it is while others are looked up
    if (here.member) return {};
    if (is_new) {
      Result<bool> inserted = insert_job(job, here);
      if (inserted && *inserted) return add_member(here);
      jobs_.erase(job.key);
      if (!inserted) return fail(std::move(inserted.error()));
    }
    GAUNTLET_TRY(KnownJob * known, find_job(job.key));
    GAUNTLET_CHECK_OK(reuse_job(job, *known));
    return add_member(*known);
  }

  Status reuse_job(const SubmittedJob& job, const KnownJob& known) {
    if (known.state == JobStateTag::kDone) ++outcome_.done_jobs;
    if (known.state != JobStateTag::kFailed) ++outcome_.reused_jobs;
    if (known.state == JobStateTag::kDone) return {};
    // Sources may have moved since the job was first handed in.
    GAUNTLET_TRY(db::Statement * update,
                 connection_.cached("UPDATE job_specs SET locations = ?1 WHERE job_id = ?2 AND "
                                    "locations <> ?1"));
    return update->run_with(job.locations, known.id);
  }

  /// Fills `inserted`; false: the database has the job already.
  Result<bool> insert_job(const SubmittedJob& job, KnownJob& inserted) {
    std::vector<JobId> needs;
    bool ready = true;
    for (const JobKey& key : job.needs) {
      GAUNTLET_TRY(const KnownJob* need, find_job(key));
      if (need == nullptr || !need->id) {  // not there, or this job itself
        return fail(ErrorCode::kInvalid,
                    "job {} ({}) needs job {}, which is neither known nor handed in before it",
                    job.key.brief(), job.title, key.brief());
      }
      ready = ready && need->state == JobStateTag::kDone;
      if (std::find(needs.begin(), needs.end(), need->id) == needs.end()) needs.push_back(need->id);
    }
    const JobStateTag state = ready ? JobStateTag::kQueued : JobStateTag::kWaiting;
    GAUNTLET_TRY(const std::int64_t shape, shape_id(*job.head, job.resources));
    GAUNTLET_TRY(db::Statement * insert,
                 connection_.cached("INSERT INTO jobs (key, shape_id, state, created_ms, "
                                    "changed_ms) VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING"));
    GAUNTLET_CHECK_OK(insert->run_with(job.key, shape, static_cast<int>(state), at_ms_, at_ms_));
    if (connection_.changes() == 0) return false;
    const JobId id{static_cast<std::uint64_t>(connection_.last_insert_id())};
    GAUNTLET_TRY(db::Statement * texts,
                 connection_.cached("INSERT INTO job_specs (job_id, title, canonical, locations) "
                                    "VALUES (?, ?, ?, ?)"));
    GAUNTLET_CHECK_OK(texts->run_with(id, job.title, job.canonical, job.locations));
    GAUNTLET_TRY(db::Statement * need_row,
                 connection_.cached("INSERT INTO needs (job_id, needs_job_id) VALUES (?, ?)"));
    for (const JobId need : needs) {
      GAUNTLET_CHECK_OK(need_row->run_with(id, need));
      outcome_.rows.needs.push_back({id, need});
    }
    inserted = KnownJob{.id = id, .state = state};
    engine::JobRow row;
    row.id = id;
    row.state = state;
    GAUNTLET_TRY(row.shape, shapes_.index_of(shape, outcome_.rows.shapes));
    outcome_.rows.jobs.push_back(row);
    ++outcome_.new_jobs;
    return true;
  }

  /// Variants and labels as the column `more` holds them.
  static Result<std::string> more_of(const spec::Resources& asks) {
    if (asks.labels.empty() && asks.or_else.empty()) return std::string();
    Json more = spec::to_json(asks);
    for (const char* column : {"cpus", "gpus", "ranks", "memory_mb", "time_s"}) more.erase(column);
    return canonical_json(more);
  }

  /// Jobs come in long runs of one shape.
  Result<std::int64_t> shape_id(const CanonicalHead& head, const spec::Resources& asks) {
    if (last_shape_ != 0 && head == last_head_ && asks == last_asks_) return last_shape_;
    GAUNTLET_TRY(last_shape_, find_shape(head, asks));
    last_head_ = head;
    last_asks_ = asks;
    return last_shape_;
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

  Status add_member(KnownJob& known) {
    known.member = true;
    GAUNTLET_TRY(db::Statement * insert,
                 connection_.cached("INSERT OR IGNORE INTO sweep_jobs (sweep_id, job_id) "
                                    "VALUES (?, ?)"));
    GAUNTLET_CHECK_OK(insert->run_with(outcome_.sweep.id, known.id));
    if (connection_.changes() > 0) outcome_.rows.members.push_back({outcome_.sweep.id, known.id});
    return {};
  }

  // ---------------------------------------------------------------- cells

  // Jobs of the cell with their roles; a job with several roles has them all, joined by "+".
  Result<std::map<JobId, std::string>> jobs_of(const SubmittedCell& cell) {
    std::map<JobId, std::set<std::string>> roles;
    for (const CellJob& part : cell.jobs) {
      GAUNTLET_TRY(const KnownJob* job, find_job(part.key));
      if (job == nullptr) {
        return fail(ErrorCode::kInvalid,
                    "the cell {} names job {} as its {}, which is neither known nor handed in",
                    text_of(cell.cell), part.key.brief(), part.role);
      }
      roles[job->id].insert(part.role);
    }
    std::map<JobId, std::string> joined;
    for (const auto& [job, names] : roles) joined.emplace(job, fmt::format("{}", fmt::join(names, "+")));
    return joined;
  }

  static std::string text_of(const spec::Cell& cell) {
    return fmt::format(
        "(dataset {}, model {}, {} bits, defense {}, attack {}, protocol {}, {}, variant '{}', seed {})",
        cell.dataset, cell.model, cell.bits, cell.defense, cell.attack, cell.protocol, cell.direction,
        cell.variant, cell.seed);
  }

  Status add_cell(const SubmittedCell& cell) {
    if (cell.cell.seed > static_cast<std::uint64_t>(INT64_MAX)) {
      return fail(ErrorCode::kInvalid, "the cell {}: a seed is at most {}", text_of(cell.cell), INT64_MAX);
    }
    GAUNTLET_TRY(const auto jobs, jobs_of(cell));
    GAUNTLET_TRY(const std::int64_t set, metric_set(cell.metrics));
    GAUNTLET_TRY(const std::int64_t existing, find_cell(cell.cell));
    if (existing != 0 && handled_.contains(existing)) return check_repeated(cell, existing, jobs);
    if (existing != 0) return renew_cell(existing, set, jobs);
    const spec::Cell& axes = cell.cell;
    GAUNTLET_TRY(db::Statement * insert,
                 connection_.cached(
                     "INSERT INTO cells (sweep_id, revision, metric_set, dataset, model, bits, defense, "
                     "attack, protocol, direction, variant, seed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
                     "?, ?)"));
    GAUNTLET_CHECK_OK(insert->run_with(outcome_.sweep.id, revision_, set, axes.dataset, axes.model, axes.bits,
                                       axes.defense, axes.attack, axes.protocol, axes.direction, axes.variant,
                                       axes.seed));
    ++outcome_.new_cells;
    const std::int64_t id = connection_.last_insert_id();
    handled_.insert(id);
    return add_cell_jobs(id, jobs);
  }

  Status check_repeated(const SubmittedCell& cell, std::int64_t cell_id,
                        const std::map<JobId, std::string>& jobs) {
    GAUNTLET_TRY(const auto before, stored_jobs(cell_id));
    if (before == jobs) return {};
    return fail(ErrorCode::kInvalid, "the sweep has the cell {} twice, with different jobs",
                text_of(cell.cell));
  }

  Result<std::map<JobId, std::string>> stored_jobs(std::int64_t cell_id) {
    GAUNTLET_TRY(db::Statement * read,
                 connection_.cached("SELECT cj.job_id, r.name FROM cell_jobs cj JOIN roles r ON "
                                    "r.role_id = cj.role_id WHERE cj.cell_id = ?"));
    GAUNTLET_CHECK_OK(read->bind_all(cell_id));
    std::map<JobId, std::string> jobs;
    while (true) {
      GAUNTLET_TRY(const bool row, read->step());
      if (!row) return jobs;
      jobs.emplace(JobId{static_cast<std::uint64_t>(read->integer(0))}, std::string(read->text(1)));
    }
  }

  Result<std::int64_t> find_cell(const spec::Cell& axes) {
    GAUNTLET_TRY(
        db::Statement * find,
        connection_.cached("SELECT cell_id FROM cells WHERE sweep_id = ? AND dataset = ? AND model = ? AND "
                           "bits = ? AND defense = ? AND attack = ? AND protocol = ? AND direction = ? AND "
                           "variant = ? AND seed = ?"));
    GAUNTLET_CHECK_OK(find->bind_all(outcome_.sweep.id, axes.dataset, axes.model, axes.bits, axes.defense,
                                     axes.attack, axes.protocol, axes.direction, axes.variant, axes.seed));
    GAUNTLET_TRY(const bool row, find->step());
    const std::int64_t id = row ? find->integer(0) : 0;
    find->reset();
    return id;
  }

  Status renew_cell(std::int64_t cell_id, std::int64_t set, const std::map<JobId, std::string>& jobs) {
    GAUNTLET_TRY(db::Statement * update,
                 connection_.cached("UPDATE cells SET revision = ?1, metric_set = ?2 WHERE "
                                    "cell_id = ?3 AND (revision <> ?1 OR metric_set <> ?2)"));
    GAUNTLET_CHECK_OK(update->run_with(revision_, set, cell_id));
    handled_.insert(cell_id);
    GAUNTLET_TRY(const auto before, stored_jobs(cell_id));
    if (before == jobs) return {};
    GAUNTLET_TRY(db::Statement * remove, connection_.cached("DELETE FROM cell_jobs WHERE cell_id = ?"));
    GAUNTLET_CHECK_OK(remove->run_with(cell_id));
    return add_cell_jobs(cell_id, jobs);
  }

  Status add_cell_jobs(std::int64_t cell_id, const std::map<JobId, std::string>& jobs) {
    GAUNTLET_TRY(db::Statement * insert,
                 connection_.cached("INSERT INTO cell_jobs (cell_id, job_id, role_id) VALUES "
                                    "(?, ?, ?)"));
    for (const auto& [job, role] : jobs) {
      GAUNTLET_TRY(const std::int64_t role_id, id_of_role(role));
      GAUNTLET_CHECK_OK(insert->run_with(cell_id, job, role_id));
    }
    return {};
  }

  Result<std::int64_t> id_of_role(const std::string& role) {
    const auto known = state_.roles.find(role);
    if (known != state_.roles.end()) return known->second;
    GAUNTLET_TRY(db::Statement * insert,
                 connection_.cached("INSERT INTO roles (name) VALUES (?) ON CONFLICT DO UPDATE "
                                    "SET name = name RETURNING role_id"));
    GAUNTLET_CHECK_OK(insert->bind_all(role));
    GAUNTLET_CHECK_OK(insert->step());
    const std::int64_t id = insert->integer(0);
    GAUNTLET_CHECK_OK(insert->run());
    state_.roles.emplace(role, id);
    return id;
  }

  // The number of a set of metric names; an empty set is 0.
  Result<std::int64_t> metric_set(std::vector<std::string> names) {
    if (names.empty()) return 0;
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    if (state_.metric_sets.empty()) GAUNTLET_CHECK_OK(read_metric_sets());
    const auto known = state_.metric_sets.find(names);
    if (known != state_.metric_sets.end()) return known->second;
    GAUNTLET_TRY(const std::int64_t last, connection_.integer("SELECT max(metric_set) FROM cell_metrics"));
    GAUNTLET_TRY(db::Statement * insert,
                 connection_.cached("INSERT INTO cell_metrics (metric_set, metric) VALUES (?, ?)"));
    for (const std::string& name : names) GAUNTLET_CHECK_OK(insert->run_with(last + 1, name));
    state_.metric_sets.emplace(std::move(names), last + 1);
    return last + 1;
  }

  Status read_metric_sets() {
    std::map<std::int64_t, std::vector<std::string>> sets;
    GAUNTLET_TRY(db::Statement * read,
                 connection_.cached("SELECT metric_set, metric FROM cell_metrics ORDER BY "
                                    "metric_set, metric"));
    while (true) {
      GAUNTLET_TRY(const bool row, read->step());
      if (!row) break;
      sets[read->integer(0)].emplace_back(read->text(1));
    }
    for (auto& [id, names] : sets) state_.metric_sets.emplace(std::move(names), id);
    return {};
  }

  StoreState& state_;
  db::Connection& connection_;
  std::shared_ptr<const SubmissionHead> head_;
  std::int64_t at_ms_;
  ShapeReader shapes_;
  std::int64_t revision_ = 0;
  std::unordered_map<JobKey, KnownJob> jobs_;
  CanonicalHead last_head_;
  spec::Resources last_asks_;
  std::int64_t last_shape_ = 0;               ///< of these two; 0 = none yet
  std::unordered_set<std::int64_t> handled_;  ///< cells of this submission
  engine::SubmitOutcome outcome_;
};

}  // namespace

Status check_job(SubmittedJob& job) {
  if (sha256(job.canonical) != job.key.digest) {
    return fail(ErrorCode::kInvalid,
                "job {} ({}): the key is not the SHA-256 of the canonical text, which is {}", job.key.brief(),
                job.title, to_hex(sha256(job.canonical)).substr(0, 12));
  }
  Result<CanonicalHead> head = read_canonical_head(job.canonical);
  if (!head) {
    return fail(ErrorCode::kInvalid, "job {} ({}): {}", job.key.brief(), job.title, head.error().message);
  }
  job.head = std::move(*head);
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
