// From a checked sweep to its cells and to the smallest graph of jobs that answers them. Pure.
// Thread safety: plain values.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/spec/catalog.hpp"
#include "core/spec/cell.hpp"
#include "core/spec/job_spec.hpp"
#include "core/spec/sweep_spec.hpp"

namespace gauntlet::spec {

/// The identity of a dataset's sources: (entry name, effective config without locations, locations) → content
/// id. Called once per distinct config and locations.
using ContentIdFn =
    std::function<Result<std::string>(std::string_view dataset, const Json& config, const Json& locations)>;

struct PlannedJob {
  JobSpec job;
  JobKey key;
};

/// A job by the part it plays for a cell: "prepare", "features", "train_model", "codes_image", "codes_text",
/// "train_attack", "craft", "craft_train", "train_defense", "encode_query", "encode_retrieval", "evaluate". A
/// defense whose branches are trained apart and that also encodes the retrieval set adds
/// "craft_train_retrieval", "train_defense_retrieval"; one whose branches are trained together has
/// "craft_train_image" and "craft_train_text" instead of "craft_train".
struct CellJob {
  std::size_t job = 0;    ///< index into Expansion::jobs
  std::string_view role;  ///< static storage
};

struct PlannedCell {
  Cell cell;
  std::vector<CellJob> jobs;  ///< every job the cell needs, by role
  std::span<const std::string>
      metrics;  ///< those that apply, sorted; lives as long as any copy of the Expansion
};

struct Expansion {
  std::vector<PlannedJob> jobs;    ///< unique by key; every job comes after its inputs
  std::vector<PlannedCell> cells;  ///< unique; in the order of the axes, then include, then ablations
  std::shared_ptr<const std::vector<std::vector<std::string>>>
      metric_sets;  ///< what the cells' `metrics` point into
};

/// Problems: pairs that cannot work (each with the `exclude` line that removes them), a source without an
/// identity, a sweep without cells.
[[nodiscard]] tl::expected<Expansion, std::vector<Problem>> expand(const SweepSpec& spec,
                                                                   const Catalog& catalog,
                                                                   const ContentIdFn& content_id);

}  // namespace gauntlet::spec
