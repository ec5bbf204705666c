#include "core/metrics/reference_levels.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/base/check.hpp"
#include "core/base/random.hpp"
#include "core/metrics/detail/distinct.hpp"
#include "core/metrics/detail/harmonic.hpp"
#include "core/metrics/detail/parallel.hpp"
#include "core/metrics/swap.hpp"

namespace gauntlet::metrics {
namespace {

using Words = std::vector<std::uint64_t>;

constexpr std::uint64_t kStreamTag = 0x72636f64;  ///< "rcod": family of random codes, one stream per query
constexpr double kTie = 1e-9;  ///< means that are equal differ by rounding; those that are not by more

std::int64_t n_ones(std::span<const std::uint64_t> words) {
  std::int64_t n = 0;
  for (const std::uint64_t word : words) n += std::popcount(word);
  return n;
}

std::int64_t n_shared(std::span<const std::uint64_t> a, std::span<const std::uint64_t> b) {
  std::int64_t n = 0;
  for (std::size_t word = 0; word < a.size(); ++word) n += std::popcount(a[word] & b[word]);
  return n;
}

Words words_of(std::span<const std::uint64_t> row) { return {row.begin(), row.end()}; }

void turn(std::span<std::uint64_t> code, std::size_t bit) {
  code[bit / 64] ^= std::uint64_t{1} << (bit % 64);
}

/// Sums of ±1 codes over the training items of every distinct label set: anchors follow from these.
struct TrainingSums {
  Distinct kinds;
  std::vector<double> sums;  ///< [kinds, K]
};

TrainingSums training_sums(const LabelSets& labels, const PackedCodes& codes) {
  TrainingSums training{distinct_rows(labels), {}};
  const std::size_t bits = static_cast<std::size_t>(codes.bits());
  training.sums.assign(training.kinds.first.size() * bits, 0);
  for (std::int64_t item = 0; item < codes.n(); ++item) {
    const std::span<const std::uint64_t> code = codes.row(item);
    double* sum = training.sums.data() + training.kinds.kind[static_cast<std::size_t>(item)] * bits;
    for (std::size_t bit = 0; bit < bits; ++bit) sum[bit] += (code[bit / 64] >> (bit % 64) & 1) != 0 ? 1 : -1;
  }
  return training;
}

/// The anchor of one label set.
Words anchor_of(std::span<const std::uint64_t> labels, const LabelSets& train_labels,
                const TrainingSums& training, std::size_t bits) {
  std::vector<double> related(bits, 0), unrelated(bits, 0);
  double related_weight = 0, unrelated_weight = 0;
  for (std::size_t kind = 0; kind < training.kinds.first.size(); ++kind) {
    const std::span<const std::uint64_t> other = train_labels.row(training.kinds.first[kind]);
    const double* sum = training.sums.data() + kind * bits;
    const std::int64_t shared = n_shared(labels, other);
    const double weight =
        shared == 0 ? 1
                    : static_cast<double>(shared) /
                          std::sqrt(static_cast<double>(n_ones(labels)) * static_cast<double>(n_ones(other)));
    std::vector<double>& into = shared == 0 ? unrelated : related;
    (shared == 0 ? unrelated_weight : related_weight) +=
        weight * static_cast<double>(training.kinds.count[kind]);
    for (std::size_t bit = 0; bit < bits; ++bit) into[bit] += weight * sum[bit];
  }
  Words code((bits + 63) / 64, 0);
  for (std::size_t bit = 0; bit < bits; ++bit) {
    const double toward = related_weight > 0 ? related[bit] / related_weight : 0;
    const double away = unrelated_weight > 0 ? unrelated[bit] / unrelated_weight : 0;
    if (toward - away > kTie) turn(code, bit);
  }
  return code;
}

Words random_code(RandomStream& stream, std::int64_t bits) {
  Words code((static_cast<std::size_t>(bits) + 63) / 64);
  for (std::uint64_t& word : code) word = stream.next();
  if (bits % 64 != 0) code.back() &= (std::uint64_t{1} << (bits % 64)) - 1;
  return code;
}

/// The levels that all queries with the same labels share.
struct SharedLevels {
  double chance = 0, absolute = 0, anchor = 0, oracle = 0, own_anchor = 0;
};

SharedLevels shared_levels(const RetrievalIndex& index, const RelevantItems& relevant, const Words& anchor,
                           Sense sense) {
  const Words start = sense == Sense::kLower ? opposite(anchor, index.bits()) : anchor;
  const BitSearch found = bit_search(index, relevant, start, sense);
  return {chance_ap(index.n(), relevant.n), absolute_floor(index.n(), relevant.n),
          index.ap_of_code(start, relevant), found.ap, index.ap_of_code(anchor, relevant)};
}

}  // namespace

double chance_ap(std::int64_t n, std::int64_t n_relevant) {
  GAUNTLET_CHECK(n >= 1 && n_relevant >= 0 && n_relevant <= n);
  if (n_relevant == 0) return 0;
  if (n == 1) return 1;
  const double b = static_cast<double>(n_relevant - 1) / static_cast<double>(n - 1);
  return b + (1 - b) * harmonic_between(0, n) / static_cast<double>(n);
}

double absolute_floor(std::int64_t n, std::int64_t n_relevant) {
  GAUNTLET_CHECK(n >= 1 && n_relevant >= 0 && n_relevant <= n);
  if (n_relevant == 0) return 0;
  return rising_sum(1, 1, n - n_relevant, n_relevant) / static_cast<double>(n_relevant);
}

std::vector<std::uint64_t> opposite(std::span<const std::uint64_t> code, std::int64_t bits) {
  Words turned;
  for (const std::uint64_t word : code) turned.push_back(~word);
  if (bits % 64 != 0) turned.back() &= (std::uint64_t{1} << (bits % 64)) - 1;
  return turned;
}

BitSearch bit_search(const RetrievalIndex& index, const RelevantItems& relevant,
                     std::span<const std::uint64_t> start, Sense sense) {
  BitSearch found{words_of(start), index.ap_of_code(start, relevant), {}, 1};
  const auto is_better = [&](double a, double b) { return sense == Sense::kLower ? a < b : a > b; };
  while (true) {
    found.flipped_ap.clear();
    std::size_t best = 0;
    for (std::size_t bit = 0; bit < static_cast<std::size_t>(index.bits()); ++bit) {
      turn(found.code, bit);
      found.flipped_ap.push_back(index.ap_of_code(found.code, relevant));
      turn(found.code, bit);
      if (is_better(found.flipped_ap[bit], found.flipped_ap[best])) best = bit;
    }
    found.n_evaluations += index.bits();
    if (!is_better(found.flipped_ap[best], found.ap)) return found;
    turn(found.code, best);
    found.ap = found.flipped_ap[best];
  }
}

std::vector<std::uint64_t> class_anchors(const LabelSets& labels, const LabelSets& train_labels,
                                         const PackedCodes& train_codes, int n_threads) {
  GAUNTLET_CHECK(train_labels.n() == train_codes.n() && train_labels.n_labels() == labels.n_labels());
  const TrainingSums training = training_sums(train_labels, train_codes);
  const Distinct kinds = distinct_rows(labels);
  std::vector<Words> anchors(kinds.first.size());
  const auto work = [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t kind = first; kind < last; ++kind) {
      anchors[static_cast<std::size_t>(kind)] =
          anchor_of(labels.row(kinds.first[static_cast<std::size_t>(kind)]), train_labels, training,
                    static_cast<std::size_t>(train_codes.bits()));
    }
  };
  parallel_ranges(static_cast<std::int64_t>(anchors.size()), n_threads, work);
  Words all;
  for (const std::size_t kind : kinds.kind) {
    all.insert(all.end(), anchors[kind].begin(), anchors[kind].end());
  }
  return all;
}

