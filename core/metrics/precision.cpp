// Precision at n: relevant items among the first n, divided by n.
#include <bit>

#include "core/metrics/detail/mean.hpp"

namespace gauntlet::metrics {
namespace {

Status check(const MetricName& name) {
  if (name.at == 0)
    return fail(ErrorCode::kInvalid, "metric '{}' needs its n, as in precision@100", name.text());
  if (!name.kind.empty()) {
    return fail(ErrorCode::kInvalid, "metric '{}': precision has no kinds, but '{}' was asked for",
                name.text(), name.kind);
  }
  return {};
}

double stable_hits(const RankedQuery& query, std::int64_t n) {
  std::int64_t hits = 0;
  for (std::size_t word = 0; word < query.stable.size(); ++word) {
    const std::int64_t left = n - static_cast<std::int64_t>(word) * 64;
    if (left <= 0) break;
    const std::uint64_t mask = left >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << left) - 1;
    hits += std::popcount(query.stable[word] & mask);
  }
  return static_cast<double>(hits);
}

/// Of a class of n items, r relevant, the hits among its first s positions.
double hits_in_cut(std::int64_t n, std::int64_t r, std::int64_t s, Ties ties) {
  switch (ties) {
    case Ties::kExpected:
    case Ties::kStable:
      return static_cast<double>(s) * static_cast<double>(r) / static_cast<double>(n);
    case Ties::kBest:
      return static_cast<double>(std::min(r, s));
    case Ties::kWorst:
      return static_cast<double>(std::max<std::int64_t>(0, s - (n - r)));
  }
  return 0;
}

double precision_at(const RankedQuery& query, std::int64_t n, Ties ties) {
  if (ties == Ties::kStable) return stable_hits(query, n) / static_cast<double>(n);
  double hits = 0;
  std::int64_t before = 0;
  for (std::size_t d = 0; d < query.items.size() && before < n; ++d) {
    const std::int64_t n_items = query.items[d];
    const std::int64_t n_relevant = query.relevant[d];
    if (n_items > 0) {
      hits += before + n_items <= n ? static_cast<double>(n_relevant)
                                    : hits_in_cut(n_items, n_relevant, n - before, ties);
    }
    before += n_items;
  }
  return hits / static_cast<double>(n);
}

MetricValue compute(const MetricName& name, const Rankings& rankings) {
  return mean_over_queries(rankings, Relevance::kOwn,
                           [&](const RankedQuery& query) { return precision_at(query, name.at, name.ties); });
}

}  // namespace

extern const MetricEntry precision_entry;
constinit const MetricEntry precision_entry{
    .about = {.name = "precision",
              .version = 1,
              .summary = "Mean share of relevant items among the first n, as precision@n; ties averaged",
              .reference = "standard; Manning et al., Introduction to Information Retrieval, chapter 8",
              .fields = &describe_fields<NoOptions>},
    .unit = "ratio",
    .higher_is_better = true,
    .check = &check,
    .compute = &compute,
};

}  // namespace gauntlet::metrics
