// An export as one page that a browser opens without a server: tables, precision-recall curves, provenance,
// how to run each cell again. Thread safety: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "results/export/bundle.hpp"

namespace gauntlet::results {

/// HTML without scripts and without anything from elsewhere, every text of the bundle escaped. The same
/// bundle gives the same bytes. `program` is the version that writes it.
[[nodiscard]] std::string report_of(const Bundle& bundle, std::string_view program);

}  // namespace gauntlet::results
