#include "cli/support/ended_jobs.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "core/db/connection.hpp"
#include "core/proto/convert.hpp"

namespace gauntlet::cli {

JobCounts EndedJobs::counts() const {
  JobCounts counts;
  counts.failed = failed.size();
  counts.blocked = blocked.size();
  counts.cancelled = cancelled.size();
  return counts;
}

Result<EndedJobs> ended_jobs(const std::filesystem::path& database, std::uint64_t sweep_id,
                             const spec::PlannedJobs& jobs) {
  GAUNTLET_TRY(db::Connection connection, db::Connection::open_read_only(database));
  GAUNTLET_TRY(db::Statement ended,
               connection.prepare("SELECT j.key, s.name FROM sweep_jobs m JOIN jobs j USING (job_id) "
                                  "JOIN job_states s ON s.state = j.state WHERE m.sweep_id = ? "
                                  "AND s.name IN ('failed', 'blocked', 'cancelled')"));
  GAUNTLET_CHECK_OK(ended.bind_all(sweep_id));
  EndedJobs found;
  std::unordered_map<JobKey, std::vector<JobKey> EndedJobs::*> states;
  while (true) {
    GAUNTLET_TRY(const bool has_row, ended.step());
    if (!has_row) break;
    const std::string_view state = ended.text(1);
    states[ended.key(0)] = state == "failed"    ? &EndedJobs::failed
                           : state == "blocked" ? &EndedJobs::blocked
                                                : &EndedJobs::cancelled;
  }
  for (std::size_t at = 0; at < jobs.size() && !states.empty(); ++at) {
    const auto own = states.find(jobs.key(at));
    if (own == states.end()) continue;
    (found.*own->second).push_back(own->first);
    states.erase(own);
  }
  for (const auto& [key, state] : states) found.others.push_back(key);
  return found;
}

void leave_out(const std::vector<JobKey>& jobs, proto::StatusReply& status) {
  if (jobs.empty()) return;
  const std::unordered_set<JobKey> left_out(jobs.begin(), jobs.end());
  auto& failed = *status.mutable_failed();
  failed.erase(std::remove_if(failed.begin(), failed.end(),
                              [&](const proto::FailedJob& job) {
                                const auto key = proto::key_from_bytes(job.key());
                                return key && left_out.contains(*key);
                              }),
               failed.end());
}

}  // namespace gauntlet::cli
