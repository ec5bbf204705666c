#include "results/table/mixing.hpp"

#include <algorithm>
#include <map>

#include "results/table/pivot.hpp"

namespace gauntlet::results {
namespace {

std::string named(const Reading& reading) {
  return MissingNumber{reading.cell->sweep, reading.cell->cell, std::string(reading.metric)}.text();
}

// The first selected cell that a job of this version works for, as text.
Result<std::string> cell_with(db::Connection& connection, const CellSelection& selection,
                              const EntryVersion& version) {
  GAUNTLET_TRY(db::Statement * statement,
               connection.cached("SELECT count(*) FROM cell_jobs cj JOIN jobs j ON j.job_id = cj.job_id "
                                 "JOIN job_shapes sh ON sh.shape_id = j.shape_id "
                                 "JOIN job_kinds k ON k.kind = sh.kind "
                                 "WHERE cj.cell_id = ? AND k.name = ? AND sh.entry = ? AND sh.version = ?"));
  for (const CellRow& row : selection.cells) {
    GAUNTLET_CHECK_OK(statement->bind_all(row.cell_id, version.kind, version.entry, version.version));
    GAUNTLET_TRY(const bool found, statement->step());
    if (found && statement->integer(0) > 0) return cell_text(row.sweep, row.cell);
  }
  return std::string("no cell");
}

/// What the first reading of a column said, for the sentence about one that differs.
struct Seen {
  const Reading* first = nullptr;
  std::string_view protocol;
  const Reading* of_protocol = nullptr;
  std::string_view unit;
  const Reading* of_unit = nullptr;
};

Status check_protocol(Seen& seen, const Reading& reading) {
  const std::string& protocol = reading.cell->cell.protocol;
  if (protocol == "none") return {};
  if (seen.of_protocol != nullptr && seen.protocol != protocol) {
    return fail(ErrorCode::kInvalid,
                "a column would mix the protocols '{}' ({}) and '{}' ({}), which answer different questions; "
                "put 'protocol' on rows or columns, or filter by it",
                seen.protocol, named(*seen.of_protocol), protocol, named(reading));
  }
  seen.protocol = protocol;
  seen.of_protocol = &reading;
  return {};
}

/// Numbers of another program's codes stand apart from measured ones, attacked or not.
Status check_imported(Seen& seen, const Reading& reading) {
  constexpr std::string_view kImported = "imported";
  const bool is_imported = reading.cell->cell.protocol == kImported;
  if (seen.first == nullptr) seen.first = &reading;
  const bool first_is = seen.first->cell->cell.protocol == kImported;
  if (first_is == is_imported) return {};
  return fail(
      ErrorCode::kInvalid,
      "a column would mix imported numbers ({}) with measured ones ({}); put 'protocol' on rows or columns, "
      "or filter by it",
      named(first_is ? *seen.first : reading), named(first_is ? reading : *seen.first));
}

Status check_unit(Seen& seen, const Reading& reading) {
  if (reading.value == nullptr) return {};
  if (seen.of_unit != nullptr && seen.unit != reading.value->unit) {
    return fail(ErrorCode::kInvalid, "a column would mix the units '{}' ({}) and '{}' ({}) of {}", seen.unit,
                named(*seen.of_unit), reading.value->unit, named(reading), reading.metric);
  }
  seen.unit = reading.value->unit;
  seen.of_unit = &reading;
  return {};
}

/// Names the first axis in which they differ.
tl::unexpected<Error> two_places(const Reading& first, const Reading& other) {
  for (const std::string& axis : table_axes()) {
    if (axis == "seed") continue;
    const std::string a = value_of(*first.cell, first.metric, axis);
    const std::string b = value_of(*other.cell, other.metric, axis);
    if (a == b) continue;
    return fail(ErrorCode::kInvalid,
                "two numbers that differ in {} ('{}' and '{}') fall into one place of the table ({}; {}); "
                "put '{}' on rows or columns, or filter by it",
                axis, a, b, named(first), named(other), axis);
  }
  return fail(ErrorCode::kInternal, "{} and {} differ in no axis of a table", named(first), named(other));
}

}  // namespace

Status check_versions(db::Connection& connection, const CellSelection& selection) {
  for (std::size_t i = 1; i < selection.versions.size(); ++i) {
    const EntryVersion& a = selection.versions[i - 1];
    const EntryVersion& b = selection.versions[i];
    if (a.kind != b.kind || a.entry != b.entry) continue;
    GAUNTLET_TRY(const std::string cell_of_a, cell_with(connection, selection, a));
    GAUNTLET_TRY(const std::string cell_of_b, cell_with(connection, selection, b));
    return fail(ErrorCode::kInvalid,
                "the table would mix versions {} ({}) and {} ({}) of {}, whose numbers differ; submit the "
                "sweep again to renew its cells, or narrow the filter",
                a.version, cell_of_a, b.version, cell_of_b, a.entry.empty() ? a.kind : a.entry);
  }
  return {};
}

Status check_group(const std::vector<Reading>& readings) {
  const Reading& first = readings.front();
  std::vector<std::uint64_t> seeds;
  for (const Reading& reading : readings) {
    if (!is_same_but_for_seed(*first.cell, *reading.cell) || first.metric != reading.metric)
      return two_places(first, reading);
    const std::uint64_t seed = reading.cell->cell.seed;
    if (std::find(seeds.begin(), seeds.end(), seed) != seeds.end()) {
      return fail(ErrorCode::kInvalid,
                  "{} has two readings of {} (of two jobs, or in two units or directions); they cannot "
                  "share a table",
                  named(reading), reading.metric);
    }
    seeds.push_back(seed);
  }
  return {};
}

Status check_columns(const TableSpec& spec, const ReadingGroups& groups) {
  std::map<AxisKey, Seen> columns;
  for (const auto& [place, readings] : groups) {
    Seen& seen = columns[place.second];
    for (const Reading& reading : readings) {
      if (!spec.shows("protocol")) {
        GAUNTLET_CHECK_OK(check_imported(seen, reading));
        GAUNTLET_CHECK_OK(check_protocol(seen, reading));
      }
      if (!spec.shows("metric")) GAUNTLET_CHECK_OK(check_unit(seen, reading));
    }
  }
  return {};
}

}  // namespace gauntlet::results
