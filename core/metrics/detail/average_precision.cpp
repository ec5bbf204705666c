#include "core/metrics/detail/average_precision.hpp"

#include <algorithm>

#include "core/metrics/detail/first_hits.hpp"
#include "core/metrics/detail/harmonic.hpp"
#include "core/metrics/detail/mean.hpp"
#include "core/metrics/detail/ordering.hpp"

namespace gauntlet::metrics {
namespace {

/// E_d cut after the first `s` of n positions: expected sum of precisions at the relevant ones among them.
double expected_sum(const TieClass& tie, std::int64_t s) {
  if (tie.r == 0 || s == 0) return 0;
  const double n = static_cast<double>(tie.n);
  const double r = static_cast<double>(tie.r);
  const double slope = tie.n == 1 ? 0.0 : (r - 1) / (n - 1);
  return r / n * rising_sum(static_cast<double>(tie.relevant_before + 1), slope, tie.items_before, s);
}

/// topk_hits when the cut leaves the first `s` positions of a class: the number m of relevant ones among them
/// has a hypergeometric distribution. `sum_before`: sum of precisions before the class.
double expected_cut_hits(const TieClass& tie, std::int64_t s, double sum_before) {
  const auto ratio = [&](std::int64_t m) {
    return static_cast<double>(tie.r - m) * static_cast<double>(s - m) /
           (static_cast<double>(m + 1) * static_cast<double>(tie.n - tie.r - s + m + 1));
  };
  const auto value = [&](std::int64_t m) {
    const std::int64_t hits = tie.relevant_before + m;
    if (hits == 0) return 0.0;
    const TieClass drawn{s, m, tie.items_before, tie.relevant_before, tie.distance};
    return (sum_before + expected_sum(drawn, s)) / static_cast<double>(hits);
  };
  const std::int64_t low = std::max<std::int64_t>(0, s - (tie.n - tie.r));
  const std::int64_t peak = (tie.r + 1) * (s + 1) / (tie.n + 2);
  return weighted_sum(low, std::min(tie.r, s), peak, ratio, value);
}

double expected_full(const RankedQuery& query) {
  double sum = 0;
  for_each_class(query, [&](const TieClass& tie) {
    sum += expected_sum(tie, tie.n);
    return true;
  });
  return sum / static_cast<double>(query.n_relevant);
}

double expected_first_relevant(const RankedQuery& query, std::int64_t at) {
  const std::int64_t needed = std::min(at, query.n_relevant);
  double sum = 0;
  for_each_class(query, [&](const TieClass& tie) {
    const std::int64_t missing = needed - tie.relevant_before;
    if (missing <= 0) return false;
    sum += tie.r <= missing ? expected_sum(tie, tie.n) : expected_first_hits(tie, missing);
    return true;
  });
  return sum / static_cast<double>(needed);
}

double expected_topk_ir(const RankedQuery& query, std::int64_t at) {
  double sum = 0;
  for_each_class(query, [&](const TieClass& tie) {
    if (tie.items_before >= at) return false;
    sum += expected_sum(tie, std::min(tie.n, at - tie.items_before));
    return true;
  });
  return sum / static_cast<double>(std::min(at, query.n_relevant));
}

double expected_topk_hits(const RankedQuery& query, std::int64_t at) {
  double sum = 0;
  double result = 0;
  for_each_class(query, [&](const TieClass& tie) {
    const std::int64_t s = at - tie.items_before;
    if (s < tie.n) {
      result = s > 0 ? expected_cut_hits(tie, s, sum) : result;
      return false;
    }
    sum += expected_sum(tie, tie.n);
    const std::int64_t hits = tie.relevant_before + tie.r;
    result = hits > 0 ? sum / static_cast<double>(hits) : 0.0;
    return true;
  });
  return result;
}

/// Sum of the precisions at the relevant items that a cutoff lets count, and how many those are.
struct Hits {
  double sum = 0;
  std::int64_t n = 0;
};

Hits stable_hits(const RankedQuery& query, Cutoff cutoff, std::int64_t at) {
  const bool by_hits = cutoff == Cutoff::kFirstRelevant;
  const bool by_rank = cutoff == Cutoff::kTopkHits || cutoff == Cutoff::kTopkIr;
  Hits all;
  for_each_stable_hit(query, [&](std::int64_t rank, std::int64_t hits) {
    if ((by_rank && rank > at) || (by_hits && hits > at)) return false;
    all.sum += static_cast<double>(hits) / static_cast<double>(rank);
    all.n = hits;
    return true;
  });
  return all;
}

/// With the relevant items of every class together, at its beginning or end.
Hits grouped_hits(const RankedQuery& query, Cutoff cutoff, std::int64_t at, Ties ties) {
  Hits all;
  for_each_class(query, [&](const TieClass& tie) {
    if (tie.r == 0) return true;
    const std::int64_t before = tie.items_before + tie.ahead_of_relevant(ties);
    std::int64_t allowed = tie.r;
    if (cutoff == Cutoff::kFirstRelevant) allowed = at - tie.relevant_before;
    if (cutoff == Cutoff::kTopkHits || cutoff == Cutoff::kTopkIr) allowed = at - before;
    if (allowed <= 0) return false;
    const std::int64_t n_hits = std::min(tie.r, allowed);
    all.sum += rising_sum(static_cast<double>(tie.relevant_before + 1), 1, before, n_hits);
    all.n += n_hits;
    return true;
  });
  return all;
}

double fixed_order(const RankedQuery& query, Cutoff cutoff, std::int64_t at, Ties ties) {
  const Hits hits =
      ties == Ties::kStable ? stable_hits(query, cutoff, at) : grouped_hits(query, cutoff, at, ties);
  if (hits.n == 0) return 0;
  switch (cutoff) {
    case Cutoff::kNone:
      return hits.sum / static_cast<double>(query.n_relevant);
    case Cutoff::kFirstRelevant:
    case Cutoff::kTopkHits:
      return hits.sum / static_cast<double>(hits.n);
    case Cutoff::kTopkIr:
      return hits.sum / static_cast<double>(std::min(at, query.n_relevant));
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

double average_precision(const RankedQuery& query, Cutoff cutoff, std::int64_t at, Ties ties) {
  if (query.n_relevant == 0) return 0;
  if (ties != Ties::kExpected) return fixed_order(query, cutoff, at, ties);
  switch (cutoff) {
    case Cutoff::kNone:
      return expected_full(query);
    case Cutoff::kFirstRelevant:
      return expected_first_relevant(query, at);
    case Cutoff::kTopkHits:
      return expected_topk_hits(query, at);
    case Cutoff::kTopkIr:
      return expected_topk_ir(query, at);
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
    return average_precision(query, cutoff, name.at, name.ties);
  });
}

}  // namespace gauntlet::metrics
