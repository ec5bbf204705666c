// Means, standard deviations and marks of table entries.
#pragma once

#include <vector>

#include "results/table/pivot.hpp"

namespace gauntlet::results {

/// Sets n, mean and, from two numbers on, the sample standard deviation (ddof 1).
void set_statistics(TableEntry& entry, const std::vector<double>& numbers);

/// Marks the best and the second of entries that compare, by their direction. Several may share a place; with
/// several at the top there is no second, and where all are equal, or there is only one, nothing is marked.
void mark_block(std::vector<TableEntry*>& entries);

}  // namespace gauntlet::results
