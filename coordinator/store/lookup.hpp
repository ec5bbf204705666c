// Finding one job and its attempts, on any connection: the coordinator's, or a reader's beside it.
// Thread safety: none; the connection's thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "coordinator/store/job_store.hpp"
#include "core/base/result.hpp"

namespace gauntlet::store {

/// One attempt of a job as the database has it.
struct AttemptRow {
  AttemptNo attempt;
  WorkerId worker;
  std::string worker_name;
  std::string outcome;  ///< "running", "done", or the name of the error code
  std::string message;  ///< of a failed one
  std::string log;      ///< relative to the work folder; "" while it runs, and for attempts without one
  std::int64_t started_ms = 0;
  std::int64_t ended_ms = 0;  ///< 0 = it runs
  double wall_s = 0;          ///< 0 = not known
};

struct JobAttempts {
  JobDetail job;
  std::vector<AttemptRow> attempts;  ///< by growing number
};

/// The one job whose key starts so. Errors: kInvalid (fewer than 4 digits, no hexadecimal digits; several
/// jobs: names some), kNotFound.
[[nodiscard]] Result<JobDetail> find_one_job(db::Connection& connection, const std::string& key_prefix);

/// That job with every attempt. Errors: as above.
[[nodiscard]] Result<JobAttempts> job_attempts(db::Connection& connection, const std::string& key_prefix);

/// The attempt with this number, or the last one for 0. Errors (kNotFound): says what there is.
[[nodiscard]] Result<AttemptRow> choose_attempt(const JobAttempts& found, std::uint64_t number);

}  // namespace gauntlet::store
