#include "core/spec/detail/interning.hpp"

#include "core/base/check.hpp"

namespace gauntlet::spec::detail {

ConfigId ConfigTable::intern(Json value) {
  auto text = canonical_json(value);
  GAUNTLET_CHECK(text.has_value());  // the reader lets only finite numbers and UTF-8 through
  const auto known = by_text_.find(*text);
  if (known != by_text_.end()) return known->second;
  JobSpec probe;
  probe.config = value;
  const auto id = static_cast<ConfigId>(configs_.size());
  configs_.push_back({std::move(value), *text, canonical_form(probe).at("precision").get<std::string>()});
  by_text_.emplace(std::move(*text), id);
  return id;
}

}  // namespace gauntlet::spec::detail
