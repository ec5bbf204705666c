// What the tests of defenses share: recorded cases, a small target model, training sets of noise.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "core/defenses/defense.hpp"
#include "core/models/weights.hpp"
#include "core/torch.hpp"
#include "tests/support/parity.hpp"

namespace gauntlet::defenses {

/// A recorded case of a defense as tensors of one type.
class Case : public testing::Fixture {
 public:
  Case(const std::string& name, torch::ScalarType type) : Fixture("defenses/" + name, type) {}
  torch::Tensor operator[](const std::string& name) const { return get(name); }
  void expect(const std::string& name, const torch::Tensor& actual, double tolerance) const {
    testing::expect_recorded(*this, name, actual, tolerance);
  }
  void load(torch::nn::Module& module, const std::string& prefix) const {
    testing::load_recorded(*this, module, prefix);
  }
};

/// A frozen target for 12 px pictures and short texts, with a batch normalisation whose buffers must not
/// move.
class TinyTarget final : public models::HashingModel {
 public:
  explicit TinyTarget(const models::ModelShape& shape)
      : norm_(register_module("norm", torch::nn::BatchNorm2d(3))),
        image_(register_module("image", torch::nn::Linear(3 * 16, shape.code_bits))),
        text_(register_module("text", torch::nn::Linear(shape.text_dim, shape.code_bits))) {
    eval();
    for (auto& parameter : parameters()) parameter.set_requires_grad(false);
  }
  torch::Tensor encode_image(const torch::Tensor& images) override {
    const auto maps = torch::adaptive_avg_pool2d(norm_->forward(images * 2 - 1), {4, 4});
    return torch::tanh(image_->forward(maps.flatten(1)));
  }
  torch::Tensor encode_text(const torch::Tensor& text) override { return torch::tanh(text_->forward(text)); }

 private:
  torch::nn::BatchNorm2d norm_;
  torch::nn::Linear image_, text_;
};

inline constexpr models::ModelShape kTinyShape{
    .image_px = 12, .feature_dim = 0, .text_dim = 10, .n_labels = 4, .code_bits = 8};

/// Copies of a tiny target, to change; it has no training of its own.
inline TargetCopies tiny_copies(const std::shared_ptr<TinyTarget>& model) {
  TargetCopies copies;
  copies.copy = [model]() -> Result<std::shared_ptr<models::HashingModel>> {
    auto copy = std::make_shared<TinyTarget>(kTinyShape);
    copy->to(model->parameters().front().scalar_type());
    GAUNTLET_CHECK_OK(models::restore(*copy, models::state_of(*model)));
    for (auto& parameter : copy->parameters()) parameter.set_requires_grad(true);
    return copy;
  };
  copies.own_training = [](std::shared_ptr<models::HashingModel>,
                           const models::TrainingSetup&) -> Result<std::unique_ptr<models::ModelTraining>> {
    return fail(ErrorCode::kInvalid, "a tiny target is not trained");
  };
  return copies;
}

/// Both sides of `n` training pairs of noise, for defenses that train them together.
inline void make_joint(DefenseTraining& setup, std::int64_t n) {
  setup.images = torch::randint(0, 256, {n, 3, 12, 12}, torch::kByte);
  setup.text = torch::randint(0, 2, {n, 10}, torch::kByte);
}

/// `n` pairs of noise with labels, and everything else a defense trains on. `floating`: inputs in double.
inline DefenseTraining tiny_training(Modality modality, std::int64_t n,
                                     collective::Communicator* communicator, bool floating = false) {
  torch::manual_seed(11);
  DefenseTraining setup;
  auto model = std::make_shared<TinyTarget>(kTinyShape);
  if (floating) model->to(torch::kDouble);
  setup.modality = modality;
  setup.model = model;
  setup.shape = kTinyShape;
  setup.target = tiny_copies(model);
  if (modality == Modality::kImage) {
    setup.inputs = torch::randint(0, 256, {n, 3, 12, 12}, torch::kByte);
    if (floating) setup.inputs = setup.inputs.to(torch::kDouble) / 255;
  } else {
    setup.inputs = torch::randint(0, 2, {n, 10}, torch::kByte);
    if (floating) setup.inputs = setup.inputs.to(torch::kDouble);
  }
  setup.crafted = torch::randint(-127, 128, setup.inputs.sizes(), torch::kChar);
  setup.crafted_scale = 8.0 / 255 / 127;
  setup.labels = torch::randint(0, 2, {n, 4}).to(torch::kFloat);
  setup.train_labels = torch::randint(0, 2, {2 * n, 4}).to(torch::kFloat);
  setup.train_codes_image = torch::randint(0, 2, {2 * n, 8}).to(torch::kFloat) * 2 - 1;
  setup.train_codes_text = torch::randint(0, 2, {2 * n, 8}).to(torch::kFloat) * 2 - 1;
  setup.seed = 5;
  setup.communicator = communicator;
  return setup;
}

/// Options of drfgd that make it small enough for tests.
inline Json tiny_drfgd() {
  return {{"width", 2},
          {"disc_width", 2},
          {"text_hidden", 8},
          {"text_bottleneck", 6},
          {"text_branch", 12},
          {"text_disc_hidden", 6},
          {"text_disc_middle", 4},
          {"epochs_image", 1},
          {"epochs_text", 1},
          {"batch", 6}};
}

inline const DefenseEntry& drfgd() { return **defense_registry().find("drfgd"); }

inline Json with(Json options, const Json& changes) {
  options.update(changes);
  return options;
}

inline constexpr Modality kModalities[] = {Modality::kImage, Modality::kText};

inline bool equal(const Weights& a, const Weights& b) {
  return std::ranges::equal(a, b, [](const auto& left, const auto& right) {
    return left.first == right.first && torch::equal(left.second, right.second);
  });
}

/// drfgd, small, with these options changed, trained on twelve pairs of noise.
inline TrainedDefense trained_with(const Json& change, Modality modality) {
  const auto solo = collective::make_solo_communicator();
  auto trained = drfgd().train(with(tiny_drfgd(), change), tiny_training(modality, 12, solo.get()));
  EXPECT_TRUE(trained) << (trained ? "" : trained.error().message);
  return trained ? std::move(*trained) : TrainedDefense{};
}

inline std::unique_ptr<Pipeline> pipeline_of(const Json& change, Modality modality, const Weights& weights) {
  const auto solo = collective::make_solo_communicator();
  auto made = drfgd().make(with(tiny_drfgd(), change), {.model = tiny_training(modality, 1, solo.get()).model,
                                                        .shape = kTinyShape,
                                                        .modality = modality,
                                                        .weights = weights});
  EXPECT_TRUE(made) << (made ? "" : made.error().message);
  return made ? std::move(*made) : nullptr;
}

inline torch::Tensor some_inputs(Modality modality, std::int64_t n) {
  torch::manual_seed(23);
  return modality == Modality::kImage ? torch::rand({n, 3, 12, 12}) : torch::rand({n, 10}).round();
}

}  // namespace gauntlet::defenses
