#include "results/compare/side.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/base/files.hpp"
#include "core/base/text.hpp"
#include "core/db/migrate.hpp"
#include "core/db/snapshot.hpp"
#include "results/store/selection.hpp"
#include "results/table/paper.hpp"

namespace gauntlet::results {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxReferenceBytes = std::size_t{16} << 20;

/// What a person typed, taken apart.
struct Operand {
  fs::path database;
  std::string sweep;     ///< "" = any
  std::string revision;  ///< prefix; "" = any
};

Result<bool> has_sweep(db::Connection& connection, const std::string& name) {
  GAUNTLET_TRY(db::Statement * find, connection.cached("SELECT 1 FROM sweeps WHERE name = ?"));
  GAUNTLET_CHECK_OK(find->bind_all(name));
  GAUNTLET_TRY(const bool found, find->step());
  find->reset();
  return found;
}

/// The name of a sweep given by name or number. Errors (kNotFound): names the known ones.
Result<std::string> sweep_name(db::Connection& connection, const std::string& text) {
  GAUNTLET_TRY(const bool found, has_sweep(connection, text));
  if (found) return text;
  std::int64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error == std::errc() && end == text.data() + text.size()) {
    GAUNTLET_TRY(db::Statement * find, connection.cached("SELECT name FROM sweeps WHERE sweep_id = ?"));
    GAUNTLET_CHECK_OK(find->bind_all(id));
    GAUNTLET_TRY(const bool known, find->step());
    const std::string name = known ? std::string(find->text(0)) : "";
    find->reset();
    if (known) return name;
  }
  GAUNTLET_TRY(const std::vector<std::string> names, sweep_names(connection));
  return fail(ErrorCode::kNotFound, "{}: {}", connection.path(), unknown_name_message("sweep", text, names));
}

/// FILE or FILE:SWEEP where such a file exists; nothing else names a file.
std::optional<Operand> database_operand(const std::string& text) {
  std::error_code error;
  if (fs::is_regular_file(text, error)) return Operand{text, "", ""};
  for (std::size_t colon = text.find(':'); colon != std::string::npos; colon = text.find(':', colon + 1)) {
    const std::string file = text.substr(0, colon);
    if (fs::is_regular_file(file, error)) return Operand{file, text.substr(colon + 1), ""};
  }
  // A file that is not there: its absence is what has to be said.
  if (const std::size_t colon = text.find(".db:"); colon != std::string::npos)
    return Operand{text.substr(0, colon + 3), text.substr(colon + 4), ""};
  if (text.ends_with(".db")) return Operand{text, "", ""};
  return std::nullopt;
}

Result<db::Connection> open_database(const fs::path& path) {
  GAUNTLET_TRY(db::Connection connection, db::Connection::open_read_only(path));
  GAUNTLET_CHECK_OK(db::check_version(connection));
  return connection;
}

Result<std::vector<std::string>> expected_metrics(db::Connection& connection) {
  std::vector<std::string> names;
  GAUNTLET_TRY(db::Statement * statement, connection.cached("SELECT DISTINCT metric FROM cell_metrics"));
  while (true) {
    GAUNTLET_TRY(const bool row, statement->step());
    if (!row) return names;
    names.emplace_back(statement->text(0));
  }
}

Place place_of(const spec::Cell& cell, std::string_view metric) {
  return {{cell.dataset, cell.model, fmt::format("{}", cell.bits), cell.defense, cell.attack, cell.protocol,
           cell.direction, cell.variant},
          std::string(metric)};
}

Status add_number(Side& side, const CellRow& cell, const ValueRow& value) {
  const Place place = place_of(cell.cell, value.metric);
  SideNumber number{.value = *value.value,
                    .unit = std::string(value.unit),
                    .higher_is_better = value.higher_is_better,
                    .cell_id = value.cell_id,
                    .job_id = value.job_id,
                    .sweep = cell.sweep,
                    .revision = std::string(value.revision),
                    .device = std::string(value.device)};
  const auto [known, is_new] = side.numbers[place].emplace(cell.cell.seed, std::move(number));
  if (is_new || known->second.job_id == value.job_id) return {};
  if (known->second.sweep == cell.sweep) {
    return fail(ErrorCode::kInvalid, "{}: two jobs of sweep '{}' report {} of seed {}", side.name, cell.sweep,
                text_of(place), cell.cell.seed);
  }
  return fail(ErrorCode::kInvalid,
              "{}: sweeps '{}' and '{}' have different numbers for {} of seed {}; name one of them",
              side.name, known->second.sweep, cell.sweep, text_of(place), cell.cell.seed);
}

Result<Side> read_database(const std::string& name, const Operand& operand, db::Connection connection,
                           const SideOptions& options) {
  Side side{.name = name,
            .connection = std::make_unique<db::Connection>(std::move(connection)),
            .numbers = {},
            .has_axis = {}};
  side.has_axis.fill(true);
  GAUNTLET_TRY(const db::Snapshot snapshot, db::Snapshot::open(*side.connection));
  CellFilter filter;
  if (!operand.sweep.empty()) {
    GAUNTLET_TRY(const std::string sweep, sweep_name(*side.connection, operand.sweep));
    filter["sweep"] = {sweep};
  }
  std::vector<std::string> metrics = options.metrics;
  if (metrics.empty()) {
    GAUNTLET_TRY(metrics, expected_metrics(*side.connection));
  }
  std::optional<std::set<std::int64_t>> wanted;
  if (!options.where.empty()) {
    GAUNTLET_TRY(wanted, cells_where(*side.connection, options.where));
  }
  GAUNTLET_TRY(const CellSelection selection, select_cells(*side.connection, filter, metrics));
  std::map<std::int64_t, const CellRow*> cells;
  for (const CellRow& cell : selection.cells) cells.emplace(cell.cell_id, &cell);
  for (const ValueRow& value : selection.values) {
    const bool counts = value.value && (!wanted || wanted->contains(value.cell_id)) &&
                        value.revision.starts_with(operand.revision);
    if (counts) GAUNTLET_CHECK_OK(add_number(side, *cells.at(value.cell_id), value));
  }
  return side;
}

