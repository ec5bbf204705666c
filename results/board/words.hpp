// Words that the text and the page of a leaderboard share.
// Thread safety: pure functions.
#pragma once

#include <optional>
#include <string>

#include "results/board/standing.hpp"

namespace gauntlet::results {

/// "41.30"; "–" for nothing.
[[nodiscard]] std::string percent(const std::optional<double>& ratio);
/// The entry's title, or the defense's name.
[[nodiscard]] std::string title_of(const Json& entry);
/// † unreliable, ≈ merged from means.
[[nodiscard]] std::string marks_of(const Standing& standing);
/// Who has to be asked about the best known value: an external finder where there is one.
[[nodiscard]] std::string found_by(const Standing& standing);
/// A text, or any other value as JSON.
[[nodiscard]] std::string shown(const Json& value);

}  // namespace gauntlet::results
