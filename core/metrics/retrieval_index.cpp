#include "core/metrics/retrieval_index.hpp"

#include <algorithm>
#include <bit>

#include "core/base/check.hpp"
#include "core/metrics/detail/average_precision.hpp"
#include "core/metrics/detail/item_block.hpp"

namespace gauntlet::metrics {
namespace {

/// One set that carries every label, so that a block keeps a map for each.
Result<LabelSets> all_labels(std::int64_t n_labels) {
  const std::vector<std::uint8_t> ones(static_cast<std::size_t>(n_labels), 1);
  return LabelSets::from_values(std::span<const std::uint8_t>(ones), n_labels);
}

std::size_t n_ones(std::span<const std::uint64_t> words) {
  std::size_t n = 0;
  for (const std::uint64_t word : words) n += static_cast<std::size_t>(std::popcount(word));
  return n;
}

}  // namespace

RetrievalIndex::RetrievalIndex() = default;
RetrievalIndex::RetrievalIndex(RetrievalIndex&&) noexcept = default;
RetrievalIndex& RetrievalIndex::operator=(RetrievalIndex&&) noexcept = default;
RetrievalIndex::~RetrievalIndex() = default;

Result<RetrievalIndex> RetrievalIndex::build(const RetrievalItems& items, int n_threads) {
  if (items.n() == 0) {
    return fail(ErrorCode::kInvalid, "there are no retrieval codes; at least one is needed");
  }
  RetrievalIndex index;
  index.n_ = items.n();
  index.bits_ = items.bits();
  index.n_labels_ = items.n_labels();
  GAUNTLET_TRY(const LabelSets all, all_labels(items.n_labels()));
  for (std::int64_t first = 0; first < items.n(); first += kBlockItems) {
    ItemBlock& block = index.blocks_.emplace_back(items.bits(), items.n_labels(), all, nullptr);
    GAUNTLET_CHECK_OK(block.load(items, first, std::min(kBlockItems, items.n() - first), n_threads));
  }
  return index;
}

RelevantItems RetrievalIndex::relevant_to(std::span<const std::uint64_t> labels) const {
  RelevantItems relevant;
  for (const ItemBlock& block : blocks_) {
    std::vector<std::uint64_t>& bitmap = relevant.bitmaps.emplace_back(block.n_padded() / 64);
    block.relevant_items(labels, bitmap);
    relevant.n += static_cast<std::int64_t>(n_ones(bitmap));
  }
  return relevant;
}

double RetrievalIndex::ap_of_code(std::span<const std::uint64_t> code, const RelevantItems& relevant) const {
  GAUNTLET_CHECK(code.size() == n_words() && relevant.bitmaps.size() == blocks_.size());
  const std::size_t n_distances = static_cast<std::size_t>(bits_) + 1;
  std::vector<std::uint64_t> wide(2 * n_distances, 0);
  for (std::size_t at = 0; at < blocks_.size(); ++at) {
    const ItemBlock& block = blocks_[at];
    add_counts(fastest_simd_path(), block.codes(), code, {relevant.bitmaps[at].data(), nullptr},
               {wide.data(), wide.data() + n_distances, nullptr});
    wide[n_ones(code)] -= block.n_padded() - block.n();  // padding: codes of zeros
  }
  const std::vector<std::uint32_t> counts(wide.begin(), wide.end());
  RankedQuery ranked;
  ranked.items = std::span(counts).first(n_distances);
  ranked.relevant = std::span(counts).last(n_distances);
  ranked.n_relevant = relevant.n;
  return average_precision(ranked, Cutoff::kNone, 0, Ties::kExpected);
}

}  // namespace gauntlet::metrics
