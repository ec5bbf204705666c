// Average precision of single codes against one retrieval set, for what asks many times: bit searches,
// reference levels, attacks that look at the ranking. Free of detail headers, so that code with tensors may
// include it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/result.hpp"
#include "core/metrics/codes.hpp"
#include "core/metrics/labels.hpp"
#include "core/metrics/retrieval.hpp"

namespace gauntlet::metrics {

class ItemBlock;

/// The items relevant to one label set, as RetrievalIndex::relevant_to gives them; of use with that index
/// only.
struct RelevantItems {
  std::vector<std::vector<std::uint64_t>> bitmaps;  ///< one per block of items
  std::int64_t n = 0;                               ///< R
};

/// Retrieval codes and labels, copied and turned by 90 degrees once: a code is then ranked in N / 1.8e9 s or
/// so, without a sort. Thread safety: immutable after construction.
class RetrievalIndex {
 public:
  /// Errors (kInvalid): no items; what the items refuse.
  [[nodiscard]] static Result<RetrievalIndex> build(const RetrievalItems& items, int n_threads = 1);
  RetrievalIndex(RetrievalIndex&&) noexcept;
  RetrievalIndex& operator=(RetrievalIndex&&) noexcept;
  ~RetrievalIndex();

  [[nodiscard]] std::int64_t n() const { return n_; }                ///< N
  [[nodiscard]] std::int64_t bits() const { return bits_; }          ///< K
  [[nodiscard]] std::int64_t n_labels() const { return n_labels_; }  ///< C
  [[nodiscard]] std::size_t n_words() const { return (static_cast<std::size_t>(bits_) + 63) / 64; }

  /// `labels`: a row of a LabelSets with C labels.
  [[nodiscard]] RelevantItems relevant_to(std::span<const std::uint64_t> labels) const;

  /// Full ranking, expected ties, as the metric `map`; 0 when nothing is relevant. `code`: a row of
  /// PackedCodes with K bits.
  [[nodiscard]] double ap_of_code(std::span<const std::uint64_t> code, const RelevantItems& relevant) const;
  /// The same where one label set is asked about once.
  [[nodiscard]] double ap_of_code(std::span<const std::uint64_t> code,
                                  std::span<const std::uint64_t> labels) const {
    return ap_of_code(code, relevant_to(labels));
  }

 private:
  RetrievalIndex();

  std::int64_t n_ = 0;
  std::int64_t bits_ = 0;
  std::int64_t n_labels_ = 0;
  std::vector<ItemBlock> blocks_;
};

}  // namespace gauntlet::metrics
