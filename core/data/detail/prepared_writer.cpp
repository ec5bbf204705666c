#include "core/data/detail/prepared_writer.hpp"

#include <algorithm>
#include <thread>

#include "core/base/files.hpp"
#include "core/base/hash.hpp"
#include "core/io/npy.hpp"

namespace gauntlet::data::detail {
namespace {

constexpr std::int64_t kRowsPerBlock = 256;

/// One array file, hashed as it is written.
class HashedArray {
 public:
  HashedArray(io::NpyWriter writer, std::int64_t row_bytes)
      : writer_(std::move(writer)), row_bytes_(static_cast<std::size_t>(row_bytes)) {}

  static Result<std::unique_ptr<HashedArray>> create(const std::filesystem::path& path,
                                                     const std::vector<std::int64_t>& shape) {
    std::int64_t row_bytes = 1;
    for (std::size_t side = 1; side < shape.size(); ++side) row_bytes *= shape[side];
    GAUNTLET_TRY(io::NpyWriter writer, io::NpyWriter::create(path, io::DType::kU8, shape));
    return std::make_unique<HashedArray>(std::move(writer), row_bytes);
  }

  void start_block(std::size_t n_rows) { block_.assign(n_rows * row_bytes_, 0); }
  std::span<std::uint8_t> row(std::size_t at) {
    return std::span(block_).subspan(at * row_bytes_, row_bytes_);
  }

  Status write_block() {
    hash_.update(std::as_bytes(std::span(block_)));
    return writer_.append<std::uint8_t>(block_);
  }

  Result<std::string> finish() {
    GAUNTLET_CHECK_OK(writer_.finish());
    return to_hex(hash_.finish());
  }

 private:
  io::NpyWriter writer_;
  std::size_t row_bytes_;
  std::vector<std::uint8_t> block_;
  Sha256 hash_;
};

Result<std::string> write_split(const std::filesystem::path& path, const PreparedLayout& layout) {
  std::vector<std::uint8_t> split(static_cast<std::size_t>(layout.n_items), kSplitRetrieval);
  std::fill_n(split.begin(), layout.n_query, kSplitQuery);
  std::fill_n(split.begin() + layout.n_query, layout.n_train, kSplitTrain);
  GAUNTLET_CHECK_OK(io::write_npy<std::uint8_t>(path, {layout.n_items}, split));
  return to_hex(sha256(std::as_bytes(std::span(split))));
}

/// Fills rows [0, n_rows) of the block that starts at `first`, thread t taking every n-th row.
void fill_block(std::vector<RowFiller>& fillers, std::int64_t first, std::int64_t n_rows,
                const std::function<RowOut(std::int64_t)>& out) {
  const auto step = static_cast<std::int64_t>(fillers.size());
  const auto work = [&](std::int64_t thread_idx) {
    for (std::int64_t row = thread_idx; row < n_rows; row += step) {
      fillers[static_cast<std::size_t>(thread_idx)](first + row, out(row));
    }
  };
  std::vector<std::jthread> helpers;
  for (std::int64_t thread_idx = 1; thread_idx < step; ++thread_idx) helpers.emplace_back(work, thread_idx);
  work(0);
}

}  // namespace

Status write_prepared(const std::filesystem::path& folder, const PreparedLayout& layout, Json about,
                      const std::function<RowFiller()>& make_filler, int n_threads,
                      const ProgressFn& progress) {
  const std::int64_t px = layout.image_px;
  GAUNTLET_TRY(const auto images, HashedArray::create(folder / "images.npy", {layout.n_items, px, px, 3}));
  GAUNTLET_TRY(const auto text, HashedArray::create(folder / "text.npy", {layout.n_items, layout.text_dim}));
  GAUNTLET_TRY(const auto labels,
               HashedArray::create(folder / "labels.npy", {layout.n_items, layout.n_labels}));
  std::vector<RowFiller> fillers;
  for (int thread_idx = 0; thread_idx < std::max(1, n_threads); ++thread_idx)
    fillers.push_back(make_filler());

  for (std::int64_t first = 0; first < layout.n_items; first += kRowsPerBlock) {
    const std::int64_t n_rows = std::min(kRowsPerBlock, layout.n_items - first);
    for (HashedArray* array : {images.get(), text.get(), labels.get()})
      array->start_block(static_cast<std::size_t>(n_rows));
    fill_block(fillers, first, n_rows, [&](std::int64_t row) {
      const auto at = static_cast<std::size_t>(row);
      return RowOut{images->row(at), text->row(at), labels->row(at)};
    });
    for (HashedArray* array : {images.get(), text.get(), labels.get()})
      GAUNTLET_CHECK_OK(array->write_block());
    if (progress)
      progress(static_cast<double>(first + n_rows) / static_cast<double>(layout.n_items), "making pairs");
  }

  Json hashes;
  GAUNTLET_TRY(hashes["images"], images->finish());
  GAUNTLET_TRY(hashes["text"], text->finish());
  GAUNTLET_TRY(hashes["labels"], labels->finish());
  GAUNTLET_TRY(hashes["split"], write_split(folder / "split.npy", layout));
  about["format"] = 1;
  about["hashes"] = hashes;
  about["counts"] = {{"items", layout.n_items},
                     {"query", layout.n_query},
                     {"train", layout.n_train},
                     {"retrieval", layout.n_items - layout.n_query}};
  GAUNTLET_TRY(const std::string json, canonical_json(about));
  return write_file_atomic(folder / "dataset.json", json + "\n");
}

}  // namespace gauntlet::data::detail
