// What an attack may see of its target, as one job's inputs give it.
#pragma once

#include <memory>

#include "core/attacks/attack.hpp"
#include "core/run/job_run.hpp"

namespace gauntlet::run {

/// A surface and what it points into.
struct OpenSurface {
  attacks::AttackSurface surface;
  LoadedModel target;
  TrainingCodes codes;
  std::unique_ptr<defenses::Pipeline> pipeline;               ///< adaptive and retrained protocols only
  std::function<torch::Tensor(const torch::Tensor&)> encode;  ///< of the attacked modality, black box or not
};

/// The surface of the job's config: `protocol` static means the bare target model, anything else the whole
/// pipeline of `defense`. A black-box attack gets neither encode nor codes; see ranked_lists.
[[nodiscard]] Result<OpenSurface> open_surface(const JobRun& run, const data::PreparedSet& set,
                                               const attacks::AttackEntry& entry, Modality modality);

/// The black box: ranks the training items of the other modality by their codes' distance to the query's.
[[nodiscard]] std::unique_ptr<attacks::RankedLists> make_ranked_lists(const OpenSurface& open);

}  // namespace gauntlet::run
