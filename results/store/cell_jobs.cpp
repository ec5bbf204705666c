#include "results/store/cell_jobs.hpp"

#include <cstring>
#include <span>

namespace gauntlet::results {

Result<std::vector<JobOfCell>> jobs_of_cell(db::Connection& connection, std::int64_t cell_id) {
  GAUNTLET_TRY(
      db::Statement * statement,
      connection.cached(
          "SELECT r.name, k.name, j.key, s.name, sp.title, COALESCE(j.message, '') FROM cell_jobs cj "
          "JOIN roles r ON r.role_id = cj.role_id JOIN jobs j ON j.job_id = cj.job_id "
          "JOIN job_shapes sh ON sh.shape_id = j.shape_id JOIN job_kinds k ON k.kind = sh.kind "
          "JOIN job_states s ON s.state = j.state JOIN job_specs sp ON sp.job_id = j.job_id "
          "WHERE cj.cell_id = ? ORDER BY j.job_id"));
  GAUNTLET_CHECK_OK(statement->bind_all(cell_id));
  std::vector<JobOfCell> jobs;
  while (true) {
    GAUNTLET_TRY(const bool row, statement->step());
    if (!row) return jobs;
    JobOfCell job;
    job.role = statement->text(0);
    GAUNTLET_TRY(job.kind, spec::job_kind_from(statement->text(1)));
    const std::span<const std::byte> key = statement->blob(2);
    if (key.size() != job.key.digest.size())
      return fail(ErrorCode::kCorrupt, "a job's key in the database has {} bytes", key.size());
    std::memcpy(job.key.digest.data(), key.data(), key.size());
    job.state = statement->text(3);
    job.title = statement->text(4);
    job.message = statement->text(5);
    jobs.push_back(std::move(job));
  }
}

}  // namespace gauntlet::results
