// Writes a prepared folder row by row, on several threads, always the same bytes, and goes on where an
// interrupted run stopped.
//
// Rows are made in blocks. A finished block is in the arrays' .part files and in the folder's journal; a run
// with the same source and options reads it back, checks it and makes the rest. Memory: one block (at most
// 48 MiB) and what the fillers hold, whatever the number of rows.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "core/data/dataset.hpp"
#include "core/io/dtype.hpp"

namespace gauntlet::data::detail {

/// Values of split.npy.
inline constexpr std::uint8_t kSplitQuery = 0;
inline constexpr std::uint8_t kSplitTrain = 1;
inline constexpr std::uint8_t kSplitRetrieval = 2;

/// What the arrays look like. Pictures (height, width >= 1) or image features (feature_dim >= 1).
struct PreparedLayout {
  std::int64_t n_items = 0;  ///< rows that are asked for; those that are dropped are not in the set
  std::int64_t height = 0;   ///< of the pictures
  std::int64_t width = 0;
  std::int64_t feature_dim = 0;  ///< F of image_features.npy
  std::int64_t text_dim = 0;
  io::DType text_type = io::DType::kU8;  ///< kU8 (0/1) or kF32
  std::int64_t n_labels = 0;
};

/// One item's place in the arrays, zeroed before it is filled. What the layout does not have is empty.
struct RowOut {
  std::span<std::uint8_t> image;   ///< [H, W, 3]; also empty when `ImageSteps` make the pictures
  std::span<float> features;       ///< [F]
  std::span<std::uint8_t> text;    ///< [text_dim] of 0 and 1
  std::span<float> text_f32;       ///< [text_dim]
  std::span<std::uint8_t> labels;  ///< [n_labels] of 0 and 1
};

/// What became of a row.
struct RowOutcome {
  /// Not empty: the row leaves the set (its picture cannot be read, say) and this says why, with the place.
  std::string dropped = {};
  /// Not empty: the row stays; this is to be known of it (a picture with damaged parts).
  std::string remark = {};
};

/// Fills one row; called for any row in any order, by one thread at a time. An error ends the preparation.
using RowFiller = std::function<Result<RowOutcome>(std::int64_t row, const RowOut& out)>;

/// The rows that are in the set, in order.
struct KeptRows {
  std::vector<std::int64_t> source_rows;  ///< what the fillers were asked for
  std::span<const std::uint8_t> labels;   ///< [n kept, n_labels]
  std::int64_t n_labels = 0;
  [[nodiscard]] std::int64_t n_items() const { return static_cast<std::int64_t>(source_rows.size()); }
};

/// The whole of images.npy or image_features.npy, mapped, for pictures that are not made row by row.
class ImageMapping {
 public:
  ImageMapping(std::byte* data, std::size_t n_bytes) : bytes_(data, n_bytes) {}
  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }  ///< item-major, in C order
  /// Lets the pages go that were written so far, so that they do not count as this process's memory. Call it
  /// after every 100 MB or so of touched pages; the writer does after each step.
  void release() const;

 private:
  std::span<std::byte> bytes_;
};

/// Pictures or features that come in another order than the rows (a file with the items along its fastest
/// axis): `write(step, out)` is called for each step in turn, once, or again if it was interrupted.
struct ImageSteps {
  std::int64_t n_steps = 0;  ///< 0: the fillers make the pictures
  std::function<Status(std::int64_t step, const ImageMapping& out)> write = {};
};

/// How a prepared folder is made.
struct PreparedPlan {
  PreparedLayout layout;
  /// dataset.json; "format", "counts", "hashes" and, if there are any, "dropped" and "remarks" are added. It
  /// is also the identity of the preparation: name in it the source's content id and every choice.
  Json about;
  std::function<RowFiller()> make_filler;  ///< called once per thread
  /// split.npy of the kept rows (splits.hpp has the usual ones); a value per row.
  std::function<Result<std::vector<std::uint8_t>>(const KeptRows&)> make_split;
  /// What can only be said at the end; may be empty.
  std::function<Status(const KeptRows&, Json& about)> complete_about = {};
  ImageSteps image_steps = {};  ///< then no row may be dropped
  bool strict = false;          ///< a dropped row is an error (kCorrupt) instead
};

/// Writes images.npy or image_features.npy, text.npy, labels.npy, split.npy and dataset.json. The folder
/// exists and is empty, or holds an interrupted run of the same plan. Errors: kNoSpace, kIo, kRefused
/// (another process works there), kInvalid (the folder holds something else; a filler gave a label or 0/1
/// text above 1 or a number that is not finite; no row is left), kCorrupt (strict), and those of the plan's
/// functions.
[[nodiscard]] Status write_prepared(const std::filesystem::path& folder, const PreparedPlan& plan,
                                    int n_threads, const ProgressFn& progress);

}  // namespace gauntlet::data::detail
