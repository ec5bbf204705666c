#include "results/table/axes.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <tuple>

namespace gauntlet::results {
namespace {

struct TextAxis {
  std::string_view name;
  std::string spec::Cell::*text;
};

constexpr std::array kTextAxes = {
    TextAxis{"dataset", &spec::Cell::dataset},   TextAxis{"model", &spec::Cell::model},
    TextAxis{"defense", &spec::Cell::defense},   TextAxis{"attack", &spec::Cell::attack},
    TextAxis{"protocol", &spec::Cell::protocol}, TextAxis{"direction", &spec::Cell::direction},
    TextAxis{"variant", &spec::Cell::variant}};

/// What is no axis of cells is the metric.
Axis axis_named(std::string_view name) {
  for (const TextAxis& axis : kTextAxes) {
    if (axis.name == name) return {Axis::Kind::kText, axis.text};
  }
  if (name == "sweep") return {Axis::Kind::kSweep};
  if (name == "bits") return {Axis::Kind::kBits};
  if (name == "seed") return {Axis::Kind::kSeed};
  return {Axis::Kind::kMetric};
}

/// Values of an axis in a table's order.
class AxisOrder {
 public:
  AxisOrder(const TableSpec& spec, const std::string& axis) : is_bits_(axis == "bits") {
    const auto order = spec.order.find(axis);
    if (order != spec.order.end()) first_ = &order->second;
    if (first_ == nullptr && axis == "metric") first_ = &spec.metrics;
  }
  [[nodiscard]] bool is_before(const std::string& a, const std::string& b) const { return rank(a) < rank(b); }

 private:
  using Rank = std::tuple<std::size_t, int, double, std::string_view>;
  [[nodiscard]] Rank rank(const std::string& value) const {
    if (first_ != nullptr) {
      const auto found = std::find(first_->begin(), first_->end(), value);
      if (found != first_->end()) return {static_cast<std::size_t>(found - first_->begin()), 0, 0, ""};
    }
    const std::size_t after = first_ == nullptr ? 0 : first_->size();
    if (value.empty() || value == "none") return {after, 0, 0, value};
    if (is_bits_) return {after, 1, std::strtod(value.c_str(), nullptr), ""};
    return {after, 2, 0, value};
  }

  const std::vector<std::string>* first_ = nullptr;  ///< those the spec names
  bool is_bits_;
};

}  // namespace

std::string value_of(const CellRow& row, std::string_view metric, std::string_view axis) {
  const Axis named = axis_named(axis);
  switch (named.kind) {
    case Axis::Kind::kText:
      return row.cell.*named.text;
    case Axis::Kind::kBits:
      return std::to_string(row.cell.bits);
    case Axis::Kind::kSeed:
      return std::to_string(row.cell.seed);
    case Axis::Kind::kSweep:
      return row.sweep;
    case Axis::Kind::kMetric:
      return std::string(metric);
  }
  return {};
}

AxisReader::AxisReader(const std::vector<std::string>& axes) {
  for (const std::string& axis : axes) axes_.push_back(axis_named(axis));
}

void AxisReader::append_to(std::string& text, const CellRow& row, std::string_view metric) const {
  // Each value behind its length: a value may have any byte.
  const auto add_number = [&text](auto number) {
    text.append(reinterpret_cast<const char*>(&number), sizeof number);
  };
  const auto add = [&](std::string_view value) {
    add_number(value.size());
    text += value;
  };
  for (const Axis& axis : axes_) {
    switch (axis.kind) {
      case Axis::Kind::kText:
        add(row.cell.*axis.text);
        break;
      case Axis::Kind::kBits:
        add_number(row.cell.bits);
        break;
      case Axis::Kind::kSeed:
        add_number(row.cell.seed);
        break;
      case Axis::Kind::kSweep:
        add(row.sweep);
        break;
      case Axis::Kind::kMetric:
        add(metric);
        break;
    }
  }
}

bool is_same_but_for_seed(const CellRow& a, const CellRow& b) {
  return a.cell.bits == b.cell.bits && a.sweep == b.sweep &&
         std::all_of(kTextAxes.begin(), kTextAxes.end(),
                     [&](const TextAxis& axis) { return a.cell.*axis.text == b.cell.*axis.text; });
}

std::vector<std::string> axes_of(const std::vector<Level>& levels) {
  std::vector<std::string> axes;
  for (const Level& level : levels) axes.insert(axes.end(), level.begin(), level.end());
  return axes;
}

std::vector<AxisKey> in_order(const std::set<AxisKey>& keys, const std::vector<std::string>& axes,
                              const TableSpec& spec) {
  std::vector<AxisOrder> orders;
  for (const std::string& axis : axes) orders.emplace_back(spec, axis);
  std::vector<AxisKey> list(keys.begin(), keys.end());
  std::sort(list.begin(), list.end(), [&](const AxisKey& a, const AxisKey& b) {
    for (std::size_t i = 0; i < axes.size(); ++i) {
      if (a[i] != b[i]) return orders[i].is_before(a[i], b[i]);
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
