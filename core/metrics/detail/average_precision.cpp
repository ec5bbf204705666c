#include "core/metrics/detail/average_precision.hpp"

#include <algorithm>
#include <bit>

#include "core/metrics/detail/mean.hpp"

namespace gauntlet::metrics {
namespace {

constexpr double kNegligible = 1e-22;  ///< weights this far below the largest cannot move a double

/// One distance class in the ranking: n items, r of them relevant; before it N items, R relevant.
struct TieClass {
  std::int64_t n = 0;
  std::int64_t r = 0;
  std::int64_t items_before = 0;
  std::int64_t relevant_before = 0;
};

template <class Fn>
void for_each_class(const RankedQuery& query, const Fn& fn) {
  TieClass tie;
  for (std::size_t d = 0; d < query.items.size(); ++d) {
    tie.n = query.items[d];
    tie.r = query.relevant[d];
    if (tie.n > 0 && !fn(tie)) return;
    tie.items_before += tie.n;
    tie.relevant_before += tie.r;
  }
}

/// E_d cut after the first `s` of n positions: expected sum of precisions at the relevant ones among them.
double expected_sum(const Rankings& rankings, const TieClass& tie, std::int64_t s) {
  if (tie.r == 0 || s == 0) return 0;
  const double n = static_cast<double>(tie.n);
  const double r = static_cast<double>(tie.r);
  const double first_hits = static_cast<double>(tie.relevant_before + 1);
  const double slope = tie.n == 1 ? 0.0 : (r - 1) / (n - 1);
  const double harmonic = rankings.harmonic_between(tie.items_before, tie.items_before + s);
  return r / n *
         (slope * static_cast<double>(s) +
          (first_hits - slope * static_cast<double>(tie.items_before + 1)) * harmonic);
}

/// Sums weight(x) * value(x) over [low, high] where weight(x+1) / weight(x) = ratio(x), the largest weight is
/// near `peak`, and all weights add up to 1. Starting at the peak avoids both underflow and the rounding of
/// log-gamma.
template <class Ratio, class Value>
double weighted_sum(std::int64_t low, std::int64_t high, std::int64_t peak, const Ratio& ratio,
                    const Value& value) {
  peak = std::clamp(peak, low, high);
  double total = 1;
  double sum = value(peak);
  double weight = 1;
  for (std::int64_t x = peak; x < high; ++x) {
    weight *= ratio(x);
    if (weight < kNegligible) break;
    total += weight;
    sum += weight * value(x + 1);
  }
  weight = 1;
  for (std::int64_t x = peak; x > low; --x) {
    weight /= ratio(x - 1);
    if (weight < kNegligible) break;
    total += weight;
    sum += weight * value(x - 1);
  }
  return sum / total;
}

/// Expected sum of precisions at the first `needed` relevant items of a class with more of them: the position
/// p of the i-th relevant item has a negative hypergeometric distribution.
double expected_first_hits(const TieClass& tie, std::int64_t needed) {
  double sum = 0;
  for (std::int64_t i = 1; i <= needed; ++i) {
    const auto ratio = [&](std::int64_t p) {
      return static_cast<double>(p) / static_cast<double>(p - i + 1) *
             static_cast<double>(tie.n - p - tie.r + i) / static_cast<double>(tie.n - p);
    };
    const auto precision = [&](std::int64_t p) {
      return static_cast<double>(tie.relevant_before + i) / static_cast<double>(tie.items_before + p);
    };
    const std::int64_t peak = tie.r == 1 ? 1 : (i - 1) * tie.n / (tie.r - 1) + 1;
    sum += weighted_sum(i, tie.n - tie.r + i, peak, ratio, precision);
  }
  return sum;
}

/// topk_hits when the cut leaves the first `s` positions of a class: the number m of relevant ones among them
/// has a hypergeometric distribution. `sum_before`: sum of precisions before the class.
double expected_cut_hits(const Rankings& rankings, const TieClass& tie, std::int64_t s, double sum_before) {
  const auto ratio = [&](std::int64_t m) {
    return static_cast<double>(tie.r - m) * static_cast<double>(s - m) /
           (static_cast<double>(m + 1) * static_cast<double>(tie.n - tie.r - s + m + 1));
  };
  const auto value = [&](std::int64_t m) {
    const std::int64_t hits = tie.relevant_before + m;
    if (hits == 0) return 0.0;
    const TieClass drawn{s, m, tie.items_before, tie.relevant_before};
    return (sum_before + expected_sum(rankings, drawn, s)) / static_cast<double>(hits);
  };
  const std::int64_t low = std::max<std::int64_t>(0, s - (tie.n - tie.r));
  const std::int64_t peak = (tie.r + 1) * (s + 1) / (tie.n + 2);
  return weighted_sum(low, std::min(tie.r, s), peak, ratio, value);
}

double expected_full(const Rankings& rankings, const RankedQuery& query) {
  double sum = 0;
  for_each_class(query, [&](const TieClass& tie) {
    sum += expected_sum(rankings, tie, tie.n);
    return true;
  });
  return sum / static_cast<double>(query.n_relevant);
}

double expected_first_relevant(const Rankings& rankings, const RankedQuery& query, std::int64_t at) {
  const std::int64_t needed = std::min(at, query.n_relevant);
  double sum = 0;
  for_each_class(query, [&](const TieClass& tie) {
    const bool whole = tie.relevant_before + tie.r <= needed;
    sum +=
        whole ? expected_sum(rankings, tie, tie.n) : expected_first_hits(tie, needed - tie.relevant_before);
    return whole;
  });
  return sum / static_cast<double>(needed);
}

double expected_topk_ir(const Rankings& rankings, const RankedQuery& query, std::int64_t at) {
  double sum = 0;
  for_each_class(query, [&](const TieClass& tie) {
    if (tie.items_before >= at) return false;
    sum += expected_sum(rankings, tie, std::min(tie.n, at - tie.items_before));
    return true;
  });
  return sum / static_cast<double>(std::min(at, query.n_relevant));
}

double expected_topk_hits(const Rankings& rankings, const RankedQuery& query, std::int64_t at) {
  double sum = 0;
  double result = 0;
  for_each_class(query, [&](const TieClass& tie) {
    const std::int64_t s = at - tie.items_before;
    if (s < tie.n) {
      result = s > 0 ? expected_cut_hits(rankings, tie, s, sum) : result;
      return false;
    }
    sum += expected_sum(rankings, tie, tie.n);
    const std::int64_t hits = tie.relevant_before + tie.r;
    result = hits > 0 ? sum / static_cast<double>(hits) : 0.0;
    return true;
  });
  return result;
}

/// Calls fn(rank, hits) for the relevant items of one fixed order, by rank (from 1), until it returns false.
template <class Fn>
void for_each_hit(const RankedQuery& query, Ties ties, const Fn& fn) {
  std::int64_t hits = 0;
  if (ties == Ties::kStable) {
    for (std::size_t word = 0; word < query.stable.size(); ++word) {
      for (std::uint64_t rest = query.stable[word]; rest != 0; rest &= rest - 1) {
        if (!fn(static_cast<std::int64_t>(word) * 64 + std::countr_zero(rest) + 1, ++hits)) return;
      }
    }
    return;
  }
  for_each_class(query, [&](const TieClass& tie) {
    const std::int64_t first = tie.items_before + (ties == Ties::kBest ? 1 : tie.n - tie.r + 1);
    for (std::int64_t hit = 0; hit < tie.r; ++hit) {
      if (!fn(first + hit, ++hits)) return false;
    }
    return true;
  });
}

double fixed_order(const RankedQuery& query, Cutoff cutoff, std::int64_t at, Ties ties) {
  const bool by_hits = cutoff == Cutoff::kFirstRelevant;
  const bool by_rank = cutoff == Cutoff::kTopkHits || cutoff == Cutoff::kTopkIr;
  double sum = 0;
  std::int64_t n_hits = 0;
  for_each_hit(query, ties, [&](std::int64_t rank, std::int64_t hits) {
    if ((by_rank && rank > at) || (by_hits && hits > at)) return false;
    sum += static_cast<double>(hits) / static_cast<double>(rank);
    n_hits = hits;
    return true;
  });
  if (n_hits == 0) return 0;
  switch (cutoff) {
    case Cutoff::kNone:
      return sum / static_cast<double>(query.n_relevant);
    case Cutoff::kFirstRelevant:
    case Cutoff::kTopkHits:
      return sum / static_cast<double>(n_hits);
    case Cutoff::kTopkIr:
      return sum / static_cast<double>(std::min(at, query.n_relevant));
  }
  return 0;
}

Result<Cutoff> cutoff_of(const MetricName& name) {
  constexpr std::string_view kKinds = "first_relevant, topk_hits, topk_ir";
  if (name.at == 0) {
    if (name.kind.empty()) return Cutoff::kNone;
    return fail(ErrorCode::kInvalid, "metric '{}': a kind needs its K, as in {}@50:first_relevant",
                name.text(), name.base);
  }
  if (name.kind == "first_relevant") return Cutoff::kFirstRelevant;
  if (name.kind == "topk_hits") return Cutoff::kTopkHits;
  if (name.kind == "topk_ir") return Cutoff::kTopkIr;
  if (name.kind.empty()) {
    return fail(ErrorCode::kInvalid, "metric '{}' has three meanings; write {}:KIND with a KIND of {}",
                name.text(), name.text(), kKinds);
  }
  return fail(ErrorCode::kInvalid, "metric '{}': unknown kind '{}'; allowed: {}", name.text(), name.kind,
              kKinds);
}

}  // namespace

double average_precision(const Rankings& rankings, const RankedQuery& query, Cutoff cutoff, std::int64_t at,
                         Ties ties) {
  if (query.n_relevant == 0) return 0;
  if (ties != Ties::kExpected) return fixed_order(query, cutoff, at, ties);
  switch (cutoff) {
    case Cutoff::kNone:
      return expected_full(rankings, query);
    case Cutoff::kFirstRelevant:
      return expected_first_relevant(rankings, query, at);
    case Cutoff::kTopkHits:
      return expected_topk_hits(rankings, query, at);
    case Cutoff::kTopkIr:
      return expected_topk_ir(rankings, query, at);
  }
  return 0;
}

Status check_mean_average_precision(const MetricName& name) {
  GAUNTLET_CHECK_OK(cutoff_of(name));
  return {};
}

MetricValue mean_average_precision(const MetricName& name, const Rankings& rankings, Relevance relevance) {
  const Cutoff cutoff = *cutoff_of(name);
  return mean_over_queries(rankings, relevance, [&](const RankedQuery& query) {
    return average_precision(rankings, query, cutoff, name.at, name.ties);
  });
}

}  // namespace gauntlet::metrics
