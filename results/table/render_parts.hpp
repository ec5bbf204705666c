// One function per way of showing a table; see Format.
#pragma once

#include <string>
#include <vector>

#include "results/table/render.hpp"

namespace gauntlet::results {

[[nodiscard]] std::string render_markdown(const Table& table);
[[nodiscard]] std::string render_text(const Table& table, bool ansi);
[[nodiscard]] std::string render_csv(const Table& table);
[[nodiscard]] std::string render_json(const Table& table);

/// The sentences under a table: what the numbers are, what is missing, the note, where the numbers come from.
[[nodiscard]] std::vector<std::string> footer(const Table& table, std::string_view best,
                                              std::string_view second);

/// Whether entries show their counts: they do when these differ.
[[nodiscard]] bool shows_counts(const Table& table);

/// Rows in the order they are shown: references first.
[[nodiscard]] std::vector<std::size_t> shown_rows(const Table& table);

}  // namespace gauntlet::results
