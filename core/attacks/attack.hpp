// An attack turns clean queries of one modality into adversarial ones.
// One more attack = one file in this folder, ending in `constinit const AttackEntry <name>_entry{…};`, and
// one line in attacks.def.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "core/collective/communicator.hpp"
#include "core/models/checkpointer.hpp"
#include "core/models/hashing_model.hpp"
#include "core/models/training_watch.hpp"
#include "core/registry/registry.hpp"
#include "core/torch.hpp"

namespace gauntlet::attacks {

using Weights = std::map<std::string, torch::Tensor>;

/// What queries are compared with: codes [M, K] ±1 and labels [M, C] 0/1 of the retrieval items of the other
/// modality, as whatever encodes the database under the defense gives them.
struct Database {
  torch::Tensor codes, labels;
};

/// What is attacked, as the attack may see it. Everything outlives the attack. A black-box attack
/// (capabilities.black_box) gets neither `encode` nor the codes.
struct AttackSurface {
  Modality modality = Modality::kImage;
  models::ModelShape shape = {};
  /// [B, …] → [B, K] in (-1,1), differentiable: the target model alone (static) or the whole defended
  /// pipeline (adaptive).
  std::function<torch::Tensor(const torch::Tensor&)> encode;
  torch::Tensor train_codes_image;  ///< [N, K] ±1: codes of the clean training set (the "global hash set")
  torch::Tensor train_codes_text;   ///< [N, K] ±1
  torch::Tensor train_labels;       ///< [N, C] 0/1
  double input_low = 0;             ///< valid range of an input value
  double input_high = 1;
  std::int64_t code_bits = 0;
  Weights weights = {};  ///< what `train` made; empty for attacks that do not train
  /// For attacks that look at the ranking itself; costs nothing until it is called. Errors: those of reading
  /// it. Empty for black-box attacks and while training.
  std::function<Result<Database>()> database = {};
  /// The target alone where `encode` is a defended pipeline; empty where it is the target.
  std::function<torch::Tensor(const torch::Tensor&)> encode_undefended = {};
  /// Random pipelines: the passes of `encode` that follow draw from the streams of this number. Empty where
  /// nothing is random.
  std::function<void(std::uint64_t draw)> use_draw = {};
};

/// A batch of inputs to perturb. Random draws come from RandomStream::of(seed, tag, row), so that a result
/// does not depend on the batch an input is in.
struct AttackBatch {
  torch::Tensor inputs;                ///< [B, 3, H, W] in [0,1], or [B, D]
  torch::Tensor labels;                ///< [B, C] 0/1
  std::span<const std::int64_t> rows;  ///< [B] dataset rows, the identity of each input
  /// Targeted attacks only: label vector [B, C] 0/1 and text [B, D] of the retrieval item each input is to be
  /// taken for.
  torch::Tensor target_labels = {};
  torch::Tensor target_text = {};
};

class Attack {
 public:
  virtual ~Attack() = default;
  /// Adversarial inputs of the same shape, within the budget and the valid range. Model weights and train
  /// flags are unchanged.
  virtual torch::Tensor perturb(const AttackBatch& batch) = 0;
  /// What it noticed of each input of the last batch, name → [B] double; the names are always the same. A
  /// craft job keeps them with the inputs and reports their means.
  [[nodiscard]] virtual std::map<std::string, torch::Tensor> observed() const { return {}; }
};

/// All that a black-box attack learns from its target: ranked lists, and how many it has asked for.
class RankedLists {
 public:
  virtual ~RankedLists() = default;
  /// Asks with inputs of `modality` [B, …] in [0,1]. [B, N] int64: the attacker's own items (the training
  /// set) of the other modality, nearest first, ties by position. Counts B queries.
  [[nodiscard]] virtual torch::Tensor rank(Modality modality, const torch::Tensor& inputs) = 0;
  [[nodiscard]] virtual std::int64_t queries_used() const = 0;
};

/// What an attack trains on; everything outlives the run.
struct AttackTraining {
  AttackSurface surface;                ///< of the attacked modality, without weights
  RankedLists* ranked_lists = nullptr;  ///< black-box attacks only
  torch::Tensor images;  ///< [N, …] the training set's inputs: uint8 (images 0..255, texts 0/1) or float
  torch::Tensor text;    ///< [N, D]
  torch::Tensor labels;  ///< [N, C] float 0/1
  std::uint64_t seed = 0;
  collective::Communicator* communicator = nullptr;
  /// Told after every epoch: number (from 1), of how many, mean losses, inputs per second.
  std::function<void(std::int64_t epoch, std::int64_t epochs, const models::Losses& losses, double rate)>
      on_epoch;
  models::KeepWeights keep_weights = {};         ///< where the last good weights go when the run diverges
  models::Checkpointer* checkpointer = nullptr;  ///< may be null
};

struct TrainedAttack {
  Weights weights;
  std::int64_t n_parameters = 0;
  models::Curves curves;
};

struct AttackEntry {
  EntryInfo about;
  /// `seed` is the stream family of this attack's random draws. nullptr for "none", which is never crafted.
  Result<std::unique_ptr<Attack>> (*make)(const Json& config, AttackSurface surface, std::uint64_t seed);
  /// nullptr unless capabilities.trains. Errors: kInvalid (config, shape), kDiverged.
  Result<TrainedAttack> (*train)(const Json& config, AttackTraining setup) = nullptr;
};

[[nodiscard]] const Registry<AttackEntry>& attack_registry();

}  // namespace gauntlet::attacks
