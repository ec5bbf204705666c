#include "results/table/properties.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>

#include "core/spec/catalog.hpp"
#include "results/store/selection.hpp"
#include "results/table/axes.hpp"
#include "results/table/mixing.hpp"
#include "results/table/provenance.hpp"

namespace gauntlet::results {
namespace {

/// Where a defense is measured against the undefended model.
struct Setting {
  std::string model;
  std::string dataset;
  std::int64_t bits = 0;
  std::string direction;
  std::string attack;
  std::string protocol;
  auto operator<=>(const Setting&) const = default;
  [[nodiscard]] Setting clean() const { return {model, dataset, bits, direction, "none", "none"}; }
};

using Seeds = std::map<std::uint64_t, double>;

double mean(const Seeds& seeds) {
  double sum = 0;
  for (const auto& [seed, value] : seeds) sum += value;
  return sum / static_cast<double>(seeds.size());
}

struct Counts {
  std::size_t reached = 0;
  std::size_t all = 0;
  bool missing = false;
};

std::string type_of(const spec::CatalogEntry& entry) {
  if (entry.name == "none") return "";
  if (entry.replaces_model) return "adversarial training";
  return entry.trains ? "learned purification" : "fixed filter";
}

class Properties {
 public:
  Properties(db::Connection& connection, const TableSpec& spec, const CellSelection& selection)
      : connection_(connection), spec_(spec), selection_(selection) {}

  Result<Table> make() {
    place_values();
    if (by_defense_.empty()) {
      return fail(ErrorCode::kNotFound, "no cell of a defense with {} matches the table's filter",
                  spec_.metrics.front());
    }
    fill_headings();
    for (const AxisKey& defense : defenses_) {
      std::vector<TableEntry> line;
      for (const Property& property : spec_.properties) {
        GAUNTLET_TRY(TableEntry entry, entry_of(defense.front(), property));
        line.push_back(std::move(entry));
      }
      table_.entries.push_back(std::move(line));
    }
    describe();
    table_.provenance = provenance_of(selection_, std::move(used_));
    return std::move(table_);
  }

 private:
  void place_values() {
    std::unordered_map<std::int64_t, const ValueRow*> values;
    for (const ValueRow& value : selection_.values) {
      if (value.value && value.metric == spec_.metrics.front()) values.emplace(value.cell_id, &value);
    }
    for (const CellRow& row : selection_.cells) {
      const spec::Cell& cell = row.cell;
      if (!cell.variant.empty() || !row.expects(spec_.metrics.front())) continue;
      const Setting setting{cell.model, cell.dataset, cell.bits, cell.direction, cell.attack, cell.protocol};
      auto& settings = cell.defense == "none" ? undefended_ : by_defense_[cell.defense];
      Seeds& seeds = settings[setting];
      const auto value = values.find(row.cell_id);
      if (value == values.end()) {
        if (missing_.insert({cell.defense, setting}).second) {
          table_.missing.push_back({row.sweep, row.cell, spec_.metrics.front()});
        }
        continue;
      }
      seeds[cell.seed] = *value->second->value;
      used_.push_back(value->second);
    }
  }

  void fill_headings() {
    std::set<AxisKey> keys;
    for (const auto& [defense, settings] : by_defense_) keys.insert({defense});
    defenses_ = in_order(keys, {"defense"}, spec_);
    for (const AxisKey& key : defenses_) {
      table_.rows.push_back({{{"defense", key.front()}}, {label_of(spec_, "defense", key.front())}, false});
    }
    for (const Property& property : spec_.properties) {
      table_.columns.push_back({{{"property", property.label}}, {property.label}, false});
    }
    table_.row_titles = {title_of(spec_, {"defense"})};
    table_.column_titles = {""};
    table_.title = spec_.title;
    table_.note = spec_.note;
    table_.best = BestOf::kOff;
  }

