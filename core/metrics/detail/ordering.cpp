#include "core/metrics/detail/ordering.hpp"

#include <algorithm>

namespace gauntlet::metrics {
namespace {

std::int64_t stable_hits(const RankedQuery& query, std::int64_t n) {
  std::int64_t hits = 0;
  for (std::size_t word = 0; word < query.stable.size(); ++word) {
    const std::int64_t left = n - static_cast<std::int64_t>(word) * 64;
    if (left <= 0) break;
    const std::uint64_t mask = left >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << left) - 1;
    hits += std::popcount(query.stable[word] & mask);
  }
  return hits;
}

}  // namespace

double hits_in_class(const TieClass& tie, std::int64_t s, Ties ties) {
  if (s >= tie.n) return static_cast<double>(tie.r);
  switch (ties) {
    case Ties::kExpected:
    case Ties::kStable:
      return static_cast<double>(s) * static_cast<double>(tie.r) / static_cast<double>(tie.n);
    case Ties::kBest:
    case Ties::kWorst:
      return static_cast<double>(std::clamp<std::int64_t>(s - tie.ahead_of_relevant(ties), 0, tie.r));
  }
  return 0;
}

double hits_among_first(const RankedQuery& query, std::int64_t n, Ties ties) {
  if (ties == Ties::kStable) return static_cast<double>(stable_hits(query, n));
  double hits = 0;
  for_each_class(query, [&](const TieClass& tie) {
    hits += hits_in_class(tie, std::min(tie.n, n - tie.items_before), ties);
    return tie.items_before + tie.n < n;
  });
  return hits;
}

}  // namespace gauntlet::metrics
