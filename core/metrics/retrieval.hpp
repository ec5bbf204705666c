// The retrieval side of an evaluation, read piece by piece, so that it need not fit in memory.
#pragma once

#include <cstdint>
#include <span>

#include "core/base/result.hpp"
#include "core/metrics/codes.hpp"
#include "core/metrics/labels.hpp"

namespace gauntlet::metrics {

/// Packed rows of consecutive items, as PackedCodes and LabelSets keep them: row-major [n, ceil(K / 64)] and
/// [n, ceil(C / 64)].
struct ItemRows {
  std::span<const std::uint64_t> codes;
  std::span<const std::uint64_t> labels;
};

/// Room for rows that have to be made.
struct ItemScratch {
  PackedCodes codes;
  LabelSets labels;
};

/// Thread safety: `rows` may be called from several threads at once, each with a scratch of its own.
class RetrievalItems {
 public:
  virtual ~RetrievalItems() = default;
  [[nodiscard]] virtual std::int64_t n() const = 0;         ///< N
  [[nodiscard]] virtual std::int64_t bits() const = 0;      ///< K
  [[nodiscard]] virtual std::int64_t n_labels() const = 0;  ///< C
  /// Rows [first, first + n); they live until `scratch` is used again. Errors (kInvalid): a value that is no
  /// code or label, with its row.
  [[nodiscard]] virtual Result<ItemRows> rows(std::int64_t first, std::int64_t n,
                                              ItemScratch& scratch) const = 0;
};

/// Items in memory; both are borrowed and have equally many rows.
class ItemsInMemory final : public RetrievalItems {
 public:
  ItemsInMemory(const PackedCodes& codes, const LabelSets& labels) : codes_(codes), labels_(labels) {}
  [[nodiscard]] std::int64_t n() const override { return codes_.n(); }
  [[nodiscard]] std::int64_t bits() const override { return codes_.bits(); }
  [[nodiscard]] std::int64_t n_labels() const override { return labels_.n_labels(); }
  [[nodiscard]] Result<ItemRows> rows(std::int64_t first, std::int64_t n, ItemScratch&) const override {
    return ItemRows{codes_.rows(first, n), labels_.rows(first, n)};
  }

 private:
  const PackedCodes& codes_;
  const LabelSets& labels_;
};

}  // namespace gauntlet::metrics
