#include "core/metrics/bootstrap.hpp"

#include <algorithm>

#include "core/base/random.hpp"
#include "core/metrics/detail/parallel.hpp"

namespace gauntlet::metrics {
namespace {

constexpr std::uint64_t kStreamTag = 0x626f6f74;  ///< "boot": family of random streams, one per resample

constexpr std::size_t kLanes = 8;  ///< sums side by side, which the compiler makes vectors of

/// Columns of numbers per query, padded with zeros to a multiple of kLanes.
struct Table {
  std::size_t n_queries = 0;
  std::size_t n_rows = 0;
  std::vector<std::vector<double>> values;   ///< one column per metric
  std::vector<std::vector<double>> valid;    ///< 1 where a query has a relevant item; each such column once
  std::vector<std::size_t> valid_of_metric;  ///< its index in `valid`
};

Table table_of(const Evaluation& evaluation) {
  Table table;
  table.n_queries = static_cast<std::size_t>(evaluation.n_queries);
  table.n_rows = (table.n_queries + kLanes - 1) / kLanes * kLanes;
  for (const MetricValue& metric : evaluation.metrics) {
    table.values.push_back(metric.per_query);
    table.values.back().resize(table.n_rows, 0);
    std::vector<double> valid(metric.has_relevant.begin(), metric.has_relevant.end());
    valid.resize(table.n_rows, 0);
    const auto known = std::find(table.valid.begin(), table.valid.end(), valid);
    table.valid_of_metric.push_back(static_cast<std::size_t>(known - table.valid.begin()));
    if (known == table.valid.end()) table.valid.push_back(std::move(valid));
  }
  return table;
}

double weighted_sum(const std::vector<double>& column, const std::vector<double>& weights) {
  double sums[kLanes] = {};
  for (std::size_t row = 0; row < column.size(); row += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums[lane] += column[row + lane] * weights[row + lane];
  }
  double sum = 0;
  for (const double lane : sums) sum += lane;
  return sum;
}

/// Means of one resample, two per metric: over all queries, over those with a relevant item.
void resample(const Table& table, RandomStream stream, double* means) {
  std::vector<double> n_drawn(table.n_rows, 0);
  for (std::size_t draw = 0; draw < table.n_queries; ++draw) {
    n_drawn[stream.below(static_cast<std::uint32_t>(table.n_queries))] += 1;
  }
  std::vector<double> n_valid;
  for (const std::vector<double>& valid : table.valid) n_valid.push_back(weighted_sum(valid, n_drawn));
  for (std::size_t metric = 0; metric < table.values.size(); ++metric) {
    const double sum = weighted_sum(table.values[metric], n_drawn);
    const double n = n_valid[table.valid_of_metric[metric]];
    means[2 * metric] = sum / static_cast<double>(table.n_queries);
    means[2 * metric + 1] = n > 0 ? sum / n : 0;
  }
}

/// Linearly interpolated between the order statistics.
double percentile(const std::vector<double>& sorted, double share) {
  const double at = share * static_cast<double>(sorted.size() - 1);
  const std::size_t below = std::min(static_cast<std::size_t>(at), sorted.size() - 1);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

}  // namespace

std::vector<MetricInterval> bootstrap(const Evaluation& evaluation, const BootstrapOptions& options) {
  const Table table = table_of(evaluation);
  const std::size_t n_resamples = static_cast<std::size_t>(options.n_resamples);
  const std::size_t width = 2 * table.values.size();
  std::vector<double> means(n_resamples * width);
  parallel_ranges(options.n_resamples, options.n_threads, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t index = first; index < last; ++index) {
      resample(table, RandomStream::of(options.seed, kStreamTag, static_cast<std::uint64_t>(index)),
               means.data() + static_cast<std::size_t>(index) * width);
    }
  });
  const auto interval = [&](std::size_t column) {
    std::vector<double> sorted;
    for (std::size_t index = 0; index < n_resamples; ++index) {
      sorted.push_back(means[index * width + column]);
    }
    std::sort(sorted.begin(), sorted.end());
    return Interval{percentile(sorted, (1 - options.confidence) / 2),
                    percentile(sorted, (1 + options.confidence) / 2)};
  };
  std::vector<MetricInterval> intervals;
  for (std::size_t column = 0; column < width; column += 2) {
    intervals.push_back({interval(column), interval(column + 1)});
  }
  return intervals;
}

}  // namespace gauntlet::metrics
