#include "core/spec/sweep_spec.hpp"

#include <limits>

#include "core/spec/detail/keys.hpp"

namespace gauntlet::spec {

std::string to_text(const Problem& problem, std::string_view file) {
  if (problem.line == 0) return fmt::format("{}: {}", file, problem.message);
  return fmt::format("{}:{}:{}: {}", file, problem.line, problem.column, problem.message);
}

std::string_view name_of(Axis axis) { return detail::kAxisKeys[static_cast<std::size_t>(axis)]; }

std::optional<Axis> axis_from(std::string_view name) {
  const auto found = std::ranges::find(detail::kAxisKeys, name);
  if (found == detail::kAxisKeys.end()) return std::nullopt;
  return static_cast<Axis>(found - detail::kAxisKeys.begin());
}

std::optional<EntryKind> entry_kind_of(Axis axis) {
  switch (axis) {
    case Axis::kDataset:
      return EntryKind::kDataset;
    case Axis::kModel:
      return EntryKind::kModel;
    case Axis::kDefense:
      return EntryKind::kDefense;
    case Axis::kAttack:
      return EntryKind::kAttack;
    case Axis::kBits:
    case Axis::kDirection:
    case Axis::kSeed:
      return std::nullopt;
  }
  return std::nullopt;
}

bool AxisValue::same_as(const AxisValue& other) const {
  return name == other.name && label == other.label && options == other.options &&
         protocol == other.protocol && source == other.source && scope == other.scope;
}

std::uint64_t PointSet::size() const {
  std::uint64_t points = 1;
  for (const Dimension& dimension : dimensions) {
    if (__builtin_mul_overflow(points, dimension.rows.size(), &points)) {
      return std::numeric_limits<std::uint64_t>::max();
    }
  }
  return points;
}

Resources default_resources(JobKind kind) {
  Resources resources;
  switch (kind) {
    case JobKind::kPrepare:
    case JobKind::kFeatures:
    case JobKind::kTrainModel:
    case JobKind::kTrainAttack:
    case JobKind::kCraft:
    case JobKind::kTrainDefense:
      resources.cpus = 2;
      break;
    case JobKind::kEncode:
    case JobKind::kEvaluate:
    case JobKind::kExplain:
    case JobKind::kCommand:
      resources.cpus = 1;
      break;
    case JobKind::kNoop:
      resources.cpus = 0;
      break;
  }
  return resources;
}

}  // namespace gauntlet::spec
