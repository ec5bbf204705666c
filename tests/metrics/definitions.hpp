// Metrics by their definitions, on one fixed order of the items. Slow, plain, sharing nothing with
// core/metrics.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "core/metrics/metric_name.hpp"
#include "tests/metrics/random_case.hpp"

namespace gauntlet::metrics {

/// One query's items in the order of the file: distance and labels shared with the query.
struct Judged {
  std::vector<int> distances;
  std::vector<int> grades;
};

inline Judged judged(const Case& drawn, std::int64_t query) {
  Judged items;
  std::vector<bool> unused;
  naive(drawn, query, items.distances, unused, drawn.query_labels);
  for (std::int64_t item = 0; item < drawn.n_items; ++item) {
    int shared = 0;
    for (std::int64_t label = 0; label < drawn.n_labels; ++label) {
      shared += drawn.query_labels[static_cast<std::size_t>(query * drawn.n_labels + label)] *
                drawn.retrieval_labels[static_cast<std::size_t>(item * drawn.n_labels + label)];
    }
    items.grades.push_back(shared);
  }
  return items;
}

/// Grades by rank when items are sorted by distance and, inside a distance, as `ties` says; else stable.
inline std::vector<int> sorted_grades(const Judged& items, Ties ties) {
  std::vector<std::size_t> order(items.distances.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    if (items.distances[a] != items.distances[b]) return items.distances[a] < items.distances[b];
    if (ties == Ties::kBest) return items.grades[a] > items.grades[b];
    return ties == Ties::kWorst && items.grades[a] < items.grades[b];
  });
  std::vector<int> grades;
  for (const std::size_t item : order) grades.push_back(items.grades[item]);
  return grades;
}

inline double average_precision_by_definition(const std::vector<int>& ranked, const std::string& kind,
                                              int k) {
  const double n_relevant =
      static_cast<double>(std::count_if(ranked.begin(), ranked.end(), [](int grade) { return grade > 0; }));
  double sum = 0;
  double hits = 0;
  for (std::size_t rank = 0; rank < ranked.size(); ++rank) {
    if (ranked[rank] == 0) continue;
    if ((kind == "topk_hits" || kind == "topk_ir") && rank >= static_cast<std::size_t>(k)) break;
    if (kind == "first_relevant" && hits >= k) break;
    hits += 1;
    sum += hits / static_cast<double>(rank + 1);
  }
  if (hits == 0) return 0;
  return kind == "topk_ir" ? sum / std::min(static_cast<double>(k), n_relevant) : sum / hits;
}

inline double dcg_by_definition(const std::vector<int>& ranked, int n) {
  double sum = 0;
  for (std::size_t rank = 1; rank <= ranked.size() && rank <= static_cast<std::size_t>(n); ++rank) {
    sum += (std::exp2(ranked[rank - 1]) - 1) / std::log2(static_cast<double>(rank) + 1);
  }
  return sum;
}

/// The value of a metric for one ranked list.
inline double by_definition(const MetricName& name, const std::vector<int>& ranked) {
  const int n = static_cast<int>(name.at);
  const std::size_t first = std::min(static_cast<std::size_t>(n), ranked.size());
  double n_relevant = 0, hits = 0, shared = 0, weighted = 0;
  for (std::size_t rank = 1; rank <= ranked.size(); ++rank) {
    const int grade = ranked[rank - 1];
    n_relevant += grade > 0;
    shared += grade;
    if (grade > 0) weighted += shared / static_cast<double>(rank);
    if (rank == first) hits = n_relevant;
  }
  if (name.base == "map") return average_precision_by_definition(ranked, name.kind, n);
  if (name.base == "precision") return hits / n;
  if (name.base == "acg")
    return std::accumulate(ranked.begin(), ranked.begin() + static_cast<long>(first), 0.0) / n;
  if (n_relevant == 0) return 0;
  if (name.base == "recall") return hits / n_relevant;
  if (name.base == "wap") return weighted / n_relevant;
  if (name.base == "ndcg") {
    std::vector<int> ideal = ranked;
    std::sort(ideal.begin(), ideal.end(), std::greater<>());
    return dcg_by_definition(ranked, n) / dcg_by_definition(ideal, n);
  }
  ADD_FAILURE() << name.text();
  return -1;
}

/// P@rank and recall@rank, or precision where recall first reaches level/10 (pr:rank_macro,
/// pr:recall_levels).
inline double precision_at_level(const std::vector<int>& ranked, int level) {
  int n_relevant = 0;
  for (const int grade : ranked) n_relevant += grade > 0;
  int hits = 0;
  for (std::size_t rank = 1; rank <= ranked.size(); ++rank) {
    hits += ranked[rank - 1] > 0;
    if (10 * hits >= level * n_relevant) return static_cast<double>(hits) / static_cast<double>(rank);
  }
  return 0;
}

}  // namespace gauntlet::metrics
