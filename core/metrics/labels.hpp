// Label sets of items. Two items are relevant to each other iff their sets intersect; an empty set is
// relevant to none. Thread safety: immutable after construction.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

#include "core/base/result.hpp"

namespace gauntlet::metrics {

inline constexpr std::int64_t kMaxLabels = 65536;

class LabelSets {
 public:
  /// From row-major [n, n_labels] of 0 and 1, any number type. Errors (kInvalid): any other value, with its
  /// row, counted from `first_row`, and column; n_labels outside 1..kMaxLabels.
  template <class T>
  requires std::is_arithmetic_v<T>
  [[nodiscard]] static Result<LabelSets> from_values(std::span<const T> values, std::int64_t n_labels,
                                                     std::int64_t first_row = 0);

  /// From one class per item, each in 0..n_labels-1. Errors (kInvalid): a class outside, with its row.
  [[nodiscard]] static Result<LabelSets> from_classes(std::span<const std::int64_t> classes,
                                                      std::int64_t n_labels, std::int64_t first_row = 0);

  [[nodiscard]] std::int64_t n() const { return n_; }
  [[nodiscard]] std::int64_t n_labels() const { return n_labels_; }
  [[nodiscard]] std::int64_t n_words() const { return n_words_; }
  /// Label c lies in word c / 64 at position c mod 64; unused bits are 0.
  [[nodiscard]] std::span<const std::uint64_t> row(std::int64_t item) const {
    return std::span(words_).subspan(static_cast<std::size_t>(item * n_words_),
                                     static_cast<std::size_t>(n_words_));
  }
  /// Rows [first, first + n), one after the other.
  [[nodiscard]] std::span<const std::uint64_t> rows(std::int64_t first, std::int64_t n) const {
    return std::span(words_).subspan(static_cast<std::size_t>(first * n_words_),
                                     static_cast<std::size_t>(n * n_words_));
  }

 private:
  [[nodiscard]] static Result<LabelSets> sized(std::size_t n_items, std::int64_t n_labels);
  [[nodiscard]] static tl::unexpected<Error> bad_value(std::int64_t item, std::int64_t label, double value);
  void add(std::int64_t item, std::int64_t label) {
    words_[static_cast<std::size_t>(item * n_words_ + label / 64)] |= std::uint64_t{1} << (label % 64);
  }

  std::int64_t n_ = 0;
  std::int64_t n_labels_ = 0;
  std::int64_t n_words_ = 0;
  std::vector<std::uint64_t> words_;  ///< [n, n_words]
};

/// The bits of up to 64 values of 0 and 1; adds to `n_bad` the values that are neither.
template <class T>
std::uint64_t label_bits(const T* values, std::int64_t n, std::int64_t& n_bad) {
  std::uint64_t word = 0;
  std::int64_t done = 0;
  if constexpr (std::is_same_v<T, std::uint8_t>) {
    for (; done + 8 <= n; done += 8) {  // the product gathers the lowest bits of eight bytes in its top byte
      std::uint64_t bytes = 0;
      std::memcpy(&bytes, values + done, 8);
      n_bad += (bytes & 0xfefefefefefefefeULL) != 0;
      word |= ((bytes & 0x0101010101010101ULL) * 0x0102040810204080ULL >> 56) << done;
    }
  }
  for (; done < n; ++done) {
    word |= std::uint64_t{values[done] == T{1}} << done;
    n_bad += values[done] != T{1} && values[done] != T{0};
  }
  return word;
}

template <class T>
requires std::is_arithmetic_v<T> Result<LabelSets> LabelSets::from_values(std::span<const T> values,
                                                                          std::int64_t n_labels,
                                                                          std::int64_t first_row) {
  if (n_labels < 1 || values.size() % static_cast<std::size_t>(n_labels) != 0) {
    return fail(ErrorCode::kInvalid, "{} label values do not make rows of {}", values.size(), n_labels);
  }
  GAUNTLET_TRY(LabelSets sets, sized(values.size() / static_cast<std::size_t>(n_labels), n_labels));
  const T* value = values.data();
  const std::int64_t n_all_words = sets.n_ * sets.n_words_;
  for (std::int64_t at = 0; at < n_all_words; ++at) {
    const std::int64_t n_bits = std::min<std::int64_t>(64, n_labels - at % sets.n_words_ * 64);
    std::int64_t n_bad = 0;
    sets.words_[static_cast<std::size_t>(at)] = label_bits(value, n_bits, n_bad);
    if (n_bad > 0) {
      const T* const bad =
          std::find_if(value, value + n_bits, [](T each) { return each != T{0} && each != T{1}; });
      return bad_value(first_row + (bad - values.data()) / n_labels, (bad - values.data()) % n_labels,
                       static_cast<double>(*bad));
    }
    value += n_bits;
  }
  return sets;
}

}  // namespace gauntlet::metrics
