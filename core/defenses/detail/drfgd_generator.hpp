// The regenerating networks of DRFGD: encoder → robust (ARF) and vulnerable (AVF) features → decoder fed with
// the bottleneck and the robust feature only. One per modality; the two share nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/collective/communicator.hpp"
#include "core/torch.hpp"

namespace gauntlet::defenses {

/// What one forward pass makes. B rows, Z branch width, C labels.
struct Generated {
  torch::Tensor f;           ///< bottleneck: [B, F, 1, 1] of pictures, [B, F] of texts
  torch::Tensor z_arf;       ///< [B, Z], >= 0
  torch::Tensor z_avf;       ///< [B, Z], >= 0; undefined without an AVF branch or with Pass::kRegenerate
  torch::Tensor logits_arf;  ///< [B, C] of the classifier both branches share; undefined with kRegenerate
  torch::Tensor logits_avf;  ///< [B, C]; undefined where z_avf is
  torch::Tensor p;           ///< projected robust feature, of f's shape
  torch::Tensor output;      ///< regenerated input, of the input's shape and domain
  std::vector<torch::Tensor> encoder;  ///< pictures: e1 … en (the last is f); texts: empty
  std::vector<torch::Tensor>
      decoder;  ///< pictures: d1 … dn; texts: the decoder's output before the last layer
};

/// kEverything: all branches the network has and the classifier. kRegenerate: what the output needs.
enum class Pass : std::uint8_t { kEverything, kRegenerate };

class Generator : public torch::nn::Module {
 public:
  /// Pictures: [B, 3, H, W] in [-1,1] → output in (-1,1). Texts: [B, D].
  virtual Generated forward(const torch::Tensor& input, Pass pass) = 0;
};

/// Whether a parameter or buffer of this name belongs to the encoder or the decoder (with its last layer),
/// not to the branches, their classifier or the projection between them.
[[nodiscard]] bool is_autoencoder(std::string_view name);

/// One convolution: kernel side, stride, padding.
struct ConvStage {
  std::int64_t kernel, stride, padding;
  bool operator==(const ConvStage&) const = default;
};

/// Stages of the picture network: encoder e1 … en, decoder d1 … dn (the upsampling layer of each).
struct ImageLayout {
  std::vector<ConvStage> encoder;
  std::vector<ConvStage> decoder;
};

/// 224 px: the published table (seven stages, kernel 2 at the fourth). 3·2^m and 4·2^m px, m >= 1: halve with
/// kernel 4 until at most 4 px remain, then one layer whose kernel is what remains. Errors (kInvalid): other
/// sizes.
[[nodiscard]] Result<ImageLayout> image_layout(std::int64_t image_px);

struct ImageNet {
  ImageLayout layout;
  std::int64_t width = 32;  ///< channels w, 2w, 4w, … ; Z is twice the bottleneck's
  std::int64_t n_labels = 0;
  /// Off cuts every way around the bottleneck: the U-Net skips and the input in front of the last layer.
  bool skips = true;
  bool has_avf = true;
};
/// U-Net of the layout. The communicator outlives the network.
[[nodiscard]] std::shared_ptr<Generator> make_image_generator(const ImageNet& net,
                                                              collective::Communicator* communicator);

enum class TextOutput : std::uint8_t { kRelu, kTanh };  // of 0/1 word vectors; of real-valued features
enum class ResidualInit : std::uint8_t { kDefault, kIdentity };

struct TextNet {
  std::int64_t text_dim = 0;
  std::int64_t n_labels = 0;
  std::int64_t hidden = 1024;
  std::int64_t bottleneck = 4096;
  std::int64_t branch = 8192;
  TextOutput output = TextOutput::kRelu;
  ResidualInit residual_init =
      ResidualInit::kDefault;  ///< kIdentity: [I | 0] + 0.1 · default; needs the skips
  bool skips = true;           ///< off: the last layer does not see the input
  bool has_avf = true;
};
[[nodiscard]] std::shared_ptr<Generator> make_text_generator(const TextNet& net);

}  // namespace gauntlet::defenses
