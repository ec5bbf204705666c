// Generators of TA-DCH: an input and the feature map F of its target → the adversarial input, all of it. The
// one for pictures is the published one; the one for texts is an extension, for the paper says nothing about
// it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "core/torch.hpp"

namespace gauntlet::attacks::ta_dch {

/// What one forward pass makes. Texts: only `map` and `output`.
struct Generated {
  torch::Tensor map;     ///< F as the generator sees it beside the input: [B, 1, H, W]; texts [B, D]
  torch::Tensor c1;      ///< [B, w, H, W]
  torch::Tensor c2;      ///< [B, 2w, H/2, W/2]
  torch::Tensor c3;      ///< [B, 4w, H/4, W/4]
  torch::Tensor inner;   ///< c3 after the residual blocks
  torch::Tensor up1;     ///< [B, 2w, H/2, W/2]
  torch::Tensor up2;     ///< [B, w, H, W]
  torch::Tensor merged;  ///< [B, 3, H, W], meets the input in front of the last layer
  torch::Tensor output;  ///< of the input's shape and domain
};

class Generator : public torch::nn::Module {
 public:
  /// Pictures [B, 3, H, W] in [-1,1] or texts [B, D]; feature [B, F, f, f].
  virtual Generated forward(const torch::Tensor& input, const torch::Tensor& feature) = 0;
};

struct ImageLayout {
  std::int64_t feature = 64;                          ///< channels of F
  std::array<std::int64_t, 3> translator{48, 12, 1};  ///< channels on F's way to a map of the picture's size
  std::int64_t width = 64;                            ///< w
  std::int64_t n_blocks = 6;                          ///< residual blocks
};
/// Side of F for pictures of `image_px`, a multiple of 16: px / 16 + 2, of which the translator makes px
/// again.
[[nodiscard]] constexpr std::int64_t feature_side(std::int64_t image_px) { return image_px / 16 + 2; }
[[nodiscard]] std::shared_ptr<Generator> make_image_generator(const ImageLayout& layout);

struct TextLayout {
  std::int64_t text_dim = 0;
  std::int64_t n_feature = 16384;   ///< values in F
  std::int64_t map_hidden = 1024;   ///< between F and the map
  std::int64_t hidden = 4096;       ///< width of the residual blocks
  bool is_binary = true;            ///< sigmoid for word vectors; off: tanh for features in [-1,1]
  bool starts_as_identity = false;  ///< last layer starts as the input itself + 0.1 · default
};
[[nodiscard]] std::shared_ptr<Generator> make_text_generator(const TextLayout& layout);

}  // namespace gauntlet::attacks::ta_dch
