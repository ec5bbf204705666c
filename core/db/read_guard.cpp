#include "core/db/read_guard.hpp"

#include <sqlite3.h>

#include <array>
#include <string_view>

namespace gauntlet::db {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::array kReadingPragmas = {
    "table_info",  "table_xinfo",    "table_list",       "index_list",      "index_info",
    "index_xinfo", "database_list",  "foreign_key_list", "compile_options", "function_list",
    "pragma_list", "collation_list", "user_version",     "application_id",  "page_count",
    "page_size",   "journal_mode",   "freelist_count"};

// Called by SQLite while it compiles a statement, for everything the statement would do.
int allow_reading_only(void*, int action, const char* first, const char* second, const char*, const char*) {
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE:
      return SQLITE_OK;
    case SQLITE_FUNCTION:
      return std::string_view(second) == "load_extension" ? SQLITE_DENY : SQLITE_OK;
    case SQLITE_PRAGMA: {
      const std::string_view name = first == nullptr ? "" : first;
      for (const std::string_view known : kReadingPragmas) {
        // An argument names a table or index, apart from those settings that it would change.
        const bool is_setting = known == "user_version" || known == "application_id" ||
                                known == "journal_mode" || known == "page_size";
        if (name == known && (second == nullptr || !is_setting)) return SQLITE_OK;
      }
      return SQLITE_DENY;
    }
    default:
      return SQLITE_DENY;
  }
}

int stop_at_deadline(void* context) {
  return Clock::now() >= *static_cast<Clock::time_point*>(context) ? 1 : 0;
}

// How often the deadline is looked at, in steps of SQLite's virtual machine; some ten thousand take a
// millisecond.
constexpr int kStepsPerLook = 10000;

}  // namespace

ReadGuard::ReadGuard(Connection& connection, double time_limit_s, int max_value_bytes)
    : connection_(connection) {
  sqlite3_set_authorizer(connection.handle(), allow_reading_only, nullptr);
  sqlite3_limit(connection.handle(), SQLITE_LIMIT_LENGTH, max_value_bytes);
  if (time_limit_s <= 0) return;
  const auto limit = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(time_limit_s));
  deadline_ = std::make_unique<Clock::time_point>(Clock::now() + limit);
  sqlite3_progress_handler(connection.handle(), kStepsPerLook, stop_at_deadline, deadline_.get());
}

ReadGuard::~ReadGuard() {
  sqlite3_progress_handler(connection_.handle(), 0, nullptr, nullptr);
  sqlite3_set_authorizer(connection_.handle(), nullptr, nullptr);
}

bool ReadGuard::is_refusal(const Error& error) {
  // SQLite gives functions that the authorizer refuses the code of an ordinary mistake.
  return error.message.find("not authorized") != std::string::npos ||
         error.message.find("authorization denied") != std::string::npos;
}

}  // namespace gauntlet::db
