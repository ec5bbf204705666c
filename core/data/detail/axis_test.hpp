// Are the pictures upright? Photos have the sky above and the ground below: over many of them the mean
// brightness changes more from top to bottom than from left to right, and less evenly.
#pragma once

#include <cstdint>

#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "core/data/detail/item_array.hpp"

namespace gauntlet::data::detail {

enum class Upright : std::uint8_t { kUpright, kTransposed, kUnclear };

struct AxisTest {
  Upright verdict = Upright::kUnclear;
  std::int64_t n_pictures = 0;
  double vertical_range = 0;  ///< of the mean picture's rows, in grey levels
  double horizontal_range = 0;
  double vertical_asymmetry = 0;  ///< mean difference of a row and its mirror image
  double horizontal_asymmetry = 0;

  [[nodiscard]] Json to_json() const;
  /// One sentence.
  [[nodiscard]] std::string in_words() const;
};

/// The least number of pictures that can tell.
inline constexpr std::int64_t kAxisTestPictures = 500;

/// `pictures`: [H, W, 3] as the axes are thought to be. At most `n_most`, evenly spaced, are read. Fewer than
/// kAxisTestPictures, profiles that differ by less than a quarter or no more than by chance, are unclear.
[[nodiscard]] Result<AxisTest> test_axes(const ItemArray& pictures, std::int64_t n_most = 2000);

}  // namespace gauntlet::data::detail
