// Tables for programs: CSV and JSON.
#include <fmt/format.h>

#include <algorithm>

#include "core/base/json.hpp"
#include "results/query/text_table.hpp"
#include "results/table/render_parts.hpp"

namespace gauntlet::results {
namespace {

// Keys in the order written here, since the document is read by people too.
using OrderedJson = nlohmann::ordered_json;

std::string_view name_of(EntryState state) {
  switch (state) {
    case EntryState::kBlank:
      return "blank";
    case EntryState::kValue:
      return "value";
    case EntryState::kPartial:
      return "partial";
    case EntryState::kMissing:
      return "missing";
  }
  return "";
}

std::string_view name_of(Mark mark) {
  switch (mark) {
    case Mark::kNone:
      return "";
    case Mark::kBest:
      return "best";
    case Mark::kSecond:
      return "second";
  }
  return "";
}

std::vector<std::string> axes_of(const std::vector<Heading>& headings) {
  std::vector<std::string> axes;
  for (const Heading& heading : headings) {
    if (heading.reference) continue;
    for (const auto& [axis, value] : heading.values) axes.push_back(axis);
    break;
  }
  return axes;
}

OrderedJson json_of(const std::vector<Heading>& headings) {
  OrderedJson list = OrderedJson::array();
  for (const Heading& heading : headings) {
    OrderedJson item;
    item["labels"] = heading.labels;
    item["values"] = heading.values;
    if (heading.reference) item["reference"] = true;
    list.push_back(std::move(item));
  }
  return list;
}

OrderedJson json_of(const TableEntry& entry) {
  OrderedJson item;
  item["state"] = name_of(entry.state);
  if (entry.n > 0) {
    item["mean"] = entry.mean;
    item["std"] = entry.n > 1 ? OrderedJson(entry.std) : OrderedJson(nullptr);
    item["n"] = entry.n;
  }
  if (entry.state != EntryState::kBlank) item["expected"] = entry.expected;
  if (entry.mark != Mark::kNone) item["mark"] = name_of(entry.mark);
  if (entry.interval) item["interval"] = {entry.interval->low, entry.interval->high};
  if (entry.p_value) item["p_value"] = *entry.p_value;
  if (entry.p_holm) item["p_holm"] = *entry.p_holm;
  if (entry.paper) item["paper"] = *entry.paper;
  if (!entry.text.empty()) item["text"] = entry.text;
  return item;
}

OrderedJson json_of(const MissingNumber& number) {
  OrderedJson item;
  item["sweep"] = number.sweep;
  item["dataset"] = number.cell.dataset;
  item["model"] = number.cell.model;
  item["bits"] = number.cell.bits;
  item["defense"] = number.cell.defense;
  item["attack"] = number.cell.attack;
  item["protocol"] = number.cell.protocol;
  item["direction"] = number.cell.direction;
  item["variant"] = number.cell.variant;
  item["seed"] = number.cell.seed;
  item["metric"] = number.metric;
  return item;
}

OrderedJson json_of(const Provenance& from) {
  OrderedJson item;
  item["values_sha256"] = from.values_sha256;
  item["n_values"] = from.n_values;
  item["n_jobs"] = from.n_jobs;
  item["revisions"] = from.revisions;
  item["versions"] = from.versions;
  item["devices"] = from.devices;
  return item;
}

std::string number_or_empty(const std::optional<double>& number) {
  return number ? fmt::format("{}", *number) : "";
}

/// A column of the CSV that only tables with such numbers have.
struct OptionalColumn {
  std::string name;
  std::string (*field)(const TableEntry&);
};

std::vector<OptionalColumn> optional_columns(const Table& table) {
  static const std::vector<OptionalColumn> known = {
      {"low", [](const TableEntry& e) { return e.interval ? fmt::format("{}", e.interval->low) : ""; }},
      {"high", [](const TableEntry& e) { return e.interval ? fmt::format("{}", e.interval->high) : ""; }},
      {"p_value", [](const TableEntry& e) { return number_or_empty(e.p_value); }},
      {"p_holm", [](const TableEntry& e) { return number_or_empty(e.p_holm); }},
      {"paper", [](const TableEntry& e) { return number_or_empty(e.paper); }},
      {"text", [](const TableEntry& e) { return e.text; }}};
  std::vector<OptionalColumn> used;
  for (const OptionalColumn& column : known) {
    const bool some = std::any_of(table.entries.begin(), table.entries.end(), [&](const auto& line) {
      return std::any_of(line.begin(), line.end(),
                         [&](const TableEntry& entry) { return !column.field(entry).empty(); });
    });
    if (some) used.push_back(column);
  }
  return used;
}

}  // namespace

std::string render_csv(const Table& table) {
  const std::vector<std::string> row_axes = axes_of(table.rows);
  const std::vector<std::string> column_axes = axes_of(table.columns);
  std::string text;
  const auto add = [&](std::string_view field) {
    if (!text.empty() && text.back() != '\n') text += ',';
    text += csv_field(field);
  };
  for (const std::string& axis : row_axes) add(axis);
  for (const std::string& axis : column_axes) add(axis);
  for (const char* name : {"reference", "mean", "std", "n", "expected", "state", "mark"}) add(name);
  const std::vector<OptionalColumn> more = optional_columns(table);
  for (const OptionalColumn& column : more) add(column.name);
  text += "\n";
  const auto value_or_empty = [](const Heading& heading, const std::string& axis) {
    const auto found = heading.values.find(axis);
    return found == heading.values.end() ? std::string() : found->second;
  };
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    for (std::size_t column = 0; column < table.columns.size(); ++column) {
      const TableEntry& entry = table.entries[row][column];
      if (entry.state == EntryState::kBlank) continue;
      std::vector<std::string> fields;
      for (const std::string& axis : row_axes) fields.push_back(value_or_empty(table.rows[row], axis));
      for (const std::string& axis : column_axes)
        fields.push_back(value_or_empty(table.columns[column], axis));
      const Heading& heading = table.rows[row].reference ? table.rows[row] : table.columns[column];
      fields.push_back(heading.reference ? heading.labels.front() : "");
      fields.push_back(entry.n > 0 ? fmt::format("{}", entry.mean) : "");
      fields.push_back(entry.n > 1 ? fmt::format("{}", entry.std) : "");
      fields.push_back(fmt::format("{}", entry.n));
      fields.push_back(fmt::format("{}", entry.expected));
      fields.emplace_back(name_of(entry.state));
      fields.emplace_back(name_of(entry.mark));
      for (const OptionalColumn& extra : more) fields.push_back(extra.field(entry));
      for (std::size_t i = 0; i < fields.size(); ++i) text += (i > 0 ? "," : "") + csv_field(fields[i]);
      text += "\n";
    }
  }
  return text;
}

std::string render_json(const Table& table) {
  OrderedJson document;
  document["format"] = 1;
  document["title"] = table.title;
  document["metrics"] = table.metrics;
  document["units"] = table.units;
  document["row_titles"] = table.row_titles;
  document["column_titles"] = table.column_titles;
  document["rows"] = json_of(table.rows);
  document["columns"] = json_of(table.columns);
  document["entries"] = OrderedJson::array();
  for (const auto& line : table.entries) {
    OrderedJson list = OrderedJson::array();
    for (const TableEntry& entry : line) list.push_back(json_of(entry));
    document["entries"].push_back(std::move(list));
  }
  document["missing"] = OrderedJson::array();
  for (const MissingNumber& number : table.missing) document["missing"].push_back(json_of(number));
  document["note"] = table.note;
  document["provenance"] = json_of(table.provenance);
  return document.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

}  // namespace gauntlet::results