// ---------------------------------------------------------------- reference files

/// Places of the columns of a reference file.
struct ReferenceColumns {
  std::array<std::size_t, kPlaceAxes.size()> axes{};  ///< n columns: not there
  std::size_t metric = 0;
  std::size_t value = 0;
  double factor = 1;
};

Result<ReferenceColumns> columns_of(const std::vector<std::string>& heading, const std::string& source) {
  const auto place = [&](std::string_view name) {
    return static_cast<std::size_t>(std::find(heading.begin(), heading.end(), name) - heading.begin());
  };
  ReferenceColumns columns;
  for (std::size_t axis = 0; axis < kPlaceAxes.size(); ++axis) columns.axes[axis] = place(kPlaceAxes[axis]);
  columns.metric = place("metric");
  columns.value = place("value");
  if (columns.value == heading.size()) {
    columns.value = place("value_percent");
    columns.factor = 0.01;
  }
  if (columns.metric == heading.size() || columns.value == heading.size()) {
    return fail(ErrorCode::kInvalid,
                "{}:1: a reference file has the columns metric and value or "
                "value_percent, not only {}",
                source, fmt::join(heading, ", "));
  }
  return columns;
}

Result<Side> read_reference(const std::string& path, const SideOptions& options) {
  GAUNTLET_TRY(const std::string text, read_file(path, kMaxReferenceBytes));
  GAUNTLET_TRY(const auto lines, csv_lines(text, path));
  if (lines.empty()) return fail(ErrorCode::kInvalid, "{}: there is no heading", path);
  GAUNTLET_TRY(const ReferenceColumns columns, columns_of(lines.front(), path));
  Side side{.name = path, .connection = nullptr, .numbers = {}, .has_axis = {}};
  for (std::size_t axis = 0; axis < kPlaceAxes.size(); ++axis)
    side.has_axis[axis] = columns.axes[axis] < lines.front().size();
  for (std::size_t line = 1; line < lines.size(); ++line) {
    const std::vector<std::string>& fields = lines[line];
    if (fields.size() != lines.front().size()) {
      return fail(ErrorCode::kInvalid, "{}:{}: {} fields; the heading has {}", path, line + 1, fields.size(),
                  lines.front().size());
    }
    const Result<double> value = parse_real(fields[columns.value]);
    if (!value)
      return fail(ErrorCode::kInvalid, "{}:{}: a value is a number, not '{}'", path, line + 1,
                  fields[columns.value]);
    Place place{{}, fields[columns.metric]};
    for (std::size_t axis = 0; axis < kPlaceAxes.size(); ++axis)
      if (side.has_axis[axis]) place.axes[axis] = fields[columns.axes[axis]];
    const bool wanted = options.metrics.empty() || std::find(options.metrics.begin(), options.metrics.end(),
                                                             place.metric) != options.metrics.end();
    if (!wanted) continue;
    SideNumber number;
    number.value = *value * columns.factor;
    // A paper prints the same number in several tables.
    const auto [known, is_new] = side.numbers[place].emplace(0, number);
    if (!is_new && known->second.value != number.value) {
      return fail(ErrorCode::kInvalid, "{}:{}: {} is {} here and {} in an earlier line", path, line + 1,
                  text_of(place), number.value, known->second.value);
    }
  }
  return side;
}

/// A sweep of the default database, alone or with a revision.
Result<Side> read_sweep(const std::string& text, const SideOptions& options) {
  GAUNTLET_TRY(db::Connection connection, open_database(options.database));
  Operand operand{options.database, text, ""};
  GAUNTLET_TRY(const bool known, has_sweep(connection, text));
  const std::size_t at = text.rfind('@');
  if (!known && at != std::string::npos) {
    operand.sweep = text.substr(0, at);
    operand.revision = text.substr(at + 1);
  }
  return read_database(text, operand, std::move(connection), options);
}

}  // namespace

std::string text_of(const Place& place) {
  std::string text;
  for (std::size_t axis = 0; axis < kPlaceAxes.size(); ++axis) {
    if (place.axes[axis].empty()) continue;
    text += (text.empty() ? "" : " ") + place.axes[axis];
    if (kPlaceAxes[axis] == "bits") text += " bits";
  }
  return text.empty() ? place.metric : fmt::format("{}: {}", text, place.metric);
}

Result<Side> open_side(const std::string& text, const SideOptions& options) {
  Result<Side> side = Side{};
  if (text.ends_with(".csv")) {
    side = read_reference(text, options);
  } else if (const std::optional<Operand> operand = database_operand(text)) {
    GAUNTLET_TRY(db::Connection connection, open_database(operand->database));
    side = read_database(text, *operand, std::move(connection), options);
  } else {
    side = read_sweep(text, options);
  }
  if (side && side->numbers.empty())
    return fail(ErrorCode::kNotFound, "'{}' has no number that could be compared", text);
  return side;
}

}  // namespace gauntlet::results
