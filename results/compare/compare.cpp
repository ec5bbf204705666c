#include "results/compare/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "results/compare/config_differences.hpp"
#include "results/store/query_values.hpp"
#include "results/table/inference.hpp"

namespace gauntlet::results {
namespace {

constexpr std::int64_t kPermutations = 10'000;
constexpr std::uint64_t kSeed = 1;

using Seeds = std::map<std::uint64_t, SideNumber>;

/// Two lists of numbers that belong to the same seeds; against a reference file, all seeds and its one
/// number.
struct Matched {
  std::vector<const SideNumber*> a;
  std::vector<const SideNumber*> b;
};

Matched match_seeds(const Seeds& a, const Seeds& b, bool by_seed) {
  Matched matched;
  if (!by_seed) {
    for (const auto& [seed, number] : a) matched.a.push_back(&number);
    for (const auto& [seed, number] : b) matched.b.push_back(&number);
    return matched;
  }
  for (const auto& [seed, number] : a) {
    const auto other = b.find(seed);
    if (other == b.end()) continue;
    matched.a.push_back(&number);
    matched.b.push_back(&other->second);
  }
  return matched;
}

double mean_of(const std::vector<const SideNumber*>& numbers) {
  double sum = 0;
  for (const SideNumber* number : numbers) sum += number->value;
  return sum / static_cast<double>(numbers.size());
}

/// Differences per query, averaged over the seeds; nothing where any seed of a side lacks them.
Result<std::vector<double>> query_differences(const Side& a, const Side& b, const std::string& metric,
                                              const Matched& matched) {
  std::vector<double> sums;
  for (std::size_t seed = 0; seed < matched.a.size(); ++seed) {
    GAUNTLET_TRY(const auto in_a, query_values(*a.connection, matched.a[seed]->job_id, metric));
    GAUNTLET_TRY(const auto in_b, query_values(*b.connection, matched.b[seed]->job_id, metric));
    if (in_a.empty() || in_a.size() != in_b.size()) return std::vector<double>();
    if (seed == 0) sums.assign(in_a.size(), 0);
    if (sums.size() != in_a.size()) return std::vector<double>();
    for (std::size_t query = 0; query < sums.size(); ++query)
      sums[query] += static_cast<double>(in_b[query]) - static_cast<double>(in_a[query]);
  }
  // A query without anything relevant has no reading.
  std::erase_if(sums, [](double sum) { return std::isnan(sum); });
  for (double& sum : sums) sum /= static_cast<double>(matched.a.size());
  return sums;
}

Status test_difference(const Side& a, const Side& b, const Matched& matched, ComparedPlace& compared) {
  GAUNTLET_TRY(std::vector<double> differences, query_differences(a, b, compared.place.metric, matched));
  compared.pairing = Pairing::kQueries;
  if (differences.empty() && matched.a.size() > 1) {
    compared.pairing = Pairing::kSeeds;
    for (std::size_t seed = 0; seed < matched.a.size(); ++seed)
      differences.push_back(matched.b[seed]->value - matched.a[seed]->value);
  }
  if (differences.empty()) {
    compared.pairing = Pairing::kNone;
    return {};
  }
  compared.n_pairs = differences.size();
  compared.p = paired_p_value(differences, kPermutations, kSeed);
  return {};
}

/// A place as the other side's columns tell it; a reference file names variants without their ablation.
Place projected(const Place& place, const Side& onto) {
  if (onto.connection != nullptr) return place;
  Place shown{{}, place.metric};
  for (std::size_t axis = 0; axis < kPlaceAxes.size(); ++axis) {
    if (!onto.has_axis[axis]) continue;
    shown.axes[axis] = place.axes[axis];
    const std::size_t slash = place.axes[axis].find('/');
    if (kPlaceAxes[axis] == "variant" && slash != std::string::npos)
      shown.axes[axis] = place.axes[axis].substr(slash + 1);
  }
  return shown;
}

/// Projected place → the side's own place. Errors: two places that look alike.
Result<std::map<Place, const Place*>> projected_places(const Side& side, const Side& onto) {
  std::map<Place, const Place*> places;
  for (const auto& [place, seeds] : side.numbers) {
    const auto [known, is_new] = places.emplace(projected(place, onto), &place);
    if (is_new) continue;
    // Only a line that the reference has can be meant by both.
    if (onto.numbers.contains(known->first)) {
      return fail(
          ErrorCode::kInvalid,
          "{} does not tell '{}' and '{}' of {} apart; choose by --where, e.g. --where \"protocol=static\"",
          onto.name, text_of(*known->second), text_of(place), side.name);
    }
  }
  return places;
}

/// Ratios first, since they compare with each other; then by size.
void sort_places(std::vector<ComparedPlace>& places) {
  const auto key = [](const ComparedPlace& place) {
    return std::tuple(place.unit != "ratio", place.unit == "ratio" ? "" : place.place.metric,
                      -std::abs(place.difference()));
  };
  std::stable_sort(places.begin(), places.end(),
                   [&](const ComparedPlace& x, const ComparedPlace& y) { return key(x) < key(y); });
}

void correct(std::vector<ComparedPlace>& places) {
  std::vector<double> values;
  for (const ComparedPlace& place : places)
    if (place.p) values.push_back(*place.p);
  const std::vector<double> corrected = holm(values);
  std::size_t at = 0;
  for (ComparedPlace& place : places)
    if (place.p) place.p_holm = corrected[at++];
}

/// Orders differences by how many places they touch, and renames them in the places.
void sort_differences(Comparison& comparison) {
  std::vector<std::size_t> order(comparison.differences.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t x, std::size_t y) {
    return comparison.differences[x].n_places > comparison.differences[y].n_places;
  });
  std::vector<std::size_t> rank(order.size());
  std::vector<ConfigDifference> sorted;
  for (std::size_t at = 0; at < order.size(); ++at) {
    rank[order[at]] = at;
    sorted.push_back(std::move(comparison.differences[order[at]]));
  }
  comparison.differences = std::move(sorted);
  for (ComparedPlace& place : comparison.places) {
    for (std::size_t& why : place.why) why = rank[why];
    std::sort(place.why.begin(), place.why.end());
  }
}

Result<ComparedPlace> compare_place(const Side& a, const Side& b, const Place& place,
                                    const Matched& matched) {
  const SideNumber& first = *matched.a.front();
  const SideNumber& second = *matched.b.front();
  const bool same_kind = first.unit == second.unit && first.higher_is_better == second.higher_is_better;
  const bool both_measured = a.connection != nullptr && b.connection != nullptr;
  if (both_measured && !same_kind) {
    return fail(ErrorCode::kInvalid, "{} is in '{}' in {} and in '{}' in {}, which do not compare",
                text_of(place), first.unit, a.name, second.unit, b.name);
  }
  const SideNumber& measured = a.connection != nullptr ? first : second;
  ComparedPlace compared{.place = place,
                         .unit = measured.unit,
                         .higher_is_better = measured.higher_is_better,
                         .a = mean_of(matched.a),
                         .b = mean_of(matched.b),
                         .n_seeds = std::max(matched.a.size(), matched.b.size()),
                         .pairing = Pairing::kNone,
                         .n_pairs = 0,
                         .p = {},
                         .p_holm = {},
                         .why = {}};
  if (both_measured) GAUNTLET_CHECK_OK(test_difference(a, b, matched, compared));
  return compared;
}

}  // namespace

