// The three stages of EQB2A over one training set.
#pragma once

#include <cstdint>
#include <memory>

#include "core/attacks/attack.hpp"
#include "core/attacks/detail/eqb2a_config.hpp"
#include "core/attacks/detail/eqb2a_generator.hpp"

namespace gauntlet::attacks::eqb2a {

/// What is left of the training: everything needed to make adversarial pictures.
struct Generators {
  std::shared_ptr<PerturbationGenerator> perturbation;
  std::shared_ptr<ImageGenerator> image;
};

/// Fresh networks from torch's default generator. Errors (kInvalid): image features, or pictures whose side
/// is not a multiple of 4 of at least 8 px.
[[nodiscard]] Result<Generators> make_generators(const Config& config, const models::ModelShape& shape);

/// Asks, trains knockoffs, perturbation generator and image generator, and keeps the generators' weights as
/// pg.… and ig.…; loss curves are called knockoff_…, perturbation_… and generator_…. Networks start from
/// torch's default generator seeded with setup.seed, which the knockoffs' dropout goes on drawing from. Every
/// rank runs the same training: batches of 24 rows are too small to share. Errors: kInvalid, kDiverged.
[[nodiscard]] Result<TrainedAttack> train(const Config& config, const AttackTraining& setup);

}  // namespace gauntlet::attacks::eqb2a
