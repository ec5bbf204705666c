#include "core/defenses/detail/robust_pipeline.hpp"

#include "core/models/weights.hpp"

namespace gauntlet::defenses {

Result<std::shared_ptr<models::HashingModel>> robust_copy(const PipelineParts& parts, const Weights& weights,
                                                          std::string_view defense) {
  GAUNTLET_TRY(std::shared_ptr<models::HashingModel> copy, parts.target.copy());
  GAUNTLET_CHECK_OK(models::restore(*copy, weights, defense));
  copy->eval();
  for (auto& parameter : copy->parameters()) parameter.set_requires_grad(false);
  return copy;
}

Result<std::unique_ptr<Pipeline>> make_robust_pipeline(const PipelineParts& parts, std::string_view defense) {
  GAUNTLET_TRY(std::shared_ptr<models::HashingModel> robust, robust_copy(parts, parts.weights, defense));
  return std::make_unique<RobustPipeline>(std::move(robust));
}

}  // namespace gauntlet::defenses
