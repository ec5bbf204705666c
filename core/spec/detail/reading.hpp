// Small helpers of the sweep reader: collecting problems, and asking a YAML value for what it should be.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/json.hpp"
#include "core/spec/detail/keys.hpp"
#include "core/spec/detail/yaml_tree.hpp"

namespace gauntlet::spec::detail {

/// Everything wrong with one file. Not thread-safe.
class Report {
 public:
  template <class... Args>
  void add(Place place, fmt::format_string<Args...> text, Args&&... args) {
    problems_.push_back({place.line, place.column, fmt::format(text, std::forward<Args>(args)...)});
  }
  void add_all(std::vector<Problem> problems);
  [[nodiscard]] bool empty() const { return problems_.empty(); }
  /// In the order of the file, without repetitions.
  [[nodiscard]] std::vector<Problem> take();

 private:
  std::vector<Problem> problems_;
};

/// What a message shows of a value: its text in quotes, "a list", "a mapping", "nothing".
[[nodiscard]] std::string seen(const YamlNode& node);

/// A scalar by the rules of YAML 1.2's core schema: true, 3, 0.5, text; quoted is always text; nothing is
/// null. A number too large for its type stays text. Lists and mappings are nullopt.
[[nodiscard]] std::optional<Json> scalar_value(const YamlNode& node);

/// The texts of a scalar or of a list of scalars, each with its place; problems name `what`.
struct PlacedText {
  std::string text;
  Place place;
};
[[nodiscard]] std::vector<PlacedText> texts_of(const YamlNode& node, std::string_view what, Report& report);

/// The values of a list, or the one value that stands for a list of one.
[[nodiscard]] std::vector<const YamlNode*> values_of(const YamlNode& node);

/// A non-empty text; nullopt after a problem.
[[nodiscard]] std::optional<std::string> text_of(const YamlNode& node, std::string_view what, Report& report);

/// An integer in [low, high]; nullopt after a problem.
[[nodiscard]] std::optional<std::uint64_t> integer_of(const YamlNode& node, std::string_view what,
                                                      std::uint64_t low, std::uint64_t high, Report& report);

/// Whether the node is a mapping; a problem otherwise.
[[nodiscard]] bool expect_map(const YamlNode& node, std::string_view what, Report& report);
/// Whether the node is a list; a problem otherwise.
[[nodiscard]] bool expect_list(const YamlNode& node, std::string_view what, Report& report);
/// Reports every member whose key is not among the known ones.
void refuse_unknown_keys(const YamlNode& map, std::string_view what, const Names& known, Report& report);

}  // namespace gauntlet::spec::detail
