// Stage 3 of EQB2A: the network that turns a picture and its perturbation map into the adversarial picture,
// and its training against the image knockoff and a discriminator.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/attacks/detail/eqb2a_config.hpp"
#include "core/attacks/detail/eqb2a_knockoff.hpp"
#include "core/attacks/detail/eqb2a_losses.hpp"
#include "core/attacks/detail/eqb2a_perturbation.hpp"
#include "core/attacks/detail/generator_layers.hpp"
#include "core/models/discriminators.hpp"
#include "core/models/state.hpp"
#include "core/torch.hpp"

namespace gauntlet::attacks::eqb2a {

/// IG of width w (published: 64). Perturbation map through four Conv3 3→3; with the picture: Conv k7 6→w,
/// Conv k4 s2 w→2w, 2w→4w; six residual blocks; ConvT k4 s2 4w→2w, 2w→w; with the picture: Conv3 w+3→3, tanh.
/// Each convolution outside the blocks but the last is followed by instance norm and ReLU.
class ImageGenerator : public torch::nn::Module {
 public:
  explicit ImageGenerator(std::int64_t width);
  /// u [B, 3, H, W] in [-1,1], H and W divisible by 4; perturbation [B, 3, H, W] → [B, 3, H, W] in (-1,1).
  torch::Tensor forward(const torch::Tensor& u, const torch::Tensor& perturbation);
  [[nodiscard]] torch::Tensor translated(const torch::Tensor& perturbation);

 private:
  std::vector<torch::nn::Conv2d> translator_, down_;
  std::vector<std::shared_ptr<ResidualBlock>> residual_;
  std::vector<torch::nn::ConvTranspose2d> up_;
  torch::nn::Conv2d last_;
};

/// What the image generator is trained with.
struct GeneratorPlayers {
  std::shared_ptr<ImageGenerator> generator;             ///< train mode
  std::shared_ptr<models::Discriminator> discriminator;  ///< one logit, train mode
  // Fixed: eval mode, no weight gradients.
  std::shared_ptr<PerturbationGenerator> perturbation;
  std::shared_ptr<PerturbationSupervisor> supervisor;  ///< may be null when supervisor_weight is 0
  std::shared_ptr<ImageKnockoff> image_knockoff;
  torch::Tensor text_codes;  ///< [N, K] of the text knockoff
};

class GeneratorTrainer {
 public:
  GeneratorTrainer(const Config& config, GeneratorPlayers players);

  /// One Adam step of the generator, after one of the discriminator if `step_in_epoch` (from 0) is divisible
  /// by d_every. u [B, 3, H, W] in [-1,1]; near [B, n] positions of the near texts. Losses: alienation,
  /// reconstruction, gan, total; d_real, d_fake, d of a discriminator step; supervisor when it weighs more
  /// than 0.
  StepLosses step(const torch::Tensor& u, const torch::Tensor& near, std::int64_t step_in_epoch);
  /// Of the discriminator and the optimisers; the other networks are the caller's.
  void visit_state(models::StateVisitor& visitor);

 private:
  template <class Forward>
  [[nodiscard]] torch::Tensor of(const torch::Tensor& input, const Forward& forward) const;
  [[nodiscard]] torch::Tensor logits(const torch::Tensor& pictures) const;
  void step_discriminator(const torch::Tensor& real, const torch::Tensor& fake, StepLosses& losses);
  torch::Tensor objective(const torch::Tensor& u, const torch::Tensor& near,
                          const torch::Tensor& perturbation, const torch::Tensor& adversarial,
                          StepLosses& losses);

  Config config_;
  GeneratorPlayers players_;
  torch::optim::Adam generator_optimizer_, discriminator_optimizer_;
};

}  // namespace gauntlet::attacks::eqb2a
