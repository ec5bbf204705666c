// Rankings of all queries as counts: per query and distance d = 0..K, the items n_d and the relevant items
// r_d. Every metric follows from these, but for the stable order, which also needs the relevance of each
// rank. Thread safety: immutable after building.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/base/result.hpp"
#include "core/metrics/codes.hpp"
#include "core/metrics/detail/hamming.hpp"
#include "core/metrics/labels.hpp"

namespace gauntlet::metrics {

/// Against which labels of the query an item's relevance is tested.
enum class Relevance : std::uint8_t { kOwn, kTarget };

/// One query's ranking; spans into a Rankings.
struct RankedQuery {
  std::span<const std::uint32_t> items;     ///< [K+1] n_d
  std::span<const std::uint32_t> relevant;  ///< [K+1] r_d
  std::span<const std::uint64_t> stable;    ///< bit p: the item at rank p+1 of the stable order is relevant
  std::int64_t n_relevant = 0;              ///< R
};

class Rankings {
 public:
  struct Options {
    bool stable = false;  ///< keep the stable orders too: N bits per query and relevance
    int n_threads = 1;
    HammingPath path = fastest_hamming_path();
  };

  /// Sizes have been checked by the caller. `targets` may be null. Errors: kOutOfMemory for stable orders
  /// beyond 16 GiB.
  [[nodiscard]] static Result<Rankings> build(const PackedCodes& query_codes,
                                              const PackedCodes& retrieval_codes,
                                              const LabelSets& query_labels,
                                              const LabelSets& retrieval_labels, const LabelSets* targets,
                                              const Options& options);

  [[nodiscard]] std::int64_t n_queries() const { return n_queries_; }
  [[nodiscard]] std::int64_t n_retrieval() const { return n_retrieval_; }
  [[nodiscard]] std::int64_t bits() const { return bits_; }
  [[nodiscard]] int n_threads() const { return n_threads_; }
  [[nodiscard]] bool has_targets() const { return !sides_[1].relevant.empty(); }
  [[nodiscard]] RankedQuery query(std::int64_t query, Relevance relevance) const;

  /// H(to) - H(from) of the harmonic numbers, 0 <= from <= to <= N.
  [[nodiscard]] double harmonic_between(std::int64_t from, std::int64_t to) const {
    return harmonic_[static_cast<std::size_t>(to)] - harmonic_[static_cast<std::size_t>(from)];
  }

 private:
  class Builder;
  struct Side {
    std::vector<std::uint32_t> relevant;   ///< [Q, K+1]
    std::vector<std::uint64_t> stable;     ///< [Q, ceil(N/64)]
    std::vector<std::int64_t> n_relevant;  ///< [Q]
  };

  std::int64_t n_queries_ = 0;
  std::int64_t n_retrieval_ = 0;
  std::int64_t bits_ = 0;
  int n_threads_ = 1;
  std::vector<std::uint32_t> items_;  ///< [Q, K+1]
  Side sides_[2];                     ///< own, target
  std::vector<double> harmonic_;      ///< [N+1]
};

}  // namespace gauntlet::metrics
