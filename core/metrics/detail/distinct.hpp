// Label sets that are equal, once each: what is computed of one holds for all of them.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "core/metrics/labels.hpp"

namespace gauntlet::metrics {

/// Rows that are equal, once each, in the order they come.
struct Distinct {
  std::vector<std::int64_t> first;  ///< a row of every kind
  std::vector<std::size_t> kind;    ///< [n]
  std::vector<std::int64_t> count;  ///< rows of every kind
};

inline Distinct distinct_rows(const LabelSets& sets) {
  Distinct rows;
  std::map<std::vector<std::uint64_t>, std::size_t> known;
  for (std::int64_t row = 0; row < sets.n(); ++row) {
    const auto words = sets.row(row);
    const auto [kind, is_new] =
        known.emplace(std::vector<std::uint64_t>(words.begin(), words.end()), rows.first.size());
    if (is_new) {
      rows.first.push_back(row);
      rows.count.push_back(0);
    }
    ++rows.count[kind->second];
    rows.kind.push_back(kind->second);
  }
  return rows;
}

}  // namespace gauntlet::metrics
