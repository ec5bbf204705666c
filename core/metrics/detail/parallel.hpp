// Work over independent items, split over threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace gauntlet::metrics {

/// Calls work(first, last) for ranges of `range` that cover [0, n) once each, on up to `n_threads` threads.
/// `work` must not throw. Ranges are small, since the cost of queries differs.
template <class Work>
void parallel_ranges(std::int64_t n, int n_threads, const Work& work, std::int64_t range = 16) {
  std::atomic<std::int64_t> next = 0;
  const auto run = [&] {
    for (std::int64_t first = next.fetch_add(range); first < n; first = next.fetch_add(range)) {
      work(first, std::min(n, first + range));
    }
  };
  std::vector<std::jthread> helpers;
  const std::int64_t wanted = std::min<std::int64_t>(n_threads, (n + range - 1) / range);
  for (std::int64_t helper = 1; helper < wanted; ++helper) helpers.emplace_back(run);
  run();
}

}  // namespace gauntlet::metrics
