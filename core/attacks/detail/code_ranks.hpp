// Average precision as an attack that knows the database's codes and labels sees it.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "core/attacks/attack.hpp"
#include "core/metrics/reference_levels.hpp"
#include "core/metrics/retrieval_index.hpp"
#include "core/torch.hpp"

namespace gauntlet::attacks {

/// Where a search over single bits from a code ended, and what each bit of it is worth.
struct CodeSearch {
  torch::Tensor code;     ///< [K] ±1
  torch::Tensor weights;  ///< [K] 0.1 + 0.9 Δ_j / mean Δ, Δ_j what turning bit j changes; 1 where that is 0
  double ap = 0;
};

/// Thread safety: none (label sets are looked up once and kept).
class CodeRanks {
 public:
  /// Errors: those of the surface's database; kInvalid when the surface has none.
  [[nodiscard]] static Result<std::shared_ptr<CodeRanks>> open(const AttackSurface& surface);
  [[nodiscard]] static Result<std::shared_ptr<CodeRanks>> of(const Database& database);

  /// Full ranking, expected ties, against items that share a label: relaxed codes [B, K], labels [B, C] 0/1 →
  /// [B] double; 0 where nothing is relevant.
  [[nodiscard]] torch::Tensor ap(const torch::Tensor& codes, const torch::Tensor& labels);
  /// [B] double: expected value of a random order.
  [[nodiscard]] torch::Tensor chance(const torch::Tensor& labels);
  /// Turns one bit of `start` [K] at a time, the most useful first; one search per pair of arguments.
  [[nodiscard]] const CodeSearch& search(const torch::Tensor& start, const torch::Tensor& labels,
                                         metrics::Sense sense);
  /// The database's codes [M, K] ±1.
  [[nodiscard]] const torch::Tensor& codes() const { return database_.codes; }

 private:
  CodeRanks(const Database& database, metrics::RetrievalIndex index)
      : database_(database), index_(std::move(index)) {}
  const metrics::RelevantItems& relevant(const torch::Tensor& labels);

  using Words = std::vector<std::uint64_t>;
  Database database_;
  metrics::RetrievalIndex index_;
  std::map<Words, metrics::RelevantItems> relevant_;
  std::map<std::pair<Words, Words>, CodeSearch> down_, up_;
};

}  // namespace gauntlet::attacks
