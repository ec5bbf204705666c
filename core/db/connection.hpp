// One connection to a Gauntlet database: SQLite in WAL mode, every commit on disk before it returns.
// Thread safety: none; a connection and its statements belong to one thread at a time. Several connections,
// in one or several processes, may be open on a file: one writes, any number read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/base/result.hpp"
#include "core/db/statement.hpp"

struct sqlite3;

namespace gauntlet::db {

/// How long a write-ahead log becomes: 32 MiB of pages. A commit that finds so many copies them to the
/// database and syncs both, some milliseconds (by SQLite's own default, every hundredth commit of one job
/// would); then the log is written from its start again.
inline constexpr std::int64_t kLogPages = 8192;
inline constexpr std::int64_t kLogBytes = kLogPages * (4096 + 24);  ///< each with its header

/// How long a statement waits for another program's lock before it is refused.
inline constexpr int kBusyTimeoutMs = 5000;

class Connection {
 public:
  /// Opens or creates a file for reading and writing: WAL, synchronous=FULL, foreign keys on.
  /// Errors: kRefused (locked, or on a network file system, where WAL loses data), kCorrupt (not a database,
  /// damaged), kIo (folder missing or read-only), kNoSpace; each names the path.
  [[nodiscard]] static Result<Connection> open_read_write(const std::filesystem::path& path,
                                                          int busy_timeout_ms = kBusyTimeoutMs);
  /// Opens an existing file for reading; statements that write are refused. Also works in a read-only folder
  /// when no writer has the file open. Errors: kNotFound (no such file), else as above.
  [[nodiscard]] static Result<Connection> open_read_only(const std::filesystem::path& path,
                                                         int busy_timeout_ms = kBusyTimeoutMs);
  /// Opens or creates a file for reading and writing as it is: no log, no setting changed. For copies.
  [[nodiscard]] static Result<Connection> open_file(const std::filesystem::path& path);
  /// A private database that lives as long as the connection; path() is ":memory:".
  [[nodiscard]] static Result<Connection> open_in_memory();

  Connection(Connection&& other) noexcept;
  Connection& operator=(Connection&& other) noexcept;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  /// A statement kept for reuse, started over. The pointer stays valid as long as the connection; asking for
  /// the same text again gives the same statement, so two uses of one text must not overlap. Errors
  /// (kInvalid): SQL mistakes.
  [[nodiscard]] Result<Statement*> cached(std::string_view sql);
  /// A statement of the caller's own. Errors (kInvalid): SQL mistakes, no statement, more than one statement.
  [[nodiscard]] Result<Statement> prepare(std::string_view sql);
  /// Runs a script of any number of statements without parameters, dropping rows.
  [[nodiscard]] Status execute(const std::string& script);
  /// First column of the first row, as an integer; 0 when there is no row.
  [[nodiscard]] Result<std::int64_t> integer(std::string_view sql);
  /// The same as text; "" when there is no row.
  [[nodiscard]] Result<std::string> text(std::string_view sql);

  /// Rows changed by the last INSERT, UPDATE or DELETE.
  [[nodiscard]] std::int64_t changes() const;
  [[nodiscard]] std::int64_t last_insert_id() const;
  [[nodiscard]] bool in_transaction() const;
  /// For an error with this connection's path and words.
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] sqlite3* handle() const { return handle_; }

 private:
  Connection(sqlite3* handle, std::string path) : handle_(handle), path_(std::move(path)) {}
  [[nodiscard]] static Result<Connection> open(const std::string& name, const std::string& path, int flags,
                                               int busy_timeout_ms);
  [[nodiscard]] static Result<Connection> open_reader(const std::string& name, const std::string& path,
                                                      int flags, int busy_timeout_ms);
  void close();

  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  sqlite3* handle_ = nullptr;
  std::string path_;
  std::unordered_map<std::string, Statement, TextHash, std::equal_to<>> cache_;
};

}  // namespace gauntlet::db
