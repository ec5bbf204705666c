#include "results/robustness/sweep_values.hpp"

namespace gauntlet::results {

YAML::Node node_of(const Json& value) {
  if (value.is_string()) return YAML::Node(value.get<std::string>());
  if (value.is_boolean()) return YAML::Node(value.get<bool>());
  return YAML::Node(value.dump());  // shortest form that reads back as the same number
}

std::vector<YAML::Node> items_of(const YAML::Node& node) {
  if (!node.IsDefined() || node.IsNull()) return {};
  if (!node.IsSequence()) return {YAML::Clone(node)};
  std::vector<YAML::Node> items;
  for (const YAML::Node& item : node) items.push_back(YAML::Clone(item));
  return items;
}

std::string label_of(const YAML::Node& value) {
  if (value.IsScalar()) return value.Scalar();
  return value["label"] ? value["label"].Scalar() : value["name"].Scalar();
}

YAML::Node as_map(const YAML::Node& value) {
  if (value.IsMap()) return YAML::Clone(value);
  YAML::Node map;
  map["name"] = value.Scalar();
  return map;
}

void limit_to_defenses(YAML::Node& value, const std::vector<std::string>& defenses) {
  YAML::Node list(YAML::NodeType::Sequence);
  for (const std::string& defense : defenses) list.push_back(defense);
  value["when"]["defense"] = list;
}

}  // namespace gauntlet::results
