#include "results/table/significance.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/base/random.hpp"
#include "results/store/query_values.hpp"
#include "results/table/axes.hpp"
#include "results/table/inference.hpp"

namespace gauntlet::results {
namespace {

using Place = std::map<std::string, std::string>;  // axis → value, of a row and a column together

Place place_of(const Heading& row, const Heading& column) {
  Place place = row.values;
  place.insert(column.values.begin(), column.values.end());
  return place;
}

std::string text_of(const Place& place) {
  std::vector<std::string> parts;
  for (const auto& [axis, value] : place) parts.push_back(axis + " " + (value.empty() ? "\"\"" : value));
  return fmt::format("{}", fmt::join(parts, ", "));
}

// A stream of its own per place, so that a table's rows do not depend on each other.
std::uint64_t seed_of(const char* purpose, const Place& place) {
  return purpose_seed(0, text_of(place), purpose);
}

class Tester {
 public:
  Tester(db::Connection& connection, const TableSpec& spec, Table& table)
      : connection_(connection), spec_(spec), table_(table) {}

  Status test() {
    fill_places();
    for (std::size_t column = 0; column < table_.columns.size(); ++column) {
      GAUNTLET_CHECK_OK(test_column(column));
    }
    if (!any_baseline_) {
      return fail(ErrorCode::kInvalid,
                  "significance.against: no entry of the table has a baseline with {} in its own place",
                  text_of(spec_.significance->against));
    }
    describe();
    return {};
  }

 private:
  void fill_places() {
    for (std::size_t row = 0; row < table_.rows.size(); ++row) {
      for (std::size_t column = 0; column < table_.columns.size(); ++column) {
        if (table_.rows[row].reference || table_.columns[column].reference) continue;
        if (table_.entries[row][column].state == EntryState::kBlank) continue;
        entries_[place_of(table_.rows[row], table_.columns[column])] = &table_.entries[row][column];
      }
    }
  }

  Status test_column(std::size_t column) {
    std::vector<TableEntry*> tested;
    std::vector<double> p_values;
    for (std::size_t row = 0; row < table_.rows.size(); ++row) {
      const Place place = place_of(table_.rows[row], table_.columns[column]);
      Place baseline = place;
      for (const auto& [axis, value] : spec_.significance->against) baseline[axis] = value;
      const auto entry = entries_.find(place);
      const auto other = entries_.find(baseline);
      if (entry == entries_.end() || other == entries_.end() || entry == other) continue;
      any_baseline_ = true;
      GAUNTLET_TRY(const std::vector<double> differences,
                   differences_of(*entry->second, *other->second, place));
      if (differences.empty()) continue;
      tested.push_back(entry->second);
      p_values.push_back(
          paired_p_value(differences, spec_.significance->permutations, seed_of("significance", place)));
    }
    const std::vector<double> corrected = holm(p_values);
    for (std::size_t i = 0; i < tested.size(); ++i) {
      tested[i]->p_value = p_values[i];
      tested[i]->p_holm = corrected[i];
      tested[i]->significant = corrected[i] < spec_.significance->level;
    }
    return {};
  }

  // One difference per query of every shared seed, divided by how many queries that seed has; or one per
  // seed. Empty where the two share no seed: some numbers are missing.
  Result<std::vector<double>> differences_of(const TableEntry& entry, const TableEntry& baseline,
                                             const Place& place) {
    std::vector<double> of_queries;
    std::vector<double> of_seeds;
    bool all_queries = true;
    for (const SeedValue& seed : entry.seeds) {
      const auto other = std::find_if(baseline.seeds.begin(), baseline.seeds.end(),
                                      [&](const SeedValue& b) { return b.seed == seed.seed; });
      if (other == baseline.seeds.end()) continue;
      of_seeds.push_back(seed.value - other->value);
      GAUNTLET_TRY(const std::vector<float> a, query_values(connection_, seed.job_id, entry.metric));
      GAUNTLET_TRY(const std::vector<float> b, query_values(connection_, other->job_id, baseline.metric));
      if (a.empty() || b.empty()) {
        all_queries = false;
      } else if (a.size() != b.size()) {
        return fail(
            ErrorCode::kInvalid,
            "significance: {} has {} queries at seed {} and its baseline {}, so that they do not pair",
            text_of(place), a.size(), seed.seed, b.size());
      } else {
        const auto n = static_cast<double>(a.size());
        for (std::size_t i = 0; i < a.size(); ++i) {
          const double difference = (static_cast<double>(a[i]) - static_cast<double>(b[i])) / n;
          if (std::isfinite(difference)) of_queries.push_back(difference);
        }
      }
    }
    if (of_seeds.empty()) return of_seeds;
    if (all_queries) {
      over_queries_ = true;
      return of_queries;
    }
    if (of_seeds.size() == 1) {
      return fail(
          ErrorCode::kInvalid,
          "significance: {} has no values per query and shares one seed with its baseline, but a test over "
          "seeds needs two or more; run more seeds or leave 'significance' out",
          text_of(place));
    }
    over_seeds_ = true;
    return of_seeds;
  }

