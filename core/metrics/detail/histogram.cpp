#include "core/metrics/detail/histogram.hpp"

#include <bit>

#include "core/metrics/detail/parallel.hpp"

namespace gauntlet::metrics {
namespace {

constexpr std::size_t kBlock = 4096;  ///< items whose distances are counted while they are in the first cache
constexpr std::uint64_t kMaxStableBytes = std::uint64_t{16} << 30;

/// For every label that a query or a target carries: which retrieval items carry it, one bit each.
class LabelBitmaps {
 public:
  LabelBitmaps(const LabelSets& queries, const LabelSets* targets, const LabelSets& retrieval)
      : n_words_((static_cast<std::size_t>(retrieval.n()) + 63) / 64) {
    mark_used(queries);
    if (targets != nullptr) mark_used(*targets);
    std::size_t n_used = 0;
    for (std::size_t& slot : slots_) {
      if (slot != kUnused) slot = n_used++;
    }
    words_.assign(n_used * n_words_, 0);
    for (std::int64_t item = 0; item < retrieval.n(); ++item) {
      for_each_label(retrieval.row(item), [&](std::size_t label) {
        if (label >= slots_.size() || slots_[label] == kUnused) return;
        words_[slots_[label] * n_words_ + static_cast<std::size_t>(item) / 64] |= std::uint64_t{1}
                                                                                  << (item % 64);
      });
    }
  }

  /// Items that share a label with `labels`, into `bitmap` [ceil(N/64)].
  void relevant_items(std::span<const std::uint64_t> labels, std::vector<std::uint64_t>& bitmap) const {
    bitmap.assign(n_words_, 0);
    for_each_label(labels, [&](std::size_t label) {
      const std::uint64_t* source = words_.data() + slots_[label] * n_words_;
      for (std::size_t word = 0; word < n_words_; ++word) bitmap[word] |= source[word];
    });
  }

 private:
  static constexpr std::size_t kUnused = ~std::size_t{0};

  template <class Fn>
  static void for_each_label(std::span<const std::uint64_t> words, const Fn& fn) {
    for (std::size_t word = 0; word < words.size(); ++word) {
      for (std::uint64_t rest = words[word]; rest != 0; rest &= rest - 1) {
        fn(word * 64 + static_cast<std::size_t>(std::countr_zero(rest)));
      }
    }
  }

  void mark_used(const LabelSets& sets) {
    slots_.resize(std::max(slots_.size(), static_cast<std::size_t>(sets.n_words()) * 64), kUnused);
    for (std::int64_t item = 0; item < sets.n(); ++item) {
      for_each_label(sets.row(item), [&](std::size_t label) { slots_[label] = 0; });
    }
  }

  std::size_t n_words_;
  std::vector<std::size_t> slots_;  ///< by label
  std::vector<std::uint64_t> words_;
};

/// H(0) .. H(n), summed in extended precision.
std::vector<double> harmonic_numbers(std::int64_t n) {
  std::vector<double> all(static_cast<std::size_t>(n) + 1, 0.0);
  long double sum = 0;
  for (std::size_t k = 1; k < all.size(); ++k) {
    sum += 1.0L / static_cast<long double>(k);
    all[k] = static_cast<double>(sum);
  }
  return all;
}

}  // namespace

/// Fills the counts of queries; one per range of queries, with buffers of its own.
class Rankings::Builder {
 public:
  Builder(Rankings& rankings, const PackedCodes& queries, const LabelSets* const labels[2],
          const LabelBitmaps& bitmaps, std::span<const std::uint64_t> planes, const Options& options)
      : out_(rankings),
        queries_(queries),
        labels_{labels[0], labels[1]},
        bitmaps_(bitmaps),
        planes_(planes),
        options_(options),
        n_items_(static_cast<std::size_t>(rankings.n_retrieval_)),
        n_distances_(static_cast<std::size_t>(rankings.bits_) + 1),
        distances_(n_items_),
        tables_(kTables * 4 * n_distances_) {}

  void run(std::int64_t query) {
    bitmaps_.relevant_items(labels_[0]->row(query), relevant_[0]);
    if (labels_[1] != nullptr) {
      bitmaps_.relevant_items(labels_[1]->row(query), relevant_[1]);
    } else {
      relevant_[1].assign(relevant_[0].size(), 0);
    }
    std::fill(tables_.begin(), tables_.end(), 0U);
    for (std::size_t first = 0; first < n_items_; first += kBlock) {
      const std::span<std::uint16_t> block =
          std::span(distances_).subspan(first, std::min(kBlock, n_items_ - first));
      hamming_distances(options_.path, queries_.row(query), planes_.data() + first, n_items_, block);
      count(first, block);
    }
    store(query);
    if (options_.stable) {
      for (std::size_t side = 0; side < 2; ++side) {
        if (labels_[side] != nullptr) order(query, side);
      }
    }
  }

 private:
  static constexpr std::size_t kTables =
      4;  ///< neighbours count into different tables, so that no add waits for the last

  void count(std::size_t first, std::span<const std::uint16_t> block) {
    for (std::size_t at = 0; at < block.size(); ++at) {
      const std::size_t item = first + at;
      const std::size_t own = (relevant_[0][item / 64] >> (item % 64)) & 1;
      const std::size_t target = (relevant_[1][item / 64] >> (item % 64)) & 1;
      ++tables_[(at % kTables) * 4 * n_distances_ + 4 * block[at] + 2 * own + target];
    }
  }

