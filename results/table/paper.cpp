#include "results/table/paper.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "core/base/files.hpp"
#include "core/base/text.hpp"
#include "results/table/axes.hpp"

namespace gauntlet::results {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{16} << 20;

struct PrintedNumber {
  std::size_t line = 0;
  AxisKey axes;  ///< in the order of PrintedNumbers::axes
  double value = 0;
};

struct PrintedNumbers {
  std::string source;
  std::vector<std::string> axes;  ///< that the file has
  std::vector<PrintedNumber> numbers;
};

std::string without_ablation(const std::string& axis, const std::string& value) {
  const std::size_t slash = axis == "variant" ? value.find('/') : std::string::npos;
  return slash == std::string::npos ? value : value.substr(slash + 1);
}

/// Where things stand in the lines of a file.
struct Columns {
  std::vector<std::pair<std::size_t, std::string>> axes;
  std::vector<std::pair<std::size_t, const std::vector<std::string>*>> where;
  std::size_t value = 0;
  double divisor = 1;  ///< from what is written to the metric's own unit
};

Result<Columns> columns_of(const std::vector<std::string>& heading, const PaperSpec& spec) {
  const std::string source = spec.file.string();
  Columns columns;
  const auto place = [&](const std::string& name) {
    return static_cast<std::size_t>(std::find(heading.begin(), heading.end(), name) - heading.begin());
  };
  for (const std::string& axis : table_axes()) {
    if (axis != "seed" && axis != "sweep" && place(axis) < heading.size())
      columns.axes.emplace_back(place(axis), axis);
  }
  for (const auto& [name, values] : spec.where) {
    if (place(name) == heading.size())
      return fail(ErrorCode::kInvalid, "{}:1: {}", source, unknown_name_message("column", name, heading));
    columns.where.emplace_back(place(name), &values);
  }
  const bool percent = place("value") == heading.size();
  columns.value = percent ? place("value_percent") : place("value");
  if (percent) columns.divisor = 100;
  if (columns.value == heading.size())
    return fail(ErrorCode::kInvalid, "{}:1: there is no column 'value' or 'value_percent'", source);
  return columns;
}

Result<PrintedNumbers> read_numbers(const PaperSpec& spec) {
  const std::string source = spec.file.string();
  GAUNTLET_TRY(const std::string text, read_file(spec.file, kMaxBytes));
  GAUNTLET_TRY(const auto lines, csv_lines(text, source));
  if (lines.empty()) return fail(ErrorCode::kInvalid, "{}: there is no heading", source);
  GAUNTLET_TRY(const Columns columns, columns_of(lines.front(), spec));
  PrintedNumbers numbers{source, {}, {}};
  for (const auto& [place, axis] : columns.axes) numbers.axes.push_back(axis);
  for (std::size_t line = 1; line < lines.size(); ++line) {
    const std::vector<std::string>& fields = lines[line];
    if (fields.size() != lines.front().size()) {
      return fail(ErrorCode::kInvalid, "{}:{}: {} fields; the heading has {}", source, line + 1,
                  fields.size(), lines.front().size());
    }
    const bool wanted = std::all_of(columns.where.begin(), columns.where.end(), [&](const auto& where) {
      return std::find(where.second->begin(), where.second->end(), fields[where.first]) !=
             where.second->end();
    });
    if (!wanted) continue;
    const Result<double> value = parse_real(fields[columns.value]);
    if (!value) {
      return fail(ErrorCode::kInvalid, "{}:{}: a value is a number, not '{}'", source, line + 1,
                  fields[columns.value]);
    }
    PrintedNumber number{line + 1, {}, *value / columns.divisor};
    for (const auto& [place, axis] : columns.axes) number.axes.push_back(fields[place]);
    numbers.numbers.push_back(std::move(number));
  }
  return numbers;
}

AxisKey key_of(const TableEntry& entry, const std::vector<std::string>& axes, const PaperSpec& spec) {
  CellRow row;
  row.cell = entry.cell;
  const auto renamed = spec.metric.find(entry.metric);
  const std::string& metric = renamed == spec.metric.end() ? entry.metric : renamed->second;
  AxisKey key;
  for (const std::string& axis : axes) key.push_back(without_ablation(axis, value_of(row, metric, axis)));
  return key;
}

}  // namespace

Status add_paper(const TableSpec& spec, Table& table) {
  if (!spec.paper) return {};
  GAUNTLET_TRY(const PrintedNumbers printed, read_numbers(*spec.paper));
  std::map<AxisKey, const PrintedNumber*> by_axes;
  for (const PrintedNumber& number : printed.numbers) {
    const auto [known, is_new] = by_axes.emplace(number.axes, &number);
    if (is_new) continue;
    return fail(ErrorCode::kInvalid, "{}:{}: the same cell as in line {}; tell them apart with paper.where",
                printed.source, number.line, known->second->line);
  }
  std::size_t n_found = 0;
  for (auto& line : table.entries) {
    for (TableEntry& entry : line) {
      if (entry.metric.empty()) continue;
      const auto number = by_axes.find(key_of(entry, printed.axes, *spec.paper));
      if (number == by_axes.end()) continue;
      entry.paper = number->second->value;
      ++n_found;
    }
  }
  if (n_found == 0) {
    return fail(ErrorCode::kInvalid, "{}: no number belongs to a cell of the table; paper.where leaves {}",
                printed.source, count_of(printed.numbers.size(), "number"));
  }
  table.paper = {spec.paper->value, spec.paper->difference, spec.paper->label,
                 spec.paper->file.filename().string()};
  return {};
}

Result<std::vector<std::vector<std::string>>> csv_lines(std::string_view text, std::string_view source) {
  std::vector<std::vector<std::string>> lines;
  std::vector<std::string> fields;
  std::string field;
  bool quoted = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char letter = text[at];
    if (quoted) {
      if (letter != '"') {
        field += letter;
      } else if (at + 1 < text.size() && text[at + 1] == '"') {
        field += letter;
        ++at;
      } else {
        quoted = false;
      }
    } else if (letter == '"' && field.empty()) {
      quoted = true;
    } else if (letter == ',') {
      fields.push_back(std::move(field));
      field.clear();
    } else if (letter == '\n') {
      fields.push_back(std::move(field));
      field.clear();
      lines.push_back(std::move(fields));
      fields.clear();
    } else if (letter != '\r') {
      field += letter;
    }
  }
  if (quoted) {
    return fail(ErrorCode::kInvalid, "{}:{}: a quoted field does not end", source, lines.size() + 1);
  }
  if (!field.empty() || !fields.empty()) {
    fields.push_back(std::move(field));
    lines.push_back(std::move(fields));
  }
  return lines;
}

}  // namespace gauntlet::results
