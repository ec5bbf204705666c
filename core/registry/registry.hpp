// A registry is a table of entries written by a .def list; nothing registers itself at start-up.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/registry/entry.hpp"

namespace gauntlet {

/// `Entry` has a member `about` of type EntryInfo. Thread safety: immutable.
template <class Entry>
class Registry {
 public:
  constexpr Registry(std::string_view kind, std::span<const Entry* const> entries)
      : kind_(kind), entries_(entries) {}

  /// The entry of that name; errors (kNotFound) list the known names and the nearest one.
  [[nodiscard]] Result<const Entry*> find(std::string_view name) const {
    for (const Entry* entry : entries_) {
      if (entry->about.name == name) return entry;
    }
    return fail(ErrorCode::kNotFound, "{}", unknown_name_message(kind_, name, names()));
  }

  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const Entry* entry : entries_) all.emplace_back(entry->about.name);
    return all;
  }

  [[nodiscard]] std::span<const Entry* const> entries() const { return entries_; }
  [[nodiscard]] std::string_view kind() const { return kind_; }

  /// The catalog's array, in the order of the list.
  [[nodiscard]] Json describe_all() const {
    Json all = Json::array();
    for (const Entry* entry : entries_) all.push_back(describe(entry->about));
    return all;
  }

 private:
  std::string_view kind_;
  std::span<const Entry* const> entries_;
};

}  // namespace gauntlet
