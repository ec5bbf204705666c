// Numbers about labels that need no model: frequencies and what a random ranking would score.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gauntlet::data::detail {

/// Labels as bits, 64 per word; rows of equal labels share one entry of `distinct`.
struct DistinctLabels {
  std::size_t n_words = 0;                   ///< words per label vector
  std::vector<std::uint64_t> bits;           ///< [n_distinct, n_words]
  std::vector<std::uint32_t> vector_of_row;  ///< index into the distinct vectors, per row

  [[nodiscard]] std::size_t n_distinct() const { return n_words == 0 ? 0 : bits.size() / n_words; }
  [[nodiscard]] bool share_a_label(std::size_t a, std::size_t b) const;
};

/// `labels`: u8 [n, n_labels] of 0 and 1, n_labels >= 1.
[[nodiscard]] DistinctLabels distinct_labels(std::span<const std::uint8_t> labels, std::int64_t n_labels);

/// Share of the retrieval rows that have a label in common with the query: mean, least and largest over the
/// queries. All 0 when there are no queries or no retrieval rows.
struct Chance {
  double mean = 0;
  double least = 0;
  double largest = 0;
};
[[nodiscard]] Chance chance_of(const DistinctLabels& labels, std::span<const std::int64_t> query_rows,
                               std::span<const std::int64_t> retrieval_rows);

}  // namespace gauntlet::data::detail
