// The swap floor: of inputs that anyone may hand in instead of the query, the one that retrieves least. Pure.
// Definition: docs/robustness.md, "Reference levels".
#pragma once

#include <cstdint>
#include <vector>

#include "core/metrics/codes.hpp"
#include "core/metrics/labels.hpp"
#include "core/metrics/retrieval_index.hpp"

namespace gauntlet::metrics {

/// Per label set, [Q].
struct WeakestCodes {
  std::vector<double> ap;            ///< least average precision of any of the codes
  std::vector<std::int64_t> chosen;  ///< the first code that has it
};

/// `codes` [M, K] of M >= 1 inputs, ranked for every label set [Q, C] with expected ties; equal label sets
/// share a search. Without codes every value is 1 and what is chosen is of no meaning.
[[nodiscard]] WeakestCodes weakest_codes(const RetrievalIndex& index, const PackedCodes& codes,
                                         const LabelSets& labels, int n_threads = 1);

}  // namespace gauntlet::metrics
