#include "core/data/detail/prepared_files.hpp"

#include <algorithm>
#include <cmath>

namespace gauntlet::data::detail {

std::vector<std::string_view> files_of(const std::filesystem::path& folder) {
  std::vector<std::string_view> present;
  for (const std::string_view name :
       {"dataset.json", "image_features.npy", "images.npy", "labels.npy", "split.npy", "text.npy"}) {
    std::error_code ignored;
    if (std::filesystem::exists(folder / name, ignored)) present.push_back(name);
  }
  return present;
}

Status check_values(const PreparedSet& set) {
  const auto check = [](auto values, std::int64_t row_length, std::string_view file, auto allowed,
                        std::string_view allowance) -> Status {
    const auto wrong = std::ranges::find_if_not(values, allowed);
    if (wrong == values.end()) return {};
    return fail(ErrorCode::kInvalid, "{}: row {} holds {}; allowed: {}", file,
                (wrong - values.begin()) / row_length, *wrong, allowance);
  };
  const auto finite = [](float value) { return std::isfinite(value); };
  GAUNTLET_CHECK_OK(check(
      set.text_u8(), set.text_dim(), "text.npy", [](std::uint8_t value) { return value <= 1; }, "0, 1"));
  GAUNTLET_CHECK_OK(check(set.text_f32(), set.text_dim(), "text.npy", finite, "finite numbers"));
  if (set.feature_dim() == 0) return {};
  return check(set.features(), set.feature_dim(), "image_features.npy", finite, "finite numbers");
}

}  // namespace gauntlet::data::detail
