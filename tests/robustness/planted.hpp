// Defenses that a test plants before the target, and what attacks make of them.
#pragma once

#include "core/defenses/defense.hpp"
#include "tests/robustness/pictures.hpp"

namespace gauntlet::attacks {

inline constexpr double kEpsilon = 0.06;

/// A defense before the target, as a test plants it.
class Planted : public defenses::Pipeline {
 public:
  explicit Planted(const LinearHash& hash) : hash_(hash) {}
  torch::Tensor encode_query(Modality modality, const torch::Tensor& input) override {
    return encode_purified(modality, purified(modality, input));
  }
  torch::Tensor encode_purified(Modality, const torch::Tensor& purified) override { return hash_(purified); }
  torch::Tensor encode_retrieval(Modality, const torch::Tensor& input) override { return hash_(input); }

 private:
  LinearHash hash_;
};

/// The pipeline's codes with gradients of a recipe, as a craft job opens it.
inline std::function<torch::Tensor(const torch::Tensor&)> through(defenses::Pipeline& pipeline,
                                                                  defenses::Backward backward) {
  return [&pipeline, backward](const torch::Tensor& input) {
    return pipeline.encode_purified(Modality::kImage,
                                    pipeline.purified_through(Modality::kImage, input, backward));
  };
}

inline Json apgd_config(const char* objective = "mainstay") {
  return {{"objective", objective}, {"steps", 30}, {"epsilon_image", kEpsilon}};
}

struct Scores {
  double clean = 0, noise = 0, white = 0;
  double no_gradient = 0;
  torch::Tensor inputs;  ///< of the white attack
};

inline Scores scores_of(const Target& target, defenses::Pipeline& pipeline,
                        defenses::Backward backward = defenses::Backward::kDeclared,
                        const char* objective = "mainstay") {
  const auto map = [&](const torch::Tensor& inputs) {
    return target.map(pipeline.encode_query(Modality::kImage, inputs).detach());
  };
  const AttackSurface surface = target.surface(through(pipeline, backward));
  const Crafted white = crafted("apgd", apgd_config(objective), surface, target.queries);
  const Crafted noise = crafted("noise", {{"epsilon_image", kEpsilon}}, surface, target.queries);
  return {map(target.queries.inputs), map(noise.inputs), map(white.inputs),
          white.observed.at("no_gradient").mean().item<double>(), white.inputs};
}

class Transparent final : public Planted {
 public:
  using Planted::Planted;
};

/// The planted target as a model that the registered defenses take.
class ToyModel final : public models::HashingModel {
 public:
  explicit ToyModel(LinearHash hash) : hash_(std::move(hash)) {}
  torch::Tensor encode_image(const torch::Tensor& images) override { return hash_(images); }
  torch::Tensor encode_text(const torch::Tensor& text) override { return hash_(text); }

 private:
  LinearHash hash_;
};

inline std::unique_ptr<defenses::Pipeline> registered(const char* name, const LinearHash& hash,
                                                      Modality modality) {
  defenses::PipelineParts parts;
  parts.model = std::make_shared<ToyModel>(hash);
  parts.modality = modality;
  parts.shape.image_px = 8;
  return defenses::defense_registry().find(name).value()->make(Json::object(), std::move(parts)).value();
}

}  // namespace gauntlet::attacks
