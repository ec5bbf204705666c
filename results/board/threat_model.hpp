// The threat model of a finished evaluation, out of the texts of its jobs. Two laboratories that run the same
// evaluation get the same object, its name included, and so the same board.
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "core/spec/attack_sets.hpp"
#include "core/spec/cell.hpp"

namespace gauntlet::results {

struct ThreatModelParts {
  const spec::Cell* cell = nullptr;
  const Json* prepare = nullptr;  ///< canonical forms of jobs
  const Json* model = nullptr;
  const Json* evaluate = nullptr;                      ///< of an attack set
  const std::vector<spec::AttackSet>* sets = nullptr;  ///< those that are known
  std::vector<const Json*> members;                    ///< craft jobs
  std::string split_hash;                              ///< "" = not known
  std::int64_t n_query = 0, n_retrieval = 0;
};

/// Without its "id". A job that does not say what it should makes nlohmann::json throw.
[[nodiscard]] Json threat_model_of(const ThreatModelParts& parts);

/// "" when inputs that keep `budget` ({"linf": 0.03, "grid": 255}) are legal under the threat model, else why
/// not.
[[nodiscard]] std::string why_not(const Json& threat_model, const Json& budget);

/// A budget as people write it: "8/255", "0.05".
[[nodiscard]] std::string budget_text(double epsilon);

}  // namespace gauntlet::results
