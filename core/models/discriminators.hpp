// Discriminators that attacks and defenses play against their generators (TA-DCH, EQB2A, DRFGD).
#pragma once

#include <cstdint>
#include <memory>

#include "core/torch.hpp"

namespace gauntlet::models {

/// Convolution with a spectrally normalised weight W/σ. Buffers u [O] and v [I·k·k] follow the largest
/// singular value: one power step per forward in train mode, v ← norm(Wᵀu), u ← norm(Wv), without gradient;
/// in eval mode only if `power_step_in_eval` (the released TA-DCH and EQB2A). σ = uᵀWv carries a gradient to
/// W: that of its own u and v or, with `power_step_in_eval`, of those in the buffers when backward runs,
/// which differ after several forwards (as released). Parameters are the raw `weight` and `bias`. W/σ is
/// computed in the weights' own precision under any PrecisionScope; the convolution follows the scope.
class SpectralConv2dImpl : public torch::nn::Module {
 public:
  SpectralConv2dImpl(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride,
                     std::int64_t padding, bool power_step_in_eval = false);
  torch::Tensor forward(const torch::Tensor& input);
  torch::Tensor weight, bias, u, v;

 private:
  void power_step();
  torch::Tensor normalised_weight();
  std::int64_t stride_, padding_;
  bool power_step_in_eval_;
};
TORCH_MODULE(SpectralConv2d);

class Discriminator : public torch::nn::Module {
 public:
  /// Pictures [B, 3, H, W] in [-1,1] or texts [B, D] → logits [B], or [B, n_outputs] of several.
  virtual torch::Tensor forward(const torch::Tensor& input) = 0;
};

struct ImageDiscriminatorLayout {
  std::int64_t n_stages = 5;  ///< spectral-norm Conv k4 s2 p1, LeakyReLU 0.01; channels w, 2w, 4w, …
  std::int64_t width = 64;
  std::int64_t head_kernel = 7;  ///< one convolution without bias over what remains
  std::int64_t n_outputs = 1;
  bool power_step_in_eval = false;
};
/// 224 px: five stages and a head of 7 (the published one); else stages while more than 4 px remain.
[[nodiscard]] ImageDiscriminatorLayout image_discriminator_layout(std::int64_t image_px, std::int64_t width);
[[nodiscard]] std::shared_ptr<Discriminator> make_image_discriminator(const ImageDiscriminatorLayout& layout);

enum class TextDiscriminator : std::uint8_t {
  kLeaky,
  kLinear
};  // LeakyReLU 0.2 between the layers, or nothing
/// Linear D → hidden → middle → n_outputs.
[[nodiscard]] std::shared_ptr<Discriminator> make_text_discriminator(std::int64_t text_dim,
                                                                     std::int64_t hidden, std::int64_t middle,
                                                                     TextDiscriminator form,
                                                                     std::int64_t n_outputs = 1);

}  // namespace gauntlet::models
