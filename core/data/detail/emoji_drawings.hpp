// Second drawings of the emoji: a folder of PNG files named by code points, as EmojiOne's are.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "core/base/result.hpp"
#include "core/data/detail/emoji_concepts.hpp"
#include "core/io/png.hpp"

namespace gauntlet::data::detail {

/// Per concept the file of its drawing ("1F46F.png", "1F1EE-1F1F6.png"; U+FE0F and U+200D are left out on
/// both sides), empty where there is none. Links and files of other names are passed over. Errors: kNotFound,
/// kIo.
[[nodiscard]] Result<std::vector<std::filesystem::path>> find_drawings(const std::filesystem::path& folder,
                                                                       std::span<const Concept> concepts);

/// Scales a square picture of n x n to u8 [px, px, 3] by exact area averages, rounding once:
/// (sum + n * n / 2) / (n * n), the rule of the font's sprites with n in place of 136.
void scale_by_area(const io::RgbImage& picture, int px, std::span<std::uint8_t> out);

/// Labels of the larger variant: the 26 with `sweet` after `fruit_veg` and `science_medical` last. Sweets
/// stay food; science and medical things are no longer household tools.
inline constexpr std::size_t kNumXlLabels = 28;
[[nodiscard]] std::vector<std::string> xl_label_names();
[[nodiscard]] LabelMask xl_labels(const Concept& entry);

}  // namespace gauntlet::data::detail
