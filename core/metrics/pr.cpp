// Precision-recall curves over Hamming radii, ranks or levels of recall; the value is the area under the
// curve.
#include <algorithm>
#include <array>

#include "core/metrics/detail/first_hits.hpp"
#include "core/metrics/detail/mean.hpp"
#include "core/metrics/detail/ordering.hpp"

namespace gauntlet::metrics {
namespace {

constexpr std::string_view kMicro = "radius_micro";
constexpr std::string_view kMacro = "radius_macro";
constexpr std::string_view kRanks = "rank_macro";
constexpr std::string_view kLevels = "recall_levels";

constexpr std::int64_t kEveryRank = 1000;   ///< so many ranks are all points of a curve over ranks
constexpr std::int64_t kRankStep = 100;     ///< else every so many, as the field draws it
constexpr std::int64_t kMaxPoints = 10000;  ///< and no more points than that
constexpr std::int64_t kNLevels = 10;       ///< recall 0.1, 0.2, …, 1

struct Point {
  double precision = 0;
  double recall = 0;
};

/// P = hits / retrieved and recall = hits / relevant, each summed over queries first; radii with nothing
/// retrieved are skipped.
std::vector<Point> micro_points(const Rankings& rankings) {
  const std::size_t n_radii = static_cast<std::size_t>(rankings.bits()) + 1;
  std::vector<std::int64_t> items(n_radii, 0);
  std::vector<std::int64_t> relevant(n_radii, 0);
  std::int64_t n_relevant = 0;
  for (std::int64_t query = 0; query < rankings.n_queries(); ++query) {
    const RankedQuery ranked = rankings.query(query, Relevance::kOwn);
    for (std::size_t d = 0; d < n_radii; ++d) {
      items[d] += ranked.items[d];
      relevant[d] += ranked.relevant[d];
    }
    n_relevant += ranked.n_relevant;
  }
  std::vector<Point> points;
  std::int64_t retrieved = 0;
  std::int64_t hits = 0;
  for (std::size_t radius = 0; radius < n_radii; ++radius) {
    retrieved += items[radius];
    hits += relevant[radius];
    if (retrieved == 0) continue;
    points.push_back({static_cast<double>(hits) / static_cast<double>(retrieved),
                      n_relevant == 0 ? 0.0 : static_cast<double>(hits) / static_cast<double>(n_relevant)});
  }
  return points;
}

/// Means over queries of each query's precision and recall; an empty result and a query without relevant
/// items count 0.
std::vector<Point> macro_points(const Rankings& rankings) {
  std::vector<Point> points(static_cast<std::size_t>(rankings.bits()) + 1);
  const double n_queries = static_cast<double>(rankings.n_queries());
  for (std::int64_t query = 0; query < rankings.n_queries(); ++query) {
    const RankedQuery ranked = rankings.query(query, Relevance::kOwn);
    std::int64_t retrieved = 0;
    std::int64_t hits = 0;
    for (std::size_t radius = 0; radius < points.size(); ++radius) {
      retrieved += ranked.items[radius];
      hits += ranked.relevant[radius];
      if (hits == 0) continue;
      points[radius].precision += static_cast<double>(hits) / static_cast<double>(retrieved) / n_queries;
      points[radius].recall += static_cast<double>(hits) / static_cast<double>(ranked.n_relevant) / n_queries;
    }
  }
  return points;
}

std::vector<std::int64_t> sampled_ranks(std::int64_t n_items) {
  const std::int64_t step =
      n_items <= kEveryRank ? 1 : std::max(kRankStep, (n_items + kMaxPoints - 1) / kMaxPoints);
  std::vector<std::int64_t> ranks;
  for (std::int64_t rank = step; rank <= n_items; rank += step) ranks.push_back(rank);
  if (ranks.back() != n_items) ranks.push_back(n_items);
  return ranks;
}

/// Hits of one query among the first ranks[0], ranks[1], … (ascending, the last one all items).
std::vector<double> hits_at(const RankedQuery& query, const std::vector<std::int64_t>& ranks, Ties ties) {
  std::vector<double> hits;
  if (ties == Ties::kStable) {
    for_each_stable_hit(query, [&](std::int64_t rank, std::int64_t n_hits) {
      while (ranks[hits.size()] < rank) hits.push_back(static_cast<double>(n_hits - 1));
      return true;
    });
    hits.resize(ranks.size(), static_cast<double>(query.n_relevant));
    return hits;
  }
  for_each_class(query, [&](const TieClass& tie) {
    while (hits.size() < ranks.size() && ranks[hits.size()] <= tie.items_before + tie.n) {
      hits.push_back(static_cast<double>(tie.relevant_before) +
                     hits_in_class(tie, ranks[hits.size()] - tie.items_before, ties));
    }
    return true;
  });
  return hits;
}

/// Means of P@k and recall@k over the queries with a relevant item.
std::vector<Point> rank_points(const Rankings& rankings, Ties ties) {
  const std::vector<std::int64_t> ranks = sampled_ranks(rankings.n_retrieval());
  std::vector<Point> points(ranks.size());
  double n_valid = 0;
  for (std::int64_t query = 0; query < rankings.n_queries(); ++query) {
    const RankedQuery ranked = rankings.query(query, Relevance::kOwn);
    if (ranked.n_relevant == 0) continue;
    ++n_valid;
    const std::vector<double> hits = hits_at(ranked, ranks, ties);
    for (std::size_t at = 0; at < ranks.size(); ++at) {
      points[at].precision += hits[at] / static_cast<double>(ranks[at]);
      points[at].recall += hits[at] / static_cast<double>(ranked.n_relevant);
    }
  }
  for (Point& point : points) {
    point.precision /= std::max(n_valid, 1.0);
    point.recall /= std::max(n_valid, 1.0);
  }
  return points;
}

using LevelPrecisions = std::array<double, kNLevels>;

/// Precision at the rank where the recall of one query first reaches each level.
LevelPrecisions precision_at_levels(const RankedQuery& query, Ties ties) {
  LevelPrecisions precisions{};
  std::size_t level = 0;
  const auto needed = [&] {  // hits that reach the next level
    return (static_cast<std::int64_t>(level + 1) * query.n_relevant + kNLevels - 1) / kNLevels;
  };
  if (ties == Ties::kStable) {
    for_each_stable_hit(query, [&](std::int64_t rank, std::int64_t hits) {
      for (; level < precisions.size() && hits == needed(); ++level) {
        precisions[level] = static_cast<double>(hits) / static_cast<double>(rank);
      }
      return level < precisions.size();
    });
    return precisions;
  }
  for_each_class(query, [&](const TieClass& tie) {
    for (; level < precisions.size() && needed() <= tie.relevant_before + tie.r; ++level) {
      const std::int64_t hit = needed() - tie.relevant_before;
      const std::int64_t rank = tie.items_before + tie.ahead_of_relevant(ties) + hit;
      precisions[level] = ties == Ties::kExpected ? expected_precision_at_hit(tie, hit)
                                                  : static_cast<double>(needed()) / static_cast<double>(rank);
    }
    return level < precisions.size();
  });
  return precisions;
}

/// Means over the queries with a relevant item.
std::vector<Point> level_points(const Rankings& rankings, Ties ties) {
  std::vector<LevelPrecisions> all(static_cast<std::size_t>(rankings.n_queries()));
  parallel_ranges(rankings.n_queries(), rankings.n_threads(), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t query = first; query < last; ++query) {
      const RankedQuery ranked = rankings.query(query, Relevance::kOwn);
      if (ranked.n_relevant > 0) all[static_cast<std::size_t>(query)] = precision_at_levels(ranked, ties);
    }
  });
  double n_valid = 0;
  for (std::int64_t query = 0; query < rankings.n_queries(); ++query) {
    n_valid += rankings.query(query, Relevance::kOwn).n_relevant > 0 ? 1 : 0;
  }
  std::vector<Point> points;
  for (std::size_t level = 0; level < kNLevels; ++level) {
    double sum = 0;
    for (const LevelPrecisions& precisions : all) sum += precisions[level];
    const bool any = n_valid > 0;
    points.push_back({any ? sum / n_valid : 0, any ? static_cast<double>(level + 1) / kNLevels : 0});
  }
  return points;
}

