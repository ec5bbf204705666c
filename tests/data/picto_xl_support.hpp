// Picto XL from drawings that a test has made.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>

#include "core/data/dataset.hpp"
#include "core/data/prepared_set.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::data {

/// EmojiOne's drawings in png/ of a folder of its own, 16 px unless said otherwise.
class XlSources {
 public:
  XlSources() : entry_(*dataset_registry().find("picto_xl")) {
    std::filesystem::create_directories(drawings());
  }

  [[nodiscard]] const testing_support::TempFolder& folder() const { return folder_; }
  [[nodiscard]] std::filesystem::path drawings() const { return folder_ / "png"; }
  [[nodiscard]] Json config(Json options = Json::object()) const {
    if (!options.contains("drawings")) options["drawings"] = drawings().string();
    options["image_px"] = kPx;
    return complete_config(entry_->about.fields(), options, "picto_xl").value();
  }
  [[nodiscard]] Result<std::string> content_id(const Json& options = Json::object()) const {
    return entry_->content_id(config(options));
  }
  /// The opened set of a preparation that works.
  [[nodiscard]] PreparedSet set(const Json& options = Json::object()) const {
    std::filesystem::create_directories(folder_ / "set");
    const Status made = entry_->prepare(config(options), folder_ / "set", 2, {});
    EXPECT_TRUE(made) << made.error().message;
    return PreparedSet::open(folder_ / "set").value();
  }
  /// [16, 16, 3] of a row.
  [[nodiscard]] static std::span<const std::uint8_t> picture(const PreparedSet& set, std::int64_t row) {
    constexpr std::size_t kBytes = std::size_t{kPx} * kPx * 3;
    return set.images().subspan(static_cast<std::size_t>(row) * kBytes, kBytes);
  }

  static constexpr int kPx = 16;

 private:
  testing_support::TempFolder folder_;
  const DatasetEntry* entry_;
};

}  // namespace gauntlet::data