  void store(std::int64_t query) {
    const std::size_t row = static_cast<std::size_t>(query) * n_distances_;
    for (std::size_t d = 0; d < n_distances_; ++d) {
      std::uint32_t sums[4] = {};
      for (std::size_t table = 0; table < kTables; ++table) {
        for (std::size_t key = 0; key < 4; ++key)
          sums[key] += tables_[table * 4 * n_distances_ + 4 * d + key];
      }
      out_.items_[row + d] = sums[0] + sums[1] + sums[2] + sums[3];
      const std::uint32_t relevant[2] = {sums[2] + sums[3], sums[1] + sums[3]};
      for (std::size_t side = 0; side < 2; ++side) {
        if (labels_[side] == nullptr) continue;
        out_.sides_[side].relevant[row + d] = relevant[side];
        out_.sides_[side].n_relevant[static_cast<std::size_t>(query)] += relevant[side];
      }
    }
  }

  /// Rank of every item in the order by (distance, index), by counting; marks the ranks of relevant ones.
  void order(std::int64_t query, std::size_t side) {
    std::vector<std::size_t> next(n_distances_, 0);
    for (std::size_t d = 1; d < n_distances_; ++d) {
      next[d] = next[d - 1] + out_.items_[static_cast<std::size_t>(query) * n_distances_ + d - 1];
    }
    std::uint64_t* ranks =
        out_.sides_[side].stable.data() + static_cast<std::size_t>(query) * relevant_[side].size();
    for (std::size_t item = 0; item < n_items_; ++item) {
      const std::size_t rank = next[distances_[item]]++;
      ranks[rank / 64] |= ((relevant_[side][item / 64] >> (item % 64)) & 1) << (rank % 64);
    }
  }

  Rankings& out_;
  const PackedCodes& queries_;
  const LabelSets* labels_[2];
  const LabelBitmaps& bitmaps_;
  std::span<const std::uint64_t> planes_;
  const Options& options_;
  std::size_t n_items_;
  std::size_t n_distances_;
  std::vector<std::uint16_t> distances_;
  std::vector<std::uint64_t> relevant_[2];
  std::vector<std::uint32_t> tables_;
};

Result<Rankings> Rankings::build(const PackedCodes& query_codes, const PackedCodes& retrieval_codes,
                                 const LabelSets& query_labels, const LabelSets& retrieval_labels,
                                 const LabelSets* targets, const Options& options) {
  Rankings rankings;
  rankings.n_queries_ = query_codes.n();
  rankings.n_retrieval_ = retrieval_codes.n();
  rankings.bits_ = query_codes.bits();
  rankings.n_threads_ = std::max(1, options.n_threads);
  const std::size_t n_queries = static_cast<std::size_t>(rankings.n_queries_);
  const std::size_t n_items = static_cast<std::size_t>(rankings.n_retrieval_);
  const std::size_t n_rank_words = (n_items + 63) / 64;
  const LabelSets* const labels[2] = {&query_labels, targets};
  if (options.stable && 16 * n_queries * n_rank_words > kMaxStableBytes) {
    return fail(ErrorCode::kOutOfMemory,
                "stable orders of {} queries over {} items need more than 16 GiB; use expected ties, or "
                "fewer queries",
                n_queries, n_items);
  }
  const std::size_t n_counts = n_queries * static_cast<std::size_t>(rankings.bits_ + 1);
  rankings.items_.assign(n_counts, 0);
  for (std::size_t side = 0; side < 2; ++side) {
    if (labels[side] == nullptr) continue;
    rankings.sides_[side].relevant.assign(n_counts, 0);
    rankings.sides_[side].n_relevant.assign(n_queries, 0);
    if (options.stable) rankings.sides_[side].stable.assign(n_queries * n_rank_words, 0);
  }
  rankings.harmonic_ = harmonic_numbers(rankings.n_retrieval_);

  const LabelBitmaps bitmaps(query_labels, targets, retrieval_labels);
  const std::size_t n_words = static_cast<std::size_t>(retrieval_codes.n_words());
  std::vector<std::uint64_t> planes(n_words * n_items);
  for (std::size_t item = 0; item < n_items; ++item) {
    const std::span<const std::uint64_t> code = retrieval_codes.row(static_cast<std::int64_t>(item));
    for (std::size_t word = 0; word < n_words; ++word) planes[word * n_items + item] = code[word];
  }
  parallel_ranges(rankings.n_queries_, rankings.n_threads_, [&](std::int64_t first, std::int64_t last) {
    Builder builder(rankings, query_codes, labels, bitmaps, planes, options);
    for (std::int64_t query = first; query < last; ++query) builder.run(query);
  });
  return rankings;
}

RankedQuery Rankings::query(std::int64_t query, Relevance relevance) const {
  const Side& side = sides_[relevance == Relevance::kOwn ? 0 : 1];
  const std::size_t row = static_cast<std::size_t>(query);
  const std::size_t n_distances = static_cast<std::size_t>(bits_) + 1;
  const std::size_t n_rank_words = (static_cast<std::size_t>(n_retrieval_) + 63) / 64;
  RankedQuery ranked;
  ranked.items = std::span(items_).subspan(row * n_distances, n_distances);
  ranked.relevant = std::span(side.relevant).subspan(row * n_distances, n_distances);
  if (!side.stable.empty()) ranked.stable = std::span(side.stable).subspan(row * n_rank_words, n_rank_words);
  ranked.n_relevant = side.n_relevant[row];
  return ranked;
}

}  // namespace gauntlet::metrics
