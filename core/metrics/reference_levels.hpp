// What a value of `map` or `t_map` can be read against: chance, floors and ceilings per query. Definitions
// and sources: docs/robustness.md, "Reference levels". Pure; nothing here needs a network.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/metrics/codes.hpp"
#include "core/metrics/labels.hpp"
#include "core/metrics/retrieval_index.hpp"

namespace gauntlet::metrics {

/// Expected average precision of a random order of `n` items, `n_relevant` of them relevant; 0 without one.
/// 0 <= n_relevant <= n, n >= 1.
[[nodiscard]] double chance_ap(std::int64_t n, std::int64_t n_relevant);
/// Average precision when all relevant items come last: no order has less. 0 without one.
[[nodiscard]] double absolute_floor(std::int64_t n, std::int64_t n_relevant);

enum class Sense : std::uint8_t { kLower, kHigher };

/// Where a search over single bits ended.
struct BitSearch {
  std::vector<std::uint64_t> code;  ///< [n_words]
  double ap = 0;                    ///< of `code`
  std::vector<double> flipped_ap;   ///< [K] of `code` with that bit turned; none is better than `ap`
  std::int64_t n_evaluations = 0;   ///< codes that were ranked
};

/// From `start` on, turns the one bit that lowers (raises) average precision most, the first of equals, until
/// none does.
[[nodiscard]] BitSearch bit_search(const RetrievalIndex& index, const RelevantItems& relevant,
                                   std::span<const std::uint64_t> start, Sense sense);

/// `code` with every one of its `bits` bits turned.
[[nodiscard]] std::vector<std::uint64_t> opposite(std::span<const std::uint64_t> code, std::int64_t bits);

/// The mainstay code of each label set (SAAT): per bit the sign of the mean training code weighted by the
/// cosine of labels, less the mean of the codes that share no label; bit 0 where both agree to 1e-9. A mean
/// over nothing is 0. The packed form of attacks::mainstay_code on ±1 codes. labels [B, C], train_labels [N,
/// C], train_codes [N, K] → [B, K] packed, row-major [B, n_words].
[[nodiscard]] std::vector<std::uint64_t> class_anchors(const LabelSets& labels, const LabelSets& train_labels,
                                                       const PackedCodes& train_codes, int n_threads = 1);

/// Average precision of each code for its labels, [Q]; as many label sets as codes.
[[nodiscard]] std::vector<double> ap_of_codes(const RetrievalIndex& index, const PackedCodes& codes,
                                              const LabelSets& labels, int n_threads = 1);
/// Per label set the least average precision of any of `codes`: what anyone reaches who may hand in whatever
/// made one of them. [Q]. Errors: none; no codes gives 1.
[[nodiscard]] std::vector<double> least_ap(const RetrievalIndex& index, const PackedCodes& codes,
                                           const LabelSets& labels, int n_threads = 1);

struct ReferenceOptions {
  std::uint64_t seed = 1;  ///< of the random codes
  int n_random_codes = 20;
  int n_threads = 1;  ///< >= 1; the result does not depend on it
};

/// One value per query. Under Sense::kLower (relevance to own labels) `anchor` is the average precision of
/// the code opposite to the class anchor and `oracle` what a bit search downwards from there finds; under
/// kHigher (relevance to target labels) that of the target's anchor itself and of a search upwards.
struct ReferenceLevels {
  std::vector<double> chance, random_code, absolute, anchor, oracle;  ///< [Q] each
  std::vector<double>
      own_anchor;  ///< [Q] of the anchor itself: a perfect query; equals `anchor` under kHigher
};

/// Queries with equal labels share their searches. `labels` [Q, C]: own or target labels of the queries;
/// train_labels and train_codes: training items of the retrieval modality, as the database encodes them.
[[nodiscard]] ReferenceLevels reference_levels(const RetrievalIndex& index, const LabelSets& labels,
                                               const LabelSets& train_labels, const PackedCodes& train_codes,
                                               Sense sense, const ReferenceOptions& options);

}  // namespace gauntlet::metrics
