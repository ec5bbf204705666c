// One function per way of showing a table; see Format.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "results/table/render.hpp"

namespace gauntlet::results {

[[nodiscard]] std::string render_markdown(const Table& table);
[[nodiscard]] std::string render_text(const Table& table, bool ansi);
[[nodiscard]] std::string render_csv(const Table& table);
[[nodiscard]] std::string render_json(const Table& table);
[[nodiscard]] std::string render_latex(const Table& table);
[[nodiscard]] std::string render_html(const Table& table);

/// The sentences under a table: what the numbers are, what is missing, the note, where the numbers come from.
[[nodiscard]] std::vector<std::string> footer(const Table& table, std::string_view best,
                                              std::string_view second);

/// Whether entries show their counts: they do when these differ.
[[nodiscard]] bool shows_counts(const Table& table);

/// What a column for people shows of an entry.
enum class Part : std::uint8_t { kValue, kPaper, kDifference };
struct ShownColumn {
  std::size_t column = 0;  ///< of the table
  Part part = Part::kValue;
};

/// The table's columns, each followed by the paper's where one of its entries has a printed number.
[[nodiscard]] std::vector<ShownColumn> shown_columns(const Table& table);

/// [level][shown column]: labels of the columns, with one more level where parts are told apart.
[[nodiscard]] std::vector<std::vector<std::string>> column_labels(const Table& table,
                                                                  const std::vector<ShownColumn>& columns);

/// The entry's text in that column, without its mark.
[[nodiscard]] std::string part_text(const Table& table, const TableEntry& entry, Part part, bool with_n);

/// [row as shown][level]: how many rows its label stands for; 0 where the row above says it. The last level
/// is never merged.
[[nodiscard]] std::vector<std::vector<std::size_t>> row_spans(const Table& table,
                                                              const std::vector<std::size_t>& rows);

/// [level][shown column]: how many columns its label stands for; 0 where the column before says it.
[[nodiscard]] std::vector<std::vector<std::size_t>> column_spans(
    const std::vector<std::vector<std::string>>& labels);

/// Whether a rule is drawn above a row: other labels on the outermost level, or the end of the references.
[[nodiscard]] bool starts_block(const Table& table, std::size_t row, const Heading* above);

}  // namespace gauntlet::results
