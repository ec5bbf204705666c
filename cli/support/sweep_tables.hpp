// The tables a sweep names: read before anything runs, filled when it is done.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/support/sweep_file.hpp"
#include "results/table/pivot.hpp"
#include "results/table/table_spec.hpp"

namespace gauntlet::cli {

struct NamedTableSpec {
  std::string name;  ///< stem of its file: tables/<name>.md
  results::TableSpec spec;
};
struct NamedTable {
  std::string name;
  results::Table table;
};

/// Errors: kNotFound, and kInvalid with every problem of a table spec.
[[nodiscard]] Result<std::vector<NamedTableSpec>> read_table_specs(const LoadedSweep& sweep);

[[nodiscard]] Result<std::vector<NamedTable>> fill_tables(const std::vector<NamedTableSpec>& specs,
                                                          const std::filesystem::path& database);

/// Writes <folder>/<name>.md, .tex, .html, .csv and .json. Errors: kNoSpace, kIo.
[[nodiscard]] Status write_tables(const std::vector<NamedTable>& tables, const std::filesystem::path& folder);

/// Names the first missing numbers on stderr; returns how many there are.
[[nodiscard]] std::size_t name_missing(const std::vector<results::MissingNumber>& missing);

}  // namespace gauntlet::cli
