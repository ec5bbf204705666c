// Problems of a YAML document, each with its place, and readers of values that report instead of stopping.
// Thread safety: none; belongs to whoever reads the document.
#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gauntlet::results {

class SpecProblems {
 public:
  explicit SpecProblems(std::string_view source) : source_(source) {}

  /// Adds "source:line:column: message".
  void add(const YAML::Node& at, const std::string& message);
  [[nodiscard]] const std::vector<std::string>& list() const { return list_; }

  /// "'text'", "a list", "a map", "nothing".
  [[nodiscard]] static std::string shown(const YAML::Node& value);

  /// Whether `name` is one of `known`; else a problem that suggests the nearest.
  bool is_known(const std::string& name, const std::vector<std::string>& known, const YAML::Node& at,
                std::string_view what);
  /// Whether the node is a map; else a problem with `what`, e.g. "filter maps columns to values".
  bool is_map(const YAML::Node& value, std::string_view what);

  void read_text(const YAML::Node& value, const std::string& key, std::string& target);
  /// One text or a list of them; never empty without a problem.
  std::vector<std::string> texts(const YAML::Node& value, const std::string& key);
  /// A number strictly between the bounds.
  void read_real(const YAML::Node& value, const std::string& key, double above, double below, double& target);
  /// A whole number from `least` to `most`.
  void read_count(const YAML::Node& value, const std::string& key, std::int64_t least, std::int64_t most,
                  std::int64_t& target);

 private:
  std::string source_;
  std::vector<std::string> list_;
};

}  // namespace gauntlet::results
