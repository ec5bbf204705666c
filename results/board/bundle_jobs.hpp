// The jobs of a bundle as a leaderboard looks at them: by the part they play in a cell, and by what they were
// made from. Thread safety: pure functions over the caller's values.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/spec/job_spec.hpp"
#include "results/export/bundle.hpp"

namespace gauntlet::results {

/// The bundle outlives it.
class BundleJobs {
 public:
  explicit BundleJobs(const Bundle& bundle);

  /// One that a cell names.
  [[nodiscard]] const BundleJob& at(const JobKey& key) const { return *jobs_.at(key); }
  /// Null where the cell has none of that role.
  [[nodiscard]] const BundleJob* of(const BundleCell& cell, std::string_view role) const;
  /// Null where the job has no such input, or the bundle lacks it.
  [[nodiscard]] const BundleJob* input_of(const BundleJob& job, const std::string& role) const;
  /// The craft jobs of the members of an attack set that `evaluate` reduces, in their order; null where the
  /// bundle lacks one.
  [[nodiscard]] std::vector<const BundleJob*> members_of(const BundleJob& evaluate) const;

 private:
  std::map<JobKey, const BundleJob*> jobs_;
};

/// Null where the job has no finite value of it.
[[nodiscard]] const spec::ResultRow* row_of(const BundleJob& job, std::string_view metric);

/// "picto_scenes cpah 32 bits drfgd worst i2t seed 1"
[[nodiscard]] std::string name_of(const BundleCell& cell);

}  // namespace gauntlet::results
