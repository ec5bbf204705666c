// One prepared SQL statement: typed parameters in, typed columns out.
// Thread safety: none; a statement belongs to the thread of its connection.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/base/ids.hpp"
#include "core/base/result.hpp"

struct sqlite3_stmt;

namespace gauntlet::db {

enum class ColumnType : std::uint8_t { kNull, kInteger, kReal, kText, kBlob };

/// A prepared statement; made by Connection. Texts and blobs are copied when bound, so arguments may be
/// temporary. Columns are counted from 0 and valid until the next step, reset or bind.
class Statement {
 public:
  Statement(sqlite3_stmt* statement, std::string path) : statement_(statement), path_(std::move(path)) {}
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement();

  /// Binds one parameter by its name without the colon. Errors (kInvalid): no such parameter, named in the
  /// message.
  template <class T>
  [[nodiscard]] Status bind(std::string_view name, const T& value) {
    GAUNTLET_TRY(const int index, index_of(name));
    return bind_any(index, value);
  }

  /// Starts over and binds all parameters in the order of their first appearance.
  /// Errors (kInvalid): another number of values than the statement has parameters.
  template <class... Args>
  [[nodiscard]] Status bind_all(const Args&... values) {
    reset();
    GAUNTLET_CHECK_OK(check_count(sizeof...(Args)));
    int index = 0;
    Status status;
    static_cast<void>(((status = bind_any(++index, values), status.has_value()) && ...));
    return status;
  }

  /// Binds one parameter by its place, from 1.
  template <class T>
  [[nodiscard]] Status bind_at(int index, const T& value) {
    return bind_any(index, value);
  }

  /// Binds these from parameter `first` on. Texts and blobs are not copied: they outlive the run.
  template <class... Args>
  [[nodiscard]] Status bind_from(int first, const Args&... values) {
    copies_ = false;
    Status status;
    static_cast<void>(((status = bind_any(first++, values), status.has_value()) && ...));
    copies_ = true;
    return status;
  }

  /// Runs to the end, dropping rows, and starts over.
  [[nodiscard]] Status run();
  /// bind_all, then run; nothing stays bound. Texts and blobs are not copied, since they outlive the call.
  template <class... Args>
  [[nodiscard]] Status run_with(const Args&... values) {
    copies_ = false;
    Status status = bind_all(values...);
    copies_ = true;
    if (status) status = run();
    reset();
    return status;
  }
  /// True: a row is ready. False: no more rows, and the statement has started over.
  [[nodiscard]] Result<bool> step();
  /// Starts over and forgets all bound values.
  void reset();

  [[nodiscard]] int column_count() const;
  [[nodiscard]] std::string column_name(int column) const;
  [[nodiscard]] ColumnType type(int column) const;
  [[nodiscard]] bool is_null(int column) const { return type(column) == ColumnType::kNull; }
  [[nodiscard]] std::int64_t integer(int column) const;
  [[nodiscard]] double real(int column) const;
  [[nodiscard]] std::string_view text(int column) const;
  [[nodiscard]] std::span<const std::byte> blob(int column) const;
  /// A blob of 32 bytes; all zeros for any other length.
  [[nodiscard]] JobKey key(int column) const;
  /// Whether running it leaves the database as it is.
  [[nodiscard]] bool is_read_only() const;

 private:
  [[nodiscard]] Result<int> index_of(std::string_view name) const;
  [[nodiscard]] Status check_count(std::size_t n_values) const;
  [[nodiscard]] Status bound(int result_code);
  [[nodiscard]] Status bind_null(int index);
  [[nodiscard]] Status bind_integer(int index, std::int64_t value);
  [[nodiscard]] Status bind_real(int index, double value);
  [[nodiscard]] Status bind_text(int index, std::string_view value);
  [[nodiscard]] Status bind_blob(int index, std::span<const std::byte> value);

  [[nodiscard]] Status bind_any(int index, std::nullptr_t) { return bind_null(index); }
  template <std::integral T>
  [[nodiscard]] Status bind_any(int index, T value) {
    return bind_integer(index, static_cast<std::int64_t>(value));
  }
  [[nodiscard]] Status bind_any(int index, double value) { return bind_real(index, value); }
  [[nodiscard]] Status bind_any(int index, std::string_view value) { return bind_text(index, value); }
  [[nodiscard]] Status bind_any(int index, const std::string& value) { return bind_text(index, value); }
  [[nodiscard]] Status bind_any(int index, const char* value) { return bind_text(index, value); }
  [[nodiscard]] Status bind_any(int index, std::span<const std::byte> value) {
    return bind_blob(index, value);
  }
  [[nodiscard]] Status bind_any(int index, const JobKey& key) {
    return bind_blob(index, std::as_bytes(std::span(key.digest)));
  }
  template <class Tag>
  [[nodiscard]] Status bind_any(int index, Id<Tag> id) {
    return bind_integer(index, static_cast<std::int64_t>(id.value));
  }
  template <class T>
  [[nodiscard]] Status bind_any(int index, const std::optional<T>& value) {
    return value ? bind_any(index, *value) : bind_null(index);
  }

  sqlite3_stmt* statement_;
  std::string path_;
  bool copies_ = true;         ///< texts and blobs, when they are bound
  bool is_under_way_ = false;  ///< at a row; if not, starting over costs nothing
  bool is_bound_ = false;      ///< a parameter may have a value
};

}  // namespace gauntlet::db
