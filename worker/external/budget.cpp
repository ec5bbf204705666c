#include "worker/external/budget.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace gauntlet::external {
namespace {

/// What rounding to float32 may add to a distance.
constexpr double kSlack = 1e-6;
/// How far from a step of the grid a value may lie, in steps: k / 255 as float32 is off by less than 1e-5.
constexpr double kGridSlack = 1e-3;
/// Further items that a refusal names.
constexpr std::size_t kNamed = 8;

/// Distances of one item.
struct Distances {
  double linf = 0, l2 = 0;
  std::int64_t flips = 0;
};

Distances distances_of(std::span<const float> changed, std::span<const float> clean) {
  Distances found;
  for (std::size_t at = 0; at < clean.size(); ++at) {
    const double delta = std::abs(static_cast<double>(changed[at]) - static_cast<double>(clean[at]));
    found.linf = std::max(found.linf, delta);
    found.l2 += delta * delta;
    found.flips += delta > 0 ? 1 : 0;
  }
  found.l2 = std::sqrt(found.l2);
  return found;
}

/// "" or what is wrong.
std::string off_grid(std::span<const float> values, double steps, std::int64_t row) {
  for (std::size_t at = 0; at < values.size(); ++at) {
    const double step = static_cast<double>(values[at]) * steps;
    if (std::abs(step - std::round(step)) > kGridSlack)
      return fmt::format("value {} of item {} is {}; allowed: whole multiples of 1/{:g}", at, row, values[at],
                         steps);
  }
  return "";
}

std::string out_of_range(std::span<const float> values, const Given& clean, std::int64_t row) {
  for (std::size_t at = 0; at < values.size(); ++at) {
    const auto value = static_cast<double>(values[at]);
    if (!std::isfinite(value) || value < clean.low - kSlack || value > clean.high + kSlack)
      return fmt::format("value {} of item {} is {}; allowed: {} to {}", at, row, value, clean.low,
                         clean.high);
  }
  return "";
}

/// "" or what is wrong.
std::string beyond(const spec::ExternalBudget& budget, const Json& options, const Distances& found,
                   std::int64_t row) {
  const double allowed = budget.field.empty() ? budget.value : options.value(budget.field, 0.0);
  const double used = budget.norm == "linf" ? found.linf
                      : budget.norm == "l2" ? found.l2
                                            : static_cast<double>(found.flips);
  const double slack = budget.norm == "flips" ? 0 : kSlack * std::max(1.0, allowed);
  if (used <= allowed + slack) return "";
  return fmt::format("item {} is {:g} from the clean one ({}); its budget is {:g}", row, used, budget.norm,
                     allowed);
}

/// What is wrong with one item; "" for nothing.
std::string wrong_with(std::span<const float> values, std::size_t item, const Given& clean,
                       const spec::ExternalEntry& entry, const Json& options) {
  const std::int64_t row = clean.rows[item];
  if (std::string wrong = out_of_range(values, clean, row); !wrong.empty()) return wrong;
  const Distances found =
      distances_of(values, std::span(clean.values).subspan(item * values.size(), values.size()));
  for (const spec::ExternalBudget& budget : entry.budget) {
    const double steps = budget.field.empty() ? budget.value : options.value(budget.field, 0.0);
    std::string wrong =
        budget.norm == "grid" ? off_grid(values, steps, row) : beyond(budget, options, found, row);
    if (!wrong.empty()) return wrong;
  }
  return "";
}

}  // namespace

Status check_legal(std::span<const float> values, const Given& clean, const spec::ExternalEntry& entry,
                   const Json& options, std::string_view what) {
  const std::size_t width = clean.rows.empty() ? 0 : values.size() / clean.rows.size();
  std::string first;
  std::vector<std::int64_t> others;
  for (std::size_t item = 0; item < clean.rows.size(); ++item) {
    const std::string wrong = wrong_with(values.subspan(item * width, width), item, clean, entry, options);
    if (wrong.empty()) continue;
    if (first.empty()) {
      first = wrong;
    } else {
      others.push_back(clean.rows[item]);
    }
  }
  if (first.empty()) return {};
  std::string more;
  if (!others.empty()) {
    const std::size_t n = std::min(others.size(), kNamed);
    more = fmt::format("; {} of {} items are not allowed, also {}{}", others.size() + 1, clean.rows.size(),
                       fmt::join(std::span(others).first(n), ", "), n < others.size() ? ", …" : "");
  }
  return fail(ErrorCode::kInvalid, "{}: {}{}", what, first, more);
}

}  // namespace gauntlet::external
