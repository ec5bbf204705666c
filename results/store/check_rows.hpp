// Verdicts of `gauntlet verify --robustness`, as rows. docs/robustness.md, "Checks", says what each means.
// Thread safety: functions use the caller's connection and nothing else.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "core/base/result.hpp"
#include "core/db/connection.hpp"
#include "results/store/selection.hpp"

namespace gauntlet::results {

/// What a check is about: one defense, as one model, code length, direction and seed meet it. Labels of the
/// axes, as in a cell.
struct CheckSubject {
  std::string dataset;
  std::string model;
  std::int64_t bits = 0;
  std::string defense;
  std::string direction;
  std::string variant;
  std::uint64_t seed = 0;

  auto operator<=>(const CheckSubject&) const = default;
};

/// The subject in seven columns of a row, in the order of its fields, from column `first` on.
[[nodiscard]] CheckSubject check_subject(const db::Statement& statement, int first);

/// One check of one subject.
struct CheckRow {
  std::string sweep;
  CheckSubject subject;
  std::string check;    ///< "R01" to "R21"
  std::string verdict;  ///< "pass", "note", "warn", "fail", "not run"
  /// Budget of the attacks that were judged, of the whole range of an input.
  std::optional<double> epsilon = {};
  /// The figure; above 0 is bad where it is a difference. Nothing: not measured.
  std::optional<double> delta = {};
  /// Ends of the paired 95 % interval; nothing where the figure has none.
  std::optional<double> ci_low = {};
  std::optional<double> ci_high = {};
  std::int64_t n = 0;         ///< queries or inputs behind the figure
  std::string sentence = {};  ///< what it means, figures included
  std::string revision = {};  ///< of the code that judged

  bool operator==(const CheckRow&) const = default;
};

/// Those whose sweep and axes the filter allows, by sweep, subject and check. Columns of the filter: sweep,
/// dataset, model, bits, defense, direction, variant, seed. Errors (kInvalid): another column.
[[nodiscard]] Result<std::vector<CheckRow>> read_checks(db::Connection& connection,
                                                        const CellFilter& filter = {});

/// Replaces the rows of a sweep, in one transaction. Every row is of that sweep. Errors: kNotFound (no such
/// sweep), kInvalid (a verdict that is none, a check of one subject twice), those of db::Transaction.
[[nodiscard]] Status write_checks(db::Connection& connection, const std::string& sweep,
                                  std::span<const CheckRow> rows);

}  // namespace gauntlet::results
