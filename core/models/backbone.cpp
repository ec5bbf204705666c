#include "core/models/backbone.hpp"

#include <filesystem>

#include "core/models/detail/picto_cnn.hpp"
#include "core/models/detail/published_nets.hpp"
#include "core/models/detail/published_weights.hpp"

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

std::shared_ptr<Backbone> make_published(const BackboneConfig& config) {
  std::shared_ptr<Backbone> net;
  if (config.backbone == "cnnf") {
    net = std::make_shared<Cnnf>(kCnnfSizes, config.backbone_form == "released");
  } else {
    net = std::make_shared<Alexnet>(kAlexnetSizes);
  }
  if (config.is_frozen()) net->freeze();
  return net;
}

}  // namespace

void Backbone::freeze() {
  frozen_ = true;
  eval();
  for (torch::Tensor& parameter : parameters()) parameter.requires_grad_(false);
}

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
  return make_published(config);
}

Result<BackboneConfig> backbone_config_of(const Json& model_config, std::string_view model) {
  Json own = Json::object();
  for (const auto& [name, value] : model_config.items()) {
    if (name.starts_with("backbone")) own[name] = value;
  }
  return read_config<BackboneConfig>(own, model);
}

Status load_pretrained(Backbone& trunk, const BackboneConfig& config, std::string_view model) {
  auto* net = dynamic_cast<PublishedNet*>(&trunk);
  if (net == nullptr) return {};
  const std::string& name = config.backbone;
  const std::filesystem::path path = config.backbone_weights;
  if (path.empty()) {
    return fail(
        ErrorCode::kInvalid,
        "{}: backbone {} starts from published weights; set backbone_weights to the file, {} (nothing is "
        "downloaded)",
        model, name, published_file_of(name));
  }
  std::error_code unreadable;
  if (!std::filesystem::is_regular_file(path, unreadable)) {
    return fail(ErrorCode::kInvalid,
                "{}: backbone_weights is {}, where there is no file; backbone {} needs {}", model,
                path.string(), name, published_file_of(name));
  }
  const auto of_model = [&](const Error& error) {
    return Error{error.code, fmt::format("{}: {}", model, error.message)};
  };
  return check_published_file(name, path, config.backbone_md5)
      .and_then([&] { return read_published_weights(name, path); })
      .and_then([&](const PublishedWeights& weights) { return copy_layers(weights, *net, path); })
      .map_error(of_model);
}

Status load_pretrained(torch::nn::Module& network, const Json& model_config, std::string_view model) {
  for (const std::shared_ptr<torch::nn::Module>& part : network.modules(/*include_self=*/false)) {
    auto* trunk = dynamic_cast<Backbone*>(part.get());
    if (trunk == nullptr) continue;
    GAUNTLET_TRY(const BackboneConfig config, backbone_config_of(model_config, model));
    GAUNTLET_CHECK_OK(load_pretrained(*trunk, config, model));
  }
  return {};
}

std::vector<torch::Tensor> trainable_parameters(const torch::nn::Module& network) {
  std::vector<torch::Tensor> trainable;
  for (const torch::Tensor& parameter : network.parameters()) {
    if (parameter.requires_grad()) trainable.push_back(parameter);
  }
  return trainable;
}

}  // namespace gauntlet::models
