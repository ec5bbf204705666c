#include <algorithm>
#include <cctype>

#include "coordinator/store/state.hpp"
#include "results/query/where.hpp"

namespace gauntlet::store {
namespace {

// The keys that start with a prefix are one range: from the prefix filled up with 0 to the prefix filled up
// with f.
Result<std::pair<JobKey, JobKey>> key_range(std::string_view prefix) {
  const bool is_hex = std::all_of(prefix.begin(), prefix.end(),
                                  [](unsigned char letter) { return std::isxdigit(letter) != 0; });
  if (!is_hex || prefix.size() > 64) {
    return fail(ErrorCode::kInvalid, "'{}' is not the start of a job key (up to 64 hexadecimal digits)",
                prefix);
  }
  const std::string first(prefix);
  GAUNTLET_TRY(const Digest low, digest_from_hex(first + std::string(64 - first.size(), '0')));
  GAUNTLET_TRY(const Digest high, digest_from_hex(first + std::string(64 - first.size(), 'f')));
  return std::pair(JobKey{low}, JobKey{high});
}

std::string sql_of(const Selection& selection, const results::Where& where) {
  std::string sql = "SELECT j.job_id FROM jobs j WHERE j.key BETWEEN ? AND ?";
  if (selection.sweep) sql += " AND j.job_id IN (SELECT job_id FROM sweep_jobs WHERE sweep_id = ?)";
  if (!selection.states.empty()) {
    sql += " AND j.state IN (";
    for (std::size_t i = 0; i < selection.states.size(); ++i) sql += i == 0 ? "?" : ",?";
    sql += ")";
  }
  const std::string sweep = selection.sweep ? "c.sweep_id = ?" : "1";
  if (where.names_job) {
    // Jobs without cells can be meant too; that they are of the sweep is asked above.
    sql += fmt::format(
        " AND EXISTS (SELECT 1 FROM (SELECT 1) LEFT JOIN (cell_jobs cj JOIN cells c ON c.cell_id = "
        "cj.cell_id) "
        "ON cj.job_id = j.job_id WHERE ({} OR c.sweep_id IS NULL) AND ({}))",
        sweep, where.sql);
  } else if (!selection.where.empty()) {
    sql += fmt::format(
        " AND j.job_id IN (SELECT cj.job_id FROM cells c JOIN cell_jobs cj ON cj.cell_id = c.cell_id "
        "WHERE {} AND ({}))",
        sweep, where.sql);
  }
  if (!selection.exclusive) return sql + " ORDER BY j.job_id";
  // Of the cells that need the job, all must be among the selected ones; of the sweeps too, for jobs without
  // cells.
  const std::string inside = selection.where.empty() ? sweep : fmt::format("{} AND ({})", sweep, where.sql);
  sql += fmt::format(
      " AND NOT EXISTS (SELECT 1 FROM cell_jobs cj JOIN cells c ON c.cell_id = cj.cell_id WHERE "
      "cj.job_id = j.job_id AND NOT ({}))",
      inside);
  if (selection.sweep) {
    sql += " AND NOT EXISTS (SELECT 1 FROM sweep_jobs sj WHERE sj.job_id = j.job_id AND sj.sweep_id <> ?)";
  }
  return sql + " ORDER BY j.job_id";
}

/// Binds values one after the other.
class Binder {
 public:
  explicit Binder(db::Statement& statement) : statement_(statement) {}
  template <class T>
  void operator()(const T& value) {
    if (status) status = statement_.bind_at(++index_, value);
  }
  void operator()(const results::Where& where) {
    for (const auto& value : where.values) std::visit([&](const auto& v) { (*this)(v); }, value);
  }
  Status status;

 private:
  db::Statement& statement_;
  int index_ = 0;
};

}  // namespace

Result<std::vector<JobId>> select_jobs(db::Connection& connection, const Selection& selection) {
  results::Where where;
  if (!selection.where.empty()) {
    GAUNTLET_TRY(where, results::parse_where(selection.where, results::job_columns()));
  }
  GAUNTLET_TRY(const auto range, key_range(selection.key_prefix));
  GAUNTLET_TRY(db::Statement statement, connection.prepare(sql_of(selection, where)));
  Binder bind(statement);
  bind(range.first);
  bind(range.second);
  if (selection.sweep) bind(selection.sweep);
  for (const engine::JobStateTag state : selection.states) bind(static_cast<int>(state));
  if (!selection.where.empty()) {
    if (selection.sweep) bind(selection.sweep);
    bind(where);
  }
  if (selection.exclusive) {
    if (selection.sweep) bind(selection.sweep);
    bind(where);
    if (selection.sweep) bind(selection.sweep);
  }
  GAUNTLET_CHECK_OK(bind.status);
  std::vector<JobId> jobs;
  while (true) {
    GAUNTLET_TRY(const bool row, statement.step());
    if (!row) return jobs;
    jobs.push_back(JobId{static_cast<std::uint64_t>(statement.integer(0))});
  }
}

Result<std::vector<CancelledJobs>> cancelled_jobs(db::Connection& connection, SweepId sweep) {
  GAUNTLET_TRY(
      db::Statement * read,
      connection.cached("SELECT coalesce(j.message, ''), count(*) FROM jobs j WHERE j.state = 6 AND (?1 = 0 "
                        "OR EXISTS (SELECT 1 FROM sweep_jobs m WHERE m.sweep_id = ?1 AND m.job_id = "
                        "j.job_id)) GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20"));
  GAUNTLET_CHECK_OK(read->bind_all(sweep));
  std::vector<CancelledJobs> groups;
  while (true) {
    GAUNTLET_TRY(const bool row, read->step());
    if (!row) return groups;
    groups.push_back({std::string(read->text(0)), static_cast<std::uint64_t>(read->integer(1))});
  }
}

Result<std::vector<JobDetail>> job_details(db::Connection& connection, std::span<const JobId> jobs) {
  GAUNTLET_TRY(db::Statement * read,
               connection.cached(
                   "SELECT j.key, sh.kind, sp.title, j.state, j.code, j.message, a.log FROM jobs j JOIN "
                   "job_specs sp ON sp.job_id = j.job_id JOIN job_shapes sh ON sh.shape_id = j.shape_id "
                   "LEFT JOIN attempts a ON a.job_id = j.job_id AND a.attempt = j.attempt WHERE j.job_id "
                   "= ?"));
  std::vector<JobDetail> details;
  for (const JobId job : jobs) {
    GAUNTLET_CHECK_OK(read->bind_all(job));
    GAUNTLET_TRY(const bool row, read->step());
    if (!row) continue;
    JobDetail detail;
    detail.job = job;
    detail.key = read->key(0);
    detail.kind = static_cast<spec::JobKind>(read->integer(1));
    detail.title = read->text(2);
    detail.state = static_cast<engine::JobStateTag>(read->integer(3));
    if (!read->is_null(4)) detail.code = static_cast<ErrorCode>(read->integer(4));
    detail.message = read->text(5);
    detail.log = read->text(6);
    details.push_back(std::move(detail));
    read->reset();
  }
  return details;
}

}  // namespace gauntlet::store
