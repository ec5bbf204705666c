#include "core/data/detail/axis_test.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

namespace gauntlet::data::detail {
namespace {

constexpr double kClearly = 1.25;
/// Below this a profile is flat: generated pictures.
constexpr double kLeastRange = 1.0;

double range_of(const std::vector<double>& profile) {
  const auto [least, most] = std::ranges::minmax_element(profile);
  return *most - *least;
}

double asymmetry_of(const std::vector<double>& profile) {
  double sum = 0;
  for (std::size_t at = 0; at < profile.size(); ++at)
    sum += std::abs(profile[at] - profile[profile.size() - 1 - at]);
  return sum / static_cast<double>(profile.size());
}

Upright judge(const AxisTest& test) {
  if (test.n_pictures < kAxisTestPictures) return Upright::kUnclear;
  const auto clearly = [](double range, double other_range, double asymmetry, double other_asymmetry) {
    return range >= kLeastRange && range >= kClearly * other_range && asymmetry >= kClearly * other_asymmetry;
  };
  if (clearly(test.vertical_range, test.horizontal_range, test.vertical_asymmetry, test.horizontal_asymmetry))
    return Upright::kUpright;
  if (clearly(test.horizontal_range, test.vertical_range, test.horizontal_asymmetry, test.vertical_asymmetry))
    return Upright::kTransposed;
  return Upright::kUnclear;
}

}  // namespace

Json AxisTest::to_json() const {
  static constexpr std::string_view kVerdicts[] = {"upright", "transposed", "unclear"};
  return {{"verdict", kVerdicts[static_cast<std::size_t>(verdict)]},
          {"n_pictures", n_pictures},
          {"vertical_range", vertical_range},
          {"horizontal_range", horizontal_range},
          {"vertical_asymmetry", vertical_asymmetry},
          {"horizontal_asymmetry", horizontal_asymmetry}};
}

std::string AxisTest::in_words() const {
  static constexpr std::string_view kVerdicts[] = {"the pictures stand upright",
                                                   "the pictures lie on their sides",
                                                   "it cannot be told whether the pictures stand upright"};
  return fmt::format(
      "{}: over {} of them the mean brightness ranges over {:.1f} levels from top to bottom (asymmetry "
      "{:.1f}) "
      "and {:.1f} from left to right ({:.1f})",
      kVerdicts[static_cast<std::size_t>(verdict)], n_pictures, vertical_range, vertical_asymmetry,
      horizontal_range, horizontal_asymmetry);
}

Result<AxisTest> test_axes(const ItemArray& pictures, std::int64_t n_most) {
  AxisTest test;
  test.n_pictures = std::min(n_most, pictures.n_items());
  if (test.n_pictures < kAxisTestPictures) return test;
  const auto height = static_cast<std::size_t>(pictures.item_shape()[0]);
  const auto width = static_cast<std::size_t>(pictures.item_shape()[1]);
  std::vector<double> rows(height, 0);
  std::vector<double> columns(width, 0);
  std::vector<std::uint8_t> picture(static_cast<std::size_t>(pictures.item_size()));
  for (std::int64_t which = 0; which < test.n_pictures; ++which) {
    GAUNTLET_CHECK_OK(pictures.read(which * pictures.n_items() / test.n_pictures, std::span(picture)));
    for (std::size_t y = 0; y < height; ++y) {
      for (std::size_t x = 0; x < width; ++x) {
        const std::uint8_t* pixel = picture.data() + (y * width + x) * 3;
        const double grey = 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
        rows[y] += grey;
        columns[x] += grey;
      }
    }
  }
  const auto n = static_cast<double>(test.n_pictures);
  for (double& value : rows) value /= n * static_cast<double>(width);
  for (double& value : columns) value /= n * static_cast<double>(height);
  test.vertical_range = range_of(rows);
  test.horizontal_range = range_of(columns);
  test.vertical_asymmetry = asymmetry_of(rows);
  test.horizontal_asymmetry = asymmetry_of(columns);
  test.verdict = judge(test);
  return test;
}

}  // namespace gauntlet::data::detail
