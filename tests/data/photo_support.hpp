// Small distributions of the photo collections, laid out as their makers do, and what is made of them.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "core/data/dataset.hpp"
#include "core/data/prepared_set.hpp"
#include "tests/support/jpeg_file.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::data {

/// A dataset's sources in a folder of their own, and prepared folders beside it.
class PhotoSources {
 public:
  explicit PhotoSources(std::string entry) : entry_(std::move(entry)) {}

  void write(const std::string& name, std::string_view bytes) const {
    folder_->write("source/" + name, bytes);
  }
  /// A picture of one grey, 12 x 10 pixels.
  void picture(const std::string& name, int grey) const {
    write(name, testing_support::plain_jpeg(12, 10, grey, grey, grey));
  }
  void remove(const std::string& name) const { std::filesystem::remove_all(source() / name); }
  [[nodiscard]] std::filesystem::path source() const { return *folder_ / "source"; }

  [[nodiscard]] Json config(Json options = Json::object()) const {
    if (!options.contains("source")) options["source"] = source().string();
    if (!options.contains("image_px")) options["image_px"] = 8;
    const DatasetEntry& entry = **dataset_registry().find(entry_);
    return complete_config(entry.about.fields(), options, entry_).value();
  }
  [[nodiscard]] Result<std::string> content_id(const Json& options = Json::object()) const {
    return (*dataset_registry().find(entry_))->content_id(config(options));
  }
  /// The folder of a new preparation; `error` is set when it is refused.
  std::filesystem::path prepare(const Json& options, std::string& error, int n_threads = 2) {
    const std::filesystem::path path = *folder_ / ("set" + std::to_string(++n_made_));
    std::filesystem::create_directories(path);
    const Status made = (*dataset_registry().find(entry_))->prepare(config(options), path, n_threads, {});
    error = made ? "" : made.error().message;
    return path;
  }
  /// The opened set of a preparation that works.
  PreparedSet set(const Json& options) {
    std::string error;
    const auto path = prepare(options, error);
    EXPECT_EQ(error, "");
    return PreparedSet::open(path).value();
  }
  std::string refusal(const Json& options = Json::object()) {
    std::string error;
    static_cast<void>(prepare(options, error));
    return error;
  }

 private:
  std::shared_ptr<testing_support::TempFolder> folder_ = std::make_shared<testing_support::TempFolder>();
  std::string entry_;
  int n_made_ = 0;
};

/// First byte of an item's picture: its grey.
inline int grey_of(const PreparedSet& set, std::int64_t row) {
  return set.images()[static_cast<std::size_t>(row * set.height() * set.width() * 3)];
}

/// "0 3": the columns that are 1 in a row of 0/1 values.
inline std::string ones(std::span<const std::uint8_t> values, std::int64_t row, std::int64_t width) {
  std::string text;
  for (std::int64_t at = 0; at < width; ++at) {
    if (values[static_cast<std::size_t>(row * width + at)] != 0)
      text += (text.empty() ? "" : " ") + std::to_string(at);
  }
  return text;
}
inline std::string words_of(const PreparedSet& set, std::int64_t row) {
  return ones(set.text_u8(), row, set.text_dim());
}
inline std::string labels_of(const PreparedSet& set, std::int64_t row) {
  return ones(set.labels(), row, set.n_labels());
}

}  // namespace gauntlet::data
