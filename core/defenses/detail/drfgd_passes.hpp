// Forward passes of DRFGD's networks in the configured arithmetic. Whatever that is, what comes out is of the
// input's type, so that losses, the target model and the pipeline never see it.
#pragma once

#include "core/defenses/detail/drfgd_generator.hpp"
#include "core/models/discriminators.hpp"
#include "core/models/precision.hpp"

namespace gauntlet::defenses {

/// The stages (encoder, decoder) are left in the type they were computed in.
[[nodiscard]] Generated generate(Generator& generator, const torch::Tensor& input, Pass pass,
                                 models::Precision precision);

/// [B] logits.
[[nodiscard]] torch::Tensor judge(models::Discriminator& discriminator, const torch::Tensor& input,
                                  models::Precision precision);

}  // namespace gauntlet::defenses
