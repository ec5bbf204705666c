#include <array>

#include "core/robustness/check.hpp"

namespace gauntlet::robustness {

#define GAUNTLET_ROBUSTNESS_CHECK(id) extern const CheckEntry id;
#include "core/robustness/checks.def"
#undef GAUNTLET_ROBUSTNESS_CHECK

namespace {

#define GAUNTLET_ROBUSTNESS_CHECK(id) &id,
constexpr std::array kChecks = {
#include "core/robustness/checks.def"
};
#undef GAUNTLET_ROBUSTNESS_CHECK

}  // namespace

std::string_view name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPass:
      return "pass";
    case Verdict::kNote:
      return "note";
    case Verdict::kWarn:
      return "warn";
    case Verdict::kFail:
      return "fail";
    case Verdict::kNotRun:
      return "not run";
  }
  return "not run";
}

std::span<const CheckEntry* const> all_checks() { return kChecks; }

std::vector<Finding> judge_all(const Study& study) {
  std::vector<Finding> findings;
  for (const CheckEntry* check : kChecks) findings.push_back(check->judge(study));
  return findings;
}

}  // namespace gauntlet::robustness
