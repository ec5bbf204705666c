// Codes and labels like those of a trained model on a set of many labels, made up for benchmarks.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/result.hpp"
#include "core/metrics/codes.hpp"
#include "core/metrics/labels.hpp"
#include "core/metrics/retrieval.hpp"

namespace gauntlet::cli {

/// Items kept as packed words, as the engine reads them.
class StoredItems final : public metrics::RetrievalItems {
 public:
  StoredItems(std::int64_t n, std::int64_t bits, std::int64_t n_labels);
  [[nodiscard]] std::int64_t n() const override { return n_; }
  [[nodiscard]] std::int64_t bits() const override { return bits_; }
  [[nodiscard]] std::int64_t n_labels() const override { return n_labels_; }
  [[nodiscard]] std::size_t n_code_words() const { return (static_cast<std::size_t>(bits_) + 63) / 64; }
  [[nodiscard]] std::size_t n_label_words() const { return (static_cast<std::size_t>(n_labels_) + 63) / 64; }
  [[nodiscard]] Result<metrics::ItemRows> rows(std::int64_t first, std::int64_t n,
                                               metrics::ItemScratch& scratch) const override;

  std::vector<std::uint64_t> codes;   ///< [n, n_code_words]
  std::vector<std::uint64_t> labels;  ///< [n, n_label_words]

 private:
  std::int64_t n_, bits_, n_labels_;
};

/// 1 to 5 of 80 labels per item, few of them frequent; codes near the code of the first label, a quarter of
/// the bits drawn anew.
class SyntheticCodes {
 public:
  static constexpr std::int64_t kLabels = 80;
  [[nodiscard]] static Result<SyntheticCodes> make(std::int64_t n_queries, std::int64_t n_items,
                                                   std::int64_t bits);

  [[nodiscard]] const StoredItems& items() const { return items_; }
  [[nodiscard]] int distance(std::int64_t query, std::size_t item) const;
  [[nodiscard]] bool shares_label(std::int64_t query, std::size_t item) const;
  /// The items as people hold them: [N, K] of -1 and 1, [N, C] of 0 and 1.
  [[nodiscard]] std::vector<std::int8_t> code_values() const;
  [[nodiscard]] std::vector<std::uint8_t> label_values() const;

  metrics::PackedCodes query_codes;
  metrics::LabelSets query_labels;

 private:
  explicit SyntheticCodes(StoredItems items) : items_(std::move(items)) {}
  StoredItems items_;
};

}  // namespace gauntlet::cli
