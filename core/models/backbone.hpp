// What turns pictures into features inside a target model. Every target model takes any of them, by its
// fields backbone, backbone_….
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "core/collective/communicator.hpp"
#include "core/models/hashing_model.hpp"

namespace gauntlet::models {

/// The fields every target model has for its backbone; a model's own fields call `fields` on its member of
/// this type.
struct BackboneConfig {
  std::string backbone = "cnnf";
  std::int64_t backbone_width = 20;
  std::string backbone_weights;
  std::string backbone_md5;
  bool backbone_frozen = true;

  static void fields(auto& self, auto& visit) {
    visit("backbone", self.backbone,
          {.doc = "What turns a picture into a feature: CNN-F or AlexNet with published weights, a small "
                  "convolutional "
                  "trunk trained from nothing, or nothing when the dataset holds features.",
           .choices = {"cnnf", "alexnet", "picto_cnn", "features"}});
    visit("backbone_width", self.backbone_width,
          {.doc = "Channels of picto_cnn's first layer.", .min = 1, .max = 512});
    visit(
        "backbone_weights", self.backbone_weights,
        {.doc = "File with the weights of cnnf (imagenet-vgg-f.mat) or alexnet (torchvision's state dict as "
                ".safetensors, .pt or .pth). Nothing is downloaded.",
         .location = true});
    visit("backbone_md5", self.backbone_md5,
          {.doc = "MD5 that file must have, 32 hex digits; empty means the published file's."});
    visit("backbone_frozen", self.backbone_frozen,
          {.doc = "Keep the weights of cnnf or alexnet as they came; their features are then computed once "
                  "and shared. "
                  "picto_cnn always learns."});
  }

  /// Frozen and with weights from elsewhere: its features can be cached.
  [[nodiscard]] bool is_frozen() const {
    return backbone_frozen && (backbone == "cnnf" || backbone == "alexnet");
  }
};

/// Pictures [B, 3, H, W] float in [0,1] → features [B, F]; normalises inside. State names are those of the
/// networks' layers (conv1.weight, …).
class Backbone : public torch::nn::Module {
 public:
  virtual torch::Tensor forward(const torch::Tensor& images) = 0;
  [[nodiscard]] virtual std::int64_t n_features() const = 0;
};

/// Fresh weights from torch's default generator. Errors (kInvalid, naming `model`): a backbone that does not
/// fit the dataset's pictures or features.
[[nodiscard]] Result<std::shared_ptr<Backbone>> make_backbone(const BackboneConfig& config,
                                                              const ModelShape& shape, std::string_view model,
                                                              collective::Communicator* communicator);

/// Pictures through the trunk, or features as they are when the trunk is frozen and was run before.
[[nodiscard]] inline torch::Tensor through_backbone(Backbone& trunk, const torch::Tensor& input) {
  return input.dim() == 2 ? input : trunk.forward(input);
}

}  // namespace gauntlet::models
