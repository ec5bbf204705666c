// A YAML document as a tree in which every value knows its place. Bounded: size, number of values (an alias
// counts as all it stands for), nesting, and nothing but UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "core/spec/sweep_spec.hpp"

namespace gauntlet::spec::detail {

struct YamlNode {
  enum class Kind : std::uint8_t { kNull, kScalar, kSequence, kMap };
  struct Member {
    const YamlNode* key = nullptr;  ///< always a scalar
    const YamlNode* value = nullptr;
  };

  Kind kind = Kind::kNull;
  bool quoted = false;  ///< a scalar that is a text whatever it looks like
  Place place;
  std::string text;                    ///< of a scalar
  std::vector<const YamlNode*> items;  ///< of a sequence
  std::vector<Member> members;         ///< of a map, in the order of the file, keys unique
  std::size_t weight = 1;              ///< values in this subtree, aliases expanded

  [[nodiscard]] bool is_scalar() const { return kind == Kind::kScalar; }
  [[nodiscard]] bool is_sequence() const { return kind == Kind::kSequence; }
  [[nodiscard]] bool is_map() const { return kind == Kind::kMap; }
  [[nodiscard]] const YamlNode* find(std::string_view key) const;
};

struct YamlTree {
  std::deque<YamlNode> nodes;      ///< owns; addresses are stable
  const YamlNode* root = nullptr;  ///< null when the text could not be read
  std::vector<Problem> problems;
};

[[nodiscard]] YamlTree read_yaml(std::string_view text);

}  // namespace gauntlet::spec::detail
