#include "core/data/detail/prepared_files.hpp"

#include <sys/mman.h>
#include <unistd.h>

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

void for_each_piece(std::span<const std::byte> bytes, std::size_t unit_bytes,
                    const std::function<void(std::span<const std::byte>)>& take) {
  constexpr std::size_t kPieceBytes = std::size_t{32} << 20;
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t step = std::max(kPieceBytes / unit_bytes, std::size_t{1}) * unit_bytes;
  for (std::size_t begin = 0; begin < bytes.size(); begin += step) {
    const auto piece = bytes.subspan(begin, std::min(step, bytes.size() - begin));
    take(piece);
    // Whole pages inside the piece: they are read again from the file by whoever needs them.
    const std::uintptr_t first = (reinterpret_cast<std::uintptr_t>(piece.data()) + page - 1) / page * page;
    const std::uintptr_t last = reinterpret_cast<std::uintptr_t>(piece.data() + piece.size()) / page * page;
    if (last > first) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
  }
}

}  // namespace gauntlet::data::detail
