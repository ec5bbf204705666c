#include "core/data/detail/axis_test.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

namespace gauntlet::data::detail {
namespace {

constexpr double kClearly = 1.25;
/// Below this a profile is flat: generated pictures.
constexpr double kLeastRange = 1.0;
/// A range of so many times what separates two halves of the pictures is no chance: of noise it is 3.
constexpr double kAboveNoise = 4.0;

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

/// How far two halves of the pictures are apart, their brightness as a whole left out: what chance does.
double noise_of(const std::vector<double>& one, const std::vector<double>& other) {
  double sum = 0;
  double squares = 0;
  for (std::size_t at = 0; at < one.size(); ++at) {
    const double difference = one[at] - other[at];
    sum += difference;
    squares += difference * difference;
  }
  const auto n = static_cast<double>(one.size());
  return std::sqrt(std::max(0.0, squares / n - sum / n * (sum / n)));
}

/// Mean brightness of the rows and of the columns of pictures.
struct Profiles {
  std::vector<double> rows, columns;
  double n = 0;

  /// u8 [height, width, 3].
  void add(std::span<const std::uint8_t> picture) {
    ++n;
    for (std::size_t y = 0; y < rows.size(); ++y) {
      for (std::size_t x = 0; x < columns.size(); ++x) {
        const std::uint8_t* pixel = picture.data() + (y * columns.size() + x) * 3;
        const double grey = 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
        rows[y] += grey;
        columns[x] += grey;
      }
    }
  }
  void finish() {
    for (double& value : rows) value /= n * static_cast<double>(columns.size());
    for (double& value : columns) value /= n * static_cast<double>(rows.size());
  }
};

std::vector<double> mean_of(const std::vector<double>& a, double n_a, const std::vector<double>& b,
                            double n_b) {
  std::vector<double> mean;
  for (std::size_t at = 0; at < a.size(); ++at) mean.push_back((a[at] * n_a + b[at] * n_b) / (n_a + n_b));
  return mean;
}

Upright judge(const AxisTest& test, double vertical_noise, double horizontal_noise) {
  const auto clearly = [](double range, double other_range, double asymmetry, double other_asymmetry,
                          double noise) {
    return range >= std::max(kLeastRange, kAboveNoise * noise) && range >= kClearly * other_range &&
           asymmetry >= kClearly * other_asymmetry;
  };
  if (clearly(test.vertical_range, test.horizontal_range, test.vertical_asymmetry, test.horizontal_asymmetry,
              vertical_noise))
    return Upright::kUpright;
  if (clearly(test.horizontal_range, test.vertical_range, test.horizontal_asymmetry, test.vertical_asymmetry,
              horizontal_noise))
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
  const std::int64_t n_pictures = std::min(n_most, pictures.n_items());
  if (n_pictures < kAxisTestPictures) return AxisTest{.n_pictures = n_pictures};
  const auto height = static_cast<std::size_t>(pictures.item_shape()[0]);
  const auto width = static_cast<std::size_t>(pictures.item_shape()[1]);
  Profiles halves[2];
  for (Profiles& half : halves) half = {std::vector<double>(height, 0), std::vector<double>(width, 0)};
  std::vector<std::uint8_t> picture(static_cast<std::size_t>(pictures.item_size()));
  for (std::int64_t which = 0; which < n_pictures; ++which) {
    GAUNTLET_CHECK_OK(pictures.read(which * pictures.n_items() / n_pictures, std::span(picture)));
    halves[which % 2].add(picture);
  }
  for (Profiles& half : halves) half.finish();
  const auto& [even, odd] = halves;
  const std::vector<double> rows = mean_of(even.rows, even.n, odd.rows, odd.n);
  const std::vector<double> columns = mean_of(even.columns, even.n, odd.columns, odd.n);
  AxisTest test{.n_pictures = n_pictures,
                .vertical_range = range_of(rows),
                .horizontal_range = range_of(columns),
                .vertical_asymmetry = asymmetry_of(rows),
                .horizontal_asymmetry = asymmetry_of(columns)};
  test.verdict = judge(test, noise_of(even.rows, odd.rows), noise_of(even.columns, odd.columns));
  return test;
}

}  // namespace gauntlet::data::detail
