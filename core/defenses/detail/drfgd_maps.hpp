// Heat maps of DRFGD's two branches (its Fig. 3): the bottleneck has one place only, so an earlier stage of
// the encoder is weighted by gradients.
#pragma once

#include "core/defenses/detail/drfgd_generator.hpp"
#include "core/defenses/explainable.hpp"
#include "core/models/precision.hpp"

namespace gauntlet::defenses {

/// `own`: in the network's domain. As Explainable::branch_maps says.
[[nodiscard]] Result<BranchMaps> drfgd_maps(Generator& generator, models::Precision precision,
                                            const torch::Tensor& own, const torch::Tensor& labels,
                                            std::int64_t stage);

}  // namespace gauntlet::defenses
