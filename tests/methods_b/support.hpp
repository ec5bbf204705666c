// What the tests of defenses share: recorded cases, a small target model, training sets of noise.
#pragma once

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "core/defenses/defense.hpp"
#include "core/io/safetensors.hpp"

namespace gauntlet::defenses {

inline const std::filesystem::path kCases =
    std::filesystem::path(GAUNTLET_SOURCE_DIR) / ".." / "shared" / "parity" / "defenses";

/// A recorded case as tensors of one type.
class Case {
 public:
  Case(const std::string& name, torch::ScalarType type) : type_(type) {
    auto read = io::read_safetensors(kCases / (name + ".safetensors"));
    if (!read) throw std::runtime_error(read.error().message);
    metadata_ = read->metadata;
    for (const auto& [key, view] : read->tensors) {
      const auto stored = view.dtype == io::DType::kF64 ? torch::kDouble : torch::kFloat;
      auto tensor = torch::empty(view.shape, stored);
      std::memcpy(tensor.data_ptr(), view.bytes.data(), view.bytes.size());
      tensors_.emplace(key, tensor);
    }
  }

  [[nodiscard]] static bool all_present() { return std::filesystem::exists(kCases); }

  torch::Tensor operator[](const std::string& name) const { return tensors_.at(name).to(type_); }
  torch::Tensor leaf(const std::string& name) const { return (*this)[name].clone().requires_grad_(true); }
  const std::string& text(const std::string& name) const { return metadata_.find(name)->second; }

  /// Names under a prefix, without it.
  std::vector<std::string> names(const std::string& prefix) const {
    std::vector<std::string> found;
    for (const auto& [name, tensor] : tensors_) {
      if (name.starts_with(prefix)) found.push_back(name.substr(prefix.size()));
    }
    return found;
  }

  /// max |a - b| / max(1, max |b|) within the tolerance; what was stored in float is only known to 1e-6.
  void expect(const std::string& name, const torch::Tensor& actual, double tolerance) const {
    const auto& stored = tensors_.at(name);
    if (stored.scalar_type() == torch::kFloat) tolerance = std::max(tolerance, 1e-6);
    const auto wanted = stored.to(torch::kDouble).flatten();
    const auto seen = actual.detach().to(torch::kDouble).contiguous().flatten();
    ASSERT_EQ(seen.numel(), wanted.numel()) << name;
    const double scale = std::max(1.0, wanted.abs().max().item<double>());
    EXPECT_LE((seen - wanted).abs().max().item<double>() / scale, tolerance) << name;
  }

  /// Copies "param.<prefix><name>" into the module; every parameter and buffer of it must be there.
  void load(torch::nn::Module& module, const std::string& prefix) const {
    const torch::NoGradGuard no_grad;
    module.to(type_);
    for (const auto& item : module.named_parameters())
      item.value().copy_((*this)["param." + prefix + item.key()]);
    for (const auto& item : module.named_buffers())
      item.value().copy_((*this)["param." + prefix + item.key()]);
  }

 private:
  torch::ScalarType type_;
  std::map<std::string, torch::Tensor> tensors_;
  io::MetadataMap metadata_;
};

/// Parameters and buffers by name.
inline std::map<std::string, torch::Tensor> state_of_module(const torch::nn::Module& module) {
  std::map<std::string, torch::Tensor> state;
  for (const auto& item : module.named_parameters()) state[item.key()] = item.value();
  for (const auto& item : module.named_buffers()) state[item.key()] = item.value();
  return state;
}

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

}  // namespace gauntlet::defenses
