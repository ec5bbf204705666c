// What metrics share of a ranking with ties: its distance classes, its hits in a fixed order, the hits among
// its first n.
#pragma once

#include <bit>
#include <cstdint>

#include "core/metrics/detail/histogram.hpp"
#include "core/metrics/metric_name.hpp"

namespace gauntlet::metrics {

/// One distance class in the ranking: n items, r of them relevant; before it N items, R relevant.
struct TieClass {
  std::int64_t n = 0;
  std::int64_t r = 0;
  std::int64_t items_before = 0;
  std::int64_t relevant_before = 0;
  std::size_t distance = 0;

  /// Items of the class that stand before its relevant ones, where those are together.
  [[nodiscard]] std::int64_t ahead_of_relevant(Ties ties) const { return ties == Ties::kWorst ? n - r : 0; }
};

/// Calls fn(class) for every class with an item, nearest first, until it returns false.
template <class Fn>
void for_each_class(const RankedQuery& query, const Fn& fn) {
  TieClass tie;
  for (; tie.distance < query.items.size(); ++tie.distance) {
    tie.n = query.items[tie.distance];
    tie.r = query.relevant[tie.distance];
    if (tie.n > 0 && !fn(tie)) return;
    tie.items_before += tie.n;
    tie.relevant_before += tie.r;
  }
}

/// Calls fn(rank, hits) for the relevant items of the stable order, by rank (from 1), until it returns false.
template <class Fn>
void for_each_stable_hit(const RankedQuery& query, const Fn& fn) {
  std::int64_t hits = 0;
  for (std::size_t word = 0; word < query.stable.size(); ++word) {
    for (std::uint64_t rest = query.stable[word]; rest != 0; rest &= rest - 1) {
      if (!fn(static_cast<std::int64_t>(word) * 64 + std::countr_zero(rest) + 1, ++hits)) return;
    }
  }
}

/// Of a class, the relevant items among its first `s` <= n positions; the mean over orders where expected.
/// Not for the stable order.
[[nodiscard]] double hits_in_class(const TieClass& tie, std::int64_t s, Ties ties);

/// Relevant items among the first n; the mean over orders where expected.
[[nodiscard]] double hits_among_first(const RankedQuery& query, std::int64_t n, Ties ties);

}  // namespace gauntlet::metrics
