#include "core/models/backbone.hpp"

#include "core/models/detail/picto_cnn.hpp"

namespace gauntlet::models {
namespace {

/// Of a dataset that holds features.
class NoBackbone final : public Backbone {
 public:
  explicit NoBackbone(std::int64_t n_features) : n_features_(n_features) {}
  torch::Tensor forward(const torch::Tensor& images) override { return images; }
  [[nodiscard]] std::int64_t n_features() const override { return n_features_; }

 private:
  std::int64_t n_features_;
};

constexpr std::string_view kPictureBackbones = "cnnf, alexnet, picto_cnn";

}  // namespace

Result<std::shared_ptr<Backbone>> make_backbone(const BackboneConfig& config, const ModelShape& shape,
                                                std::string_view model,
                                                collective::Communicator* communicator) {
  const std::string& name = config.backbone;
  if (name == "features") {
    if (shape.feature_dim > 0) return std::make_shared<NoBackbone>(shape.feature_dim);
    return fail(ErrorCode::kInvalid, "{}: backbone is features, but the dataset holds pictures; allowed: {}",
                model, kPictureBackbones);
  }
  if (shape.image_px == 0) {
    return fail(ErrorCode::kInvalid, "{}: backbone is {}, but the dataset holds features; allowed: features",
                model, name);
  }
  if (name == "picto_cnn") {
    if (shape.image_px >= kPictoCnnMinPx)
      return std::make_shared<PictoCnn>(config.backbone_width, communicator);
    return fail(ErrorCode::kInvalid,
                "{}: pictures of {} px are too small for picto_cnn; allowed: at least {} px", model,
                shape.image_px, kPictoCnnMinPx);
  }
  return fail(ErrorCode::kInvalid, "{}: backbone {} is not built in", model, name);
}

}  // namespace gauntlet::models