  Result<TableEntry> entry_of(const std::string& defense, const Property& property) {
    TableEntry entry;
    entry.state = EntryState::kValue;
    if (property.kind == PropertyKind::kType) {
      GAUNTLET_TRY(entry.text, type_text(defense));
      return entry;
    }
    const bool attacked = property.kind != PropertyKind::kHoldsOnBenign;
    GAUNTLET_TRY(const auto by_model, counts_of(defense, attacked, property.at_least));
    Counts total;
    std::size_t n_models = 0;
    for (const auto& [model, counts] : by_model) {
      total.reached += counts.reached;
      total.all += counts.all;
      total.missing = total.missing || counts.missing;
      if (counts.reached == counts.all) ++n_models;
    }
    if (by_model.empty()) {
      entry.state = EntryState::kBlank;
    } else if (total.missing) {
      entry.state = EntryState::kMissing;
    } else if (property.kind != PropertyKind::kWorksAcrossModels) {
      entry.text = total.reached == total.all ? "✓" : fmt::format("✗ ({} of {})", total.reached, total.all);
    } else if (by_model.size() == 1) {
      entry.text = "one model";
    } else {
      entry.text =
          n_models == by_model.size() ? "✓" : fmt::format("✗ ({} of {} models)", n_models, by_model.size());
    }
    return entry;
  }

  // Per model: how many settings (attacked or clean) reach the threshold.
  Result<std::map<std::string, Counts>> counts_of(const std::string& defense, bool attacked,
                                                  double at_least) const {
    std::map<std::string, Counts> by_model;
    for (const auto& [setting, seeds] : by_defense_.at(defense)) {
      if ((setting.attack != "none") != attacked) continue;
      Counts& counts = by_model[setting.model];
      ++counts.all;
      const auto clean = undefended_.find(setting.clean());
      if (clean == undefended_.end()) {
        return fail(
            ErrorCode::kInvalid,
            "properties compare with the undefended model on clean queries, and no cell of {} {} {} bits {} "
            "has neither defense nor attack; widen the filter or run it",
            setting.dataset, setting.model, setting.bits, setting.direction);
      }
      if (missing_.contains({defense, setting}) || missing_.contains({"none", clean->first})) {
        counts.missing = true;
      } else if (mean(seeds) >= at_least * mean(clean->second)) {
        ++counts.reached;
      }
    }
    return by_model;
  }

  // By the name of the entry: the cell's own, or what its training job says where the cell has a label.
  Result<std::string> type_text(const std::string& defense) {
    const spec::Catalog& catalog = spec::Catalog::builtin();
    if (const auto entry = catalog.find(spec::EntryKind::kDefense, defense)) return type_of(**entry);
    GAUNTLET_TRY(
        db::Statement * statement,
        connection_.cached("SELECT sh.entry FROM cells c JOIN cell_jobs cj ON cj.cell_id = c.cell_id "
                           "JOIN jobs j ON j.job_id = cj.job_id "
                           "JOIN job_shapes sh ON sh.shape_id = j.shape_id "
                           "JOIN job_kinds k ON k.kind = sh.kind "
                           "WHERE c.cell_id = ? AND k.name = 'train_defense' LIMIT 1"));
    for (const CellRow& row : selection_.cells) {
      if (row.cell.defense != defense) continue;
      GAUNTLET_CHECK_OK(statement->bind_all(row.cell_id));
      GAUNTLET_TRY(const bool found, statement->step());
      if (!found) continue;
      const auto entry = catalog.find(spec::EntryKind::kDefense, statement->text(0));
      if (entry) return type_of(**entry);
    }
    return std::string("unknown");
  }

  void describe() {
    for (const Property& property : spec_.properties) {
      if (property.kind == PropertyKind::kType) continue;
      const char* where = property.kind == PropertyKind::kHoldsOnBenign ? "clean" : "attacked";
      const char* each =
          property.kind == PropertyKind::kWorksAcrossModels ? "of every model, of two or more" : "";
      table_.method.push_back(fmt::format(
          "{}: {}, mean over seeds, on {} queries is at least {:g} % of the undefended model's on clean "
          "ones, in every setting{}{}.",
          property.label, spec_.metrics.front(), where, property.at_least * 100, *each != '\0' ? " " : "",
          each));
    }
  }

  db::Connection& connection_;
  const TableSpec& spec_;
  const CellSelection& selection_;
  std::map<Setting, Seeds> undefended_;
  std::map<std::string, std::map<Setting, Seeds>> by_defense_;
  std::set<std::pair<std::string, Setting>> missing_;  ///< settings that lack a seed's number
  std::vector<const ValueRow*> used_;
  std::vector<AxisKey> defenses_;
  Table table_;
};

}  // namespace

Result<Table> make_properties(db::Connection& connection, const TableSpec& spec) {
  GAUNTLET_TRY(const CellSelection selection, select_cells(connection, spec.filter, spec.metrics));
  GAUNTLET_CHECK_OK(check_versions(connection, selection));
  return Properties(connection, spec, selection).make();
}

}  // namespace gauntlet::results
