// One training step of DRFGD: generator forward on clean and adversarial inputs, discriminator step,
// generator step.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "core/collective/communicator.hpp"
#include "core/collective/sharded_optimiser.hpp"
#include "core/defenses/detail/drfgd_config.hpp"
#include "core/defenses/detail/drfgd_losses.hpp"
#include "core/defenses/detail/drfgd_passes.hpp"
#include "core/models/discriminators.hpp"
#include "core/models/state.hpp"
#include "core/models/weights.hpp"
#include "core/torch.hpp"

namespace gauntlet::defenses {

/// What a trainer plays with; networks in train mode (the generator in eval mode when its autoencoder is
/// frozen), on one device, of one type.
struct DrfgdPlayers {
  std::shared_ptr<Generator> generator;
  std::shared_ptr<models::Discriminator> discriminator;  ///< not used without use_dis
  /// Regenerated inputs in the generator's domain → relaxed codes [B, K] of the frozen target,
  /// differentiable.
  std::function<torch::Tensor(const torch::Tensor&)> encode;
  torch::Tensor code_sum;      ///< [N, K] b^v + b^t of the training set
  torch::Tensor train_labels;  ///< [N, C]
  collective::Communicator* communicator = nullptr;
};

/// This rank's rows of a global batch of pairs, in the generator's domain.
struct DrfgdBatch {
  torch::Tensor clean, adversarial;  ///< [b, …]
  torch::Tensor labels;              ///< [b, C] of the clean items
  std::int64_t global_size = 0;      ///< pairs of the batch over all ranks
};

class DrfgdTrainer {
 public:
  DrfgdTrainer(const DrfgdConfig& config, DrfgdPlayers players);

  /// This rank's share of each loss, times the number of ranks: the mean over ranks is the global batch's
  /// loss. Names: div, cls, ali, rec, dis, d (before D's update), total; those switched off are absent, d
  /// also between D's steps.
  std::map<std::string, torch::Tensor> step(const DrfgdBatch& batch);
  /// Both networks and what trains them.
  void visit_state(models::StateVisitor& visitor);

 private:
  struct Objective;
  [[nodiscard]] torch::Tensor judged(const torch::Tensor& input) const;
  void step_discriminator(Objective& objective, const torch::Tensor& clean,
                          const torch::Tensor& regenerated_clean,
                          const torch::Tensor& regenerated_adversarial);
  void add_feature_losses(Objective& objective, const Generated& made, const torch::Tensor& labels) const;
  void add_output_losses(Objective& objective, const DrfgdBatch& batch, const torch::Tensor& output) const;

  DrfgdConfig config_;
  DrfgdPlayers players_;
  Pass pass_;
  Divergence divergence_;
  AdversarialGame game_;
  models::Precision precision_;
  std::unique_ptr<collective::ShardedOptimiser> generator_optimiser_, discriminator_optimiser_;
  std::int64_t n_steps_ = 0;
};

/// Generator parameters that the config's losses reach: without L_Cls the classifier gets no gradient,
/// without L_Cls and L_Div neither does the AVF branch; a frozen autoencoder gets none.
[[nodiscard]] std::vector<torch::Tensor> trained_parameters(const Generator& generator,
                                                            const DrfgdConfig& config);

/// The first part of a run with `frozen_generator`: encoder, ARF branch, projection and decoder learn to
/// reproduce clean inputs.
class AutoencoderTrainer {
 public:
  AutoencoderTrainer(const DrfgdConfig& config, std::shared_ptr<Generator> generator,
                     collective::Communicator* communicator);

  /// This rank's share of the loss "autoencoder", the mean squared error over elements, as DrfgdTrainer gives
  /// its losses.
  std::map<std::string, torch::Tensor> step(const DrfgdBatch& batch);
  void visit_state(models::StateVisitor& visitor);

 private:
  std::shared_ptr<Generator> generator_;
  collective::Communicator* communicator_;
  models::Precision precision_;
  std::unique_ptr<collective::ShardedOptimiser> optimiser_;
};

/// Encoder and decoder stay as they are from here on: no weight gradients, and the running statistics of
/// their batch normalisation in use instead of a batch's.
void freeze_autoencoder(Generator& generator);

}  // namespace gauntlet::defenses
