// Paired comparisons of scores per query, and what follows from them.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/robustness/check.hpp"

namespace gauntlet::robustness {

/// Mean difference with the ends of its 95 % percentile interval over 10,000 resamples of the queries, the
/// same for every comparison of as many queries.
struct Difference {
  double mean = 0;
  double low = 0;
  double high = 0;
  std::int64_t n = 0;
};

/// Of values that are 0 where nothing differs; at least one.
[[nodiscard]] Difference difference_of(const std::vector<double>& values);
/// minuend - subtrahend, query by query. Nothing where there are none, or they are of other queries.
[[nodiscard]] std::optional<Difference> difference_of(const std::vector<double>& minuend,
                                                      const std::vector<double>& subtrahend);

/// Fails when the lower end exceeds the tolerance, warns when only the mean does; where `worst` is milder
/// than a fail it is given as soon as the mean exceeds the tolerance. No sentence.
[[nodiscard]] Finding judged(const Difference& difference, double tolerance, Verdict worst = Verdict::kFail);

[[nodiscard]] Finding not_run(std::string sentence);
/// A figure without an interval.
[[nodiscard]] Finding figure(Verdict verdict, double value, std::int64_t n, std::string sentence);
[[nodiscard]] Verdict worse(Verdict one, Verdict other);

[[nodiscard]] double mean_of(const std::vector<double>& values);

/// Elementwise least of the arms and, where there are any, the clean queries: W_q of a set of attacks. Arms
/// without scores of as many queries as the first count for nothing; empty without any.
[[nodiscard]] std::vector<double> worst_of(std::span<const Arm* const> arms, const Arm* clean);

/// White gradient attacks at the judged budget, reduced per query.
[[nodiscard]] std::vector<double> white_worst(const Study& study);

/// The option as a number; nothing where the attack has none.
[[nodiscard]] std::optional<double> number_of(const Arm& arm, const char* option);

/// Arms with scores that differ in the named options alone, two or more each, by the order of `option`.
struct Series {
  std::vector<std::pair<double, const Arm*>> arms;  ///< by value of the first of the options
};
[[nodiscard]] std::vector<Series> series_over(std::span<const Arm* const> arms,
                                              const std::set<std::string>& options);

/// "62.5 %"
[[nodiscard]] std::string percent(double share);

}  // namespace gauntlet::robustness
