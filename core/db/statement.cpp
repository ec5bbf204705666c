#include "core/db/statement.hpp"

#include <sqlite3.h>

#include <cstring>
#include <utility>

#include "core/db/error.hpp"

namespace gauntlet::db {

Statement::Statement(Statement&& other) noexcept
    : statement_(std::exchange(other.statement_, nullptr)),
      path_(std::move(other.path_)),
      is_under_way_(other.is_under_way_),
      is_bound_(other.is_bound_) {}

Statement::~Statement() { sqlite3_finalize(statement_); }

Result<int> Statement::index_of(std::string_view name) const {
  for (const char prefix : {':', '@', '$'}) {
    const int index = sqlite3_bind_parameter_index(statement_, (prefix + std::string(name)).c_str());
    if (index > 0) return index;
  }
  return fail(ErrorCode::kInvalid, "the statement has no parameter named '{}': {}", name,
              sqlite3_sql(statement_));
}

Status Statement::check_count(std::size_t n_values) const {
  const int n_parameters = sqlite3_bind_parameter_count(statement_);
  if (static_cast<std::size_t>(n_parameters) == n_values) return {};
  return fail(ErrorCode::kInvalid, "the statement has {} parameters, not {}: {}", n_parameters, n_values,
              sqlite3_sql(statement_));
}

Status Statement::bound(int result_code) {
  is_bound_ = true;
  if (result_code == SQLITE_OK) return {};
  return fail(error_of(sqlite3_db_handle(statement_), result_code, path_));
}

Status Statement::bind_null(int index) { return bound(sqlite3_bind_null(statement_, index)); }

Status Statement::bind_integer(int index, std::int64_t value) {
  return bound(sqlite3_bind_int64(statement_, index, value));
}

Status Statement::bind_real(int index, double value) {
  return bound(sqlite3_bind_double(statement_, index, value));
}

Status Statement::bind_text(int index, std::string_view value) {
  // An empty view may hold a null pointer, which SQLite would read as NULL.
  const char* data = value.empty() ? "" : value.data();
  return bound(sqlite3_bind_text64(statement_, index, data, value.size(),
                                   copies_ ? SQLITE_TRANSIENT : SQLITE_STATIC, SQLITE_UTF8));
}

Status Statement::bind_blob(int index, std::span<const std::byte> value) {
  if (value.empty()) return bound(sqlite3_bind_zeroblob(statement_, index, 0));
  return bound(sqlite3_bind_blob64(statement_, index, value.data(), value.size(),
                                   copies_ ? SQLITE_TRANSIENT : SQLITE_STATIC));
}

Result<bool> Statement::step() {
  const int result_code = sqlite3_step(statement_);
  is_under_way_ = result_code == SQLITE_ROW;
  if (is_under_way_) return true;
  if (result_code == SQLITE_DONE) {
    sqlite3_reset(statement_);
    return false;
  }
  Error error = error_of(sqlite3_db_handle(statement_), result_code, path_);
  sqlite3_reset(statement_);
  return fail(std::move(error));
}

Status Statement::run() {
  bool more = true;
  while (more) {
    GAUNTLET_TRY(more, step());
  }
  return {};
}

void Statement::reset() {
  if (std::exchange(is_under_way_, false)) sqlite3_reset(statement_);
  if (std::exchange(is_bound_, false)) sqlite3_clear_bindings(statement_);
}

int Statement::column_count() const { return sqlite3_column_count(statement_); }

std::string Statement::column_name(int column) const {
  const char* name = sqlite3_column_name(statement_, column);
  return name == nullptr ? std::string() : std::string(name);
}

ColumnType Statement::type(int column) const {
  switch (sqlite3_column_type(statement_, column)) {
    case SQLITE_INTEGER:
      return ColumnType::kInteger;
    case SQLITE_FLOAT:
      return ColumnType::kReal;
    case SQLITE_TEXT:
      return ColumnType::kText;
    case SQLITE_BLOB:
      return ColumnType::kBlob;
    default:
      return ColumnType::kNull;
  }
}

std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_, column); }

double Statement::real(int column) const { return sqlite3_column_double(statement_, column); }

std::string_view Statement::text(int column) const {
  const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  if (data == nullptr) return {};
  return {data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

std::span<const std::byte> Statement::blob(int column) const {
  const auto* data = static_cast<const std::byte*>(sqlite3_column_blob(statement_, column));
  if (data == nullptr) return {};
  return {data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

JobKey Statement::key(int column) const {
  JobKey key;
  const std::span<const std::byte> bytes = blob(column);
  if (bytes.size() == key.digest.size()) std::memcpy(key.digest.data(), bytes.data(), bytes.size());
  return key;
}

bool Statement::is_read_only() const { return sqlite3_stmt_readonly(statement_) != 0; }

}  // namespace gauntlet::db
