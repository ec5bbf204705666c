// Questions to the database that cannot change it.
// Thread safety: every call opens a connection of its own; calls may run at once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace gauntlet::results {

enum class OutputFormat : std::uint8_t { kTable, kCsv, kJson, kJsonl, kMarkdown };

/// "table", "csv", "json", "jsonl", "md".
[[nodiscard]] const std::vector<std::string>& output_format_names();

/// One of output_format_names(). Errors (kInvalid): names the known ones.
[[nodiscard]] Result<OutputFormat> output_format_from(std::string_view name);

struct QueryOptions {
  OutputFormat format = OutputFormat::kTable;
  double time_limit_s = 60;                        ///< 0 = none
  std::size_t max_bytes = std::size_t{512} << 20;  ///< of output
  std::uint64_t offset = 0;                        ///< rows left out at the beginning
  std::uint64_t limit = 0;                         ///< rows shown at most; 0 = all
};

/// What of the answer was shown.
struct QueryEnd {
  std::uint64_t n_rows = 0;
  bool more = false;  ///< the limit kept rows back
};

/// Runs one SELECT (or EXPLAIN, or a PRAGMA that only reads) on a read-only connection and returns its rows
/// as text. JSON: {"format":1,"columns":[…],"rows":[[…]]}, and "next_offset" where the limit kept rows back;
/// JSON lines: one object per row. Blobs are shown as hexadecimal. Errors: kInvalid (SQL mistakes, more
/// output than max_bytes), kRefused (anything that would write, attach or load), kTimedOut, kNotFound (no
/// database), and those of opening.
[[nodiscard]] Result<std::string> run_query(const std::filesystem::path& database, std::string_view sql,
                                            const QueryOptions& options, QueryEnd* end = nullptr);

/// SELECT over v_results by the short form of a condition (see parse_where). Rows come as the database keeps
/// them: in the same order as long as nobody writes.
[[nodiscard]] Result<std::string> run_where(const std::filesystem::path& database, std::string_view where,
                                            const QueryOptions& options, QueryEnd* end = nullptr);

}  // namespace gauntlet::results
