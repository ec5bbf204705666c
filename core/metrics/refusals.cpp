#include "core/metrics/refusals.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/base/check.hpp"

namespace gauntlet::metrics {
namespace {

/// Of the data, whoever is answered.
constexpr std::string_view kChanceLevel = "chance_map";

float comparable(float score) { return std::isnan(score) ? std::numeric_limits<float>::infinity() : score; }

double share_of(std::span<const std::uint8_t> flags) {
  return static_cast<double>(std::ranges::count_if(flags, [](std::uint8_t flag) { return flag != 0; })) /
         static_cast<double>(flags.size());
}

Result<PackedCodes> kept(const PackedCodes& codes, std::span<const std::int64_t> rows) {
  const std::vector<std::uint8_t> bytes = codes.to_bytes();
  const std::size_t width = (static_cast<std::size_t>(codes.bits()) + 7) / 8;
  std::vector<std::uint8_t> some;
  for (const std::int64_t row : rows) {
    const auto begin = bytes.begin() + row * static_cast<std::ptrdiff_t>(width);
    some.insert(some.end(), begin, begin + static_cast<std::ptrdiff_t>(width));
  }
  return PackedCodes::from_packed(some, codes.bits());
}

Result<LabelSets> kept(const LabelSets& labels, std::span<const std::int64_t> rows) {
  std::vector<std::uint8_t> values;
  for (const std::int64_t row : rows) {
    const std::span<const std::uint64_t> words = labels.row(row);
    for (std::int64_t label = 0; label < labels.n_labels(); ++label)
      values.push_back((words[static_cast<std::size_t>(label / 64)] >> (label % 64)) & 1);
  }
  return LabelSets::from_values(std::span<const std::uint8_t>(values), labels.n_labels());
}

/// Of one threshold: how many of the scores that are left reach it.
std::size_t take(std::span<const float> descending, std::size_t at, float threshold) {
  while (at < descending.size() && descending[at] >= threshold) ++at;
  return at;
}

std::vector<float> descending(std::span<const float> scores) {
  std::vector<float> sorted;
  for (const float score : scores) sorted.push_back(comparable(score));
  std::ranges::sort(sorted, std::ranges::greater());
  return sorted;
}

}  // namespace

std::vector<std::uint8_t> refused(std::span<const float> scores) {
  std::vector<std::uint8_t> flags;
  for (const float score : scores) flags.push_back(comparable(score) > 0 ? 1 : 0);
  return flags;
}

Result<PackedCodes> answered_codes(const PackedCodes& codes, const PackedCodes& clean,
                                   std::span<const std::uint8_t> refused) {
  if (codes.n() != clean.n() || codes.bits() != clean.bits() ||
      refused.size() != static_cast<std::size_t>(codes.n())) {
    return fail(ErrorCode::kInvalid,
                "{} codes of {} bits, {} clean ones of {} bits and {} refusals do not go together", codes.n(),
                codes.bits(), clean.n(), clean.bits(), refused.size());
  }
  std::vector<std::uint8_t> bytes = codes.to_bytes();
  const std::vector<std::uint8_t> instead = clean.to_bytes();
  const std::size_t width = (static_cast<std::size_t>(codes.bits()) + 7) / 8;
  for (std::size_t query = 0; query < refused.size(); ++query) {
    if (refused[query] == 0) continue;
    std::copy_n(instead.begin() + static_cast<std::ptrdiff_t>(query * width), width,
                bytes.begin() + static_cast<std::ptrdiff_t>(query * width));
  }
  return PackedCodes::from_packed(bytes, codes.bits());
}

void count_refused(std::span<const std::uint8_t> refused, std::vector<MetricValue>& metrics) {
  for (MetricValue& metric : metrics) {
    if (metric.per_query.empty() || metric.name == kChanceLevel) continue;
    GAUNTLET_CHECK(metric.per_query.size() == refused.size());
    double sum = 0, n_valid = 0;
    for (std::size_t query = 0; query < refused.size(); ++query) {
      if (refused[query] != 0) metric.per_query[query] = 0;
      sum += metric.per_query[query];
      n_valid += metric.has_relevant[query];
    }
    metric.value = sum / static_cast<double>(refused.size());
    metric.valid = n_valid > 0 ? sum / n_valid : 0;
  }
}

Result<Evaluation> evaluate_answered(const EvaluationInput& input, std::span<const std::uint8_t> refused,
                                     std::span<const std::string> metrics, int n_threads) {
  std::vector<std::int64_t> rows;
  for (std::size_t query = 0; query < refused.size(); ++query) {
    if (refused[query] == 0) rows.push_back(static_cast<std::int64_t>(query));
  }
  if (rows.empty()) return fail(ErrorCode::kInvalid, "all {} queries are refused", refused.size());
  GAUNTLET_TRY(const PackedCodes codes, kept(input.query_codes, rows));
  GAUNTLET_TRY(const LabelSets labels, kept(input.query_labels, rows));
  if (input.target_labels == nullptr)
    return evaluate({codes, input.retrieval_codes, labels, input.retrieval_labels}, metrics, n_threads);
  GAUNTLET_TRY(const LabelSets targets, kept(*input.target_labels, rows));
  return evaluate({codes, input.retrieval_codes, labels, input.retrieval_labels, &targets}, metrics,
                  n_threads);
}

Detection detection(std::span<const float> clean, std::span<const float> attacked) {
  GAUNTLET_CHECK(!clean.empty() && !attacked.empty());
  Detection found;
  found.refused_clean = share_of(refused(clean));
  found.refused_attacked = share_of(refused(attacked));
  const std::vector<float> below = descending(clean), above = descending(attacked);
  const auto n_clean = static_cast<double>(below.size()), n_attacked = static_cast<double>(above.size());
  found.roc = {"roc:refusals", "clean queries refused", "attacked queries refused", {0.0F}, {0.0F}};
  std::size_t at_clean = 0, at_attacked = 0;
  double x = 0, y = 0;
  while (at_clean < below.size() || at_attacked < above.size()) {
    const float threshold =
        std::max(at_clean < below.size() ? below[at_clean] : -std::numeric_limits<float>::infinity(),
                 at_attacked < above.size() ? above[at_attacked] : -std::numeric_limits<float>::infinity());
    at_clean = take(below, at_clean, threshold);
    at_attacked = take(above, at_attacked, threshold);
    const double next_x = static_cast<double>(at_clean) / n_clean;
    const double next_y = static_cast<double>(at_attacked) / n_attacked;
    found.area += (next_x - x) * (y + next_y) / 2;
    x = next_x;
    y = next_y;
    found.roc.x.push_back(static_cast<float>(x));
    found.roc.y.push_back(static_cast<float>(y));
  }
  return found;
}

}  // namespace gauntlet::metrics
