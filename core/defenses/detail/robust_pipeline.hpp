// Pipelines that answer with a robust copy of the target instead of the target.
#pragma once

#include <memory>
#include <string_view>

#include "core/defenses/defense.hpp"

namespace gauntlet::defenses {

/// An instance of the target with the checkpoint's weights: eval mode, gradients to the input only. Errors
/// (kCorrupt): the weights are of another model.
[[nodiscard]] Result<std::shared_ptr<models::HashingModel>> robust_copy(const PipelineParts& parts,
                                                                        const Weights& weights,
                                                                        std::string_view defense);

/// Queries and the retrieval set are both encoded by the robust copy.
class RobustPipeline : public Pipeline {
 public:
  explicit RobustPipeline(std::shared_ptr<models::HashingModel> robust) : robust_(std::move(robust)) {}

  torch::Tensor encode_query(Modality modality, const torch::Tensor& input) final {
    return robust_->encode(modality, purified(modality, input));
  }
  torch::Tensor encode_purified(Modality modality, const torch::Tensor& purified) final {
    return robust_->encode(modality, purified);
  }
  torch::Tensor encode_retrieval(Modality modality, const torch::Tensor& input) final {
    return robust_->encode(modality, input);
  }

 protected:
  [[nodiscard]] models::HashingModel& robust() { return *robust_; }

 private:
  std::shared_ptr<models::HashingModel> robust_;
};

/// The pipeline of a defense whose checkpoint is the copy's weights and nothing else.
[[nodiscard]] Result<std::unique_ptr<Pipeline>> make_robust_pipeline(const PipelineParts& parts,
                                                                     std::string_view defense);

}  // namespace gauntlet::defenses
