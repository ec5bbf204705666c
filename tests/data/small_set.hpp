// A prepared folder of generated small pictures, for tests that need no emoji.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/io/npy.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::data {

/// Six items, two labels, three words: rows 0 and 1 query, 2 and 3 train, 4 and 5 retrieval only. Whoever
/// resizes the arrays gets as many items as `split` has.
struct SmallSet {
  std::int64_t side_px = 8;
  std::vector<std::uint8_t> images = std::vector<std::uint8_t>(6 * 8 * 8 * 3);
  std::vector<std::uint8_t> text = {1,      0, 0, /**/ 0, 0, 0, /**/ 1, 1, 0,
                                    /**/ 0, 0, 1, /**/ 0, 0, 0, /**/ 1, 1, 1};
  std::vector<std::uint8_t> labels = {1, 0, /**/ 1, 1, /**/ 1, 0, /**/ 0, 1, /**/ 0, 0, /**/ 0, 1};
  std::vector<std::uint8_t> split = {0, 0, 1, 1, 2, 2};
  std::string about = R"({"format": 1, "name": "small", "label_names": ["round", "red"]})";

  SmallSet() { fill_images(); }

  void fill_images() {
    images.resize(split.size() * static_cast<std::size_t>(side_px * side_px * 3));
    for (std::size_t at = 0; at < images.size(); ++at) images[at] = static_cast<std::uint8_t>(at * 37 % 251);
  }

  std::filesystem::path write(const testing_support::TempFolder& folder) const {
    std::filesystem::path path = folder / "set";
    std::filesystem::create_directories(path);
    const auto n = static_cast<std::int64_t>(split.size());
    const auto width = [n](const std::vector<std::uint8_t>& array) {
      return static_cast<std::int64_t>(array.size()) / n;
    };
    EXPECT_TRUE(io::write_npy<std::uint8_t>(path / "images.npy", {n, side_px, side_px, 3}, images));
    EXPECT_TRUE(io::write_npy<std::uint8_t>(path / "text.npy", {n, width(text)}, text));
    EXPECT_TRUE(io::write_npy<std::uint8_t>(path / "labels.npy", {n, width(labels)}, labels));
    EXPECT_TRUE(io::write_npy<std::uint8_t>(path / "split.npy", {n}, split));
    folder.write("set/dataset.json", about);
    return path;
  }
};

}  // namespace gauntlet::data