  // "defense none", with the labels that the table shows.
  std::string baseline_label() const {
    std::vector<std::string> parts;
    for (const auto& [axis, value] : spec_.significance->against) {
      const std::string label = label_of(spec_, axis, value);
      parts.push_back(fmt::format("{} {}", axis, label.empty() ? "\"\"" : label));
    }
    return fmt::format("{}", fmt::join(parts, ", "));
  }

  void describe() {
    const Significance& asked = *spec_.significance;
    table_.method.push_back(fmt::format(
        "† differs from {}: p < {} by a paired permutation test over {} (all patterns, or {} drawn), Holm's "
        "correction over the column.",
        baseline_label(), asked.level,
        over_queries_ && over_seeds_ ? "the queries of all seeds, or over seeds"
        : over_seeds_                ? "seeds"
                                     : "the queries of all seeds",
        asked.permutations));
  }

  db::Connection& connection_;
  const TableSpec& spec_;
  Table& table_;
  std::map<Place, TableEntry*> entries_;
  bool any_baseline_ = false;
  bool over_queries_ = false;
  bool over_seeds_ = false;
};

// The values that are drawn from: the queries of each seed, or the seeds.
Result<std::vector<std::vector<double>>> groups_of(db::Connection& connection, const TableEntry& entry,
                                                   const Place& place) {
  std::vector<std::vector<double>> groups;
  std::vector<double> seeds;
  for (const SeedValue& seed : entry.seeds) {
    GAUNTLET_TRY(const std::vector<float> values, query_values(connection, seed.job_id, entry.metric));
    std::vector<double> finite;
    for (const float value : values) {
      if (std::isfinite(value)) finite.push_back(value);
    }
    seeds.push_back(seed.value);
    if (!finite.empty()) groups.push_back(std::move(finite));
  }
  if (groups.size() == seeds.size()) return groups;
  if (seeds.size() > 1) return std::vector<std::vector<double>>{seeds};
  return fail(
      ErrorCode::kInvalid,
      "interval: {} has one seed and no values per query, so that there is nothing to draw from; run more "
      "seeds or leave 'interval' out",
      text_of(place));
}

}  // namespace

Status add_significance(db::Connection& connection, const TableSpec& spec, Table& table) {
  if (!spec.significance) return {};
  return Tester(connection, spec, table).test();
}

Status add_intervals(db::Connection& connection, const TableSpec& spec, Table& table) {
  if (!spec.interval) return {};
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    for (std::size_t column = 0; column < table.columns.size(); ++column) {
      TableEntry& entry = table.entries[row][column];
      if (entry.seeds.empty()) continue;
      const Place place = place_of(table.rows[row], table.columns[column]);
      GAUNTLET_TRY(const auto groups, groups_of(connection, entry, place));
      entry.interval = bootstrap_interval(groups, spec.interval->level, spec.interval->samples,
                                          seed_of("interval", place));
    }
  }
  table.method.push_back(fmt::format("[ ]: {:g} % interval of the mean, queries drawn anew {} times.",
                                     spec.interval->level * 100, spec.interval->samples));
  return {};
}

}  // namespace gauntlet::results
