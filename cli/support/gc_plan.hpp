// What of a work folder nothing needs any more, and its removal.
//
// Needed is, and never freed: what unfinished work reads, and what a finished cell ends in (heat maps, what a
// command left); its numbers, curves and readings per query are in the database. With a limit, artifacts that
// finished cells went through are freed as well, the cheapest to make again first; a job that needs one later
// has it made again. Thread safety: one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/store/usage.hpp"
#include "core/artifacts/artifact_store.hpp"
#include "core/base/result.hpp"

namespace gauntlet::db {
class Connection;
}

namespace gauntlet::cli {

/// Why something goes; the order is the one in which it is freed and shown.
enum class GcReason : std::uint8_t { kLeftover, kOrphan, kUnwanted, kOverLimit, kCheckpoint, kOldLog };
[[nodiscard]] std::string_view name_of(GcReason reason);

struct GcItem {
  GcReason reason = GcReason::kLeftover;
  std::filesystem::path path;
  std::uint64_t bytes = 0;
  std::string what;  ///< for people
  // Of an artifact; a job of 0 is one that the database does not know.
  std::optional<spec::JobKind> kind = {};
  JobKey key = {};
  JobId job = {};
  double wall_s = 0;          ///< what making it again took last time
  std::uint64_t attempt = 0;  ///< of a log
};

struct GcOptions {
  std::filesystem::path workdir;
  std::optional<std::uint64_t> max_bytes;     ///< of artifacts
  std::optional<std::int64_t> old_before_ms;  ///< logs and history that ended before go as well
};

struct GcPlan {
  std::vector<GcItem> items;
  store::History history;
  std::uint64_t freed_bytes = 0;     ///< of the items
  std::uint64_t artifact_bytes = 0;  ///< all artifacts and leftovers, before
  std::size_t n_kept = 0;            ///< artifacts that stay
  std::uint64_t kept_bytes = 0;
  std::uint64_t over_bytes = 0;  ///< what stays above the limit, since it is needed
};

/// Changes nothing; may run beside a coordinator. Errors: those of reading.
[[nodiscard]] Result<GcPlan> plan_gc(db::Connection& connection, const GcOptions& options);

/// Does it. The caller holds the work folder's lock, so that nobody submits meanwhile. What is freed is noted
/// in the database first, and renamed before it is removed: whenever this dies, what is left is consistent.
/// Errors: kIo, kNoSpace; what was freed until then stays freed.
[[nodiscard]] Status run_gc(db::Connection& connection, const GcOptions& options, const GcPlan& plan,
                            std::int64_t now_ms);

}  // namespace gauntlet::cli
