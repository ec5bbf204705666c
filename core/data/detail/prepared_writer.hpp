// Writes a prepared folder row by row, on several threads, always the same bytes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "core/data/dataset.hpp"

namespace gauntlet::data::detail {

/// Values of split.npy.
inline constexpr std::uint8_t kSplitQuery = 0;
inline constexpr std::uint8_t kSplitTrain = 1;
inline constexpr std::uint8_t kSplitRetrieval = 2;

/// Rows [0, n_query) are queries, the next n_train train, the rest retrieval only.
struct PreparedLayout {
  std::int64_t n_items = 0;
  std::int64_t n_query = 0;
  std::int64_t n_train = 0;
  std::int64_t image_px = 0;
  std::int64_t text_dim = 0;
  std::int64_t n_labels = 0;
};

/// One item's place in the arrays, zeroed before it is filled.
struct RowOut {
  std::span<std::uint8_t> image;   ///< [px, px, 3]
  std::span<std::uint8_t> text;    ///< [text_dim]
  std::span<std::uint8_t> labels;  ///< [n_labels]
};

/// Fills one row; called for any row in any order, by one thread at a time.
using RowFiller = std::function<void(std::int64_t row, const RowOut& out)>;

/// Writes images.npy, text.npy, labels.npy, split.npy and dataset.json (`about` with "format", "counts" and
/// "hashes" added). `make_filler` is called once per thread. Errors: kNoSpace, kIo.
[[nodiscard]] Status write_prepared(const std::filesystem::path& folder, const PreparedLayout& layout,
                                    Json about, const std::function<RowFiller()>& make_filler, int n_threads,
                                    const ProgressFn& progress);

}  // namespace gauntlet::data::detail
