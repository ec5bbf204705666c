#include "core/metrics/worst_case.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/base/check.hpp"
#include "core/metrics/refusals.hpp"

namespace gauntlet::metrics {
namespace {

constexpr double kEqual = 1e-12;

double mean_of(std::span<const double> values) {
  return values.empty()
             ? 0
             : std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// The value over all queries and over those with a relevant item, from the values per query.
void set_means(MetricValue& metric) {
  double sum = 0;
  double n = 0;
  for (std::size_t query = 0; query < metric.per_query.size(); ++query) {
    sum += metric.per_query[query];
    n += metric.has_relevant[query];
  }
  metric.value = sum / static_cast<double>(metric.per_query.size());
  metric.valid = n > 0 ? sum / n : 0;
}

/// Members that reach the worst of a query may have different codes there: of these the smallest counts, so
/// that curves do not depend on the order of members.
void choose_smallest_codes(std::span<const WorstMember> members,
                           std::span<const std::vector<double>> per_query, Reduction& reduced) {
  for (std::size_t query = 0; query < reduced.chosen.size(); ++query) {
    const auto row = static_cast<std::int64_t>(query);
    for (std::size_t member = 0; member < members.size(); ++member) {
      if (std::abs(per_query[member][query] - reduced.worst[query]) > kEqual) continue;
      std::size_t& chosen = reduced.chosen[query];
      if (std::ranges::lexicographical_compare(members[member].codes->row(row),
                                               members[chosen].codes->row(row)))
        chosen = member;
    }
  }
}

/// What queries are worth that the pipeline refuses. `each` are the evaluations of the members.
void count_refusals(std::span<const WorstMember> members, std::vector<Evaluation>& each) {
  if (!members.front().refused.empty()) count_refused(members.front().refused, each.front().metrics);
  for (std::size_t member = 1; member < members.size(); ++member) {
    const std::span<const std::uint8_t> refused = members[member].refused;
    for (std::size_t metric = 0; metric < each[member].metrics.size() && !refused.empty(); ++metric) {
      MetricValue& value = each[member].metrics[metric];
      if (value.per_query.empty()) continue;
      for (std::size_t query = 0; query < refused.size(); ++query) {
        if (refused[query] != 0) value.per_query[query] = each.front().metrics[metric].per_query[query];
      }
      set_means(value);
    }
  }
}

/// Row q is row q of the member that was chosen for it.
Result<PackedCodes> chosen_codes(std::span<const WorstMember> members,
                                 const std::vector<std::size_t>& chosen) {
  const std::int64_t bits = members.front().codes->bits();
  const std::size_t n_bytes = (static_cast<std::size_t>(bits) + 7) / 8;
  std::vector<std::vector<std::uint8_t>> bytes(members.size());
  std::vector<std::uint8_t> rows;
  for (std::size_t query = 0; query < chosen.size(); ++query) {
    std::vector<std::uint8_t>& from = bytes[chosen[query]];
    if (from.empty()) from = members[chosen[query]].codes->to_bytes();
    const auto begin = from.begin() + static_cast<std::ptrdiff_t>(query * n_bytes);
    rows.insert(rows.end(), begin, begin + static_cast<std::ptrdiff_t>(n_bytes));
  }
  return PackedCodes::from_packed(rows, bits);
}

}  // namespace

Reduction reduce_worst(std::span<const std::vector<double>> per_query, bool higher_is_better,
                       std::span<const std::uint8_t> counted) {
  GAUNTLET_CHECK(!per_query.empty());
  const std::size_t n_members = per_query.size();
  const std::size_t n_queries = per_query.front().size();
  Reduction reduced;
  reduced.share.assign(n_members, 0);
  reduced.rise.assign(n_members, 0);
  const auto is_worse = [&](double a, double b) {
    return higher_is_better ? a < b - kEqual : a > b + kEqual;
  };
  double n_counted = 0;
  for (std::size_t query = 0; query < n_queries; ++query) {
    std::size_t first = 0;
    for (std::size_t member = 1; member < n_members; ++member) {
      const double value = per_query[member][query];
      if (higher_is_better ? value < per_query[first][query] : value > per_query[first][query])
        first = member;
    }
    const double worst = per_query[first][query];
    reduced.worst.push_back(worst);
    reduced.chosen.push_back(first);
    std::size_t n_reach = 0;
    double second = worst;
    bool has_second = false;
    for (std::size_t member = 0; member < n_members; ++member) {
      const double value = per_query[member][query];
      const bool reaches = !is_worse(worst, value);
      n_reach += reaches;
      if (reaches && counted[query] != 0) reduced.share[member] += 1;
      if (member == first) continue;
      if (!has_second || is_worse(value, second)) second = value;
      has_second = true;
    }
    n_counted += counted[query] != 0 ? 1 : 0;
    if (n_reach == 1 && has_second) reduced.rise[first] += std::abs(second - worst);
  }
  for (std::size_t member = 0; member < n_members; ++member) {
    reduced.share[member] = n_counted > 0 ? reduced.share[member] / n_counted : 0;
    reduced.rise[member] = n_queries > 0 ? reduced.rise[member] / static_cast<double>(n_queries) : 0;
    reduced.mean.push_back(mean_of(per_query[member]));
  }
  return reduced;
}

Result<WorstCase> evaluate_worst(const EvaluationInput& input, std::span<const WorstMember> members,
                                 std::span<const std::string> metrics, int n_threads) {
  GAUNTLET_CHECK(!members.empty());
  const std::string kMap = "map";
  std::vector<std::string> asked(metrics.begin(), metrics.end());
  asked.push_back(kMap);  // without repetitions in what comes back
  std::vector<Evaluation> each;
  for (const WorstMember& member : members) {
    const EvaluationInput of_member{*member.codes, input.retrieval_codes, input.query_labels,
                                    input.retrieval_labels, input.target_labels};
    GAUNTLET_TRY(Evaluation evaluation, evaluate(of_member, asked, n_threads));
    each.push_back(std::move(evaluation));
  }
  count_refusals(members, each);
  const auto reduction_of = [&](std::size_t metric) {
    std::vector<std::vector<double>> per_query;
    for (const Evaluation& evaluation : each) per_query.push_back(evaluation.metrics[metric].per_query);
    const MetricValue& first = each.front().metrics[metric];
    Reduction reduced = reduce_worst(per_query, first.higher_is_better, first.has_relevant);
    choose_smallest_codes(members, per_query, reduced);
    return reduced;
  };

  WorstCase worst;
  for (const WorstMember& member : members) worst.names.push_back(member.name);
  worst.evaluation = each.front();
  worst.evaluation.metrics.clear();
  std::vector<std::string> curves;
  const std::vector<MetricValue>& all = each.front().metrics;
  for (std::size_t metric = 0; metric < all.size(); ++metric) {
    const bool is_asked = std::any_of(metrics.begin(), metrics.end(), [&](const std::string& name) {
      const Result<MetricName> parsed = MetricName::parse(name);
      return parsed && parsed->text() == all[metric].name;
    });
    if (all[metric].per_query.empty()) {
      curves.push_back(all[metric].name);
      continue;
    }
    Reduction reduced = reduction_of(metric);
    if (is_asked) {
      MetricValue value = all[metric];
      value.per_query = reduced.worst;
      set_means(value);
      worst.evaluation.metrics.push_back(std::move(value));
      worst.of_first.push_back(all[metric]);
    }
    if (all[metric].name == kMap) worst.map = std::move(reduced);
  }
  if (curves.empty()) return worst;
  GAUNTLET_TRY(const PackedCodes codes, chosen_codes(members, worst.map.chosen));
  const EvaluationInput chosen{codes, input.retrieval_codes, input.query_labels, input.retrieval_labels,
                               input.target_labels};
  const std::span<const std::uint8_t> refused = members.front().refused;
  if (!refused.empty() && std::ranges::find(refused, 0) == refused.end()) return worst;
  GAUNTLET_TRY(Evaluation of_curves, refused.empty() ? evaluate(chosen, curves, n_threads)
                                                     : evaluate_answered(chosen, refused, curves, n_threads));
  for (MetricValue& curve : of_curves.metrics) worst.evaluation.metrics.push_back(std::move(curve));
  return worst;
}

}  // namespace gauntlet::metrics
