// Which cells of a sweep have something to look at, and the jobs whose artifacts show it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/artifacts/artifact_store.hpp"
#include "core/base/result.hpp"
#include "core/data/prepared_set.hpp"
#include "core/db/connection.hpp"
#include "core/draw/sheet.hpp"
#include "results/store/cell_jobs.hpp"
#include "results/store/selection.hpp"

namespace gauntlet::cli {

/// Codes of queries and of what they are compared with.
struct CodeJobs {
  results::JobOfCell queries, items;
};

struct SheetCell {
  results::CellRow row;
  std::vector<results::JobOfCell> jobs;
  /// Retrieval sheets: the same cell without attack and defense, and with the attack but without a defense,
  /// where the sweep has them; none for what the cell is itself.
  std::vector<CodeJobs> before, undefended;
  std::string waits_for;  ///< a sentence about a job that is not done, or ""

  /// By its role; null where the cell has none.
  [[nodiscard]] const results::JobOfCell* find(std::string_view role) const;
};

/// "drfgd under PGD (static), i2t, cpah 32 bits, picto_scenes, seed 1"
[[nodiscard]] std::string name_of(const spec::Cell& cell);

/// For heat maps one cell per explain job, for retrieval every attacked cell with codes of its own. Errors:
/// kNotFound (no such sweep; nothing in it to show, with what would), kInvalid (the condition).
[[nodiscard]] Result<std::vector<SheetCell>> find_sheet_cells(db::Connection& connection,
                                                              const std::string& sweep,
                                                              const std::string& where, bool retrieval);

/// The prepared set of a cell, found by names and sizes of its files: hashing large ones would take minutes.
[[nodiscard]] Result<data::PreparedSet> open_set(const artifacts::ArtifactStore& store,
                                                 const SheetCell& cell);

/// `rows` empty: `n_queries` drawn by the cell's seed, the same as its explain job draws.
[[nodiscard]] Result<draw::Sheet> retrieval_sheet_of(const artifacts::ArtifactStore& store,
                                                     const SheetCell& cell, std::vector<std::int64_t> rows,
                                                     std::size_t n_queries, const draw::Lettering& lettering);

}  // namespace gauntlet::cli
