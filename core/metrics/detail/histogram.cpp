#include "core/metrics/detail/histogram.hpp"

#include <algorithm>
#include <bit>

#include "core/metrics/detail/item_block.hpp"
#include "core/metrics/detail/parallel.hpp"

namespace gauntlet::metrics {
namespace {

double gibibytes(std::uint64_t bytes) { return static_cast<double>(bytes) / (1 << 30); }

/// Refuses what a stable order would need beyond kMaxBytes.
Status check_orders(std::uint64_t n_bytes, std::int64_t n_queries, std::int64_t n_items) {
  if (n_bytes <= Rankings::kMaxBytes) return {};
  return fail(ErrorCode::kOutOfMemory,
              "stable orders of {} queries over {} items need {:.1f} GiB; at most {:.0f} are allowed: use "
              "expected ties, or fewer queries at a time",
              n_queries, n_items, gibibytes(n_bytes), gibibytes(Rankings::kMaxBytes));
}

/// Number of a query's labels.
std::size_t n_labels_of(std::span<const std::uint64_t> labels) {
  std::size_t n = 0;
  for (const std::uint64_t word : labels) n += static_cast<std::size_t>(std::popcount(word));
  return n;
}

}  // namespace

/// First sweep: adds a block to the counts of queries. One per thread and range of queries.
class Rankings::Counter {
 public:
  Counter(Rankings& rankings, const QuerySide& queries, const ItemBlock& block, SimdPath path)
      : out_(rankings), queries_(queries), block_(block), path_(path) {
    for (std::vector<std::uint64_t>& counts : counts_) counts.resize(n_distances());
    for (std::vector<std::uint64_t>& map : relevant_) map.resize(block.n_padded() / 64);
    if (out_.graded_begins_.empty()) return;
    distances_.resize(block.n_padded());
    shared_.resize(block.n_padded());
  }

  void run(std::int64_t query) {
    const bool targeted = queries_.targets != nullptr;
    block_.relevant_items(queries_.labels.row(query), relevant_[0]);
    if (targeted) block_.relevant_items(queries_.targets->row(query), relevant_[1]);
    for (std::vector<std::uint64_t>& counts : counts_) std::fill(counts.begin(), counts.end(), 0U);
    const std::span<const std::uint64_t> code = queries_.codes.row(query);
    add_counts(path_, block_.codes(), code, {relevant_[0].data(), targeted ? relevant_[1].data() : nullptr},
               {counts_[0].data(), counts_[1].data(), counts_[2].data()});
    counts_[0][n_labels_of(code)] -= block_.n_padded() - block_.n();  // padding: codes of zeros
    add(query);
    if (!out_.graded_begins_.empty()) grade(query);
  }

 private:
  [[nodiscard]] std::size_t n_distances() const { return static_cast<std::size_t>(out_.bits_) + 1; }

  void add(std::int64_t query) {
    const std::size_t row = static_cast<std::size_t>(query) * n_distances();
    for (std::size_t d = 0; d < n_distances(); ++d) {
      out_.items_[row + d] += static_cast<std::uint32_t>(counts_[0][d]);
      for (std::size_t side = 0; side < 2; ++side) {
        if (out_.sides_[side].relevant.empty()) continue;
        out_.sides_[side].relevant[row + d] += static_cast<std::uint32_t>(counts_[side + 1][d]);
        out_.sides_[side].n_relevant[static_cast<std::size_t>(query)] +=
            static_cast<std::int64_t>(counts_[side + 1][d]);
      }
    }
  }

  void grade(std::int64_t query) {
    const std::span<const std::uint64_t> labels = queries_.labels.row(query);
    const std::size_t n_grades = n_labels_of(labels) + 1;
    sliced_distances(path_, block_.codes(), queries_.codes.row(query), distances_);
    block_.shared_labels(labels, shared_);
    std::uint32_t* counts = out_.graded_.data() + out_.graded_begins_[static_cast<std::size_t>(query)];
    for (std::size_t item = 0; item < block_.n(); ++item)
      ++counts[distances_[item] * n_grades + shared_[item]];
  }

