// Comparisons as text and JSON.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/text.hpp"
#include "results/compare/compare.hpp"
#include "results/query/text_table.hpp"

namespace gauntlet::results {
namespace {

constexpr double kSignificant = 0.05;

std::string number_text(double value, const std::string& unit) {
  return unit == "ratio" ? fmt::format("{:.4f}", value) : fmt::format("{:.6g}", value);
}

std::string signed_text(double value, const std::string& unit) {
  return (value < 0 ? "-" : "+") + number_text(std::abs(value), unit);
}

std::string p_text(const std::optional<double>& p) {
  if (!p) return "–";
  if (*p < 0.0001) return "<0.0001 *";
  return fmt::format("{:.4f}{}", *p, *p < kSignificant ? " *" : "");
}

std::string_view name_of(Pairing pairing) {
  switch (pairing) {
    case Pairing::kNone:
      return "none";
    case Pairing::kQueries:
      return "queries";
    case Pairing::kSeeds:
      return "seeds";
  }
  return "none";
}

/// "" where neither is better.
std::string_view better_of(const ComparedPlace& place) {
  if (place.difference() == 0) return "";
  return (place.difference() > 0) == place.higher_is_better ? "b" : "a";
}

/// Axes whose value is the same everywhere stand above the table once.
std::vector<bool> varying_axes(const Comparison& comparison) {
  std::vector<bool> varies(kPlaceAxes.size(), false);
  for (const ComparedPlace& place : comparison.places) {
    for (std::size_t axis = 0; axis < kPlaceAxes.size(); ++axis) {
      if (place.place.axes[axis] != comparison.places.front().place.axes[axis]) varies[axis] = true;
    }
  }
  return varies;
}

std::string places_text(const Comparison& comparison, std::size_t n_shown) {
  const std::vector<bool> varies = varying_axes(comparison);
  std::string same;
  std::vector<std::string> heading;
  std::vector<bool> right;
  for (std::size_t axis = 0; axis < kPlaceAxes.size(); ++axis) {
    const std::string& value = comparison.places.front().place.axes[axis];
    if (varies[axis]) {
      heading.emplace_back(kPlaceAxes[axis]);
      right.push_back(kPlaceAxes[axis] == "bits");
    } else if (!value.empty()) {
      same += fmt::format("{}{} {}", same.empty() ? "" : ", ", kPlaceAxes[axis], printable(value));
    }
  }
  for (const char* title : {"metric", "A", "B", "B - A", "better", "p", "pairs", "why"}) {
    heading.emplace_back(title);
    right.push_back(std::string_view("A B - A pairs").find(title) != std::string_view::npos);
  }
  std::vector<std::vector<std::string>> rows;
  for (std::size_t at = 0; at < n_shown; ++at) {
    const ComparedPlace& place = comparison.places[at];
    std::vector<std::string> row;
    for (std::size_t axis = 0; axis < kPlaceAxes.size(); ++axis)
      if (varies[axis]) row.push_back(printable(place.place.axes[axis]));
    std::string why;
    for (const std::size_t index : place.why) why += fmt::format("{}{}", why.empty() ? "" : " ", index + 1);
    row.push_back(printable(place.place.metric));
    row.push_back(number_text(place.a, place.unit));
    row.push_back(number_text(place.b, place.unit));
    row.push_back(signed_text(place.difference(), place.unit));
    const std::string_view better = better_of(place);
    row.emplace_back(better.empty() ? "" : better == "a" ? "A" : "B");
    row.push_back(p_text(place.p_holm));
    row.push_back(
        place.pairing == Pairing::kNone ? "" : fmt::format("{} {}", place.n_pairs, name_of(place.pairing)));
    row.push_back(std::move(why));
    rows.push_back(std::move(row));
  }
  return (same.empty() ? "" : same + "\n") + "\n" + text_table(heading, rows, right);
}

std::string side_text(const std::string& value) { return value.empty() ? "(none)" : printable(value); }

std::string differences_text(const Comparison& comparison) {
  if (comparison.differences.empty()) return "";
  std::string text = "\nWhat differs in the jobs behind them:\n";
  for (std::size_t at = 0; at < comparison.differences.size(); ++at) {
    const ConfigDifference& difference = comparison.differences[at];
    text +=
        fmt::format("{:>3}  {}{}{}: {} -> {}  ({})\n", at + 1, printable(difference.role),
                    difference.path.empty() ? "" : " ", printable(difference.path), side_text(difference.a),
                    side_text(difference.b), count_of(difference.n_places, "number"));
  }
  return text;
}

std::string unmatched_text(const char* side, const std::vector<Place>& places, std::size_t limit) {
  if (places.empty()) return "";
  std::string text = fmt::format("\nOnly in {} ({}):\n", side, places.size());
  for (std::size_t at = 0; at < places.size(); ++at) {
    if (limit > 0 && at == limit) {
      text += fmt::format("  and {} more (--limit 0 lists all)\n", places.size() - limit);
      break;
    }
    text += fmt::format("  {}\n", printable(text_of(places[at])));
  }
  return text;
}

Json to_json(const Place& place) {
  Json json = Json::object();
  for (std::size_t axis = 0; axis < kPlaceAxes.size(); ++axis)
    json[std::string(kPlaceAxes[axis])] = place.axes[axis];
  json["metric"] = place.metric;
  return json;
}

Json or_null(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

}  // namespace

std::string text_of(const Comparison& comparison, std::size_t limit) {
  std::string text = fmt::format("A: {}\nB: {}\n{} compared\n", printable(comparison.a),
                                 printable(comparison.b), count_of(comparison.places.size(), "number"));
  const std::size_t n_places = comparison.places.size();
  const std::size_t n_shown = limit == 0 ? n_places : std::min(limit, n_places);
  if (n_places > 0) text += places_text(comparison, n_shown);
  if (n_shown < n_places)
    text += fmt::format("and {} with smaller differences (--limit 0 lists all)\n", n_places - n_shown);
  const auto tested = std::count_if(comparison.places.begin(), comparison.places.end(),
                                    [](const ComparedPlace& place) { return place.p.has_value(); });
  if (tested > 0)
    text +=
        fmt::format("\np: paired permutation test, two-sided, corrected over {} tests (Holm); * below {}\n",
                    tested, kSignificant);
  if (static_cast<std::size_t>(tested) < n_places)
    text += fmt::format(
        "{}No test for {}: it takes readings per query on both sides, or two seeds that both have\n",
        tested > 0 ? "" : "\n", count_of(n_places - static_cast<std::size_t>(tested), "number"));
  return text + differences_text(comparison) + unmatched_text("A", comparison.only_a, limit) +
         unmatched_text("B", comparison.only_b, limit);
}

Json to_json(const Comparison& comparison) {
  Json document = {{"format", 1},
                   {"a", comparison.a},
                   {"b", comparison.b},
                   {"places", Json::array()},
                   {"differences", Json::array()},
                   {"only_a", Json::array()},
                   {"only_b", Json::array()}};
  for (const ComparedPlace& place : comparison.places) {
    Json row = to_json(place.place);
    row.update({{"unit", place.unit},
                {"higher_is_better", place.higher_is_better},
                {"a", place.a},
                {"b", place.b},
                {"difference", place.difference()},
                {"better", better_of(place)},
                {"n_seeds", place.n_seeds},
                {"pairing", name_of(place.pairing)},
                {"n_pairs", place.n_pairs},
                {"p", or_null(place.p)},
                {"p_holm", or_null(place.p_holm)},
                {"why", place.why}});
    document["places"].push_back(std::move(row));
  }
  for (const ConfigDifference& difference : comparison.differences) {
    document["differences"].push_back({{"role", difference.role},
                                       {"path", difference.path},
                                       {"a", difference.a},
                                       {"b", difference.b},
                                       {"n_places", difference.n_places}});
  }
  for (const Place& place : comparison.only_a) document["only_a"].push_back(to_json(place));
  for (const Place& place : comparison.only_b) document["only_b"].push_back(to_json(place));
  return document;
}

}  // namespace gauntlet::results
