#include "results/board/words.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string>
#include <vector>

namespace gauntlet::results {

std::string percent(const std::optional<double>& ratio) {
  return ratio ? fmt::format("{:.2f}", *ratio * 100) : "–";
}

std::string title_of(const Json& entry) {
  const Json title = entry.value("title", Json());
  return title.is_string() ? title.get<std::string>() : entry.at("defense").at("name").get<std::string>();
}

std::string found_by(const Standing& standing) {
  for (const Finder& finder : standing.found_by) {
    if (finder.source == "external" && finder.share > 0) return finder.by + " (external)";
  }
  std::vector<std::string> names;  // of several runs everyone who measured one, the largest share first
  for (const Finder& finder : standing.found_by) {
    const bool is_known = std::ranges::find(names, finder.by) != names.end();
    if (finder.share > 0 && !is_known) names.push_back(finder.by);
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string marks_of(const Standing& standing) {
  return fmt::format("{}{}", standing.unreliable ? "†" : "", standing.merged_means ? "≈" : "");
}

std::string shown(const Json& value) {
  return value.is_string() ? value.get<std::string>()
                           : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace gauntlet::results
