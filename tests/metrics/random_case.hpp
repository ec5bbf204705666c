// Random codes and labels by seed, with distances and shared labels by the definition, for tests.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/base/random.hpp"
#include "core/metrics/evaluate.hpp"

namespace gauntlet::metrics {

struct Case {
  std::vector<int> query_codes, retrieval_codes;
  std::vector<std::uint8_t> query_labels, retrieval_labels, target_labels;
  std::int64_t n_queries, n_items, bits, n_labels;

  [[nodiscard]] static PackedCodes pack(const std::vector<int>& values, std::int64_t bits) {
    return PackedCodes::from_values(std::span<const int>(values), bits).value();
  }
  [[nodiscard]] LabelSets sets(const std::vector<std::uint8_t>& values) const {
    return LabelSets::from_values(std::span<const std::uint8_t>(values), n_labels).value();
  }
  [[nodiscard]] Evaluation run(const std::vector<std::string>& names, int n_threads = 1) const {
    const PackedCodes queries = pack(query_codes, bits);
    const PackedCodes retrieval = pack(retrieval_codes, bits);
    const LabelSets own = sets(query_labels);
    const LabelSets items = sets(retrieval_labels);
    const LabelSets targets = sets(target_labels);
    Result<Evaluation> result = evaluate({queries, retrieval, own, items, &targets}, names, n_threads);
    EXPECT_TRUE(result) << (result ? "" : result.error().message);
    return result ? *result : Evaluation{};
  }
  [[nodiscard]] Rankings rankings(SimdPath path, bool stable, int n_threads = 1) const {
    const LabelSets targets = sets(target_labels);
    const PackedCodes queries = pack(query_codes, bits);
    const PackedCodes items = pack(retrieval_codes, bits);
    const LabelSets own = sets(query_labels);
    const LabelSets labels = sets(retrieval_labels);
    return Rankings::build({queries, own, &targets}, ItemsInMemory(items, labels),
                           {.stable = stable, .n_threads = n_threads, .path = path})
        .value();
  }
};

inline Case random_case(std::uint64_t seed, std::int64_t n_queries, std::int64_t n_items, std::int64_t bits,
                        std::int64_t n_labels) {
  RandomStream stream(seed);
  Case drawn{{}, {}, {}, {}, {}, n_queries, n_items, bits, n_labels};
  const auto codes = [&](std::int64_t n) {
    std::vector<int> values(static_cast<std::size_t>(n * bits));
    for (int& value : values) value = stream.below(2) == 0 ? -1 : 1;
    return values;
  };
  const auto labels = [&](std::int64_t n) {
    std::vector<std::uint8_t> values(static_cast<std::size_t>(n * n_labels));
    for (std::uint8_t& value : values) value = stream.below(4) == 0 ? 1 : 0;
    return values;
  };
  drawn.query_codes = codes(n_queries);
  drawn.retrieval_codes = codes(n_items);
  drawn.query_labels = labels(n_queries);
  drawn.retrieval_labels = labels(n_items);
  drawn.target_labels = labels(n_queries);
  return drawn;
}

/// The distances and relevance of one query by the definition, item by item.
inline void naive(const Case& drawn, std::int64_t query, std::vector<int>& distances,
                  std::vector<bool>& relevant, const std::vector<std::uint8_t>& labels) {
  for (std::int64_t item = 0; item < drawn.n_items; ++item) {
    int distance = 0;
    for (std::int64_t bit = 0; bit < drawn.bits; ++bit) {
      distance += drawn.query_codes[static_cast<std::size_t>(query * drawn.bits + bit)] !=
                  drawn.retrieval_codes[static_cast<std::size_t>(item * drawn.bits + bit)];
    }
    bool shared = false;
    for (std::int64_t label = 0; label < drawn.n_labels; ++label) {
      shared =
          shared || (labels[static_cast<std::size_t>(query * drawn.n_labels + label)] != 0 &&
                     drawn.retrieval_labels[static_cast<std::size_t>(item * drawn.n_labels + label)] != 0);
    }
    distances.push_back(distance);
    relevant.push_back(shared);
  }
}

}  // namespace gauntlet::metrics
