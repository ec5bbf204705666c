#include "core/models/detail/dadh.hpp"

#include "core/base/check.hpp"
#include "core/registry/dataset_defaults.hpp"

namespace gauntlet::models {
namespace {

constexpr std::string_view kName = "dadh";

Result<std::shared_ptr<HashingModel>> make(const Json& config, const ModelShape& shape,
                                           collective::Communicator* communicator) {
  GAUNTLET_TRY(const DadhConfig read, read_config<DadhConfig>(config, kName));
  GAUNTLET_CHECK_OK(check_shape(shape, kName));
  GAUNTLET_TRY(std::shared_ptr<Backbone> trunk, make_backbone(read.backbone, shape, kName, communicator));
  return std::make_shared<DadhNet>(read, shape, std::move(trunk), communicator);
}

Result<std::unique_ptr<ModelTraining>> make_training(const Json& config, std::shared_ptr<HashingModel> model,
                                                     const TrainingSetup& setup) {
  GAUNTLET_TRY(const DadhConfig read, read_config<DadhConfig>(config, kName));
  auto net = std::dynamic_pointer_cast<DadhNet>(std::move(model));
  GAUNTLET_CHECK(net != nullptr);
  net->train();
  return std::make_unique<DadhTraining>(read, std::move(net), setup);
}

// Small pictures and a small trunk from nothing: narrow networks, fewer epochs at a far larger rate than with
// features of a network trained on ImageNet. The triplet loss grows with the cube of the batch.
constexpr auto kDatasetDefaults = emoji_defaults(R"({
    "backbone": "picto_cnn", "hidden": 512, "hidden_2": 256, "feature_width": 256, "critic_hidden": 128,
    "critic_hidden_2": 64, "code_critic_hidden": 64, "lr": 0.004, "d_lr": 0.0001, "weight_decay": 5e-5,
    "schedule": "poly", "warmup_steps": 50, "epochs": 10, "batch_size": 128, "augment_flip": true,
    "augment_shift": 0.125})");

}  // namespace

extern const ModelEntry dadh_entry;
constinit const ModelEntry dadh_entry{
    .about = {.name = kName,
              .version = 2,
              .summary = "Deep adversarial discrete hashing",
              .reference = "Bai et al., ICMR 2020; settings of Zjut-MultimediaPlus/DADH",
              .fields = &describe_fields<DadhConfig>,
              .dataset_defaults = kDatasetDefaults},
    .make = &make,
    .make_training = &make_training,
};

}  // namespace gauntlet::models
