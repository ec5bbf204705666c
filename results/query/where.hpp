// The short form of a condition, as people type it: dataset=picto and (attack=pgd or bits >= 32).
// Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/result.hpp"
#include "core/db/statement.hpp"

namespace gauntlet::results {

/// A column a condition may name.
struct WhereColumn {
  std::string_view name;
  bool number = false;        ///< compared as a number; otherwise as text
  std::string_view sql = {};  ///< what stands for it; "" = its name. Given for what a job says of itself
  /// Turns a value into the one that is stored, e.g. "oom" into "out_of_memory"; null = as typed. Errors
  /// (kInvalid): names the known ones.
  Result<std::string> (*stored)(std::string_view value) = nullptr;
};

/// SQL with a `?` per value. Never holds anything a person typed, other than names checked against the
/// columns.
struct Where {
  std::string sql;
  std::vector<std::variant<double, std::string>> values;
  bool names_job = false;  ///< a column of the job itself is among the named ones
};

/// The axes of a cell: dataset, model, bits, defense, attack, protocol, direction, variant, seed.
[[nodiscard]] std::span<const WhereColumn> cell_columns();
/// Those, and what a job says of itself, given `jobs j` in the query: `cause` (why it failed; also by the
/// short names oom, nan, timeout, nccl, killed) and `kind`.
[[nodiscard]] std::span<const WhereColumn> job_columns();
/// The columns of v_results.
[[nodiscard]] std::span<const WhereColumn> result_columns();

/// Reads conditions `column OP value`, `column in (a, b)`, `column like 'pgd%'`, joined by `and`, `or`, `not`
/// and parentheses. OP: = == != <> < <= > >=. Values are bare words, numbers, or quoted by ' or " (doubled
/// inside). Errors (kInvalid): what was expected and where (characters from 1); an unknown column with the
/// nearest one.
[[nodiscard]] Result<Where> parse_where(std::string_view text, std::span<const WhereColumn> columns);

/// Binds the values from parameter 1 on; the statement must have just these.
[[nodiscard]] Status bind_where(db::Statement& statement, const Where& where);

}  // namespace gauntlet::results
