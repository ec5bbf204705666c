// Rankings of all queries as counts: per query and distance d = 0..K, the items n_d and the relevant items
// r_d. Every metric follows from these, but for graded ones, which also need the items by shared labels, and
// the stable order, which needs the relevance of each rank. Thread safety: immutable after building.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/metrics/codes.hpp"
#include "core/metrics/detail/sliced.hpp"
#include "core/metrics/labels.hpp"
#include "core/metrics/retrieval.hpp"

namespace gauntlet::metrics {

/// Against which labels of the query an item's relevance is tested.
enum class Relevance : std::uint8_t { kOwn, kTarget };

/// One query's ranking; spans into a Rankings.
struct RankedQuery {
  std::span<const std::uint32_t> items;     ///< [K+1] n_d
  std::span<const std::uint32_t> relevant;  ///< [K+1] r_d
  std::span<const std::uint64_t> stable;    ///< bit p: the item at rank p+1 of the stable order is relevant
  std::int64_t n_relevant = 0;              ///< R

  /// Own relevance only, and only where asked for. [K+1, n_grades]: items at distance d that share s labels
  /// with the query, s = 0 .. n_grades-1 = the number of the query's labels.
  std::span<const std::uint32_t> graded;
  std::size_t n_grades = 0;
  std::span<const std::uint32_t> stable_grades;  ///< [R] shared labels of the relevant items in stable order
};

/// Borrowed; as many target sets as queries, or null.
struct QuerySide {
  const PackedCodes& codes;
  const LabelSets& labels;
  const LabelSets* targets = nullptr;
};

class Rankings {
 public:
  struct Options {
    bool stable = false;  ///< keep the stable orders too: N bits per query and relevance
    bool graded = false;  ///< keep the counts by shared labels too
    int n_threads = 1;
    SimdPath path = fastest_simd_path();
  };

  /// Sizes have been checked by the caller. One sweep over the items, a second one for the stable order; what
  /// is kept does not grow with N but for that. Errors: kOutOfMemory for stable orders or graded counts
  /// beyond kMaxBytes, with the sizes; what the items refuse.
  [[nodiscard]] static Result<Rankings> build(const QuerySide& queries, const RetrievalItems& items,
                                              const Options& options);
  static constexpr std::uint64_t kMaxBytes = std::uint64_t{16} << 30;

  /// For a process of the same machine and program: numbers as they lie in memory.
  [[nodiscard]] std::string to_bytes() const;
  /// Errors (kCorrupt): not what to_bytes gave.
  [[nodiscard]] static Result<Rankings> from_bytes(std::string_view bytes, int n_threads);
  /// Puts the rankings of further queries over the same items behind these, as if all had been built at once.
  /// Errors (kInvalid): other items, other things kept.
  [[nodiscard]] Status append(const Rankings& next);

  [[nodiscard]] std::int64_t n_queries() const { return n_queries_; }
  [[nodiscard]] std::int64_t n_retrieval() const { return n_retrieval_; }
  [[nodiscard]] std::int64_t bits() const { return bits_; }
  [[nodiscard]] int n_threads() const { return n_threads_; }
  [[nodiscard]] bool has_targets() const { return !sides_[1].n_relevant.empty(); }
  [[nodiscard]] bool has_stable() const { return !sides_[0].stable.empty(); }
  [[nodiscard]] bool has_graded() const { return !graded_begins_.empty(); }
  [[nodiscard]] RankedQuery query(std::int64_t query, Relevance relevance) const;

 private:
  class Counter;
  class Orderer;
  struct Side {
    std::vector<std::uint32_t> relevant;   ///< [Q, K+1]
    std::vector<std::uint64_t> stable;     ///< [Q, ceil(N/64)]
    std::vector<std::int64_t> n_relevant;  ///< [Q]
  };
  /// visit(its member, other's) for every list that has so many entries per query.
  template <class Self, class Other, class Visit>
  static void for_each_list(Self& self, Other& other, const Visit& visit);
  /// The same for the lists of where a query's entries begin.
  template <class Self, class Other, class Visit>
  static void for_each_begins(Self& self, Other& other, const Visit& visit);
  /// Whether all lists have the sizes that the numbers say.
  [[nodiscard]] bool is_consistent() const;
  [[nodiscard]] Status reserve(const QuerySide& queries, const Options& options);
  [[nodiscard]] Status reserve_orders(const Options& options);
  [[nodiscard]] std::uint64_t n_order_bytes() const {
    const std::uint64_t n_sides = has_targets() ? 2 : 1;
    return n_sides * 8 * static_cast<std::uint64_t>(n_queries_) * n_rank_words();
  }
  [[nodiscard]] std::size_t n_rank_words() const {
    return (static_cast<std::size_t>(n_retrieval_) + 63) / 64;
  }

  std::int64_t n_queries_ = 0;
  std::int64_t n_retrieval_ = 0;
  std::int64_t bits_ = 0;
  int n_threads_ = 1;
  std::vector<std::uint32_t> items_;          ///< [Q, K+1]
  Side sides_[2];                             ///< own, target
  std::vector<std::size_t> graded_begins_;    ///< [Q+1] where the counts of a query begin; empty: not kept
  std::vector<std::uint32_t> graded_;         ///< per query [K+1, n_grades]
  std::vector<std::size_t> grades_begins_;    ///< [Q+1] sums of R; empty: not kept
  std::vector<std::uint32_t> stable_grades_;  ///< per query [R]
};

}  // namespace gauntlet::metrics
