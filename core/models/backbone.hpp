// What turns pictures into features inside a target model. Every target model takes any of them, by its
// fields backbone, backbone_….
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/collective/communicator.hpp"
#include "core/models/hashing_model.hpp"
#include "core/torch.hpp"

namespace gauntlet::models {

/// The fields every target model has for its backbone; a model's own fields call `fields` on its member of
/// this type.
struct BackboneConfig {
  std::string backbone = "cnnf";
  std::string backbone_form = "recommended";
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
    visit("backbone_form", self.backbone_form,
          {.doc = "cnnf as its weights were trained (recommended), or as the programs of CPAH, DADH and the "
                  "attack papers "
                  "have it (released): response normalisation over two channels, first pooling padded on all "
                  "sides.",
           .choices = {"recommended", "released"}});
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
                  "and shared, so "
                  "training pictures are not augmented. picto_cnn always learns."});
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

  /// For good: parameters without gradients, eval mode whatever train() says. The input's gradient still
  /// flows.
  void freeze();
  [[nodiscard]] bool is_frozen() const { return frozen_; }
  void train(bool on = true) override { Module::train(on && !frozen_); }

 private:
  bool frozen_ = false;
};

/// Fresh weights from torch's default generator, frozen where the config says so; reads no file. cnnf and
/// alexnet see pictures of 224 x 224 px and resize others to that size bilinearly, differentiably. Errors
/// (kInvalid, naming `model`): a backbone that does not fit the dataset's pictures or features.
[[nodiscard]] Result<std::shared_ptr<Backbone>> make_backbone(const BackboneConfig& config,
                                                              const ModelShape& shape, std::string_view model,
                                                              collective::Communicator* communicator);

/// Pictures through the trunk, or features as they are when the trunk is frozen and was run before.
[[nodiscard]] inline torch::Tensor through_backbone(Backbone& trunk, const torch::Tensor& input) {
  return input.dim() == 2 ? input : trunk.forward(input);
}

/// The fields `backbone…` of a model's config; those of BackboneConfig where it has none. Errors: kInvalid.
[[nodiscard]] Result<BackboneConfig> backbone_config_of(const Json& model_config, std::string_view model);

/// Reads the published weights of cnnf or alexnet from the file `backbone_weights`, after its checksum; other
/// backbones start from nothing and pass. Belongs to the start of a training run: checkpoints hold all
/// weights. Errors (kInvalid, one sentence naming `model`): no file given or there, another checksum, a layer
/// that is missing or of another shape.
[[nodiscard]] Status load_pretrained(Backbone& trunk, const BackboneConfig& config, std::string_view model);
/// The same for every backbone within `network`, by the fields of the model's config.
[[nodiscard]] Status load_pretrained(torch::nn::Module& network, const Json& model_config,
                                     std::string_view model);

/// What training may change: the parameters without those of frozen backbones.
[[nodiscard]] std::vector<torch::Tensor> trainable_parameters(const torch::nn::Module& network);

}  // namespace gauntlet::models
