#include "results/table/axes.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <tuple>

namespace gauntlet::results {
namespace {

std::tuple<std::size_t, int, double, std::string> rank(const TableSpec& spec, const std::string& axis,
                                                       const std::string& value) {
  const auto order = spec.order.find(axis);
  const std::vector<std::string>* first = order != spec.order.end() ? &order->second : nullptr;
  if (first == nullptr && axis == "metric") first = &spec.metrics;
  if (first != nullptr) {
    const auto found = std::find(first->begin(), first->end(), value);
    if (found != first->end()) return {static_cast<std::size_t>(found - first->begin()), 0, 0, ""};
  }
  const std::size_t after = first == nullptr ? 0 : first->size();
  if (value.empty() || value == "none") return {after, 0, 0, value};
  if (axis == "bits") return {after, 1, std::strtod(value.c_str(), nullptr), ""};
  return {after, 2, 0, value};
}

}  // namespace

std::string value_of(const CellRow& row, const std::string& metric, std::string_view axis) {
  const spec::Cell& cell = row.cell;
  if (axis == "sweep") return row.sweep;
  if (axis == "dataset") return cell.dataset;
  if (axis == "model") return cell.model;
  if (axis == "bits") return std::to_string(cell.bits);
  if (axis == "defense") return cell.defense;
  if (axis == "attack") return cell.attack;
  if (axis == "protocol") return cell.protocol;
  if (axis == "direction") return cell.direction;
  if (axis == "variant") return cell.variant;
  if (axis == "seed") return std::to_string(cell.seed);
  return metric;
}

std::vector<std::string> axes_of(const std::vector<Level>& levels) {
  std::vector<std::string> axes;
  for (const Level& level : levels) axes.insert(axes.end(), level.begin(), level.end());
  return axes;
}

std::vector<AxisKey> in_order(const std::set<AxisKey>& keys, const std::vector<std::string>& axes,
                              const TableSpec& spec) {
  std::vector<AxisKey> list(keys.begin(), keys.end());
  std::sort(list.begin(), list.end(), [&](const AxisKey& a, const AxisKey& b) {
    for (std::size_t i = 0; i < axes.size(); ++i) {
      if (a[i] != b[i]) return rank(spec, axes[i], a[i]) < rank(spec, axes[i], b[i]);
    }
    return false;
  });
  return list;
}

std::string label_of(const TableSpec& spec, const std::string& axis, const std::string& value) {
  const auto labels = spec.labels.find(axis);
  if (labels != spec.labels.end()) {
    const auto label = labels->second.find(value);
    if (label != labels->second.end()) return label->second;
  }
  if (axis == "bits") return value + " bits";
  const std::size_t slash = axis == "variant" ? value.find('/') : std::string::npos;
  return slash == std::string::npos ? value : value.substr(slash + 1);
}

std::string title_of(const TableSpec& spec, const Level& level) {
  std::vector<std::string> parts;
  for (const std::string& axis : level) {
    const auto title = spec.titles.find(axis);
    const std::string part = title == spec.titles.end() ? axis : title->second;
    if (!part.empty()) parts.push_back(part);
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace gauntlet::results
