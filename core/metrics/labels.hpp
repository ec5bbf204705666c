// Label sets of items. Two items are relevant to each other iff their sets intersect; an empty set is
// relevant to none. Thread safety: immutable after construction.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "core/base/result.hpp"

namespace gauntlet::metrics {

inline constexpr std::int64_t kMaxLabels = 65536;

class LabelSets {
 public:
  /// From row-major [n, n_labels] of 0 and 1, any number type. Errors (kInvalid): any other value, with its
  /// row and column; n_labels outside 1..kMaxLabels.
  template <class T>
  requires std::is_arithmetic_v<T>
  [[nodiscard]] static Result<LabelSets> from_values(std::span<const T> values, std::int64_t n_labels);

  /// From one class per item, each in 0..n_labels-1. Errors (kInvalid): a class outside, with its row.
  [[nodiscard]] static Result<LabelSets> from_classes(std::span<const std::int64_t> classes,
                                                      std::int64_t n_labels);

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

template <class T>
requires std::is_arithmetic_v<T> Result<LabelSets> LabelSets::from_values(std::span<const T> values,
                                                                          std::int64_t n_labels) {
  if (n_labels < 1 || values.size() % static_cast<std::size_t>(n_labels) != 0) {
    return fail(ErrorCode::kInvalid, "{} label values do not make rows of {}", values.size(), n_labels);
  }
  GAUNTLET_TRY(LabelSets sets, sized(values.size() / static_cast<std::size_t>(n_labels), n_labels));
  std::size_t at = 0;
  for (std::int64_t item = 0; item < sets.n_; ++item) {
    for (std::int64_t label = 0; label < n_labels; ++label, ++at) {
      if (values[at] == T{1}) {
        sets.add(item, label);
      } else if (values[at] != T{0}) {
        return bad_value(item, label, static_cast<double>(values[at]));
      }
    }
  }
  return sets;
}

}  // namespace gauntlet::metrics
