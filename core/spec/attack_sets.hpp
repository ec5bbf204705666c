// Named, versioned sets of attacks whose per-query worst one evaluation reports: `worst/standard@1`. A set is
// data: one file in this box's folder attack_sets/, embedded in the program, and one line in its
// CMakeLists.txt. Thread safety: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/result.hpp"

namespace gauntlet::spec {

/// One attack of a set: an ordinary craft job.
struct SetMember {
  std::string name;    ///< what rows call it: "apgd-main", "noise-3"; unique in its set
  std::string attack;  ///< an entry of the catalog
  Json options = Json::object();
  bool control = false;        ///< looks at no model, so that it is crafted once whatever the protocol
  bool adaptive_only = false;  ///< without a form made on the undefended model
};

struct AttackSet {
  std::string ensemble;  ///< the attack of a sweep file that stands for it: "worst"
  std::string name;      ///< "standard"
  std::int64_t version = 1;
  bool targeted = false;  ///< its members aim at the targets of one list
  std::vector<SetMember> members;

  [[nodiscard]] std::string text() const;  ///< "worst/standard@1"
};

/// Reads {"ensemble", "targeted", "set", "version", "members": [{"name", "attack", "options", "each",
/// "control", "adaptive_only"}]}: a member with "each": {option: [values]} stands for one member per value,
/// named by it. Errors (kCorrupt): what is missing or twice.
[[nodiscard]] Result<AttackSet> attack_set_from_json(const Json& value);

/// The set of an ensemble that a sweep file names: "standard" is its newest version, "standard@1" that one.
/// Errors (kNotFound): the known names.
[[nodiscard]] Result<const AttackSet*> find_attack_set(const std::vector<AttackSet>& sets,
                                                       std::string_view ensemble, std::string_view written);

/// Every name that find_attack_set knows: the plain ones first.
[[nodiscard]] std::vector<std::string> attack_set_names(const std::vector<AttackSet>& sets,
                                                        std::string_view ensemble);

}  // namespace gauntlet::spec
