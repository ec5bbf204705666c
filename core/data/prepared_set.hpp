// A prepared folder, mapped: the one form in which every dataset is read.
//
//   images.npy   u8  [n, H, W, 3]  RGB, row-major        (or image_features.npy f32 [n, F])
//   text.npy     u8 or f32 [n, D]
//   labels.npy   u8  [n, C]        0/1
//   split.npy    u8  [n]           0 query, 1 train and retrieval, 2 retrieval only
//   dataset.json                   names, counts, source hashes, choices made, warnings
//
// Thread safety: immutable after open; spans stay valid as long as the object.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "core/io/npy.hpp"

namespace gauntlet::data {

enum class Part : std::uint8_t { kQuery, kTrain, kRetrieval };
[[nodiscard]] std::string_view name_of(Part part);  // "query", "train", "retrieval"
[[nodiscard]] Result<Part> part_from(std::string_view name);

class PreparedSet {
 public:
  /// Maps the files and checks that shapes, types and split values agree. Errors: kNotFound, kCorrupt,
  /// kInvalid.
  [[nodiscard]] static Result<PreparedSet> open(const std::filesystem::path& folder);

  [[nodiscard]] std::int64_t n_items() const { return n_items_; }
  [[nodiscard]] std::int64_t height() const { return height_; }  ///< 0 when the set holds features
  [[nodiscard]] std::int64_t width() const { return width_; }
  [[nodiscard]] std::int64_t feature_dim() const { return feature_dim_; }  ///< 0 when the set holds pictures
  [[nodiscard]] std::int64_t text_dim() const { return text_dim_; }
  [[nodiscard]] std::int64_t n_labels() const { return n_labels_; }
  [[nodiscard]] bool text_is_binary() const { return !text_u8_.empty(); }

  /// Row-major bytes of all items; image(i) = images().subspan(i * H * W * 3, H * W * 3).
  [[nodiscard]] std::span<const std::uint8_t> images() const { return images_; }
  [[nodiscard]] std::span<const float> features() const { return features_; }
  [[nodiscard]] std::span<const std::uint8_t> text_u8() const {
    return text_u8_;
  }                                                                            ///< empty when text is real
  [[nodiscard]] std::span<const float> text_f32() const { return text_f32_; }  ///< empty when text is 0/1
  [[nodiscard]] std::span<const std::uint8_t> labels() const { return labels_; }

  /// Item indices of a part, in file order. Train is a subset of retrieval.
  [[nodiscard]] const std::vector<std::int64_t>& rows(Part part) const {
    return rows_[static_cast<std::size_t>(part)];
  }

  [[nodiscard]] const Json& about() const { return about_; }  ///< dataset.json

  /// Names of the labels from dataset.json, or "label 0", "label 1", ...
  [[nodiscard]] std::vector<std::string> label_names() const;

 private:
  Status map_images(const std::filesystem::path& folder);
  Status map_text(const std::filesystem::path& folder);
  Status map_labels(const std::filesystem::path& folder);
  Status read_split(const std::filesystem::path& folder);
  Status read_about(const std::filesystem::path& folder);

  io::NpyArray image_file_, text_file_, label_file_;
  std::int64_t n_items_ = 0, height_ = 0, width_ = 0, feature_dim_ = 0, text_dim_ = 0, n_labels_ = 0;
  std::span<const std::uint8_t> images_, text_u8_, labels_;
  std::span<const float> features_, text_f32_;
  std::vector<std::int64_t> rows_[3];
  Json about_;
};

}  // namespace gauntlet::data
