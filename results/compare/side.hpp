// One side of a comparison: the numbers of a sweep, a database, a code revision, or a reference file.
// Thread safety: none; a side belongs to one thread.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/db/connection.hpp"

namespace gauntlet::results {

/// Axes of a cell that tell places apart; seeds are what is averaged over.
inline constexpr std::array<std::string_view, 8> kPlaceAxes = {"dataset", "model",    "bits",      "defense",
                                                               "attack",  "protocol", "direction", "variant"};

/// Where a number belongs: a cell without its seed, and the metric.
struct Place {
  std::array<std::string, kPlaceAxes.size()> axes;
  std::string metric;
  auto operator<=>(const Place&) const = default;
};

struct SideNumber {
  double value = 0;
  std::string unit = "ratio";
  bool higher_is_better = true;
  std::int64_t cell_id = 0;
  std::int64_t job_id = 0;  ///< 0 in reference files
  std::string sweep;
  std::string revision;
  std::string device;
};

struct Side {
  std::string name;  ///< as it was typed
  /// Of a database; null for a reference file.
  std::unique_ptr<db::Connection> connection;
  /// Place → seed → number; seed 0 in reference files.
  std::map<Place, std::map<std::uint64_t, SideNumber>> numbers;
  /// Which axes the numbers are told apart by: all of a database's, the columns of a reference file.
  std::array<bool, kPlaceAxes.size()> has_axis{};
};

struct SideOptions {
  std::filesystem::path database;    ///< where sweeps are looked for
  std::vector<std::string> metrics;  ///< empty = those that the cells must have
  std::string where;                 ///< over the axes of cells; "" = all cells
};

/// Reads what `text` names, in this order: a file `*.csv` (columns: axes, metric, value or value_percent);
/// `FILE.db` or `FILE.db:SWEEP`; a sweep by name or number; `SWEEP@REVISION` or `@REVISION`, numbers measured
/// by code whose revision starts so. Errors: kNotFound (no such file or sweep, no number left), kInvalid (a
/// condition or file that cannot be read; several sweeps with different numbers for one cell, named).
[[nodiscard]] Result<Side> open_side(const std::string& text, const SideOptions& options);

/// "mscoco cpah 32 bits drfgd ta_dch i2t: map"; empty axes are left out.
[[nodiscard]] std::string text_of(const Place& place);

}  // namespace gauntlet::results
