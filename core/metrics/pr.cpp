// Precision-recall curves over Hamming radii; the value is the area under the curve.
#include "core/metrics/detail/mean.hpp"

namespace gauntlet::metrics {
namespace {

constexpr std::string_view kMicro = "radius_micro";
constexpr std::string_view kMacro = "radius_macro";

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
  if (name.at != 0 || name.ties != Ties::kExpected) {
    return fail(ErrorCode::kInvalid,
                "metric '{}': pr takes no @K and has no ties to break; write pr or pr:radius_macro",
                name.text());
  }
  if (!name.kind.empty() && name.kind != kMicro && name.kind != kMacro) {
    return fail(ErrorCode::kInvalid, "metric '{}': unknown kind '{}'; allowed: {}, {}", name.text(),
                name.kind, kMicro, kMacro);
  }
  return {};
}

MetricValue compute(const MetricName& name, const Rankings& rankings) {
  const std::string_view kind = name.kind.empty() ? kMicro : std::string_view(name.kind);
  const std::vector<Point> points = kind == kMicro ? micro_points(rankings) : macro_points(rankings);
  MetricValue result;
  result.n_queries = rankings.n_queries();
  for (std::int64_t query = 0; query < result.n_queries; ++query) {
    if (rankings.query(query, Relevance::kOwn).n_relevant == 0) ++result.n_without_relevant;
  }
  result.value = result.valid = area_under(points);
  spec::Curve curve{fmt::format("pr:{}", kind), "recall", "precision", {}, {}};
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
              .summary = "Precision-recall curve over Hamming radii 0..K (radius_micro, radius_macro); "
                         "value: area under it",
              .reference = "Jiang and Li, Deep Cross-Modal Hashing, CVPR 2017, section 5.3",
              .fields = &describe_fields<NoOptions>},
    .unit = "ratio",
    .higher_is_better = true,
    .check = &check,
    .compute = &compute,
};

}  // namespace gauntlet::metrics
