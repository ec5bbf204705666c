// A block of retrieval items, turned by 90 degrees: bit planes of the codes, a bit map per label.
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <vector>

#include "core/base/result.hpp"
#include "core/metrics/detail/sliced.hpp"
#include "core/metrics/labels.hpp"
#include "core/metrics/retrieval.hpp"

namespace gauntlet::metrics {

/// Items in a block: with their codes, labels and counts they stay in the second cache, and starting threads
/// for them costs nothing beside the sweep. A multiple of 64 * kSliceWords.
inline constexpr std::int64_t kBlockItems = 65536;

/// Calls fn(label) for every label of a set.
template <class Fn>
void for_each_label(std::span<const std::uint64_t> words, const Fn& fn) {
  for (std::size_t word = 0; word < words.size(); ++word) {
    for (std::uint64_t rest = words[word]; rest != 0; rest &= rest - 1) {
      fn(word * 64 + static_cast<std::size_t>(std::countr_zero(rest)));
    }
  }
}

/// Thread safety: `load` from one thread; everything else from any number between loads.
class ItemBlock {
 public:
  /// Maps are kept for labels that a query or a target carries only. `targets` may be null.
  ItemBlock(std::int64_t bits, std::int64_t n_labels, const LabelSets& queries, const LabelSets* targets);

  /// Items [first, first + n) with n <= kBlockItems. Errors: what the items refuse.
  [[nodiscard]] Status load(const RetrievalItems& items, std::int64_t first, std::int64_t n, int n_threads);

  [[nodiscard]] std::int64_t first() const { return first_; }
  [[nodiscard]] std::size_t n() const { return n_; }
  /// Items with those that fill the last vector, whose codes and labels are all 0.
  [[nodiscard]] std::size_t n_padded() const { return 64 * n_words_; }
  [[nodiscard]] SlicedCodes codes() const { return {planes_.data(), kStride, n_words_, bits_}; }

  /// Items that share a label with `labels`, as bits of `bitmap` [n_padded / 64].
  void relevant_items(std::span<const std::uint64_t> labels, std::span<std::uint64_t> bitmap) const;
  /// How many labels each item shares with `labels`, into `shared` [n_padded].
  void shared_labels(std::span<const std::uint64_t> labels, std::span<std::uint32_t> shared) const;

 private:
  static constexpr std::size_t kUnused = ~std::size_t{0};
  static constexpr std::size_t kMapWords = static_cast<std::size_t>(kBlockItems) / 64;
  /// Planes a power of two apart would share their cache sets.
  static constexpr std::size_t kStride = kMapWords + kSliceWords;

  void mark_used(const LabelSets& sets);
  void slice(const ItemRows& rows, std::size_t first_word, std::size_t n_items);

  std::size_t bits_;
  std::size_t n_code_words_;
  std::size_t n_label_words_;
  std::int64_t first_ = 0;
  std::size_t n_ = 0;
  std::size_t n_words_ = 0;            ///< of the loaded items, a multiple of kSliceWords
  std::vector<std::size_t> slots_;     ///< by label: its map, or kUnused
  std::vector<std::uint64_t> used_;    ///< [n_label_words] labels with a map
  std::vector<std::uint64_t> planes_;  ///< [64 * n_code_words, kStride]
  std::vector<std::uint64_t> maps_;    ///< [n used labels, kMapWords]
};

}  // namespace gauntlet::metrics
