// Confidence intervals of means over queries: percentiles over resamples of the queries.
#pragma once

#include <cstdint>
#include <vector>

#include "core/metrics/evaluate.hpp"

namespace gauntlet::metrics {

struct BootstrapOptions {
  int n_resamples = 1000;    ///< >= 1
  std::uint64_t seed = 1;    ///< equal seeds give equal intervals, whatever the threads
  double confidence = 0.95;  ///< in (0, 1): the share of resamples inside
  int n_threads = 1;
};

struct Interval {
  double low = 0;
  double high = 0;
};

/// Of one metric: over all queries, and over those with a relevant item.
struct MetricInterval {
  Interval value;
  Interval valid;
};

/// One per metric of the evaluation, in its order; both intervals are empty sets of zeros for a metric
/// without values per query (curves). A resample draws as many queries as there are, with replacement, and
/// serves every metric, so that metrics can be compared. The ends are linearly interpolated percentiles.
[[nodiscard]] std::vector<MetricInterval> bootstrap(const Evaluation& evaluation,
                                                    const BootstrapOptions& options);

}  // namespace gauntlet::metrics
