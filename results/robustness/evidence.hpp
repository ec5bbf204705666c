// What the database knows of the defenses of a sweep, as robustness checks want it, and their verdicts as
// rows. Thread safety: functions use the caller's connection and nothing else.
#pragma once

#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/db/connection.hpp"
#include "core/robustness/check.hpp"
#include "results/store/check_rows.hpp"

namespace gauntlet::results {

struct SubjectEvidence {
  CheckSubject subject;
  robustness::Evidence evidence;
  bool is_asked = true;  ///< of the first sweep, not only of one that was run for comparison
};

/// The cells of these sweeps whose evaluation is done and kept `map` per query, by subject; a cell that
/// several list counts once. Errors: kNotFound (none of the sweeps is known), kCorrupt (a stored config or
/// blob).
[[nodiscard]] Result<std::vector<SubjectEvidence>> read_evidence(db::Connection& connection,
                                                                 const std::vector<std::string>& sweeps);

/// Every check of every subject of the first sweep that was attacked. Trivial controls and the undefended
/// model of the same setting are what a subject is compared with.
[[nodiscard]] std::vector<CheckRow> judge_evidence(const std::vector<SubjectEvidence>& evidence,
                                                   const std::string& sweep, const std::string& revision);

}  // namespace gauntlet::results
