// Precision-recall curves of a report as inline SVG.
// Thread safety: pure functions.
#pragma once

#include <map>
#include <string>

#include "results/export/bundle.hpp"

namespace gauntlet::results {

/// One panel per dataset, model, bits, attack, protocol and direction, one line per defense and seed; ""
/// where there is no curve.
[[nodiscard]] std::string curves_html(const Bundle& bundle, const std::map<JobKey, const BundleJob*>& jobs);

}  // namespace gauntlet::results
