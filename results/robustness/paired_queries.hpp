// Scores of all queries beside scores of some of them: what checks compare has to be of the same queries.
// Thread safety: plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "core/base/ids.hpp"
#include "core/robustness/study.hpp"

namespace gauntlet::results {

/// Which queries an arm's scores are of.
struct ScoredQueries {
  JobKey data;                ///< of the prepared set
  std::uint64_t n_drawn = 0;  ///< the sweep's on_queries; 0: all of them
};

class PairedQueries {
 public:
  /// Told of every arm, before any is cut.
  void note(const ScoredQueries& of, const robustness::Arm& arm);

  /// Leaves the arm the fewest queries that an arm of the data set was scored on; draws are nested, so it has
  /// them. An arm of which that cannot be said (nothing of the data set was scored on all queries) stays as
  /// it is.
  void cut(const ScoredQueries& of, robustness::Arm& arm) const;

 private:
  std::map<JobKey, std::size_t> n_all_;
  std::map<JobKey, std::uint64_t> fewest_;  ///< of those that were drawn
};

}  // namespace gauntlet::results
