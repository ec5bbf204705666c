// Verdicts of robustness checks for people and for programs.
#pragma once

#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "results/store/check_rows.hpp"

namespace gauntlet::cli {

/// One block per subject, one line per check, then how many there were of each verdict.
[[nodiscard]] std::string checks_text(const std::vector<results::CheckRow>& rows);

/// {"format": 1, "sweep", "ok", "counts", "subjects": [{axes, "epsilon", "unreliable", "checks": [{"check",
/// "title", "criterion", "verdict", "delta", "ci_low", "ci_high", "n", "sentence"}]}]}
[[nodiscard]] Json checks_json(const std::string& sweep, const std::vector<results::CheckRow>& rows);

}  // namespace gauntlet::cli
