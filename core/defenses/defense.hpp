// A defense makes the pipeline a query goes through. An evaluation never asks which defense it is: it sees a
// Pipeline. One more defense = one file in this folder, ending in `constinit const DefenseEntry
// <name>_entry{…};`, and one line in defenses.def.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "core/collective/communicator.hpp"
#include "core/defenses/declaration.hpp"
#include "core/models/checkpointer.hpp"
#include "core/models/hashing_model.hpp"
#include "core/models/training_watch.hpp"
#include "core/registry/registry.hpp"
#include "core/torch.hpp"

namespace gauntlet::defenses {

/// What gradients go through on their way back to the input, while the values stay those of the exact
/// forward pass. Attacks only: an evaluation has no gradients.
enum class Backward : std::uint8_t {
  kDeclared,  ///< what the stages declare: their own derivative, or the surrogate they name
  kIdentity,  ///< purification is taken for x + a constant
  kUnrolled,  ///< through the test-time steps, signs and codes made smooth; needs second derivatives
  kSmooth     ///< steep sigmoids in place of the steps of a rounding
};

/// From inputs as a user submits them to relaxed codes. Three kinds sit behind it: before the model (purify,
/// then encode), instead of the model (robust weights), both.
class Pipeline {
 public:
  virtual ~Pipeline() = default;
  /// [B, …] → [B, K] in (-1,1). Differentiable in the input; a stage without a useful gradient passes it
  /// straight through.
  virtual torch::Tensor encode_query(Modality modality, const torch::Tensor& input) = 0;
  /// Codes of an input that is purified already: encode_query = encode_purified after purified. Not for
  /// retrieval items.
  virtual torch::Tensor encode_purified(Modality modality, const torch::Tensor& purified) = 0;
  /// Codes of the retrieval set. Default of purifying defenses: the bare target model.
  virtual torch::Tensor encode_retrieval(Modality modality, const torch::Tensor& input) = 0;
  /// What the input looks like after purification (the input itself when nothing purifies); for pictures and
  /// distances.
  virtual torch::Tensor purified(Modality modality, const torch::Tensor& input) {
    static_cast<void>(modality);
    return input;
  }
  /// The values of `purified`, with another backward pass. A defense without steps to unroll or to smooth
  /// answers with the declared one.
  virtual torch::Tensor purified_through(Modality modality, const torch::Tensor& input, Backward backward);
  /// Random defenses: the passes that follow draw from the streams of this number, the same number giving the
  /// same draws. Others have nothing to do.
  virtual void use_draw(std::uint64_t draw) { static_cast<void>(draw); }
};

/// `value` [B, …] whose gradient is that of `input`, of the same shape: all of it, or, with a range, where
/// low <= input <= high.
[[nodiscard]] torch::Tensor straight_through(const torch::Tensor& input, const torch::Tensor& value);
[[nodiscard]] torch::Tensor straight_through(const torch::Tensor& input, const torch::Tensor& value,
                                             double low, double high);

using Weights = std::map<std::string, torch::Tensor>;

/// How a defense that changes the target model gets one of its own.
struct TargetCopies {
  /// Another instance with the target's weights: eval mode, gradients on.
  std::function<Result<std::shared_ptr<models::HashingModel>>()> copy;
  /// The target's own way of training (critics, buffers, objective), for such a copy.
  std::function<Result<std::unique_ptr<models::ModelTraining>>(std::shared_ptr<models::HashingModel>,
                                                               const models::TrainingSetup&)>
      own_training;
};

struct PipelineParts {
  std::shared_ptr<models::HashingModel> model;  ///< frozen, eval mode
  models::ModelShape shape;
  Modality modality = Modality::kImage;  ///< the side this pipeline's trained parts are for
  Weights weights;  ///< of the defense's checkpoint; empty for defenses that do not train
  TargetCopies target = {};
  double text_low =
      0;  ///< least valid value of a text input: 0 of word vectors, -1 of features; the greatest is 1
};

/// What a defense trains on; everything outlives the run.
struct DefenseTraining {
  Modality modality = Modality::kImage;         ///< of no meaning when capabilities.joint
  std::shared_ptr<models::HashingModel> model;  ///< frozen, eval mode
  models::ModelShape shape;
  torch::Tensor inputs;  ///< [n, …] clean training inputs of the modality: uint8 (images 0..255, texts 0/1)
                         ///< or float; undefined when capabilities.joint
  torch::Tensor images, text;  ///< joint defenses: both sides of the training pairs, as `inputs` are
  torch::Tensor crafted;     ///< [n, …] int8 perturbations: adversarial = clean + crafted * crafted_scale;
                             ///< undefined without
  double crafted_scale = 0;  ///< in [0,1] units per step
  torch::Tensor labels;      ///< [n, C] float 0/1
  torch::Tensor train_labels;       ///< [N, C] labels of the whole training set
  torch::Tensor train_codes_image;  ///< [N, K] ±1
  torch::Tensor train_codes_text;   ///< [N, K] ±1
  TargetCopies target;
  double text_low = 0;  ///< least valid value of a text input
  std::uint64_t seed = 0;
  collective::Communicator* communicator = nullptr;
  /// Told after every epoch: number (from 1), of how many, mean losses, inputs per second.
  std::function<void(std::int64_t epoch, std::int64_t epochs, const models::Losses& losses, double rate)>
      on_epoch;
  models::KeepWeights keep_weights = {};         ///< where the last good weights go when the run diverges
  models::Checkpointer* checkpointer = nullptr;  ///< may be null
};

struct TrainedDefense {
  Weights weights;
  std::int64_t n_parameters = 0;
  models::Curves curves;
};

struct DefenseEntry {
  EntryInfo about;
  Result<std::unique_ptr<Pipeline>> (*make)(const Json& config, PipelineParts parts);
  /// nullptr unless capabilities.trains.
  Result<TrainedDefense> (*train)(const Json& config, DefenseTraining setup);
  Declaration declaration = {};
};

[[nodiscard]] const Registry<DefenseEntry>& defense_registry();

/// The catalog's array: describe_all of the registry, each with its "declaration".
[[nodiscard]] Json describe_defenses();

}  // namespace gauntlet::defenses
