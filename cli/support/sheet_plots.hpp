// Sheets of pictures out of a sweep's artifacts: heat maps of explain jobs, what queries find.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/db/connection.hpp"

namespace gauntlet::cli {

struct SheetRequest {
  bool retrieval = false;  ///< heat maps otherwise
  std::string sweep;
  std::string where;               ///< condition on cells; "" = all
  std::vector<std::int64_t> rows;  ///< retrieval: queries to show; empty: `n_queries` are drawn
  std::size_t n_queries = 4;
  bool png = false;              ///< svg otherwise
  std::filesystem::path output;  ///< "" = plots/ of the work folder
  std::filesystem::path workdir;
  bool allow_missing = false;
};

/// The sweep that a subject of `plot` names: the name in a sweep file, or the subject itself where no file is
/// called so. Nothing for another file, which is a table spec. Errors: kIo.
[[nodiscard]] Result<std::optional<std::string>> sweep_of_subject(const std::string& subject);

/// Draws a sheet for each explain job (heat maps) or attacked cell (retrieval) and prints the files' paths.
/// Errors: kNotFound (no such sweep or cell, an artifact that is not in the work folder), kInvalid (several
/// sheets for one --output, a row that is no query), kIncomplete (jobs that have not run, named on stderr).
[[nodiscard]] Result<int> plot_sheets(db::Connection& connection, const SheetRequest& request);

}  // namespace gauntlet::cli