Result<Comparison> compare(const Side& a, const Side& b) {
  Comparison comparison{
      .a = a.name, .b = b.name, .places = {}, .differences = {}, .only_a = {}, .only_b = {}};
  const bool both_measured = a.connection != nullptr && b.connection != nullptr;
  std::optional<ConfigDiffer> differ;
  if (both_measured) differ.emplace(*a.connection, *b.connection);
  GAUNTLET_TRY(const auto places_a, projected_places(a, b));
  GAUNTLET_TRY(const auto places_b, projected_places(b, a));
  for (const auto& [shown, place] : places_a) {
    const auto other = places_b.find(a.connection == nullptr ? *place : shown);
    const Matched matched =
        other == places_b.end()
            ? Matched{}
            : match_seeds(a.numbers.at(*place), b.numbers.at(*other->second), both_measured);
    if (matched.a.empty()) {
      comparison.only_a.push_back(*place);
      continue;
    }
    const Place& named = a.connection != nullptr ? *place : *other->second;
    GAUNTLET_TRY(ComparedPlace compared, compare_place(a, b, named, matched));
    if (differ) {
      GAUNTLET_TRY(compared.why, differ->differences(*matched.a.front(), *matched.b.front()));
    }
    comparison.places.push_back(std::move(compared));
  }
  for (const auto& [shown, place] : places_b) {
    const auto other = places_a.find(b.connection == nullptr ? *place : shown);
    const bool matched =
        other != places_a.end() &&
        !match_seeds(a.numbers.at(*other->second), b.numbers.at(*place), both_measured).a.empty();
    if (!matched) comparison.only_b.push_back(*place);
  }
  if (differ) comparison.differences = differ->take();
  correct(comparison.places);
  sort_places(comparison.places);
  sort_differences(comparison);
  return comparison;
}

}  // namespace gauntlet::results
