// Stage 2 of EQB2A: a generator of perturbation maps and the supervisor that hashes them, trained against the
// text knockoff's codes.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/attacks/detail/eqb2a_config.hpp"
#include "core/attacks/detail/eqb2a_knockoff.hpp"
#include "core/attacks/detail/eqb2a_losses.hpp"
#include "core/attacks/detail/generator_layers.hpp"
#include "core/models/state.hpp"
#include "core/torch.hpp"

namespace gauntlet::attacks::eqb2a {

/// PG. Channels a, b, c (published: 8, 16, 32): Conv3 3→a; Conv k4 s2 a→b; Conv k4 s2 b→c; two residual
/// blocks with batch norm; twice nearest-neighbour doubling and Conv3 (c→b, b→a); Conv3 a→3. Each convolution
/// outside the blocks is followed by instance norm and ReLU.
class PerturbationGenerator : public torch::nn::Module {
 public:
  explicit PerturbationGenerator(const std::array<std::int64_t, 3>& channels);
  /// Pictures [B, 3, H, W] in [-1,1], H and W divisible by 4 → [B, 3, H, W] >= 0.
  torch::Tensor forward(const torch::Tensor& u);

 private:
  torch::nn::Conv2d conv1_, conv2_, conv3_;
  std::shared_ptr<ResidualBlock> res1_, res2_;
  std::shared_ptr<torch::nn::Module> up_;
  torch::nn::Conv2d up1_, up2_, up3_;
};

struct SupervisorLayout {
  std::int64_t image_px = 224;  ///< divisible by 4
  std::int64_t code_bits = 32;
  std::array<std::int64_t, 2> channels = {6, 12};
  std::array<std::int64_t, 3> full = {4096, 1024, 512};
};

/// PS: two times Conv k4 s2, BN, tanh; four full layers, each but the second with tanh, the last as wide as a
/// code.
class PerturbationSupervisor : public torch::nn::Module {
 public:
  explicit PerturbationSupervisor(const SupervisorLayout& layout);
  torch::Tensor forward(const torch::Tensor& perturbation);  ///< [B, 3, H, W] → [B, K]

 private:
  torch::nn::Conv2d conv1_, conv2_;
  torch::nn::BatchNorm2d bn1_, bn2_;
  std::vector<torch::nn::Linear> full_;
};

/// Every pair i < j of spread items per picture: [Q P, 1 + n_near + 2] int64 with columns picture, its near
/// items, items i and j.
[[nodiscard]] torch::Tensor perturbation_rows(const RankedSample& sample);

class PerturbationTrainer {
 public:
  /// `text_codes` [N, K]: the text knockoff's codes of the training set, without gradient.
  PerturbationTrainer(const Config& config, std::shared_ptr<PerturbationGenerator> generator,
                      std::shared_ptr<PerturbationSupervisor> supervisor, torch::Tensor text_codes);

  /// One Adam step. u [B, 3, H, W] in [-1,1]: the pictures of `rows` [B, …] (see perturbation_rows). Losses:
  /// alienation, ranking (order reversed), quantisation, total.
  StepLosses step(const torch::Tensor& u, const torch::Tensor& rows);
  void visit_state(models::StateVisitor& visitor);  ///< of the optimiser; networks are the caller's

 private:
  Config config_;
  std::shared_ptr<PerturbationGenerator> generator_;
  std::shared_ptr<PerturbationSupervisor> supervisor_;
  torch::Tensor text_codes_;
  torch::optim::Adam optimizer_;
};

}  // namespace gauntlet::attacks::eqb2a
