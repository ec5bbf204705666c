#include "core/data/detail/emoji_drawings.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "core/base/files.hpp"

namespace gauntlet::data::detail {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kSweet = 10;  // after fruit_veg
constexpr std::size_t kScienceMedical = 27;
constexpr std::string_view kToolHousehold = "tool_household";

/// "1F46F" or "1F1EE-1F1F6", upper case, without the code points that only join or style.
std::string name_of_drawing(std::u32string_view code_points) {
  std::string name;
  for (const char32_t point : code_points) {
    if (point == 0xFE0F || point == 0x200D) continue;
    name += fmt::format("{}{:04X}", name.empty() ? "" : "-", static_cast<std::uint32_t>(point));
  }
  return name;
}

/// A file's stem in the same form: parts FE0F and 200D left out.
std::string name_of_file(std::string stem) {
  for (char& each : stem) each = each >= 'a' && each <= 'f' ? static_cast<char>(each - 32) : each;
  std::string name;
  for (std::size_t begin = 0; begin <= stem.size();) {
    const std::size_t end = std::min(stem.find('-', begin), stem.size());
    const std::string part = stem.substr(begin, end - begin);
    if (part != "FE0F" && part != "200D") name += (name.empty() ? "" : "-") + part;
    begin = end + 1;
  }
  return name;
}

/// How much target cell `to` of `n_to` overlaps source cell `from` of `n_from`, in units of 1 / n_to per
/// cell.
std::int64_t overlap(std::int64_t to, std::int64_t from, std::int64_t n_to, std::int64_t n_from) {
  return std::max<std::int64_t>(
      0, std::min((from + 1) * n_to, (to + 1) * n_from) - std::max(from * n_to, to * n_from));
}

}  // namespace

Result<std::vector<fs::path>> find_drawings(const fs::path& folder, std::span<const Concept> concepts) {
  std::map<std::string, fs::path> files;
  std::error_code error;
  for (fs::directory_iterator entries(folder, error), end; !error && entries != end;
       entries.increment(error)) {
    const fs::path& path = entries->path();
    std::error_code ignored;
    if (path.extension() != ".png" || entries->is_symlink(ignored)) continue;
    files.emplace(name_of_file(path.stem().string()), path);
  }
  if (error) return fail(system_error(error.value(), "read", folder));
  std::vector<fs::path> drawings;
  for (const Concept& entry : concepts) {
    const auto found = files.find(name_of_drawing(entry.code_points));
    drawings.push_back(found == files.end() ? fs::path() : found->second);
  }
  return drawings;
}

void scale_by_area(const io::RgbImage& picture, int px, std::span<std::uint8_t> out) {
  const std::int64_t n = picture.width;
  const auto source = [&](std::int64_t y, std::int64_t x, std::int64_t channel) {
    return static_cast<std::uint64_t>(picture.pixels[static_cast<std::size_t>((y * n + x) * 3 + channel)]);
  };
  for (std::int64_t y = 0; y < px; ++y) {
    for (std::int64_t x = 0; x < px; ++x) {
      std::uint64_t sums[3] = {0, 0, 0};
      for (std::int64_t from_y = y * n / px; from_y < n && from_y * px < (y + 1) * n; ++from_y) {
        for (std::int64_t from_x = x * n / px; from_x < n && from_x * px < (x + 1) * n; ++from_x) {
          const auto weight =
              static_cast<std::uint64_t>(overlap(y, from_y, px, n) * overlap(x, from_x, px, n));
          for (std::int64_t channel = 0; channel < 3; ++channel)
            sums[channel] += weight * source(from_y, from_x, channel);
        }
      }
      const auto area = static_cast<std::uint64_t>(n * n);
      for (std::size_t channel = 0; channel < 3; ++channel) {
        out[static_cast<std::size_t>(y * px + x) * 3 + channel] =
            static_cast<std::uint8_t>((sums[channel] + area / 2) / area);
      }
    }
  }
}

std::vector<std::string> xl_label_names() {
  std::vector<std::string> names(label_names().begin(), label_names().end());
  names.insert(names.begin() + kSweet, "sweet");
  names.emplace_back("science_medical");
  return names;
}

LabelMask xl_labels(const Concept& entry) {
  constexpr LabelMask kBefore = (LabelMask{1} << kSweet) - 1;
  LabelMask labels = (entry.labels & kBefore) | (entry.labels & ~kBefore) << 1U;
  if (entry.subgroup == "food-sweet") labels |= LabelMask{1} << kSweet;
  if (entry.subgroup == "science" || entry.subgroup == "medical") {
    const auto names = xl_label_names();
    const auto tool = std::ranges::find(names, kToolHousehold) - names.begin();
    labels = (labels & ~(LabelMask{1} << tool)) | LabelMask{1} << kScienceMedical;
  }
  return labels;
}

}  // namespace gauntlet::data::detail
