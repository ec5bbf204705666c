// Pictures out of the database. A table spec says which cells and how they are grouped: the last row level
// names the series (one colour each), the other row levels and the columns are panels (lines) or groups
// (bars). Thread safety: functions use the caller's connection and nothing else.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/db/connection.hpp"
#include "results/plot/figure.hpp"
#include "results/table/pivot.hpp"

namespace gauntlet::results {

/// What cannot be told apart by colour, dashes and marker is no legend.
inline constexpr std::size_t kMaxSeries = 16;

struct MadeFigure {
  Figure figure;
  std::vector<MissingNumber> missing;
  std::vector<std::string> notes;  ///< sentences about what is drawn
};

/// Precision-recall curves, mean and standard deviation over seeds, point by point (a point: a Hamming
/// radius). The curve is the spec's metric that begins with "pr", else any. Errors: kNotFound (no cell has
/// such a curve), kInvalid (two kinds of curves, cells that differ in an axis the
/// spec does not show, more than kMaxSeries series).
[[nodiscard]] Result<MadeFigure> pr_figure(db::Connection& connection, const TableSpec& spec);

/// A number over `x`, mean over seeds: "bits", or a number among the attacks' options ("epsilon_image" in
/// grey levels, "steps", "iterations", …), whatever the attacks are called. Over a budget (epsilon_…) the
/// line as measured is dotted and its envelope solid: per query the worst of this and all smaller budgets;
/// clean queries are budget 0 of every protocol. Where worst cases tell each query's oracle floor, a note
/// says at which budget half of the queries are halfway there (the smallest one of the grid, values in the
/// middle of an even number: the upper). Reference levels of a worst case in the picture are lines of their
/// own, by the panel's first series that has them. Errors: kNotFound (no cell with such an option), kInvalid
/// (cells that differ in an axis the spec does not show, two numbers at one point, more than kMaxSeries
/// series).
[[nodiscard]] Result<MadeFigure> curve_figure(db::Connection& connection, const TableSpec& spec,
                                              const std::string& x);

/// What a legend calls a series: its label, or, where that is empty, "no <what>", e.g. "no variant".
[[nodiscard]] std::string legend_name(const std::string& label, std::string_view what);

/// Means of a table as bars with their standard deviations; one panel per column, its references as lines;
/// in one unit, all panels have one scale.
/// Errors: kInvalid (more than kMaxSeries series, no number).
[[nodiscard]] Result<Figure> bars_figure(const Table& table);

/// Means of a table as a map of colours with the numbers in it. Errors: kInvalid (no number).
[[nodiscard]] Result<Figure> heatmap_figure(const Table& table);

/// Loss curves of jobs, named by the beginning of their keys (at least four hexadecimal digits): one panel
/// per term, one line per job. Errors: kNotFound (no job, or it has no loss curves), kInvalid (several jobs).
[[nodiscard]] Result<Figure> loss_figure(db::Connection& connection, const std::vector<std::string>& jobs);

/// Jobs finished per minute over the time of a sweep ("" = of everything), in at most 60 steps; a job that
/// ran for several cells counts once. Errors: kNotFound (no sweep of that name, nothing finished yet).
[[nodiscard]] Result<Figure> throughput_figure(db::Connection& connection, const std::string& sweep);

}  // namespace gauntlet::results
