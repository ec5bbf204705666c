// One line of a curve: its numbers over seeds at every x, and what is derived from the values of its queries.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/db/connection.hpp"
#include "results/plot/figure.hpp"
#include "results/store/selection.hpp"

namespace gauntlet::results {

/// A reference level that a curve is seen against.
struct CurveLevel {
  std::string_view row;  ///< after "<metric>:"
  std::string_view legend;
};
inline constexpr std::array kCurveLevels = {
    CurveLevel{"chance", "chance"}, CurveLevel{"random_code", "random code"},
    CurveLevel{"anchor_floor", "anchor floor"}, CurveLevel{"oracle_floor", "oracle floor"},
    CurveLevel{"absolute_floor", "absolute floor"}};

/// A number of one seed at one x.
struct CurvePoint {
  const CellRow* cell = nullptr;
  double value = 0;
  std::int64_t job_id = 0;
  std::string metric;
  bool higher_is_better = true;
};

struct CurveLine {
  std::map<double, std::map<std::uint64_t, CurvePoint>> points;  ///< x → seed → number
  std::array<std::map<double, std::map<std::uint64_t, double>>, kCurveLevels.size()> levels;
  const CellRow* cell = nullptr;  ///< the first on it with an attack, else the first
  std::string attack;
};

/// Appends the mean over `seeds` and their sample standard deviation (0 of one seed) at `x`.
void add_point(double x, const std::vector<double>& seeds, Series& series);

/// Of a line over a budget: an input within a smaller budget is allowed at a larger one too, so at every x
/// the worst value of each query up to there, averaged. Empty where some number has no values per query.
[[nodiscard]] Result<Series> envelope_of(db::Connection& connection, const CurveLine& line,
                                         std::size_t style);

/// Of a line over a budget, its robustness in one number: the budget that takes half of the queries halfway
/// from their clean value to their oracle floor; infinity where none on the line does. Nothing for a line
/// without clean queries at 0, without values per query, or of a metric of which less is better.
[[nodiscard]] Result<std::optional<double>> median_budget(db::Connection& connection, const CurveLine& line);

}  // namespace gauntlet::results
