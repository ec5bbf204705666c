#include "core/data/detail/label_stats.hpp"

#include <algorithm>
#include <map>

namespace gauntlet::data::detail {

bool DistinctLabels::share_a_label(std::size_t a, std::size_t b) const {
  for (std::size_t word = 0; word < n_words; ++word) {
    if ((bits[a * n_words + word] & bits[b * n_words + word]) != 0) return true;
  }
  return false;
}

DistinctLabels distinct_labels(std::span<const std::uint8_t> labels, std::int64_t n_labels) {
  DistinctLabels distinct;
  const auto row_length = static_cast<std::size_t>(n_labels);
  distinct.n_words = (row_length + 63) / 64;
  std::map<std::vector<std::uint64_t>, std::uint32_t> known;
  std::vector<std::uint64_t> bits(distinct.n_words);
  for (std::size_t begin = 0; begin < labels.size(); begin += row_length) {
    std::ranges::fill(bits, 0U);
    for (std::size_t label = 0; label < row_length; ++label) {
      bits[label / 64] |= std::uint64_t{labels[begin + label]} << (label % 64);
    }
    const auto [at, is_new] = known.emplace(bits, static_cast<std::uint32_t>(known.size()));
    if (is_new) distinct.bits.insert(distinct.bits.end(), bits.begin(), bits.end());
    distinct.vector_of_row.push_back(at->second);
  }
  return distinct;
}

Chance chance_of(const DistinctLabels& labels, std::span<const std::int64_t> query_rows,
                 std::span<const std::int64_t> retrieval_rows) {
  if (query_rows.empty() || retrieval_rows.empty()) return {};
  std::vector<std::int64_t> population(labels.n_distinct(), 0);  // retrieval rows per distinct vector
  for (const std::int64_t row : retrieval_rows)
    ++population[labels.vector_of_row[static_cast<std::size_t>(row)]];
  std::map<std::uint32_t, double> share_of;  // per distinct vector of the queries
  Chance chance{0, 1, 0};
  double sum = 0;
  for (const std::int64_t row : query_rows) {
    const std::uint32_t query = labels.vector_of_row[static_cast<std::size_t>(row)];
    const auto [at, is_new] = share_of.emplace(query, 0.0);
    if (is_new) {
      std::int64_t relevant = 0;
      for (std::size_t other = 0; other < population.size(); ++other) {
        if (population[other] != 0 && labels.share_a_label(query, other)) relevant += population[other];
      }
      at->second = static_cast<double>(relevant) / static_cast<double>(retrieval_rows.size());
    }
    sum += at->second;
    chance.least = std::min(chance.least, at->second);
    chance.largest = std::max(chance.largest, at->second);
  }
  chance.mean = sum / static_cast<double>(query_rows.size());
  return chance;
}

}  // namespace gauntlet::data::detail
