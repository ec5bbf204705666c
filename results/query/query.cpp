#include "results/query/query.hpp"

#include <fmt/core.h>

#include <functional>

#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/db/connection.hpp"
#include "core/db/migrate.hpp"
#include "core/db/read_guard.hpp"
#include "results/query/text_table.hpp"
#include "results/query/where.hpp"

namespace gauntlet::results {
namespace {

constexpr int kMaxValueBytes = 256 << 20;

std::string hex_of(std::span<const std::byte> bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::byte byte : bytes) text += fmt::format("{:02x}", static_cast<unsigned>(byte));
  return text;
}

Json json_value(const db::Statement& statement, int column) {
  switch (statement.type(column)) {
    case db::ColumnType::kNull:
      return nullptr;
    case db::ColumnType::kInteger:
      return statement.integer(column);
    case db::ColumnType::kReal:
      return statement.real(column);
    case db::ColumnType::kText:
      return std::string(statement.text(column));
    case db::ColumnType::kBlob:
      return hex_of(statement.blob(column));
  }
  return nullptr;
}

std::string text_value(const db::Statement& statement, int column) {
  switch (statement.type(column)) {
    case db::ColumnType::kNull:
      return "";
    case db::ColumnType::kInteger:
      return fmt::format("{}", statement.integer(column));
    case db::ColumnType::kReal:
      return fmt::format("{}", statement.real(column));
    case db::ColumnType::kText:
      return std::string(statement.text(column));
    case db::ColumnType::kBlob:
      return hex_of(statement.blob(column));
  }
  return "";
}

std::string dump(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string markdown_field(std::string_view text) {
  std::string escaped;
  for (const char letter : printable(text)) {
    if (letter == '|' || letter == '\\') escaped += '\\';
    escaped += letter;
  }
  return escaped;
}

/// Turns rows into text as they come.
class Writer {
 public:
  Writer(OutputFormat format, std::vector<std::string> columns)
      : format_(format), columns_(std::move(columns)) {
    switch (format_) {
      case OutputFormat::kTable:
        right_aligned_.assign(columns_.size(), true);
        break;
      case OutputFormat::kCsv:
        add_line(columns_, ",", "", "", [](std::string_view t) { return csv_field(t); });
        break;
      case OutputFormat::kJson:
        text_ = R"({"format":1,"columns":)" + dump(columns_) + R"(,"rows":[)";
        break;
      case OutputFormat::kJsonl:
        break;
      case OutputFormat::kMarkdown:
        add_line(columns_, " | ", "| ", " |", markdown_field);
        add_line(std::vector<std::string>(columns_.size(), "---"), " | ", "| ", " |", markdown_field);
        break;
    }
  }

  void add(const db::Statement& statement) {
    const int n_columns = static_cast<int>(columns_.size());
    if (format_ == OutputFormat::kJson || format_ == OutputFormat::kJsonl) {
      add_json(statement, n_columns);
      return;
    }
    std::vector<std::string> fields;
    for (int column = 0; column < n_columns; ++column) {
      fields.push_back(text_value(statement, column));
      const db::ColumnType type = statement.type(column);
      if (type == db::ColumnType::kText || type == db::ColumnType::kBlob) {
        if (format_ == OutputFormat::kTable) right_aligned_[static_cast<std::size_t>(column)] = false;
      }
    }
    if (format_ == OutputFormat::kCsv) {
      add_line(fields, ",", "", "", [](std::string_view t) { return csv_field(t); });
    } else if (format_ == OutputFormat::kMarkdown) {
      add_line(fields, " | ", "| ", " |", markdown_field);
    } else {
      for (std::string& field : fields) {
        field = printable(field);
        held_bytes_ += field.size();
      }
      rows_.push_back(std::move(fields));
    }
    ++n_rows_;
  }

  [[nodiscard]] std::size_t size() const { return text_.size() + held_bytes_; }

  /// `next_offset`: where the rows go on that were kept back; 0 = none were.
  std::string finish(std::uint64_t next_offset) {
    if (format_ == OutputFormat::kJson) {
      return text_ + (next_offset == 0 ? "]}\n" : fmt::format("],\"next_offset\":{}}}\n", next_offset));
    }
    if (format_ != OutputFormat::kTable) return std::move(text_);
    for (std::string& title : columns_) title = printable(title);
    return text_table(columns_, rows_, right_aligned_);
  }

 private:
  void add_json(const db::Statement& statement, int n_columns) {
    if (format_ == OutputFormat::kJson) {
      Json row = Json::array();
      for (int column = 0; column < n_columns; ++column) row.push_back(json_value(statement, column));
      text_ += (n_rows_++ > 0 ? "," : "") + dump(row);
      return;
    }
    text_ += "{";
    for (int column = 0; column < n_columns; ++column) {
      text_ += (column > 0 ? "," : "") + dump(columns_[static_cast<std::size_t>(column)]) + ":" +
               dump(json_value(statement, column));
    }
    text_ += "}\n";
  }

  void add_line(const std::vector<std::string>& fields, std::string_view between, std::string_view before,
                std::string_view after, const std::function<std::string(std::string_view)>& field_text) {
    text_ += before;
    for (std::size_t i = 0; i < fields.size(); ++i) {
      if (i > 0) text_ += between;
      text_ += field_text(fields[i]);
    }
    text_ += after;
    text_ += "\n";
  }

  OutputFormat format_;
  std::vector<std::string> columns_;
  std::vector<bool> right_aligned_;
  std::vector<std::vector<std::string>> rows_;
  std::size_t n_rows_ = 0;
  std::size_t held_bytes_ = 0;
  std::string text_;
};

Error explained(Error error, const QueryOptions& options) {
  if (error.code == ErrorCode::kTimedOut) {
    error.message = fmt::format("the query was stopped after {}", human_duration(options.time_limit_s));
  } else if (db::ReadGuard::is_refusal(error)) {
    error.code = ErrorCode::kRefused;
    error.message =
        "queries may only read: this one would write, attach a file, change a setting or load code";
  }
  return error;
}

Result<std::string> read_rows(db::Statement& statement, const QueryOptions& options, QueryEnd& end) {
  std::vector<std::string> columns;
  for (int column = 0; column < statement.column_count(); ++column)
    columns.push_back(statement.column_name(column));
  Writer writer(options.format, std::move(columns));
  for (std::uint64_t at = 0;; ++at) {
    GAUNTLET_TRY(const bool row, statement.step());
    if (!row) break;
    if (at < options.offset) continue;
    end.more = options.limit > 0 && end.n_rows == options.limit;
    if (end.more) break;
    writer.add(statement);
    ++end.n_rows;
    if (writer.size() > options.max_bytes) {
      return fail(ErrorCode::kInvalid,
                  "the query's output is larger than {} MiB; narrow it down or take it in pages (limit, "
                  "offset)",
                  options.max_bytes >> 20U);
    }
  }
  return writer.finish(end.more ? options.offset + end.n_rows : 0);
}

Result<std::string> run(const std::filesystem::path& database, std::string_view sql, const Where* where,
                        const QueryOptions& options, QueryEnd* end) {
  GAUNTLET_TRY(db::Connection connection, db::Connection::open_read_only(database));
  GAUNTLET_CHECK_OK(db::check_version(connection));
  const db::ReadGuard guard(connection, options.time_limit_s, kMaxValueBytes);
  Result<db::Statement> statement = connection.prepare(sql);
  if (!statement) return fail(explained(std::move(statement.error()), options));
  if (where != nullptr) GAUNTLET_CHECK_OK(bind_where(*statement, *where));
  QueryEnd shown;
  Result<std::string> text = read_rows(*statement, options, shown);
  if (!text) return fail(explained(std::move(text.error()), options));
  if (end != nullptr) *end = shown;
  return text;
}

}  // namespace

const std::vector<std::string>& output_format_names() {
  static const std::vector<std::string> names = {"table", "csv", "json", "jsonl", "md"};
  return names;
}

Result<OutputFormat> output_format_from(std::string_view name) {
  if (name == "table") return OutputFormat::kTable;
  if (name == "csv") return OutputFormat::kCsv;
  if (name == "json") return OutputFormat::kJson;
  if (name == "jsonl") return OutputFormat::kJsonl;
  if (name == "md") return OutputFormat::kMarkdown;
  return fail(ErrorCode::kInvalid, "{}", unknown_name_message("format", name, output_format_names()));
}

Result<std::string> run_query(const std::filesystem::path& database, std::string_view sql,
                              const QueryOptions& options, QueryEnd* end) {
  return run(database, sql, nullptr, options, end);
}

Result<std::string> run_where(const std::filesystem::path& database, std::string_view text,
                              const QueryOptions& options, QueryEnd* end) {
  GAUNTLET_TRY(const Where where, parse_where(text, result_columns()));
  return run(database, "SELECT * FROM v_results WHERE " + where.sql, &where, options, end);
}

}  // namespace gauntlet::results
