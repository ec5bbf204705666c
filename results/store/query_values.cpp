#include "results/store/query_values.hpp"

#include <cstring>

namespace gauntlet::results {

Result<std::vector<float>> query_values(db::Connection& connection, std::int64_t job_id,
                                        const std::string& metric) {
  GAUNTLET_TRY(db::Statement * statement,
               connection.cached("SELECT q.per_query FROM metrics m JOIN result_queries q "
                                 "ON q.metric_id = m.metric_id AND q.job_id = ? WHERE m.name = ?"));
  GAUNTLET_CHECK_OK(statement->bind_all(job_id, metric));
  GAUNTLET_TRY(const bool found, statement->step());
  if (!found) return std::vector<float>();
  const std::span<const std::byte> bytes = statement->blob(0);
  if (bytes.size() % sizeof(float) != 0) {
    return fail(ErrorCode::kCorrupt,
                "{}: the values per query of {} of job {} take {} bytes, no multiple of 4", connection.path(),
                metric, job_id, bytes.size());
  }
  std::vector<float> values(bytes.size() / sizeof(float));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

}  // namespace gauntlet::results
