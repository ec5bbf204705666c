#include "results/table/statistics.hpp"

#include <algorithm>
#include <cmath>

namespace gauntlet::results {

void set_statistics(TableEntry& entry, const std::vector<double>& numbers) {
  entry.n = static_cast<std::int64_t>(numbers.size());
  if (numbers.empty()) return;
  const auto count = static_cast<double>(numbers.size());
  double sum = 0;
  for (const double number : numbers) sum += number;
  entry.mean = sum / count;
  if (numbers.size() < 2) return;
  double squares = 0;
  for (const double number : numbers) squares += (number - entry.mean) * (number - entry.mean);
  entry.std = std::sqrt(squares / (count - 1));
}

void mark_block(std::vector<TableEntry*>& entries) {
  if (entries.size() < 2) return;
  std::stable_sort(entries.begin(), entries.end(), [](const TableEntry* a, const TableEntry* b) {
    return a->higher_is_better ? a->mean > b->mean : a->mean < b->mean;
  });
  const double best = entries.front()->mean;
  const auto second = std::find_if(entries.begin(), entries.end(),
                                   [&](const TableEntry* entry) { return entry->mean != best; });
  if (second == entries.end()) return;
  const bool one_best = second - entries.begin() == 1;
  for (TableEntry* entry : entries) {
    if (entry->mean == best) entry->mark = Mark::kBest;
    if (one_best && entry->mean == (*second)->mean) entry->mark = Mark::kSecond;
  }
}

}  // namespace gauntlet::results