/// Trapezoids between neighbouring points; left of the first one its precision holds.
double area_under(const std::vector<Point>& points) {
  if (points.empty()) return 0;
  double area = points.front().precision * points.front().recall;
  for (std::size_t at = 1; at < points.size(); ++at) {
    area +=
        (points[at].recall - points[at - 1].recall) * (points[at].precision + points[at - 1].precision) / 2;
  }
  return area;
}

Status check(const MetricName& name) {
  const bool over_radii = name.kind.empty() || name.kind == kMicro || name.kind == kMacro;
  if (name.at != 0 || (over_radii && name.ties != Ties::kExpected)) {
    return fail(ErrorCode::kInvalid,
                "metric '{}': pr takes no @K and has no ties to break; write pr or pr:radius_macro",
                name.text());
  }
  if (!over_radii && name.kind != kRanks && name.kind != kLevels) {
    return fail(ErrorCode::kInvalid, "metric '{}': unknown kind '{}'; allowed: {}, {}, {}, {}", name.text(),
                name.kind, kMicro, kMacro, kRanks, kLevels);
  }
  return {};
}

std::vector<Point> points_of(std::string_view kind, const Rankings& rankings, Ties ties) {
  if (kind == kMicro) return micro_points(rankings);
  if (kind == kMacro) return macro_points(rankings);
  return kind == kRanks ? rank_points(rankings, ties) : level_points(rankings, ties);
}

MetricValue compute(const MetricName& name, const Rankings& rankings) {
  const std::string_view kind = name.kind.empty() ? kMicro : std::string_view(name.kind);
  const std::vector<Point> points = points_of(kind, rankings, name.ties);
  MetricValue result;
  result.n_queries = rankings.n_queries();
  for (std::int64_t query = 0; query < result.n_queries; ++query) {
    if (rankings.query(query, Relevance::kOwn).n_relevant == 0) ++result.n_without_relevant;
  }
  result.value = result.valid = area_under(points);
  MetricName curve_name = name;
  curve_name.kind = kind;
  spec::Curve curve{curve_name.text(), "recall", "precision", {}, {}};
  for (const Point& point : points) {
    curve.x.push_back(static_cast<float>(point.recall));
    curve.y.push_back(static_cast<float>(point.precision));
  }
  result.curves.push_back(std::move(curve));
  return result;
}

}  // namespace

extern const MetricEntry pr_entry;
constinit const MetricEntry pr_entry{
    .about = {.name = "pr",
              .version = 1,
              .summary = "Precision-recall curve over Hamming radii 0..K (radius_micro, radius_macro), ranks "
                         "(rank_macro) or recall_levels; value: area under it",
              .reference = "Jiang and Li, Deep Cross-Modal Hashing, CVPR 2017, section 5.3",
              .fields = &describe_fields<NoOptions>},
    .unit = "ratio",
    .higher_is_better = true,
    .check = &check,
    .compute = &compute,
};

}  // namespace gauntlet::metrics
