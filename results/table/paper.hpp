// Numbers printed in a paper, beside ours.
//
// A reference file is CSV (RFC 4180) with one number a line: columns named as axes of cells (dataset, model,
// bits, defense, attack, protocol, direction, variant) and `metric`, and the number as `value` or, in
// percent, as `value_percent`. Further columns only serve the spec's `where`.
#pragma once

#include "core/base/result.hpp"
#include "results/table/pivot.hpp"

namespace gauntlet::results {

/// Sets `paper` of every entry whose axes agree with a line of the file in all columns that it has; the file
/// names a variant without its ablation. Does nothing without spec.paper. Errors: kNotFound, kIo;
/// kInvalid with file:line (no such column, not a number, two lines for one entry, no line for any entry).
[[nodiscard]] Status add_paper(const TableSpec& spec, Table& table);

/// Lines of a CSV file as fields; quoted fields may hold commas, quotes and line breaks. Errors (kInvalid): a
/// quote that does not end, `source` and the line named.
[[nodiscard]] Result<std::vector<std::vector<std::string>>> csv_lines(std::string_view text,
                                                                      std::string_view source);

}  // namespace gauntlet::results
