#include "coordinator/store/cell_table.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace gauntlet::store {
namespace {

std::string text_of(const spec::Cell& cell) {
  return fmt::format(
      "(dataset {}, model {}, {} bits, defense {}, attack {}, protocol {}, {}, variant '{}', seed {})",
      cell.dataset, cell.model, cell.bits, cell.defense, cell.attack, cell.protocol, cell.direction,
      cell.variant, cell.seed);
}

}  // namespace

Result<std::map<JobId, std::string>> CellTable::jobs_of(const SubmittedCell& cell) {
  std::map<JobId, std::set<std::string>> roles;
  for (const CellJob& part : cell.jobs) {
    GAUNTLET_TRY(const KnownJob* job, jobs_.find(part.key));
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

Status CellTable::add(const SubmittedCell& cell) {
  if (cell.cell.seed > static_cast<std::uint64_t>(INT64_MAX)) {
    return fail(ErrorCode::kInvalid, "the cell {}: a seed is at most {}", text_of(cell.cell), INT64_MAX);
  }
  GAUNTLET_TRY(const auto jobs, jobs_of(cell));
  GAUNTLET_TRY(const std::int64_t set, metric_set(cell.metrics));
  GAUNTLET_TRY(const std::int64_t existing, find_cell(cell.cell));
  if (existing != 0 && handled_.contains(existing)) return check_repeated(cell, existing, jobs);
  if (existing != 0) return renew_cell(existing, set, jobs);
  const spec::Cell& axes = cell.cell;
  GAUNTLET_TRY(
      db::Statement * insert,
      connection_.cached("INSERT INTO cells (sweep_id, revision, metric_set, dataset, model, bits, defense, "
                         "attack, protocol, direction, variant, seed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
                         "?, ?)"));
  GAUNTLET_CHECK_OK(insert->run_with(sweep_, revision_, set, axes.dataset, axes.model, axes.bits,
                                     axes.defense, axes.attack, axes.protocol, axes.direction, axes.variant,
                                     axes.seed));
  ++n_new_;
  const std::int64_t id = connection_.last_insert_id();
  handled_.insert(id);
  return add_cell_jobs(id, jobs);
}

Status CellTable::check_repeated(const SubmittedCell& cell, std::int64_t cell_id,
                                 const std::map<JobId, std::string>& jobs) {
  GAUNTLET_TRY(const auto before, stored_jobs(cell_id));
  if (before == jobs) return {};
  return fail(ErrorCode::kInvalid, "the sweep has the cell {} twice, with different jobs",
              text_of(cell.cell));
}

Result<std::map<JobId, std::string>> CellTable::stored_jobs(std::int64_t cell_id) {
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

Result<std::int64_t> CellTable::find_cell(const spec::Cell& axes) {
  GAUNTLET_TRY(
      db::Statement * find,
      connection_.cached("SELECT cell_id FROM cells WHERE sweep_id = ? AND dataset = ? AND model = ? AND "
                         "bits = ? AND defense = ? AND attack = ? AND protocol = ? AND direction = ? AND "
                         "variant = ? AND seed = ?"));
  GAUNTLET_CHECK_OK(find->bind_all(sweep_, axes.dataset, axes.model, axes.bits, axes.defense, axes.attack,
                                   axes.protocol, axes.direction, axes.variant, axes.seed));
  GAUNTLET_TRY(const bool row, find->step());
  const std::int64_t id = row ? find->integer(0) : 0;
  find->reset();
  return id;
}

Status CellTable::renew_cell(std::int64_t cell_id, std::int64_t set,
                             const std::map<JobId, std::string>& jobs) {
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

Status CellTable::add_cell_jobs(std::int64_t cell_id, const std::map<JobId, std::string>& jobs) {
  GAUNTLET_TRY(db::Statement * insert,
               connection_.cached("INSERT INTO cell_jobs (cell_id, job_id, role_id) VALUES "
                                  "(?, ?, ?)"));
  for (const auto& [job, role] : jobs) {
    GAUNTLET_TRY(const std::int64_t role_id, id_of_role(role));
    GAUNTLET_CHECK_OK(insert->run_with(cell_id, job, role_id));
  }
  return {};
}

Result<std::int64_t> CellTable::id_of_role(const std::string& role) {
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

Result<std::int64_t> CellTable::metric_set(std::vector<std::string> names) {
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

Status CellTable::read_metric_sets() {
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

}  // namespace gauntlet::store
