#include "core/metrics/detail/item_block.hpp"

#include <algorithm>
#include <optional>

#include "core/metrics/detail/parallel.hpp"
#include "core/metrics/detail/transpose.hpp"

namespace gauntlet::metrics {
namespace {

constexpr std::int64_t kPieceItems =
    4096;  ///< that one thread loads at a time; a multiple of 64 * kSliceWords

}  // namespace

ItemBlock::ItemBlock(std::int64_t bits, std::int64_t n_labels, const LabelSets& queries,
                     const LabelSets* targets)
    : bits_(static_cast<std::size_t>(bits)),
      n_code_words_((bits_ + 63) / 64),
      n_label_words_((static_cast<std::size_t>(n_labels) + 63) / 64),
      slots_(64 * n_label_words_, kUnused),
      used_(n_label_words_, 0),
      planes_(64 * n_code_words_ * kStride, 0) {
  mark_used(queries);
  if (targets != nullptr) mark_used(*targets);
  std::size_t n_used = 0;
  for_each_label(used_, [&](std::size_t label) { slots_[label] = n_used++; });
  maps_.assign(n_used * kMapWords, 0);
}

void ItemBlock::mark_used(const LabelSets& sets) {
  for (std::int64_t item = 0; item < sets.n(); ++item) {
    const std::span<const std::uint64_t> labels = sets.row(item);
    for (std::size_t word = 0; word < labels.size(); ++word) used_[word] |= labels[word];
  }
}

Status ItemBlock::load(const RetrievalItems& items, std::int64_t first, std::int64_t n, int n_threads) {
  constexpr std::size_t kGroup = 64 * kSliceWords;
  first_ = first;
  n_ = static_cast<std::size_t>(n);
  n_words_ = (n_ + kGroup - 1) / kGroup * kSliceWords;
  const std::int64_t n_pieces = (n + kPieceItems - 1) / kPieceItems;
  std::vector<std::optional<Error>> errors(static_cast<std::size_t>(n_pieces));
  const auto load_piece = [&](std::int64_t piece, std::int64_t) {
    const std::int64_t begin = piece * kPieceItems;
    const std::int64_t n_items = std::min(kPieceItems, n - begin);
    ItemScratch scratch;
    const Result<ItemRows> rows = items.rows(first + begin, n_items, scratch);
    if (rows) {
      slice(*rows, static_cast<std::size_t>(begin) / 64, static_cast<std::size_t>(n_items));
    } else {
      errors[static_cast<std::size_t>(piece)] = rows.error();
    }
  };
  parallel_ranges(n_pieces, n_threads, load_piece, 1);
  for (const std::optional<Error>& error : errors) {
    if (error) return fail(*error);
  }
  return {};
}

/// The rows, and zeros up to the next whole group of kSliceWords words.
void ItemBlock::slice(const ItemRows& rows, std::size_t first_word, std::size_t n_items) {
  const std::size_t n_words = (n_items + 64 * kSliceWords - 1) / (64 * kSliceWords) * kSliceWords;
  for (std::size_t word = 0; word < n_words; ++word) {
    const std::size_t begin = 64 * word;
    const std::size_t n_here = begin < n_items ? std::min<std::size_t>(64, n_items - begin) : 0;
    for (std::size_t code_word = 0; code_word < n_code_words_; ++code_word) {
      std::uint64_t square[64] = {};
      for (std::size_t item = 0; item < n_here; ++item) {
        square[item] = rows.codes[(begin + item) * n_code_words_ + code_word];
      }
      transpose_64(square);
      std::uint64_t* planes = planes_.data() + 64 * code_word * kStride + first_word + word;
      for (std::size_t bit = 0; bit < 64; ++bit) planes[bit * kStride] = square[bit];
    }
  }
  for (std::size_t map = 0; map < maps_.size(); map += kMapWords) {
    std::fill_n(maps_.begin() + static_cast<std::ptrdiff_t>(map + first_word), n_words, 0U);
  }
  for (std::size_t item = 0; item < n_items; ++item) {
    const std::uint64_t bit = std::uint64_t{1} << (item % 64);
    for (std::size_t word = 0; word < n_label_words_; ++word) {
      for (std::uint64_t rest = rows.labels[item * n_label_words_ + word] & used_[word]; rest != 0;
           rest &= rest - 1) {
        const std::size_t label = word * 64 + static_cast<std::size_t>(std::countr_zero(rest));
        maps_[slots_[label] * kMapWords + first_word + item / 64] |= bit;
      }
    }
  }
}

void ItemBlock::relevant_items(std::span<const std::uint64_t> labels, std::span<std::uint64_t> bitmap) const {
  std::fill(bitmap.begin(), bitmap.end(), 0U);
  for_each_label(labels, [&](std::size_t label) {
    const std::uint64_t* map = maps_.data() + slots_[label] * kMapWords;
    for (std::size_t word = 0; word < n_words_; ++word) bitmap[word] |= map[word];
  });
}

void ItemBlock::shared_labels(std::span<const std::uint64_t> labels, std::span<std::uint32_t> shared) const {
  std::fill(shared.begin(), shared.end(), 0U);
  for_each_label(labels, [&](std::size_t label) {
    const std::span<const std::uint64_t> map(maps_.data() + slots_[label] * kMapWords, n_words_);
    for_each_label(map, [&](std::size_t item) { ++shared[item]; });
  });
}

}  // namespace gauntlet::metrics
