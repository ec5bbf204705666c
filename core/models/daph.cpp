#include "core/models/detail/daph.hpp"

#include "core/base/check.hpp"
#include "core/registry/dataset_defaults.hpp"

namespace gauntlet::models {
namespace {

constexpr std::string_view kName = "daph";

Result<std::shared_ptr<HashingModel>> make(const Json& config, const ModelShape& shape,
                                           collective::Communicator* communicator) {
  GAUNTLET_TRY(const DaphConfig read, read_config<DaphConfig>(config, kName));
  GAUNTLET_CHECK_OK(check_shape(shape, kName));
  GAUNTLET_TRY(std::shared_ptr<Backbone> trunk, make_backbone(read.backbone, shape, kName, communicator));
  return std::make_shared<DaphNet>(read, shape, std::move(trunk));
}

Result<std::unique_ptr<ModelTraining>> make_training(const Json& config, std::shared_ptr<HashingModel> model,
                                                     const TrainingSetup& setup) {
  GAUNTLET_TRY(const DaphConfig read, read_config<DaphConfig>(config, kName));
  auto net = std::dynamic_pointer_cast<DaphNet>(std::move(model));
  GAUNTLET_CHECK(net != nullptr);
  net->train();
  // The proxy networks see pictures through a trunk of their own.
  GAUNTLET_TRY(std::shared_ptr<Backbone> trunk,
               make_backbone(read.backbone, net->shape(), kName, setup.communicator));
  auto proxies = std::make_unique<DaphProxies>(read, net->shape(), std::move(trunk));
  return std::make_unique<DaphTraining>(read, std::move(net), std::move(proxies), setup);
}

// Small pictures and a small trunk from nothing: plain SGD at the published rates would not leave the start
// within minutes, so Adam at rates that fall to 0.
constexpr auto kDatasetDefaults = emoji_defaults(R"({
    "backbone": "picto_cnn", "hidden": 256, "embedding": 128, "optimiser": "adam", "lr": 0.003,
    "proxy_lr": 0.003, "class_lr": 0.003, "schedule": "poly", "warmup_steps": 20, "proxy_epochs": 4,
    "epochs": 10, "batch_size": 128, "augment_flip": true, "augment_shift": 0.125})");

}  // namespace

extern const ModelEntry daph_entry;
constinit const ModelEntry daph_entry{
    .about = {.name = kName,
              .version = 2,
              .summary = "Data-aware proxy hashing",
              .reference = "Tu et al., SIGIR 2023; settings of rongchengtu1/DAPH",
              .fields = &describe_fields<DaphConfig>,
              .dataset_defaults = kDatasetDefaults},
    .make = &make,
    .make_training = &make_training,
};

}  // namespace gauntlet::models
