// What gauntlet eval says of an evaluation: the document, the text, values per query in a file, and what
// about the input deserves a second look.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/support/code_files.hpp"
#include "core/base/json.hpp"
#include "core/metrics/bootstrap.hpp"
#include "core/metrics/evaluate.hpp"
#include "core/metrics/per_class.hpp"

namespace gauntlet::cli {

struct EvalReport {
  metrics::Evaluation evaluation;
  CodeFacts query_facts;
  CodeFacts retrieval_facts;
  std::optional<metrics::BootstrapOptions> bootstrap;
  std::vector<metrics::MetricInterval> intervals;          ///< one per metric; empty without bootstrap
  std::vector<std::vector<metrics::ClassMean>> per_class;  ///< one per metric; empty unless asked for
};

/// Sentences about the input: queries and items that look swapped, codes that do not tell items apart, exact
/// zeros, no relevant item at all, cutoffs beyond the number of items.
[[nodiscard]] std::vector<std::string> remarks_on(const EvalReport& report);

[[nodiscard]] Json to_json(const EvalReport& report);
[[nodiscard]] std::string to_text(const EvalReport& report);

/// Values of every query, one row each, one column per metric that has them: .csv (with a head, and the
/// query's row number first) or .npy (f64). Errors: kInvalid for another ending, kIo, kNoSpace.
[[nodiscard]] Status write_per_query(const metrics::Evaluation& evaluation,
                                     const std::filesystem::path& path);
/// Whether the file's ending is one of those. Errors (kInvalid): what is allowed.
[[nodiscard]] Status check_per_query_path(const std::filesystem::path& path);

}  // namespace gauntlet::cli
