// `gauntlet bench methods`: how fast every registered method is, phase by phase, and how that compares with a
// plain loop of the same mathematics. Synthetic data of the size of picto_scenes; the entries' defaults for
// that dataset.
#pragma once

#include <functional>

#include "core/base/json.hpp"
#include "core/base/result.hpp"

namespace gauntlet::run {

struct MethodsBench {
  bool quick = false;  ///< a fifth of the time per figure
  int n_threads = 1;
  /// Told before each figure: what is measured now.
  std::function<void(const std::string&)> on_figure;
};

/// {"<phase>_<method>_per_s": rows per second, …, "<phase>_<method>_ratio": that over the plain loop's, where
/// there is one}. Errors: those of an entry that cannot be built with its own defaults.
[[nodiscard]] Result<Json> bench_methods(const MethodsBench& bench);

}  // namespace gauntlet::run
