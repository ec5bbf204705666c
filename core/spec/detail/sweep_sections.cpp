// The sections that add cells to the product or change them.
#include <algorithm>
#include <limits>

#include "core/base/text.hpp"
#include "core/spec/detail/sweep_parser.hpp"

namespace gauntlet::spec::detail {
namespace {

/// Adds without wrapping around.
std::uint64_t add_saturating(std::uint64_t a, std::uint64_t b) {
  return a > std::numeric_limits<std::uint64_t>::max() - b ? std::numeric_limits<std::uint64_t>::max()
                                                           : a + b;
}

}  // namespace

void SweepParser::read_include(const YamlNode& node) {
  if (!expect_list(node, "include", report_)) return;
  for (const YamlNode* cell : node.items) {
    if (expect_map(*cell, "an include", report_)) spec_.include.push_back(read_include_cell(*cell));
  }
}

PointSet SweepParser::read_include_cell(const YamlNode& cell) {
  PointSet points;
  points.place = cell.place;
  refuse_unknown_keys(cell, "include", kAxisKeys, report_);
  for (const Axis axis : kAllAxes) {
    Dimension dimension{{axis}, {}};
    if (const YamlNode* node = cell.find(name_of(axis))) {
      if (node->is_sequence() && node->items.empty())
        report_.add(node->place, "{} of include is an empty list", name_of(axis));
      for (const YamlNode* value : values_of(*node)) {
        if (const auto index = axes_.resolve(axis, *value)) dimension.rows.push_back({*index});
      }
    } else if (n_axis_values_[static_cast<std::size_t>(axis)] == 1) {
      dimension.rows.push_back({0});
    } else if (n_axis_values_[static_cast<std::size_t>(axis)] > 1) {
      report_.add(cell.place, "this include does not say which {}", name_of(axis));
    }
    points.dimensions.push_back(std::move(dimension));
  }
  return points;
}

void SweepParser::read_settings(const YamlNode& node) {
  if (!expect_list(node, "settings", report_)) return;
  for (const YamlNode* item : node.items) {
    if (!expect_map(*item, "a setting", report_)) continue;
    refuse_unknown_keys(*item, "a setting", kSettingKeys, report_);
    Setting setting;
    if (const YamlNode* match = item->find("match")) setting.match = axes_.read_selector(*match, "match");
    if (const YamlNode* set = item->find("set")) {
      setting.set = read_assignments(*set, "set", report_);
    } else {
      report_.add(item->place, "a setting without 'set' changes nothing");
    }
    spec_.settings.push_back(std::move(setting));
  }
}

void SweepParser::read_ablations(const YamlNode& node) {
  if (!expect_list(node, "ablations", report_)) return;
  for (const YamlNode* item : node.items) {
    if (expect_map(*item, "an ablation", report_)) read_ablation(*item);
  }
}

void SweepParser::read_ablation(const YamlNode& node) {
  refuse_unknown_keys(node, "an ablation", kAblationKeys, report_);
  Ablation ablation;
  ablation.place = node.place;
  const YamlNode* name = node.find("name");
  if (name == nullptr) report_.add(node.place, "an ablation has no 'name'");
  if (name != nullptr) ablation.name = text_of(*name, "name of an ablation", report_).value_or("");
  const auto is_taken = [&](const Ablation& other) {
    return other.name == ablation.name && !ablation.name.empty();
  };
  if (std::ranges::any_of(spec_.ablations, is_taken)) {
    report_.add(name->place, "two ablations are called '{}'", ablation.name);
  }
  const std::string what = fmt::format("base of ablation '{}'", ablation.name);
  ablation.base = spec_.product;
  if (const YamlNode* base = node.find("base")) ablation.base = read_base(*base, what);
  ablation.base.place = node.place;
  const YamlNode* variants = node.find("variants");
  if (variants == nullptr || (variants->is_map() && variants->members.empty())) {
    report_.add(node.place, "ablation '{}' has no 'variants'", ablation.name);
  } else if (expect_map(*variants, "variants", report_)) {
    for (const YamlNode::Member& member : variants->members) {
      const std::string where = fmt::format("variant '{}'", member.key->text);
      ablation.variants.push_back({member.key->text, read_assignments(*member.value, where, report_)});
    }
  }
  spec_.ablations.push_back(std::move(ablation));
}

PointSet SweepParser::read_base(const YamlNode& node, std::string_view what) {
  PointSet base = spec_.product;
  if (!expect_map(node, what, report_)) return base;
  refuse_unknown_keys(node, what, kAxisKeys, report_);
  for (Dimension& dimension : base.dimensions) {
    for (std::size_t column = 0; column < dimension.axes.size(); ++column) {
      const YamlNode* wanted = node.find(name_of(dimension.axes[column]));
      if (wanted != nullptr) restrict_dimension(dimension, column, *wanted, what);
    }
  }
  return base;
}

/// Keeps the rows that have a wanted value; a value that no row has becomes a row of its own where the axis
/// stands alone.
void SweepParser::restrict_dimension(Dimension& dimension, std::size_t column, const YamlNode& wanted,
                                     std::string_view what) {
  const Axis axis = dimension.axes[column];
  std::vector<std::vector<std::uint32_t>> kept;
  for (const YamlNode* item : values_of(wanted)) {
    const std::size_t n_before = kept.size();
    for (const auto& row : dimension.rows) {
      if (!item->is_scalar() || !axes_.matches(axis, row[column], {item->text})) continue;
      if (std::ranges::find(kept, row) == kept.end()) kept.push_back(row);
    }
    if (kept.size() > n_before) continue;
    const auto value = axes_.resolve(axis, *item);
    if (value && dimension.axes.size() == 1) {
      if (std::ranges::find(kept, std::vector{*value}) == kept.end()) kept.push_back({*value});
    } else if (value) {
      report_.add(item->place, "{} names {} '{}', which no zipped row has", what, name_of(axis), item->text);
    }
  }
  dimension.rows = std::move(kept);
}

std::vector<const CatalogEntry*> SweepParser::candidates_for(Axis axis, const Selector& match) const {
  std::vector<std::string> names;
  const auto wanted = match.any_of.find(axis);
  for (std::uint32_t value = 0; value < spec_.of(axis).size(); ++value) {
    if (wanted == match.any_of.end() || axes_.matches(axis, value, wanted->second))
      names.push_back(spec_.of(axis)[value].name);
  }
  if (wanted != match.any_of.end()) names.insert(names.end(), wanted->second.begin(), wanted->second.end());
  std::vector<const CatalogEntry*> entries;
  for (const std::string& name : names) {
    const auto entry = catalog_.find(*entry_kind_of(axis), name);
    if (entry && std::ranges::find(entries, *entry) == entries.end()) entries.push_back(*entry);
  }
  return entries;
}

void SweepParser::check_settings() {
  for (const Setting& setting : spec_.settings) {
    std::map<EntryKind, std::vector<const CatalogEntry*>> candidates;
    for (const Axis axis : kAllAxes) {
      if (const auto kind = entry_kind_of(axis)) candidates[*kind] = candidates_for(axis, setting.match);
    }
    check_assignments(setting.set, candidates, report_);
  }
}

void SweepParser::check_variants() {
  for (const Ablation& ablation : spec_.ablations) {
    std::map<EntryKind, std::vector<const CatalogEntry*>> candidates;
    for (const Dimension& dimension : ablation.base.dimensions) {
      for (std::size_t column = 0; column < dimension.axes.size(); ++column) {
        const auto kind = entry_kind_of(dimension.axes[column]);
        if (!kind) continue;
        for (const auto& row : dimension.rows) {
          const auto entry = catalog_.find(*kind, spec_.of(dimension.axes[column])[row[column]].name);
          if (entry && std::ranges::find(candidates[*kind], *entry) == candidates[*kind].end())
            candidates[*kind].push_back(*entry);
        }
      }
    }
    for (const Variant& variant : ablation.variants) check_assignments(variant.set, candidates, report_);
  }
}

void SweepParser::check_size() {
  std::uint64_t points = spec_.product.size();
  for (const PointSet& cells : spec_.include) points = add_saturating(points, cells.size());
  for (const Ablation& ablation : spec_.ablations) {
    std::uint64_t rows = 0;
    const bool overflows = __builtin_mul_overflow(ablation.base.size(), ablation.variants.size() + 1, &rows);
    points = add_saturating(points, overflows ? std::numeric_limits<std::uint64_t>::max() : rows);
  }
  if (points <= kMaxCells) return;
  const bool fits = points < std::numeric_limits<std::uint64_t>::max();
  report_.add(axes_place_, "the sweep has {} cells; allowed: {}",
              fits ? std::to_string(points) : "more than 10^19", kMaxCells);
}

}  // namespace gauntlet::spec::detail
