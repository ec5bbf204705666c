// Small sources of every family, of the same made-up pairs.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "core/data/dataset.hpp"
#include "core/data/prepared_set.hpp"
#include "tests/support/hdf5_writer.hpp"
#include "tests/support/mat5_writer.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::data {

/// n pairs; every value follows from its indices. Pictures are H x W, 5 words, 3 labels.
struct MadePairs {
  std::int64_t n = 8;
  std::int64_t height = 4;
  std::int64_t width = 6;
  std::int64_t n_words = 5;
  std::int64_t n_labels = 3;

  [[nodiscard]] static std::uint8_t pixel(std::int64_t i, std::int64_t y, std::int64_t x, std::int64_t c) {
    return static_cast<std::uint8_t>((i * 89 + y * 31 + x * 7 + c * 57) % 251);
  }
  [[nodiscard]] static std::uint8_t word(std::int64_t i, std::int64_t d) {
    return (i * 3 + d) % 4 == 0 ? std::uint8_t{1} : std::uint8_t{0};
  }
  [[nodiscard]] static std::uint8_t label(std::int64_t i, std::int64_t c) {
    return (i + c) % 3 == 0 ? std::uint8_t{1} : std::uint8_t{0};
  }

  /// Pictures with axes in the order of the letters, e.g. "whcn".
  template <class T = std::uint8_t>
  [[nodiscard]] std::vector<T> pictures(const std::string& axes) const {
    std::vector<T> values;
    std::int64_t at[4] = {};
    const auto index = [&](char letter) {
      const std::size_t axis = axes.find(letter);
      return axis < 4 ? at[axis] : 0;
    };
    for (at[0] = 0; at[0] < side(axes[0]); ++at[0]) {
      for (at[1] = 0; at[1] < side(axes[1]); ++at[1]) {
        for (at[2] = 0; at[2] < side(axes[2]); ++at[2]) {
          for (at[3] = 0; at[3] < side(axes[3]); ++at[3]) {
            const bool is_bgr = axes.find('b') != std::string::npos;
            values.push_back(static_cast<T>(
                pixel(index('n'), index('h'), index('w'), is_bgr ? 2 - index('b') : index('c'))));
          }
        }
      }
    }
    return values;
  }
  [[nodiscard]] std::vector<hsize_t> picture_dims(const std::string& axes) const {
    std::vector<hsize_t> dims;
    for (const char letter : axes) dims.push_back(static_cast<hsize_t>(side(letter)));
    return dims;
  }
  [[nodiscard]] std::int64_t side(char letter) const {
    return letter == 'n' ? n : letter == 'h' ? height : letter == 'w' ? width : 3;
  }

  /// [n, width] or, items last, [width, n]; `value(i, d)`.
  template <class T>
  [[nodiscard]] std::vector<T> matrix(std::int64_t n_columns, bool items_last, const auto& value) const {
    std::vector<T> values(static_cast<std::size_t>(n * n_columns));
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t d = 0; d < n_columns; ++d)
        values[static_cast<std::size_t>(items_last ? d * n + i : i * n_columns + d)] =
            static_cast<T>(value(i, d));
    }
    return values;
  }
  template <class T = double>
  [[nodiscard]] std::vector<T> text(bool items_last) const {
    return matrix<T>(n_words, items_last, &word);
  }
  template <class T = double>
  [[nodiscard]] std::vector<T> labels(bool items_last) const {
    return matrix<T>(n_labels, items_last, &label);
  }

  /// MATLAB's n x D, D x n in C order.
  [[nodiscard]] std::string mat5_text(const std::string& key = "YAll") const {
    return testing_support::mat5::numbers<double>(
        key, testing_support::mat5::kDouble,
        {static_cast<std::int32_t>(n), static_cast<std::int32_t>(n_words)}, testing_support::mat5::kF64,
        text(true));
  }
  [[nodiscard]] std::string mat5_labels(const std::string& key = "LAll") const {
    return testing_support::mat5::numbers<std::uint8_t>(
        key, testing_support::mat5::kDouble,
        {static_cast<std::int32_t>(n), static_cast<std::int32_t>(n_labels)}, testing_support::mat5::kU8,
        labels<std::uint8_t>(true));
  }

  /// The paper's line: n fastest.
  void write_iall(const std::filesystem::path& path, const testing_support::Hdf5Storage& storage = {}) const {
    testing_support::Hdf5Writer out(path, true);
    testing_support::Hdf5Storage images = storage;
    images.matlab_class = "uint8";
    out.add("IAll", picture_dims("whcn"), pictures("whcn"), images);
    out.add("TAll", {hsize_t(n_words), hsize_t(n)}, text(true), {.matlab_class = "double"});
    out.add("LAll", {hsize_t(n_labels), hsize_t(n)}, labels(true), {.matlab_class = "double"});
  }

  /// Everything in the folder is row i of the pairs, for i = rows[0], rows[1], …
  void expect_in(const std::filesystem::path& folder) const {
    const auto set = PreparedSet::open(folder);
    ASSERT_TRUE(set) << set.error().message;
    ASSERT_EQ(set->n_items(), n);
    expect_text_and_labels(*set);
    ASSERT_EQ(set->height(), height);
    ASSERT_EQ(set->width(), width);
    std::vector<std::uint8_t> wanted = pictures("nhwc");
    EXPECT_TRUE(std::ranges::equal(set->images(), wanted));
  }
  void expect_text_and_labels(const PreparedSet& set) const {
    ASSERT_TRUE(set.text_is_binary());
    EXPECT_TRUE(std::ranges::equal(set.text_u8(), text<std::uint8_t>(false)));
    EXPECT_TRUE(std::ranges::equal(set.labels(), labels<std::uint8_t>(false)));
  }
};

/// Prepares with `custom`; the error's message, or nothing.
inline std::string prepare_custom(const Json& config, const std::filesystem::path& out, int n_threads = 2) {
  std::filesystem::create_directories(out);
  const DatasetEntry* entry = *dataset_registry().find("custom");
  const auto complete = complete_config(entry->about.fields(), config, "custom");
  if (!complete) return complete.error().message;
  const Status done = entry->prepare(*complete, out, n_threads, {});
  return done ? "" : done.error().message;
}

inline Json about_of(const std::filesystem::path& folder) {
  const auto set = PreparedSet::open(folder);
  return set ? set->about() : Json();
}

}  // namespace gauntlet::data
