#include "core/data/detail/prepared_files.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "core/base/check.hpp"
#include "core/io/npy.hpp"

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

namespace {

/// What becomes of the pages of a piece that was taken.
enum class Pages : std::uint8_t {
  kStay,
  kGo,          ///< they lie in a mapping: they are read again from the file by whoever needs them
  kAreOffered,  ///< they may lie in a copy: the system takes those of a file alone
};

/// Whole units at a time, about 32 MiB of them.
Status in_pieces(std::span<const std::byte> bytes, std::size_t unit_bytes, Pages pages, const auto& take) {
  constexpr std::size_t kPieceBytes = std::size_t{32} << 20;
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t step = std::max(kPieceBytes / unit_bytes, std::size_t{1}) * unit_bytes;
  for (std::size_t begin = 0; begin < bytes.size(); begin += step) {
    const auto piece = bytes.subspan(begin, std::min(step, bytes.size() - begin));
    GAUNTLET_CHECK_OK(take(piece));
    if (pages == Pages::kStay) continue;
    // Whole pages inside the piece.
    const std::uintptr_t first = (reinterpret_cast<std::uintptr_t>(piece.data()) + page - 1) / page * page;
    const std::uintptr_t last = reinterpret_cast<std::uintptr_t>(piece.data() + piece.size()) / page * page;
    const int advice = pages == Pages::kGo ? MADV_DONTNEED : MADV_PAGEOUT;
    if (last > first) ::madvise(reinterpret_cast<void*>(first), last - first, advice);
  }
  return {};
}

/// The first value of a matrix that `allowed` refuses is an error.
template <class T>
Status check_matrix(const std::filesystem::path& file, auto allowed, std::string_view allowance) {
  std::int64_t first_row = 0;
  return pass_through(file, [&](std::span<const std::byte> rows, std::int64_t n_rows) -> Status {
    const std::span values(reinterpret_cast<const T*>(rows.data()), rows.size() / sizeof(T));
    const auto wrong = std::ranges::find_if_not(values, allowed);
    if (wrong != values.end()) {
      const auto row_length = std::ssize(values) / n_rows;
      return fail(ErrorCode::kInvalid, "{}: row {} holds {}; allowed: {}", file.filename().string(),
                  first_row + (wrong - values.begin()) / row_length, *wrong, allowance);
    }
    first_row += n_rows;
    return {};
  });
}

}  // namespace

Status pass_through(const std::filesystem::path& file, const RowsFn& take) {
  GAUNTLET_TRY(const io::NpyArray array, io::read_npy(file));
  if (array.bytes.empty()) return {};
  const std::size_t row_bytes = array.bytes.size() / static_cast<std::size_t>(array.shape.front());
  // Elements that do not lie in the file as they must in memory were copied: those pages must stay.
  const Pages pages = array.aligned_copy.empty() ? Pages::kGo : Pages::kStay;
  return in_pieces(array.bytes, row_bytes, pages, [&](std::span<const std::byte> rows) {
    return take(rows, static_cast<std::int64_t>(rows.size() / row_bytes));
  });
}

Status check_values(const PreparedSet& set, const std::filesystem::path& folder) {
  const auto finite = [](float value) { return std::isfinite(value); };
  const auto is_bit = [](std::uint8_t value) { return value <= 1; };
  GAUNTLET_CHECK_OK(set.text_is_binary()
                        ? check_matrix<std::uint8_t>(folder / "text.npy", is_bit, "0, 1")
                        : check_matrix<float>(folder / "text.npy", finite, "finite numbers"));
  if (set.feature_dim() == 0) return {};
  return check_matrix<float>(folder / "image_features.npy", finite, "finite numbers");
}

void for_each_piece(std::span<const std::byte> bytes, std::size_t unit_bytes,
                    const std::function<void(std::span<const std::byte>)>& take, bool may_be_copy) {
  const Pages pages = may_be_copy ? Pages::kAreOffered : Pages::kGo;
  const Status done = in_pieces(bytes, unit_bytes, pages, [&](std::span<const std::byte> piece) -> Status {
    take(piece);
    return {};
  });
  GAUNTLET_CHECK(done);
}

}  // namespace gauntlet::data::detail
