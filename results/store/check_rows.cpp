#include "results/store/check_rows.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "core/base/text.hpp"
#include "core/db/transaction.hpp"

namespace gauntlet::results {
namespace {

constexpr std::array<std::string_view, 8> kColumns = {"sweep",   "dataset",   "model",   "bits",
                                                      "defense", "direction", "variant", "seed"};

constexpr std::array<std::string_view, 5> kVerdicts = {"pass", "note", "warn", "fail", "not run"};

bool allows(const CellFilter& filter, std::string_view column, const std::string& value) {
  const auto wanted = filter.find(std::string(column));
  return wanted == filter.end() || std::ranges::find(wanted->second, value) != wanted->second.end();
}

bool allows(const CellFilter& filter, const CheckRow& row) {
  const CheckSubject& subject = row.subject;
  return allows(filter, "sweep", row.sweep) && allows(filter, "dataset", subject.dataset) &&
         allows(filter, "model", subject.model) && allows(filter, "bits", std::to_string(subject.bits)) &&
         allows(filter, "defense", subject.defense) && allows(filter, "direction", subject.direction) &&
         allows(filter, "variant", subject.variant) && allows(filter, "seed", std::to_string(subject.seed));
}

std::optional<double> real_or_nothing(const db::Statement& statement, int column) {
  return statement.is_null(column) ? std::nullopt : std::optional(statement.real(column));
}

CheckRow row_of(const db::Statement& statement) {
  CheckRow row;
  row.sweep = statement.text(0);
  row.subject = check_subject(statement, 1);
  row.check = statement.text(8);
  row.verdict = statement.text(9);
  row.epsilon = real_or_nothing(statement, 10);
  row.delta = real_or_nothing(statement, 11);
  row.ci_low = real_or_nothing(statement, 12);
  row.ci_high = real_or_nothing(statement, 13);
  row.n = statement.integer(14);
  row.sentence = statement.text(15);
  row.revision = statement.text(16);
  return row;
}

Result<std::int64_t> sweep_id(db::Connection& connection, const std::string& sweep) {
  GAUNTLET_TRY(db::Statement * find, connection.cached("SELECT sweep_id FROM sweeps WHERE name = ?"));
  GAUNTLET_CHECK_OK(find->bind_all(sweep));
  GAUNTLET_TRY(const bool found, find->step());
  if (!found) return fail(ErrorCode::kNotFound, "{} has no sweep '{}'", connection.path(), sweep);
  const std::int64_t id = find->integer(0);
  find->reset();
  return id;
}

/// What the table would refuse, in words.
Status are_proper(const std::string& sweep, std::span<const CheckRow> rows) {
  std::set<std::pair<CheckSubject, std::string>> seen;
  for (const CheckRow& row : rows) {
    if (std::ranges::find(kVerdicts, row.verdict) == kVerdicts.end()) {
      return fail(
          ErrorCode::kInvalid,
          "sweep '{}', check {}: verdict '{}' is unknown; allowed are pass, note, warn, fail, not run", sweep,
          row.check, row.verdict);
    }
    if (!seen.emplace(row.subject, row.check).second) {
      return fail(ErrorCode::kInvalid, "sweep '{}': check {} is given twice for defense '{}'", sweep,
                  row.check, row.subject.defense);
    }
  }
  return {};
}

}  // namespace

CheckSubject check_subject(const db::Statement& statement, int first) {
  return {.dataset = std::string(statement.text(first)),
          .model = std::string(statement.text(first + 1)),
          .bits = statement.integer(first + 2),
          .defense = std::string(statement.text(first + 3)),
          .direction = std::string(statement.text(first + 4)),
          .variant = std::string(statement.text(first + 5)),
          .seed = static_cast<std::uint64_t>(statement.integer(first + 6))};
}

Result<std::vector<CheckRow>> read_checks(db::Connection& connection, const CellFilter& filter) {
  for (const auto& [column, values] : filter) {
    if (std::ranges::find(kColumns, column) != kColumns.end()) continue;
    return fail(
        ErrorCode::kInvalid, "{}",
        unknown_name_message("column", column, std::vector<std::string>(kColumns.begin(), kColumns.end())));
  }
  GAUNTLET_TRY(db::Statement * statement,
               connection.cached("SELECT sweep, dataset, model, bits, defense, direction, variant, seed, "
                                 "check_id, verdict, epsilon, delta, ci_low, ci_high, n, sentence, revision "
                                 "FROM v_checks ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9"));
  std::vector<CheckRow> rows;
  while (true) {
    GAUNTLET_TRY(const bool found, statement->step());
    if (!found) return rows;
    CheckRow row = row_of(*statement);
    if (allows(filter, row)) rows.push_back(std::move(row));
  }
}

Status write_checks(db::Connection& connection, const std::string& sweep, std::span<const CheckRow> rows) {
  GAUNTLET_CHECK_OK(are_proper(sweep, rows));
  GAUNTLET_TRY(const std::int64_t id, sweep_id(connection, sweep));
  GAUNTLET_TRY(db::Transaction transaction, db::Transaction::begin(connection));
  GAUNTLET_TRY(db::Statement * forget, connection.cached("DELETE FROM checks WHERE sweep_id = ?"));
  GAUNTLET_CHECK_OK(forget->run_with(id));
  GAUNTLET_TRY(db::Statement * insert,
               connection.cached("INSERT INTO checks VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"));
  for (const CheckRow& row : rows) {
    const CheckSubject& subject = row.subject;
    GAUNTLET_CHECK_OK(insert->run_with(id, subject.dataset, subject.model, subject.bits, subject.defense,
                                       subject.direction, subject.variant, subject.seed, row.check,
                                       row.verdict, row.epsilon, row.delta, row.ci_low, row.ci_high, row.n,
                                       row.sentence, row.revision));
  }
  return transaction.commit();
}

}  // namespace gauntlet::results
