#include "results/table/spec_problems.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "core/base/text.hpp"

namespace gauntlet::results {

void SpecProblems::add(const YAML::Node& at, const std::string& message) {
  const YAML::Mark mark = at.Mark();
  list_.push_back(fmt::format("{}:{}:{}: {}", source_, mark.line + 1, mark.column + 1, message));
}

std::string SpecProblems::shown(const YAML::Node& value) {
  switch (value.Type()) {
    case YAML::NodeType::Scalar:
      return "'" + value.Scalar() + "'";
    case YAML::NodeType::Sequence:
      return "a list";
    case YAML::NodeType::Map:
      return "a map";
    case YAML::NodeType::Null:
    case YAML::NodeType::Undefined:
      break;
  }
  return "nothing";
}

bool SpecProblems::is_known(const std::string& name, const std::vector<std::string>& known,
                            const YAML::Node& at, std::string_view what) {
  if (std::find(known.begin(), known.end(), name) != known.end()) return true;
  add(at, unknown_name_message(what, name, known));
  return false;
}

bool SpecProblems::is_map(const YAML::Node& value, std::string_view what) {
  if (value.IsMap()) return true;
  add(value, fmt::format("{}, not {}", what, shown(value)));
  return false;
}

void SpecProblems::read_text(const YAML::Node& value, const std::string& key, std::string& target) {
  if (!value.IsScalar()) return add(value, fmt::format("{} is a text, not {}", key, shown(value)));
  target = value.Scalar();
}

std::vector<std::string> SpecProblems::texts(const YAML::Node& value, const std::string& key) {
  std::vector<std::string> list;
  if (value.IsScalar()) {
    list.push_back(value.Scalar());
  } else if (value.IsSequence()) {
    for (const YAML::Node& item : value) {
      if (item.IsScalar()) {
        list.push_back(item.Scalar());
      } else {
        add(item, fmt::format("{} lists texts, not {}", key, shown(item)));
      }
    }
  }
  if (list.empty()) add(value, fmt::format("{} is a text or a list of texts, not {}", key, shown(value)));
  return list;
}

void SpecProblems::read_real(const YAML::Node& value, const std::string& key, double above, double below,
                             double& target) {
  const Result<double> number = parse_real(value.IsScalar() ? value.Scalar() : "");
  if (!number || !(*number > above && *number < below)) {
    return add(value,
               fmt::format("{} is a number between {} and {}, not {}", key, above, below, shown(value)));
  }
  target = *number;
}

void SpecProblems::read_count(const YAML::Node& value, const std::string& key, std::int64_t least,
                              std::int64_t most, std::int64_t& target) {
  const std::string text = value.IsScalar() ? value.Scalar() : "";
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < least || number > most) {
    return add(value,
               fmt::format("{} is a whole number from {} to {}, not {}", key, least, most, shown(value)));
  }
  target = number;
}

}  // namespace gauntlet::results