std::vector<double> ap_of_codes(const RetrievalIndex& index, const PackedCodes& codes,
                                const LabelSets& labels, int n_threads) {
  GAUNTLET_CHECK(codes.n() == labels.n() && codes.bits() == index.bits());
  std::vector<double> values(static_cast<std::size_t>(codes.n()));
  parallel_ranges(codes.n(), n_threads, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t query = first; query < last; ++query) {
      values[static_cast<std::size_t>(query)] = index.ap_of_code(codes.row(query), labels.row(query));
    }
  });
  return values;
}

std::vector<double> least_ap(const RetrievalIndex& index, const PackedCodes& codes, const LabelSets& labels,
                             int n_threads) {
  return weakest_codes(index, codes, labels, n_threads).ap;
}

ReferenceLevels reference_levels(const RetrievalIndex& index, const LabelSets& labels,
                                 const LabelSets& train_labels, const PackedCodes& train_codes, Sense sense,
                                 const ReferenceOptions& options) {
  const Distinct kinds = distinct_rows(labels);
  const Words anchors = class_anchors(labels, train_labels, train_codes, options.n_threads);
  const std::size_t n_words = index.n_words();
  std::vector<RelevantItems> relevant(kinds.first.size());
  std::vector<SharedLevels> shared(kinds.first.size());
  const auto search = [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t kind = first; kind < last; ++kind) {
      const auto at = static_cast<std::size_t>(kind);
      const auto row = static_cast<std::size_t>(kinds.first[at]);
      relevant[at] = index.relevant_to(labels.row(kinds.first[at]));
      const auto begin = anchors.begin() + static_cast<std::ptrdiff_t>(row * n_words);
      shared[at] = shared_levels(index, relevant[at],
                                 Words(begin, begin + static_cast<std::ptrdiff_t>(n_words)), sense);
    }
  };
  parallel_ranges(static_cast<std::int64_t>(shared.size()), options.n_threads, search, 1);

  ReferenceLevels levels;
  levels.random_code.resize(static_cast<std::size_t>(labels.n()), 0);
  parallel_ranges(labels.n(), options.n_threads, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t query = first; query < last; ++query) {
      RandomStream stream = RandomStream::of(options.seed, kStreamTag, static_cast<std::uint64_t>(query));
      double sum = 0;
      for (int draw = 0; draw < options.n_random_codes; ++draw) {
        const Words code = random_code(stream, index.bits());
        sum += index.ap_of_code(code, relevant[kinds.kind[static_cast<std::size_t>(query)]]);
      }
      levels.random_code[static_cast<std::size_t>(query)] = sum / std::max(1, options.n_random_codes);
    }
  });
  for (const std::size_t kind : kinds.kind) {
    levels.chance.push_back(shared[kind].chance);
    levels.absolute.push_back(shared[kind].absolute);
    levels.anchor.push_back(shared[kind].anchor);
    levels.oracle.push_back(shared[kind].oracle);
    levels.own_anchor.push_back(shared[kind].own_anchor);
  }
  return levels;
}

}  // namespace gauntlet::metrics
