#include "core/db/connection.hpp"

#include <sqlite3.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "core/db/error.hpp"

namespace gauntlet::db {
namespace {

namespace fs = std::filesystem;

struct NetworkFileSystem {
  unsigned long magic;  // of statfs(2)
  const char* name;
};

constexpr std::array kNetworkFileSystems = {
    NetworkFileSystem{0x6969, "NFS"},        NetworkFileSystem{0x0BD00BD0, "Lustre"},
    NetworkFileSystem{0x517B, "SMB"},        NetworkFileSystem{0xFF534D42, "CIFS"},
    NetworkFileSystem{0xFE534D42, "SMB2"},   NetworkFileSystem{0x47504653, "GPFS"},
    NetworkFileSystem{0x19830326, "BeeGFS"}, NetworkFileSystem{0x00C36400, "Ceph"},
};

// WAL keeps its index in shared memory, which two machines do not share: such a database loses data.
Status refuse_network_file_system(const fs::path& path) {
  fs::path folder = path.parent_path();
  if (folder.empty()) folder = ".";
  struct statfs about {};
  if (::statfs(folder.c_str(), &about) != 0) return {};
  const auto magic = static_cast<unsigned long>(about.f_type) & 0xFFFFFFFFUL;
  const auto found = std::find_if(kNetworkFileSystems.begin(), kNetworkFileSystems.end(),
                                  [&](const NetworkFileSystem& known) { return known.magic == magic; });
  if (found == kNetworkFileSystems.end()) return {};
  return fail(
      ErrorCode::kRefused,
      "database {} would be on a network file system ({}), which cannot keep it safe; give a path on a local "
      "disk with --database",
      path.string(), found->name);
}

/// SQLite's own locks and counters guard what no two threads share here; they cost a tenth of a busy writer's
/// time.
void configure_once() {
  static const int configured = [] {
    sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
    return sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  }();
  static_cast<void>(configured);  // refused when another library opened SQLite first: slower, not wrong
}

std::string uri_of(const fs::path& path, std::string_view query) {
  std::string uri = "file:";
  for (const char letter : fs::absolute(path).string()) {
    if (std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '/' || letter == '-' ||
        letter == '_' || letter == '.') {
      uri += letter;
    } else {
      uri += fmt::format("%{:02X}", static_cast<unsigned char>(letter));
    }
  }
  return uri + "?" + std::string(query);
}

}  // namespace

Result<Connection> Connection::open(const std::string& name, const std::string& path, int flags,
                                    int busy_timeout_ms) {
  configure_once();
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(name.c_str(), &handle, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  Connection connection(handle, path);  // closes the handle on every path
  if (code != SQLITE_OK) return fail(error_of(handle, code, path));
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, busy_timeout_ms);
  // Definitions stored in a database file are not trusted to call functions with side effects.
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  return connection;
}

Result<Connection> Connection::open_read_write(const fs::path& path, int busy_timeout_ms) {
  GAUNTLET_CHECK_OK(refuse_network_file_system(path));
  GAUNTLET_TRY(Connection connection, open(path.string(), path.string(),
                                           SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, busy_timeout_ms));
  if (sqlite3_db_readonly(connection.handle(), "main") == 1) {
    return fail(ErrorCode::kIo, "cannot write database {}: the file or its folder is read-only",
                path.string());
  }
  GAUNTLET_TRY(const std::string mode, connection.text("PRAGMA journal_mode=WAL"));
  if (mode != "wal") {
    return fail(ErrorCode::kIo, "database {} cannot use a write-ahead log here (journal mode stays '{}')",
                path.string(), mode);
  }
  GAUNTLET_CHECK_OK(
      connection.execute("PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
                         "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-65536;"));
  GAUNTLET_CHECK_OK(connection.execute(fmt::format("PRAGMA wal_autocheckpoint={};", kLogPages)));
  return connection;
}

Result<Connection> Connection::open_reader(const std::string& name, const std::string& path, int flags,
                                           int busy_timeout_ms) {
  GAUNTLET_TRY(Connection connection, open(name, path, flags, busy_timeout_ms));
  GAUNTLET_CHECK_OK(
      connection.execute("PRAGMA query_only=ON; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-65536;"));
  GAUNTLET_CHECK_OK(connection.integer("SELECT count(*) FROM sqlite_schema"));
  return connection;
}

Result<Connection> Connection::open_read_only(const fs::path& path, int busy_timeout_ms) {
  std::error_code error;
  if (!fs::exists(path, error)) return fail(ErrorCode::kNotFound, "there is no database {}", path.string());
  Result<Connection> connection =
      open_reader(path.string(), path.string(), SQLITE_OPEN_READONLY, busy_timeout_ms);
  if (connection || connection.error().code != ErrorCode::kIo) return connection;
  // A WAL database wants to make its shared-memory file. Where it may not, and no log waits to be read, the
  // file cannot change under us either.
  const fs::path log = path.string() + "-wal";
  if (fs::exists(log, error) && fs::file_size(log, error) > 0) return connection;
  return open_reader(uri_of(path, "mode=ro&immutable=1"), path.string(),
                     SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, busy_timeout_ms);
}

Result<Connection> Connection::open_file(const fs::path& path) {
  return open(path.string(), path.string(), SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, kBusyTimeoutMs);
}

Result<Connection> Connection::open_in_memory() {
  GAUNTLET_TRY(Connection connection,
               open(":memory:", ":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, kBusyTimeoutMs));
  GAUNTLET_CHECK_OK(connection.execute("PRAGMA foreign_keys=ON;"));
  return connection;
}

Connection::Connection(Connection&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)),
      path_(std::move(other.path_)),
      cache_(std::move(other.cache_)) {
  other.cache_.clear();
}

Connection& Connection::operator=(Connection&& other) noexcept {
  if (this == &other) return *this;
  close();
  handle_ = std::exchange(other.handle_, nullptr);
  path_ = std::move(other.path_);
  cache_ = std::move(other.cache_);
  other.cache_.clear();
  return *this;
}

Connection::~Connection() { close(); }

void Connection::close() {
  cache_.clear();
  sqlite3_close_v2(handle_);
  handle_ = nullptr;
}

Result<Statement*> Connection::cached(std::string_view sql) {
  const auto found = cache_.find(sql);
  if (found != cache_.end()) {
    found->second.reset();
    return &found->second;
  }
  GAUNTLET_TRY(Statement statement, prepare(sql));
  return &cache_.emplace(std::string(sql), std::move(statement)).first->second;
}

Result<Statement> Connection::prepare(std::string_view sql) {
  sqlite3_stmt* raw = nullptr;
  const char* tail = nullptr;
  const int code = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &raw, &tail);
  Statement statement(raw, path_);
  if (code != SQLITE_OK) return fail(error_of(handle_, code, path_));
  if (raw == nullptr) return fail(ErrorCode::kInvalid, "there is no SQL statement in '{}'", sql);
  std::string_view rest = sql.substr(static_cast<std::size_t>(tail - sql.data()));
  while (!rest.empty()) {  // only spaces, comments and empty statements may follow
    sqlite3_stmt* second = nullptr;
    const int rest_code =
        sqlite3_prepare_v3(handle_, rest.data(), static_cast<int>(rest.size()), 0, &second, &tail);
    const bool more = second != nullptr || rest_code != SQLITE_OK;
    sqlite3_finalize(second);
    if (more) return fail(ErrorCode::kInvalid, "one SQL statement is allowed, but more follows: '{}'", rest);
    rest = rest.substr(static_cast<std::size_t>(tail - rest.data()));
  }
  return statement;
}

Status Connection::execute(const std::string& script) {
  const int code = sqlite3_exec(handle_, script.c_str(), nullptr, nullptr, nullptr);
  if (code == SQLITE_OK) return {};
  return fail(error_of(handle_, code, path_));
}

Result<std::int64_t> Connection::integer(std::string_view sql) {
  GAUNTLET_TRY(Statement * statement, cached(sql));
  GAUNTLET_TRY(const bool row, statement->step());
  const std::int64_t value = row ? statement->integer(0) : 0;
  statement->reset();
  return value;
}

Result<std::string> Connection::text(std::string_view sql) {
  GAUNTLET_TRY(Statement * statement, cached(sql));
  GAUNTLET_TRY(const bool row, statement->step());
  std::string value(row ? statement->text(0) : std::string_view());
  statement->reset();
  return value;
}

std::int64_t Connection::changes() const { return sqlite3_changes64(handle_); }
std::int64_t Connection::last_insert_id() const { return sqlite3_last_insert_rowid(handle_); }
bool Connection::in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }

}  // namespace gauntlet::db
