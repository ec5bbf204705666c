// The rules of `gauntlet verify` that one question to SQLite can answer. Thread safety: constants.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace gauntlet::store {

/// Every row of the answer breaks the rule. Columns: who, and a clause that says what is wrong with it.
/// `@x` stands for the name of the job in table alias x, `@x.state` for the name of its state.
struct VerifyRule {
  std::string_view check;
  std::string_view question;
};

[[nodiscard]] std::span<const VerifyRule> verify_rules();
/// The question as SQLite understands it.
[[nodiscard]] std::string sql_of(const VerifyRule& rule);

}  // namespace gauntlet::store
