#include "core/spec/detail/sweep_parser.hpp"

#include <algorithm>

#include "core/base/text.hpp"

namespace gauntlet::spec {
namespace detail {
namespace {

constexpr std::size_t kMaxNameLength = 100;

bool is_sweep_name(std::string_view name) {
  const auto is_part = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  return name.size() <= kMaxNameLength && name.front() != '.' && std::ranges::all_of(name, is_part);
}

}  // namespace

ParsedSweep SweepParser::parse(std::string_view text) {
  YamlTree tree = read_yaml(text);
  report_.add_all(std::move(tree.problems));
  for (int kind = 0; kind < kJobKindCount; ++kind) {
    spec_.resources[static_cast<JobKind>(kind)] = default_resources(static_cast<JobKind>(kind));
  }
  if (tree.root != nullptr && expect_map(*tree.root, "a sweep file", report_)) read_top(*tree.root);
  ParsedSweep parsed;
  parsed.problems = report_.take();
  if (parsed.problems.empty()) parsed.spec = std::move(spec_);
  return parsed;
}

void SweepParser::read_top(const YamlNode& root) {
  refuse_unknown_keys(root, "a sweep", kSweepKeys, report_);
  read_head(root);
  if (const YamlNode* node = root.find("resources")) read_resources(*node, spec_.resources, report_);
  const YamlNode* noop = root.find("noop");
  const YamlNode* command = root.find("command");
  if (noop == nullptr && command == nullptr) {
    if (const YamlNode* external = root.find("external"))
      static_cast<void>(texts_of(*external, "external", report_));  // with_external has read them
    read_cells(root);
    return;
  }
  if (noop != nullptr && command != nullptr)
    report_.add(command->place, "'command' does not go with 'noop'; a sweep has one of them");
  spec_.noop = noop != nullptr ? read_noop(*noop, report_) : read_command(*command, report_);
  for (const YamlNode::Member& member : root.members) {
    if (std::ranges::find(kCellKeys, member.key->text) == kCellKeys.end()) continue;
    report_.add(member.key->place, "'{}' does not go with '{}', which has no cells", member.key->text,
                noop != nullptr ? "noop" : "command");
  }
}

void SweepParser::read_head(const YamlNode& root) {
  const YamlNode* format = root.find("gauntlet");
  if (format == nullptr) {
    report_.add(root.place, "the format version is missing; start the file with 'gauntlet: 1'");
  } else {
    static_cast<void>(integer_of(*format, "gauntlet (the format version)", 1, 1, report_));
  }
  const YamlNode* name = root.find("name");
  if (name == nullptr) {
    report_.add(root.place, "the sweep has no 'name'");
  } else if (const auto text = text_of(*name, "name", report_)) {
    spec_.name = *text;
    if (!is_sweep_name(*text)) {
      report_.add(name->place,
                  "name is {}; allowed: up to {} letters, digits, '-', '_', '.', not starting with '.'",
                  seen(*name), kMaxNameLength);
    }
  }
}

void SweepParser::read_cells(const YamlNode& root) {
  if (const YamlNode* node = root.find("on_queries"))
    spec_.on_queries = read_on_queries(*node, "on_queries", report_);
  const YamlNode* axes = root.find("axes");
  if (axes == nullptr) {
    report_.add(root.place, "the sweep has neither 'axes' nor 'noop'");
  } else {
    axes_place_ = axes->place;
    read_axes(*axes);
  }
  if (const YamlNode* node = root.find("zip")) read_zip(*node);
  build_product();
  if (const YamlNode* node = root.find("exclude");
      node != nullptr && expect_list(*node, "exclude", report_)) {
    for (const YamlNode* entry : node->items) {
      spec_.exclude.push_back(axes_.read_selector(*entry, "exclude"));
      if (entry->is_map() && entry->members.empty())
        report_.add(entry->place, "an empty exclude would remove every cell");
    }
  }
  if (const YamlNode* node = root.find("include")) read_include(*node);
  if (const YamlNode* node = root.find("settings")) read_settings(*node);
  if (const YamlNode* node = root.find("ablations")) read_ablations(*node);
  if (const YamlNode* node = root.find("select")) read_select(*node);
  if (const YamlNode* node = root.find("explain")) read_explain(*node);
  const YamlNode* metrics = root.find("metrics");
  if (metrics == nullptr) {
    report_.add(root.place, "the sweep names no 'metrics'");
  } else {
    spec_.metrics = read_metrics(*metrics, catalog_, check_metric_, report_);
  }
  if (const YamlNode* node = root.find("tables")) {
    for (const PlacedText& table : texts_of(*node, "tables", report_)) spec_.tables.push_back(table.text);
  }
  axes_.resolve_sources();
  axes_.check_pending_names();
  check_settings();
  check_variants();
  check_selections();
  check_size();
}

void SweepParser::read_axes(const YamlNode& node) {
  if (!expect_map(node, "axes", report_)) return;
  refuse_unknown_keys(node, "axes", kAxisKeys, report_);
  for (const Axis axis : kAllAxes) {
    if (const YamlNode* values = node.find(name_of(axis))) {
      read_axis(axis, *values);
    } else if (axis == Axis::kDefense || axis == Axis::kAttack) {
      axes_.add_default(axis, "none");
    } else if (axis == Axis::kDirection) {
      for (const std::string& direction : kDirections) axes_.add_default(axis, direction);
    } else if (axis == Axis::kSeed) {
      axes_.add_default(axis, "1");
    } else {
      report_.add(node.place, "axes has no '{}'", name_of(axis));
    }
    n_axis_values_[static_cast<std::size_t>(axis)] = static_cast<std::uint32_t>(spec_.of(axis).size());
  }
  axes_.resolve_sources();
}

void SweepParser::read_axis(Axis axis, const YamlNode& node) {
  if (node.is_sequence() && node.items.empty())
    report_.add(node.place, "axis {} is an empty list", name_of(axis));
  for (const YamlNode* value : values_of(node)) {
    if (!axes_.add_axis_value(axis, *value)) has_bad_value_[static_cast<std::size_t>(axis)] = true;
  }
}

void SweepParser::read_zip(const YamlNode& node) {
  if (!expect_list(node, "zip", report_)) return;
  for (const YamlNode* group : node.items) {
    if (!group->is_sequence()) {
      report_.add(group->place, "a zip group is {}; allowed: a list of axes, as in zip: [[model, bits]]",
                  seen(*group));
      return;  // a list without its second pair of brackets says so for every axis
    }
    std::vector<Axis> axes = read_zip_group(*group);
    if (!axes.empty()) zip_.push_back(std::move(axes));
  }
}

std::vector<Axis> SweepParser::read_zip_group(const YamlNode& group) {
  std::vector<Axis> axes;
  std::string lengths;
  bool is_good = true;
  for (const PlacedText& name : texts_of(group, "a zip group", report_)) {
    const auto axis = axis_from(name.text);
    const auto holds = [&](const std::vector<Axis>& other) {
      return axis && std::ranges::find(other, *axis) != other.end();
    };
    is_good = is_good && axis && !holds(axes) && std::ranges::none_of(zip_, holds);
    if (!axis) {
      report_.add(name.place, "{}", unknown_name_message("axis", name.text, kAxisKeys));
    } else if (holds(axes) || std::ranges::any_of(zip_, holds)) {
      report_.add(name.place, "axis {} is zipped twice", name.text);
    } else {
      axes.push_back(*axis);
      lengths += fmt::format("{}{} has {}", lengths.empty() ? "" : ", ", name.text, spec_.of(*axis).size());
    }
  }
  if (is_good && axes.size() < 2) {
    report_.add(group.place, "a zip group of one axis; name at least two that advance together");
    is_good = false;
  }
  const auto is_whole = [&](Axis axis) { return !has_bad_value_[static_cast<std::size_t>(axis)]; };
  if (!std::ranges::all_of(axes, is_whole)) return {};  // lengths mean nothing yet
  for (const Axis axis : axes) {
    if (!is_good || spec_.of(axis).size() == spec_.of(axes.front()).size()) continue;
    report_.add(group.place, "zipped axes differ in length: {}", lengths);
    is_good = false;
  }
  std::ranges::sort(axes);
  return is_good ? axes : std::vector<Axis>();
}

void SweepParser::build_product() {
  for (const Axis axis : kAllAxes) {
    const auto group = std::ranges::find_if(
        zip_, [&](const auto& axes) { return std::ranges::find(axes, axis) != axes.end(); });
    if (group != zip_.end() && group->front() != axis) continue;
    Dimension dimension;
    dimension.axes = group == zip_.end() ? std::vector<Axis>{axis} : *group;
    for (std::uint32_t value = 0; value < n_axis_values_[static_cast<std::size_t>(axis)]; ++value) {
      dimension.rows.emplace_back(dimension.axes.size(), value);
    }
    spec_.product.dimensions.push_back(std::move(dimension));
  }
  spec_.product.place = axes_place_;
}

}  // namespace detail

std::optional<std::string> sweep_name_in(std::string_view text) {
  const detail::YamlTree tree = detail::read_yaml(text);
  if (tree.root == nullptr || !tree.root->is_map() || tree.root->find("gauntlet") == nullptr)
    return std::nullopt;
  const detail::YamlNode* const name = tree.root->find("name");
  return name != nullptr && name->is_scalar() ? name->text : "";
}

ParsedSweep parse_sweep(std::string_view text, std::string_view file, const Catalog& catalog,
                        const MetricCheck& check_metric) {
  return detail::SweepParser(file, catalog, check_metric).parse(text);
}

}  // namespace gauntlet::spec
