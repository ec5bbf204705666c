// The database's shape, as numbered steps. A database says how far it is in its user_version.
#pragma once

#include <span>
#include <string_view>

#include "core/base/result.hpp"
#include "core/db/connection.hpp"

namespace gauntlet::db {

/// Marks a file as ours ("GNTL"), in SQLite's application_id.
inline constexpr std::int64_t kApplicationId = 0x474E544C;

/// One file schemas/db/NNN_<what>.sql; numbers are 1, 2, 3, … without holes.
struct Migration {
  int number;
  std::string_view file;
  std::string_view sql;
};

/// The steps this program was built with, in order.
[[nodiscard]] std::span<const Migration> embedded_migrations();

/// Brings a database to the newest shape, each step in a transaction of its own. An empty file becomes a new
/// database. Errors: kRefused (the database is newer than the program; both numbers shown), kCorrupt (another
/// program's database).
[[nodiscard]] Status migrate(Connection& connection,
                             std::span<const Migration> steps = embedded_migrations());

/// For readers: checks that the database is ours and of the shape this program knows. Errors as above, and
/// kRefused for an older one, which a writing command brings up to date.
[[nodiscard]] Status check_version(Connection& connection,
                                   std::span<const Migration> steps = embedded_migrations());

}  // namespace gauntlet::db
