// What people know of entries and no measurement tells: titles, authors, what a paper reports.
// Thread safety: pure functions.
#pragma once

#include <string_view>

#include "core/base/json.hpp"
#include "core/base/result.hpp"

namespace gauntlet::results {

/// Reads YAML: defense (its label in the sweep) → {title, link, authors, venue, licence, type: a to f,
/// reported: {value, source}}, all of them optional. Returns the same as JSON. Errors (kInvalid): every
/// problem, one a line, as source:line:column.
[[nodiscard]] Result<Json> parse_about(std::string_view text, std::string_view source);

}  // namespace gauntlet::results
