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
  bool number = false;  ///< compared as a number; otherwise as text
};

/// SQL with a `?` per value. Never holds anything a person typed, other than names checked against the
/// columns.
struct Where {
  std::string sql;
  std::vector<std::variant<double, std::string>> values;
};

/// The axes of a cell: dataset, model, bits, defense, attack, protocol, direction, variant, seed.
[[nodiscard]] std::span<const WhereColumn> cell_columns();
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
