// What a database still needs of the files beside it, and what of its own history it can do without.
// Thread safety: none; the connection's thread.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/base/ids.hpp"
#include "core/base/result.hpp"
#include "core/spec/job_spec.hpp"

namespace gauntlet::db {
class Connection;
}

namespace gauntlet::store {

/// How much the artifact of a job is needed, from least to most.
enum class Need : std::uint8_t {
  kUnwanted,    ///< by no cell of any sweep in its newest form, and by no unfinished job
  kMadeAgain,   ///< finished cells went through it; it is made again if something new needs it
  kFinal,       ///< a finished cell ends in it: a heat map, what a command left
  kUnfinished,  ///< unfinished work reads it, or something made from it
};

struct JobUse {
  JobId job;
  spec::JobKind kind = spec::JobKind::kNoop;
  Need need = Need::kUnwanted;
  bool done = false;
  bool leased = false;
  std::uint64_t attempt = 0;  ///< number of the last one; 0 = none yet
  std::int64_t ended_ms = 0;  ///< of the last one; 0 = none, or it runs
  double wall_s = 0;          ///< what the last one took: the price of making the artifact again
};

/// Every job, by key. Of one moment.
[[nodiscard]] Result<std::unordered_map<JobKey, JobUse>> job_uses(db::Connection& connection);

/// An attempt whose log file goes.
struct LogRow {
  JobId job;
  std::uint64_t attempt = 0;
};

/// Notes, in one transaction and before anything is removed, that these artifacts and logs are gone on
/// purpose: an event `freed` per artifact, no path of a log where there is none.
[[nodiscard]] Status note_freed(db::Connection& connection, std::span<const JobId> artifacts,
                                std::span<const LogRow> logs, std::int64_t at_ms);

/// Rows of history; never any that a number, a curve, a lease or a job's present state refers to.
struct History {
  std::int64_t attempts = 0;  ///< superseded by later ones
  std::int64_t events = 0;
  std::int64_t workers = 0;       ///< that left, and that no attempt names
  std::int64_t environments = 0;  ///< that no attempt names
};

/// Counts, or removes in one transaction, what ended before that time.
[[nodiscard]] Result<History> count_history(db::Connection& connection, std::int64_t before_ms);
[[nodiscard]] Result<History> remove_history(db::Connection& connection, std::int64_t before_ms);

}  // namespace gauntlet::store
