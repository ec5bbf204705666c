// Who is query, who is train: the split builders of the field, each a vector for split.npy (0 query, 1 train
// and retrieval, 2 retrieval only).
//
// Randomness: RandomStream::of(seed, tag, 0) of core/base/random.hpp, one tag per builder, and one shuffle of
// the rows 0..n-1: for i = n-1 down to 1, swap entries i and below(i + 1). So an index list can be recomputed
// from the seed alone, on any machine.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/result.hpp"

namespace gauntlet::data::detail {

using Split = std::vector<std::uint8_t>;

/// Labels of every item as lists.
class ItemLabels {
 public:
  /// From u8 [n, n_labels] of 0 and 1.
  [[nodiscard]] static ItemLabels from_rows(std::span<const std::uint8_t> rows, std::int64_t n_labels);
  /// From bit sets: `n_words` 64-bit words per item, label l in word l / 64 at bit l % 64.
  [[nodiscard]] static ItemLabels from_bits(std::span<const std::uint64_t> words, std::size_t n_words,
                                            std::int64_t n_labels);

  [[nodiscard]] std::int64_t n_items() const { return static_cast<std::int64_t>(begins_.size()) - 1; }
  [[nodiscard]] std::int64_t n_labels() const { return n_labels_; }
  /// Label indices of an item, rising.
  [[nodiscard]] std::span<const std::uint16_t> of(std::int64_t item) const;
  /// Items per label.
  [[nodiscard]] std::vector<std::int64_t> counts() const;

 private:
  explicit ItemLabels(std::int64_t n_labels) : n_labels_(n_labels) {}
  std::int64_t n_labels_ = 0;
  std::vector<std::uint64_t> begins_ = {0};
  std::vector<std::uint16_t> labels_;
};

/// How many rows of a set are queries and how many train.
struct SplitSizes {
  std::int64_t n_query = 0;
  std::int64_t n_train = 0;
};

enum class QueryPlace : std::uint8_t {
  kHead,  ///< rows [0, q) query, [q, q + t) train
  kTail,  ///< the last q rows query, rows [0, t) train (DADH and CPAH on FLICKR-25K)
};

/// The order of the file is the split. Errors (kInvalid): q + t above n.
[[nodiscard]] Result<Split> row_order_split(std::int64_t n_items, SplitSizes sizes,
                                            QueryPlace place = QueryPlace::kHead);

/// Of a shuffled list the first q are queries, the next t train. Errors (kInvalid): q + t above n, n of 2^32
/// or more.
[[nodiscard]] Result<Split> random_split(std::int64_t n_items, SplitSizes sizes, std::uint64_t seed);

/// NUS-WIDE, scarce labels first: labels by rising count (ties by index); along one shuffled list, items of
/// the label are taken as queries until `per_class.n_query` of the queries carry it (an item counts for all
/// its labels); then the same for train among the rest; then both are topped up from the head of the list to
/// exactly C * per_class. Every label has at least per_class queries and train items. Errors (kInvalid): a
/// label with too few items.
[[nodiscard]] Result<Split> per_class_split(const ItemLabels& labels, SplitSizes per_class,
                                            std::uint64_t seed);

/// NUS-WIDE by slots: along one shuffled list, an item goes through its labels in order; the first with a
/// free train slot makes it train, or, where that label has none, a free query slot of it makes it a query.
/// Exactly C * per_class of both; train fills first, so scarce labels may end with fewer queries. Errors
/// (kInvalid): a slot stays free.
[[nodiscard]] Result<Split> slots_split(const ItemLabels& labels, SplitSizes per_class, std::uint64_t seed);

/// FLICKR-25K of the unsupervised line: along one shuffled list, each label in order takes new items, first
/// queries, then train: `first` of the first label, half as many of every other; train is topped up from the
/// list to what all labels together would have given. Errors (kInvalid): a label with too few new items for
/// its queries, no items left.
[[nodiscard]] Result<Split> half_per_class_split(const ItemLabels& labels, SplitSizes first,
                                                 std::uint64_t seed);

}  // namespace gauntlet::data::detail
