// What must hold in a database, worked out again from its rows alone: nothing here trusts the program that
// wrote them. Read-only; may run beside a coordinator. Thread safety: none; the connection's thread.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/base/ids.hpp"
#include "core/base/result.hpp"
#include "core/spec/job_spec.hpp"

namespace gauntlet::db {
class Connection;
}

namespace gauntlet::store {

/// One thing that is not as it should be.
struct Finding {
  std::string check;    ///< which rule: "sqlite", "foreign keys", "states", "leases", …
  std::string subject;  ///< "job 3fa9c2d41b07", "sweep quickstart", …
  std::string message;  ///< what is wrong with it, a clause that follows the subject
  auto operator<=>(const Finding&) const = default;
};

/// What was looked at.
struct DatabaseCounts {
  std::int64_t sweeps = 0;
  std::int64_t cells = 0;
  std::int64_t jobs = 0;
  std::int64_t attempts = 0;
  std::int64_t numbers = 0;
};

/// SQLite's own checks of the file: its structure, every reference. Errors: those of reading; damage that
/// SQLite can name is a finding.
[[nodiscard]] Result<std::vector<Finding>> check_file(db::Connection& connection);

/// States against needs, leases against attempts, numbers against the attempts that measured them, cells
/// against jobs, keys against the texts they are the hash of. One consistent moment, whoever writes
/// meanwhile. Errors: those of reading.
[[nodiscard]] Result<std::vector<Finding>> check_invariants(db::Connection& connection);

[[nodiscard]] Result<DatabaseCounts> count_rows(db::Connection& connection);

/// A done job and the artifact it reported.
struct DoneArtifact {
  JobId job;
  JobKey key;
  spec::JobKind kind = spec::JobKind::kNoop;
  std::string title;
  AttemptNo attempt;
  std::string manifest;       ///< SHA-256 of its manifest, hexadecimal
  std::int64_t ended_ms = 0;  ///< of that attempt
  double wall_s = 0;
};

/// Every done job whose attempt reported an artifact, but for those that `gauntlet gc` has freed since.
[[nodiscard]] Status for_each_artifact(db::Connection& connection,
                                       const std::function<Status(DoneArtifact)>& take);
/// Whether the job is still done by that attempt with its artifact not freed.
[[nodiscard]] Result<bool> is_still_done(db::Connection& connection, const DoneArtifact& artifact);
/// Keys of every job, sorted.
[[nodiscard]] Result<std::vector<JobKey>> all_keys(db::Connection& connection);

}  // namespace gauntlet::store
