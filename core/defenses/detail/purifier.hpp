// The shape of every defense that works before the model: purify a query, then encode it with the target as
// it is.
#pragma once

#include <memory>
#include <utility>

#include "core/defenses/defense.hpp"

namespace gauntlet::defenses {

/// Queries go through `purified`, the retrieval set straight to the target model.
class Purifier : public Pipeline {
 public:
  explicit Purifier(std::shared_ptr<models::HashingModel> model) : model_(std::move(model)) {}

  torch::Tensor encode_query(Modality modality, const torch::Tensor& input) final {
    return model_->encode(modality, purified(modality, input));
  }
  torch::Tensor encode_purified(Modality modality, const torch::Tensor& purified) final {
    return model_->encode(modality, purified);
  }
  torch::Tensor encode_retrieval(Modality modality, const torch::Tensor& input) final {
    return model_->encode(modality, input);
  }

 private:
  std::shared_ptr<models::HashingModel> model_;
};

/// Errors (kInvalid): the pipeline is asked for a side the defense does not work on.
[[nodiscard]] inline Status require_modality(std::string_view defense, Modality only, Modality asked) {
  if (asked == only) return {};
  return fail(ErrorCode::kInvalid, "{} purifies {} queries and was asked for {} queries; allowed: {}",
              defense, name_of(only), name_of(asked), name_of(only));
}

/// Errors (kInvalid): images are features, which a defense of pictures cannot take.
[[nodiscard]] inline Status require_pictures(std::string_view defense, const models::ModelShape& shape) {
  if (shape.image_px > 0) return {};
  return fail(ErrorCode::kInvalid,
              "{} purifies pictures, and this data set holds image features ({} each); allowed: a data set "
              "with pictures",
              defense, shape.feature_dim);
}

}  // namespace gauntlet::defenses
