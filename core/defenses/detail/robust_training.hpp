// Adversarial training of a copy of the target, as ATRDH, SAAT, RoCMR and TPAP share it: batches of pairs,
// the inner attack on the copy, code buffers of the training set, the optimiser and its schedule, the epochs.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/defenses/defense.hpp"
#include "core/defenses/detail/robust_config.hpp"
#include "core/torch.hpp"

namespace gauntlet::defenses {

using LossTerms = std::map<std::string, torch::Tensor>;  ///< scalars by name

/// One global batch of training pairs. Inputs are this rank's rows; labels and rows are those of all ranks.
struct RobustBatch {
  models::TrainingBatch own;           ///< this rank's clean inputs, labels and positions
  std::vector<std::int64_t> own_rows;  ///< the positions again
  torch::Tensor labels;                ///< [B, C]
  torch::Tensor rows;                  ///< [B] int64: positions within the training set
  std::int64_t step = 0;               ///< of the whole run, from 0; the same on every rank
  double progress = 0;         ///< share of the passes over this modality's pairs that are done, in [0,1)
  std::int64_t first_own = 0;  ///< where this rank's rows begin within the batch

  [[nodiscard]] const torch::Tensor& inputs(Modality modality) const {
    return modality == Modality::kImage ? own.images : own.text;
  }
  /// This rank's rows of a tensor with one row per pair of the batch.
  [[nodiscard]] torch::Tensor own_part(const torch::Tensor& all) const {
    return all.narrow(0, first_own, static_cast<std::int64_t>(own_rows.size()));
  }
};

/// How training examples are made: n_steps signed steps of step_share * epsilon.
struct InnerAttack {
  std::int64_t n_steps = 7;
  double step_share = 0.25;
  bool random_start = true;
};

/// Adam or SGD over the parameters that need a gradient, the backbone's with a rate of their own.
[[nodiscard]] std::unique_ptr<torch::optim::Optimizer> make_optimiser(models::HashingModel& model,
                                                                      const RobustConfig& config);

/// The robust copy under training and what the steps of every method need. Thread safety: none.
class RobustTraining {
 public:
  /// Errors (kInvalid): image features instead of pictures, fewer pairs in a batch than ranks, ben_loss
  /// "target" where it is not to be had.
  [[nodiscard]] static Result<std::unique_ptr<RobustTraining>> open(std::string_view defense,
                                                                    const RobustConfig& config,
                                                                    const DefenseTraining& setup);

  /// Inputs within the budget of the modality that lower `loss` of the copy's relaxed codes; the copy is in
  /// eval mode and its weights get no gradient. `loss`: [b, K] → scalar or [b].
  [[nodiscard]] torch::Tensor perturbed(Modality modality, const RobustBatch& batch,
                                        const InnerAttack& attack,
                                        const std::function<torch::Tensor(const torch::Tensor&)>& loss);
  /// Relaxed codes of this rank's inputs without gradient, in eval mode.
  [[nodiscard]] torch::Tensor codes_without_gradient(Modality modality, const torch::Tensor& inputs);
  /// One forward in train mode of several inputs of this rank together, so that batch normalisation sees all
  /// of them; relaxed codes [B, K] of all ranks for each.
  [[nodiscard]] std::vector<torch::Tensor> encoded(Modality modality,
                                                   const std::vector<torch::Tensor>& inputs);

  /// Puts clean codes [B, K] of a batch into the buffer of their modality.
  void remember(Modality modality, const RobustBatch& batch, const torch::Tensor& codes);
  /// [N, K]: last relaxed codes of every training item; the target's signs before its first visit.
  [[nodiscard]] const torch::Tensor& buffer(Modality modality) const {
    return modality == Modality::kImage ? image_buffer_ : text_buffer_;
  }
  [[nodiscard]] std::vector<torch::Tensor> buffers() const { return {image_buffer_, text_buffer_}; }
  /// The target's clean codes [N, K] ±1, constant.
  [[nodiscard]] const torch::Tensor& target_codes(Modality modality) const {
    return modality == Modality::kImage ? image_codes_ : text_codes_;
  }
  [[nodiscard]] const torch::Tensor& train_labels() const { return train_labels_; }  ///< [N, C]
  [[nodiscard]] torch::Tensor similar(const RobustBatch& batch) const;               ///< bool [B, N]

  /// Loss on clean inputs, times ben_weight. pairwise: of the given codes [B, K]; target: of the batch,
  /// whichever the codes.
  [[nodiscard]] Result<torch::Tensor> benign(const RobustBatch& batch,
                                             const std::vector<torch::Tensor>& clean_codes);

  /// Factor of the learning rates at a batch's progress: 1, 0.1, 0.01 by milestones. Each modality counts its
  /// own passes, so that images and texts that take turns meet every rate equally often.
  [[nodiscard]] double rate_factor(double progress) const;

  [[nodiscard]] const DefenseTraining& setup() const { return setup_; }
  [[nodiscard]] models::HashingModel& model() { return *model_; }
  [[nodiscard]] collective::Communicator& ranks() { return *setup_.communicator; }
  [[nodiscard]] std::int64_t n_pairs() const { return n_pairs_; }
  [[nodiscard]] std::int64_t n_batches() const;  ///< per pass over the pairs
  /// Batch number `index` of an epoch in the given order of rows.
  [[nodiscard]] RobustBatch batch(std::span<const std::int64_t> order, std::int64_t index,
                                  std::int64_t step) const;
  /// Stored clean inputs of the given positions as the model takes them.
  [[nodiscard]] torch::Tensor inputs(Modality modality, std::span<const std::int64_t> rows) const;
  /// One step of the optimiser on a loss of the global batch.
  void descend(const torch::Tensor& loss, double progress);
  void begin(std::int64_t n_steps);
  void end_epoch();
  void visit_state(models::StateVisitor& visitor);

 private:
  RobustTraining(const RobustConfig& config, const DefenseTraining& setup,
                 std::shared_ptr<models::HashingModel> model);
  Status open_own_training(std::string_view defense);

  RobustConfig config_;
  const DefenseTraining& setup_;
  std::shared_ptr<models::HashingModel> model_;
  std::unique_ptr<models::ModelTraining> own_training_;  ///< ben_loss "target" only
  std::string defense_;
  std::int64_t n_pairs_ = 0;
  torch::TensorOptions options_;
  torch::Tensor train_labels_, image_codes_, text_codes_, image_buffer_, text_buffer_;
  std::unique_ptr<torch::optim::Optimizer> optimiser_;
  std::vector<double> rates_;  ///< of the optimiser's groups, before milestones
  std::unique_ptr<collective::GradientReducer> reducer_;
};

/// One way of adversarial training.
class RobustMethod {
 public:
  virtual ~RobustMethod() = default;
  /// Images and texts take turns: a pass over all batches for each; otherwise one pass serves both.
  [[nodiscard]] virtual bool by_turns() const { return true; }
  /// The losses of a batch, "total" being what is minimised. `modality` is of no meaning unless by_turns.
  [[nodiscard]] virtual Result<LossTerms> losses(RobustTraining& training, const RobustBatch& batch,
                                                 Modality modality) = 0;
  /// What it learns besides the copy, if anything.
  virtual void visit_state(models::StateVisitor& visitor) { static_cast<void>(visitor); }
};

/// The whole run; the weights are those of the robust copy. Curves are named "<modality> <loss>" when passes
/// take turns. Errors: those of open and of the method; kDiverged.
[[nodiscard]] Result<TrainedDefense> train_robust(RobustTraining& training, RobustMethod& method,
                                                  std::string_view defense, const RobustConfig& config);

}  // namespace gauntlet::defenses
