#include "results/plot/curve_line.hpp"

#include <algorithm>
#include <limits>

#include "results/store/query_values.hpp"
#include "results/table/statistics.hpp"

namespace gauntlet::results {

void add_point(double x, const std::vector<double>& seeds, Series& series) {
  TableEntry entry;
  set_statistics(entry, seeds);
  series.x.push_back(x);
  series.y.push_back(entry.mean);
  series.spread.push_back(entry.std);
}

Result<Series> envelope_of(db::Connection& connection, const CurveLine& line, std::size_t style) {
  Series envelope{style, {}, {}, {}, false};
  std::map<std::uint64_t, std::vector<float>> worst;
  for (const auto& [x, seeds] : line.points) {
    std::vector<double> means;
    for (const auto& [seed, point] : seeds) {
      GAUNTLET_TRY(const std::vector<float> values, query_values(connection, point.job_id, point.metric));
      std::vector<float>& so_far = worst[seed];
      if (values.empty() || (!so_far.empty() && so_far.size() != values.size()))
        return Series{style, {}, {}, {}, false};
      if (so_far.empty()) so_far = values;
      double sum = 0;
      for (std::size_t query = 0; query < values.size(); ++query) {
        so_far[query] = point.higher_is_better ? std::min(so_far[query], values[query])
                                               : std::max(so_far[query], values[query]);
        sum += static_cast<double>(so_far[query]);
      }
      means.push_back(sum / static_cast<double>(values.size()));
    }
    add_point(x, means, envelope);
  }
  return envelope;
}

namespace {

/// The smallest budget on the line that takes each query of `seed` halfway to its floor. Empty where values
/// per query are missing.
Result<std::vector<double>> budgets_of(db::Connection& connection, const CurveLine& line, std::uint64_t seed,
                                       const CurvePoint& clean) {
  GAUNTLET_TRY(const std::vector<float> start, query_values(connection, clean.job_id, clean.metric));
  std::vector<double> reached(start.size(), std::numeric_limits<double>::infinity());
  for (const auto& [x, seeds] : line.points) {
    const auto found = seeds.find(seed);
    if (x == 0 || found == seeds.end()) continue;
    const CurvePoint& point = found->second;
    GAUNTLET_TRY(const std::vector<float> values, query_values(connection, point.job_id, point.metric));
    GAUNTLET_TRY(const std::vector<float> floor,
                 query_values(connection, point.job_id, point.metric + ":oracle_floor"));
    if (values.size() != start.size() || floor.size() != start.size()) return std::vector<double>{};
    for (std::size_t query = 0; query < start.size(); ++query) {
      if (values[query] <= (start[query] + floor[query]) / 2) reached[query] = std::min(reached[query], x);
    }
  }
  return reached;
}

}  // namespace

Result<std::optional<double>> median_budget(db::Connection& connection, const CurveLine& line) {
  std::optional<double> median;
  if (line.points.size() < 2 || line.points.begin()->first != 0) return median;
  std::vector<double> budgets;
  for (const auto& [seed, clean] : line.points.begin()->second) {
    if (!clean.higher_is_better) return median;
    GAUNTLET_TRY(const std::vector<double> reached, budgets_of(connection, line, seed, clean));
    if (reached.empty()) return median;
    budgets.insert(budgets.end(), reached.begin(), reached.end());
  }
  if (budgets.empty()) return median;
  const auto middle = budgets.begin() + static_cast<std::ptrdiff_t>(budgets.size() / 2);
  std::ranges::nth_element(budgets, middle);
  median = *middle;
  return median;
}

}  // namespace gauntlet::results
