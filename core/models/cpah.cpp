#include "core/models/detail/cpah.hpp"

#include "core/base/check.hpp"
#include "core/registry/dataset_defaults.hpp"

namespace gauntlet::models {
namespace {

constexpr std::string_view kName = "cpah";

Result<std::shared_ptr<HashingModel>> make(const Json& config, const ModelShape& shape,
                                           collective::Communicator* communicator) {
  GAUNTLET_TRY(const CpahConfig read, read_config<CpahConfig>(config, kName));
  GAUNTLET_CHECK_OK(check_shape(shape, kName));
  GAUNTLET_TRY(std::shared_ptr<Backbone> trunk, make_backbone(read.backbone, shape, kName, communicator));
  return std::make_shared<CpahNet>(read, shape, std::move(trunk), communicator);
}

Result<std::unique_ptr<ModelTraining>> make_training(const Json& config, std::shared_ptr<HashingModel> model,
                                                     const TrainingSetup& setup) {
  GAUNTLET_TRY(const CpahConfig read, read_config<CpahConfig>(config, kName));
  auto net = std::dynamic_pointer_cast<CpahNet>(std::move(model));
  GAUNTLET_CHECK(net != nullptr);
  net->train();
  return std::make_unique<CpahTraining>(read, std::move(net), setup);
}

// Small pictures, a small trunk from nothing, a small hidden layer: fewer epochs at a far larger rate than
// with features of a network trained on ImageNet. The pairwise loss sums over the squared batch, so the batch
// stays large.
constexpr auto kDatasetDefaults = emoji_defaults(R"({
    "backbone": "picto_cnn", "hidden": 256, "critic_hidden": 32, "lr": 0.004, "weight_decay": 5e-5,
    "schedule": "poly", "warmup_steps": 50, "epochs": 10, "batch_size": 256, "augment_flip": true,
    "augment_shift": 0.125})");

}  // namespace

extern const ModelEntry cpah_entry;
constinit const ModelEntry cpah_entry{
    .about = {.name = kName,
              .version = 3,
              .summary = "Multi-task consistency-preserving adversarial hashing",
              .reference = "Xie et al., IEEE TIP 2020; settings of comrados/cpah",
              .fields = &describe_fields<CpahConfig>,
              .dataset_defaults = kDatasetDefaults},
    .make = &make,
    .make_training = &make_training,
};

}  // namespace gauntlet::models
