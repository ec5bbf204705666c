// What an attack may see of its target, as one job's inputs give it.
#pragma once

#include <functional>
#include <memory>

#include "core/attacks/attack.hpp"
#include "core/attacks/evading.hpp"
#include "core/run/job_run.hpp"

namespace gauntlet::run {

/// Relaxed codes [B, K] of queries of either modality.
using QueryCodes = std::function<torch::Tensor(Modality, const torch::Tensor&)>;

/// A surface and what it points into.
struct OpenSurface {
  attacks::AttackSurface surface;
  LoadedModel target;
  TrainingCodes codes;  ///< of whatever encodes the database under the job's protocol and defense
  std::unique_ptr<defenses::Pipeline> pipeline;  ///< adaptive and retrained protocols only
  bool encodes_database = false;                 ///< the pipeline encodes the database too
  QueryCodes encode;                             ///< of what is attacked, black box or not
  attacks::RefusalScore refusal = {};            ///< of defenses that refuse queries; empty of others
};

/// The surface of the job's config: `protocol` static means the bare target model, anything else the whole
/// pipeline of `defense`, with gradients as the attack's option
/// `gradient` says. The run and the set outlive the surface. Training codes are those of the defense's own
/// model where it replaces the target. A black-box attack gets neither encode nor codes; see
/// make_ranked_lists.
[[nodiscard]] Result<OpenSurface> open_surface(const JobRun& run, const data::PreparedSet& set,
                                               const attacks::AttackEntry& entry, Modality modality);

/// The black box: ranks the training items of the other modality by their codes' distance to the query's.
[[nodiscard]] std::unique_ptr<attacks::RankedLists> make_ranked_lists(const OpenSurface& open);

}  // namespace gauntlet::run