  Rankings& out_;
  const QuerySide& queries_;
  const ItemBlock& block_;
  SimdPath path_;
  std::vector<std::uint64_t> counts_[3];  ///< items, own, target; [K+1]
  std::vector<std::uint64_t> relevant_[2];
  std::vector<std::uint16_t> distances_;
  std::vector<std::uint32_t> shared_;
};

/// Second sweep: the rank of every item in the order by (distance, index), by counting on from the ranks that
/// the first sweep's counts give to each distance.
class Rankings::Orderer {
 public:
  Orderer(Rankings& rankings, const QuerySide& queries)
      : out_(rankings),
        queries_(queries),
        n_distances_(static_cast<std::size_t>(rankings.bits_) + 1),
        next_rank_(starts(rankings.items_)),
        next_hit_(rankings.grades_begins_.empty() ? std::vector<std::uint32_t>()
                                                  : starts(rankings.sides_[0].relevant)) {}

  void run(const ItemBlock& block, SimdPath path, std::int64_t first, std::int64_t last) {
    std::vector<std::uint16_t> distances(block.n_padded());
    std::vector<std::uint64_t> relevant[2];
    for (std::vector<std::uint64_t>& map : relevant) map.resize(block.n_padded() / 64);
    std::vector<std::uint32_t> shared(next_hit_.empty() ? 0 : block.n_padded());
    for (std::int64_t query = first; query < last; ++query) {
      sliced_distances(path, block.codes(), queries_.codes.row(query), distances);
      block.relevant_items(queries_.labels.row(query), relevant[0]);
      if (queries_.targets != nullptr) block.relevant_items(queries_.targets->row(query), relevant[1]);
      if (!shared.empty()) {
        block.shared_labels(queries_.labels.row(query), shared);
        keep_grades(query, block.n(), distances, shared);
      }
      keep_ranks(query, block.n(), distances, relevant);
    }
  }

 private:
  /// Sums over smaller distances, per query.
  [[nodiscard]] std::vector<std::uint32_t> starts(const std::vector<std::uint32_t>& counts) const {
    std::vector<std::uint32_t> sums(counts.size(), 0);
    for (std::size_t at = 1; at < counts.size(); ++at) {
      if (at % n_distances_ != 0) sums[at] = sums[at - 1] + counts[at - 1];
    }
    return sums;
  }

  void keep_ranks(std::int64_t query, std::size_t n_items, std::span<const std::uint16_t> distances,
                  const std::vector<std::uint64_t> (&relevant)[2]) {
    std::uint32_t* const next = next_rank_.data() + static_cast<std::size_t>(query) * n_distances_;
    const std::size_t row = static_cast<std::size_t>(query) * out_.n_rank_words();
    std::uint64_t* const own = out_.sides_[0].stable.data() + row;
    std::uint64_t* const target = queries_.targets != nullptr ? out_.sides_[1].stable.data() + row : nullptr;
    for (std::size_t item = 0; item < n_items; ++item) {
      const std::size_t rank = next[distances[item]]++;
      own[rank / 64] |= ((relevant[0][item / 64] >> (item % 64)) & 1) << (rank % 64);
      if (target != nullptr) {
        target[rank / 64] |= ((relevant[1][item / 64] >> (item % 64)) & 1) << (rank % 64);
      }
    }
  }

  void keep_grades(std::int64_t query, std::size_t n_items, std::span<const std::uint16_t> distances,
                   std::span<const std::uint32_t> shared) {
    std::uint32_t* const next = next_hit_.data() + static_cast<std::size_t>(query) * n_distances_;
    std::uint32_t* const grades =
        out_.stable_grades_.data() + out_.grades_begins_[static_cast<std::size_t>(query)];
    for (std::size_t item = 0; item < n_items; ++item) {
      if (shared[item] != 0) grades[next[distances[item]]++] = shared[item];
    }
  }

