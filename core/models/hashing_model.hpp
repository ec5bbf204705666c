// A target model: two networks that map images and texts to one Hamming space, and the way they are trained.
// One more target model = one file in this folder, ending in `constinit const ModelEntry <name>_entry{…};`,
// and one line in models.def.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "core/collective/communicator.hpp"
#include "core/registry/registry.hpp"
#include "core/torch.hpp"

namespace gauntlet::models {

/// Sizes a model is built for; stored with its checkpoint.
struct ModelShape {
  std::int64_t image_px = 0;     ///< height = width of the pictures; 0 when images are features
  std::int64_t feature_dim = 0;  ///< 0 when images are pictures
  std::int64_t text_dim = 0;
  std::int64_t n_labels = 0;
  std::int64_t code_bits = 0;
};
[[nodiscard]] Json to_json(const ModelShape& shape);
[[nodiscard]] Result<ModelShape> shape_from_json(const Json& value);

/// What every target model needs: images of one kind, texts, labels, bits. Errors (kInvalid, naming `model`).
[[nodiscard]] Status check_shape(const ModelShape& shape, std::string_view model);

/// Whether a model made for `model` takes the inputs of a dataset of shape `data`; `owner` names the model.
/// Errors (kInvalid): another size of pictures, image features or texts, with both.
[[nodiscard]] Status check_inputs(const ModelShape& model, const ModelShape& data, std::string_view owner);

/// Thread safety: none. Parameters and buffers are registered, so a checkpoint is named_parameters() +
/// named_buffers().
class HashingModel : public torch::nn::Module {
 public:
  /// [B, 3, H, W] float in [0,1] → [B, K] in (-1,1); differentiable in the input. Normalises inside. A model
  /// whose backbone is frozen also takes that backbone's features, [B, F].
  virtual torch::Tensor encode_image(const torch::Tensor& images) = 0;
  /// [B, D] float → [B, K] in (-1,1); differentiable in the input.
  virtual torch::Tensor encode_text(const torch::Tensor& text) = 0;
  [[nodiscard]] torch::Tensor encode(Modality modality, const torch::Tensor& input) {
    return modality == Modality::kImage ? encode_image(input) : encode_text(input);
  }
  /// Parameters of a trunk that came with weights from elsewhere; empty without one. They are trained more
  /// carefully, or not at all.
  [[nodiscard]] virtual std::vector<torch::Tensor> backbone_parameters() { return {}; }
};

/// One step's worth of training pairs: this rank's rows of the global batch.
struct TrainingBatch {
  torch::Tensor images;  ///< [b, 3, H, W] float in [0,1], or features [b, F]
  torch::Tensor text;    ///< [b, D] float
  torch::Tensor labels;  ///< [b, C] float 0/1
  torch::Tensor rows;    ///< [b] int64: positions within the training set, 0 .. N-1
};

class StateVisitor;

using Losses = std::map<std::string, double>;
/// Learning rates by the name of their config field.
using Rates = std::map<std::string, double>;

/// One training run: owns optimisers, discriminators, buffers, step order.
class ModelTraining {
 public:
  virtual ~ModelTraining() = default;
  [[nodiscard]] virtual std::int64_t n_epochs() const = 0;
  [[nodiscard]] virtual std::int64_t batch_size()
      const = 0;  ///< global batch; the last partial batch is dropped when false
  [[nodiscard]] virtual bool keeps_partial_batch() const { return false; }
  /// Told once, before the first step: steps of the whole run, for schedules.
  virtual void begin(std::int64_t n_steps) = 0;
  /// One step of every optimiser; returns the step's losses by name, "total" among them.
  virtual Losses step(const TrainingBatch& batch) = 0;
  /// The loss that `step` minimises over the model's own parameters, for this batch; every critic has taken
  /// its step and every buffer is refreshed as in `step`. Undefined when the model's networks learn by turns
  /// and there is no such loss.
  [[nodiscard]] virtual torch::Tensor objective(const TrainingBatch& batch) {
    static_cast<void>(batch);
    return {};
  }
  virtual void end_epoch() {}
  /// What the last step was taken with, for messages.
  [[nodiscard]] virtual Rates learning_rates() const = 0;
  /// All that changes from epoch to epoch, the model's weights included; asked between epochs. A run that was
  /// made with the same settings and has begun goes on, with it, where the other one was.
  virtual void visit_state(StateVisitor& visitor) = 0;
};

/// What a training run may know beside its batches.
struct TrainingSetup {
  torch::Tensor labels;  ///< [N, C] float 0/1: labels of the whole training set
  std::uint64_t seed =
      0;  ///< of every random draw inside training (augmentation, penalty mixing); weights are drawn before
  collective::Communicator* communicator = nullptr;
};

struct ModelEntry {
  EntryInfo about;
  /// Fresh weights from torch's default generator, which the caller has seeded. The communicator outlives the
  /// model.
  Result<std::shared_ptr<HashingModel>> (*make)(const Json& config, const ModelShape& shape,
                                                collective::Communicator* communicator);
  /// The training run of a model made by `make` with the same config.
  Result<std::unique_ptr<ModelTraining>> (*make_training)(const Json& config,
                                                          std::shared_ptr<HashingModel> model,
                                                          const TrainingSetup& setup);
};

[[nodiscard]] const Registry<ModelEntry>& model_registry();

}  // namespace gauntlet::models