  Rankings& out_;
  const QuerySide& queries_;
  std::size_t n_distances_;
  std::vector<std::uint32_t> next_rank_;  ///< [Q, K+1]
  std::vector<std::uint32_t> next_hit_;   ///< [Q, K+1], among the relevant items; empty: no grades wanted
};

Status Rankings::reserve(const QuerySide& queries, const Options& options) {
  const std::size_t n = static_cast<std::size_t>(n_queries_);
  const std::size_t n_distances = static_cast<std::size_t>(bits_) + 1;
  items_.assign(n * n_distances, 0);
  for (std::size_t side = 0; side < (queries.targets == nullptr ? 1U : 2U); ++side) {
    sides_[side].relevant.assign(n * n_distances, 0);
    sides_[side].n_relevant.assign(n, 0);
  }
  if (options.stable) GAUNTLET_CHECK_OK(check_orders(n_order_bytes(), n_queries_, n_retrieval_));
  if (!options.graded) return {};
  graded_begins_.assign(1, 0);
  for (std::int64_t query = 0; query < n_queries_; ++query) {
    graded_begins_.push_back(graded_begins_.back() +
                             n_distances * (n_labels_of(queries.labels.row(query)) + 1));
  }
  if (4 * graded_begins_.back() > kMaxBytes) {
    return fail(ErrorCode::kOutOfMemory,
                "counts by shared labels of {} queries at {} distances need {:.1f} GiB; at most {:.0f} are "
                "allowed: evaluate fewer queries at a time, or without acg, ndcg and wap",
                n, n_distances, gibibytes(4 * graded_begins_.back()), gibibytes(kMaxBytes));
  }
  graded_.assign(graded_begins_.back(), 0);
  return {};
}

/// After the first sweep, which says how many relevant items there are.
Status Rankings::reserve_orders(const Options& options) {
  const std::size_t n = static_cast<std::size_t>(n_queries_);
  std::uint64_t n_bytes = n_order_bytes();
  if (options.graded) {
    grades_begins_.assign(1, 0);
    for (const std::int64_t n_relevant : sides_[0].n_relevant) {
      grades_begins_.push_back(grades_begins_.back() + static_cast<std::size_t>(n_relevant));
    }
    n_bytes += 4 * grades_begins_.back();
  }
  GAUNTLET_CHECK_OK(check_orders(n_bytes, n_queries_, n_retrieval_));
  for (Side& side : sides_) {
    if (!side.n_relevant.empty()) side.stable.assign(n * n_rank_words(), 0);
  }
  if (options.graded) stable_grades_.assign(grades_begins_.back(), 0);
  return {};
}

Result<Rankings> Rankings::build(const QuerySide& queries, const RetrievalItems& items,
                                 const Options& options) {
  Rankings rankings;
  rankings.n_queries_ = queries.codes.n();
  rankings.n_retrieval_ = items.n();
  rankings.bits_ = queries.codes.bits();
  rankings.n_threads_ = std::max(1, options.n_threads);
  GAUNTLET_CHECK_OK(rankings.reserve(queries, options));
  ItemBlock block(items.bits(), items.n_labels(), queries.labels, queries.targets);
  const auto sweep = [&](const auto& visit) -> Status {
    for (std::int64_t first = 0; first < items.n(); first += kBlockItems) {
      const std::int64_t n = std::min(kBlockItems, items.n() - first);
      GAUNTLET_CHECK_OK(block.load(items, first, n, rankings.n_threads_));
      parallel_ranges(rankings.n_queries_, rankings.n_threads_, visit);
    }
    return {};
  };
  GAUNTLET_CHECK_OK(sweep([&](std::int64_t first, std::int64_t last) {
    Counter counter(rankings, queries, block, options.path);
    for (std::int64_t query = first; query < last; ++query) counter.run(query);
  }));
  if (!options.stable) return rankings;
  GAUNTLET_CHECK_OK(rankings.reserve_orders(options));
  Orderer orderer(rankings, queries);
  GAUNTLET_CHECK_OK(
      sweep([&](std::int64_t first, std::int64_t last) { orderer.run(block, options.path, first, last); }));
  return rankings;
}

RankedQuery Rankings::query(std::int64_t query, Relevance relevance) const {
  const Side& side = sides_[relevance == Relevance::kOwn ? 0 : 1];
  const std::size_t row = static_cast<std::size_t>(query);
  const std::size_t n_distances = static_cast<std::size_t>(bits_) + 1;
  RankedQuery ranked;
  ranked.items = std::span(items_).subspan(row * n_distances, n_distances);
  ranked.relevant = std::span(side.relevant).subspan(row * n_distances, n_distances);
  if (!side.stable.empty()) {
    ranked.stable = std::span(side.stable).subspan(row * n_rank_words(), n_rank_words());
  }
  ranked.n_relevant = side.n_relevant[row];
  if (relevance == Relevance::kTarget) return ranked;
  if (!graded_begins_.empty()) {
    ranked.graded =
        std::span(graded_).subspan(graded_begins_[row], graded_begins_[row + 1] - graded_begins_[row]);
    ranked.n_grades = ranked.graded.size() / n_distances;
  }
  if (!grades_begins_.empty()) {
    ranked.stable_grades =
        std::span(stable_grades_).subspan(grades_begins_[row], grades_begins_[row + 1] - grades_begins_[row]);
  }
  return ranked;
}

}  // namespace gauntlet::metrics
