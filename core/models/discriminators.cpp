#include "core/models/discriminators.hpp"

#include <string>
#include <vector>

#include "core/models/precision.hpp"

namespace gauntlet::models {
namespace {

using torch::Tensor;

Tensor unit(const Tensor& vector) { return vector / vector.norm().clamp_min(1e-12); }

/// [B, n, …] with one place left → [B], or [B, n] of several outputs.
Tensor logits_of(const Tensor& outputs) {
  return outputs.size(1) == 1 ? outputs.flatten() : outputs.flatten(1);
}

class ImageDiscriminator final : public Discriminator {
 public:
  explicit ImageDiscriminator(const ImageDiscriminatorLayout& layout) {
    std::int64_t in = 3;
    for (std::int64_t stage = 1; stage <= layout.n_stages; ++stage) {
      const std::int64_t out = layout.width << (stage - 1);
      auto block = register_module("disc" + std::to_string(stage), std::make_shared<torch::nn::Module>());
      stages_.push_back(
          block->register_module("conv", SpectralConv2d(in, out, 4, 2, 1, layout.power_step_in_eval)));
      in = out;
    }
    auto block = register_module("dischead", std::make_shared<torch::nn::Module>());
    head_ = block->register_module(
        "conv",
        torch::nn::Conv2d(torch::nn::Conv2dOptions(in, layout.n_outputs, layout.head_kernel).bias(false)));
  }
  Tensor forward(const Tensor& input) override {
    Tensor x = input;
    for (auto& stage : stages_) {
      x = stage->forward(x);
      x = torch::leaky_relu_(x, 0.01);
    }
    return logits_of(head_->forward(x));
  }

 private:
  std::vector<SpectralConv2d> stages_;
  torch::nn::Conv2d head_{nullptr};
};

class TextDiscriminatorNet final : public Discriminator {
 public:
  TextDiscriminatorNet(std::int64_t text_dim, std::int64_t hidden, std::int64_t middle,
                       TextDiscriminator form, std::int64_t n_outputs)
      : form_(form) {
    const std::int64_t sizes[] = {text_dim, hidden, middle, n_outputs};
    for (std::size_t layer = 1; layer <= 3; ++layer) {
      auto block = register_module("disc" + std::to_string(layer), std::make_shared<torch::nn::Module>());
      layers_.push_back(block->register_module("fc", torch::nn::Linear(sizes[layer - 1], sizes[layer])));
    }
  }
  Tensor forward(const Tensor& input) override {
    Tensor x = input;
    for (std::size_t layer = 0; layer < 3; ++layer) {
      x = layers_[layer]->forward(x);
      if (form_ == TextDiscriminator::kLeaky && layer < 2) x = torch::leaky_relu_(x, 0.2);
    }
    return logits_of(x);
  }

 private:
  TextDiscriminator form_;
  std::vector<torch::nn::Linear> layers_;
};

}  // namespace

SpectralConv2dImpl::SpectralConv2dImpl(std::int64_t in, std::int64_t out, std::int64_t kernel,
                                       std::int64_t stride, std::int64_t padding, bool power_step_in_eval)
    : stride_(stride), padding_(padding), power_step_in_eval_(power_step_in_eval) {
  const torch::nn::Conv2d plain(torch::nn::Conv2dOptions(in, out, kernel));  // for its initialisation
  weight = register_parameter("weight", plain->weight.detach().clone());
  bias = register_parameter("bias", plain->bias.detach().clone());
  u = register_buffer("u", unit(torch::randn({out})));
  v = register_buffer("v", unit(torch::randn({in * kernel * kernel})));
  power_step();
}

void SpectralConv2dImpl::power_step() {
  const torch::NoGradGuard no_grad;
  const auto matrix = weight.flatten(1);
  const auto right = unit(torch::mv(matrix.t(), u)), left = unit(torch::mv(matrix, right));
  if (power_step_in_eval_) {
    v.set_data(right);  // graphs of earlier forwards follow, see the header
    u.set_data(left);
  } else {
    v.copy_(right);
    u.copy_(left);
  }
}

Tensor SpectralConv2dImpl::normalised_weight() {
  // The buffers stay in the weight's type, and sigma exact, whatever arithmetic the convolution itself has.
  const PrecisionScope exact(Precision::kFp32, weight.device().type());
  if (is_training() || power_step_in_eval_) power_step();
  const auto kept = [this](const Tensor& vector) { return power_step_in_eval_ ? vector : vector.clone(); };
  const auto sigma = torch::dot(kept(u), torch::mv(weight.flatten(1), kept(v)));
  return weight / sigma;
}

Tensor SpectralConv2dImpl::forward(const Tensor& input) {
  return torch::conv2d(input, normalised_weight(), bias, stride_, padding_);
}

ImageDiscriminatorLayout image_discriminator_layout(std::int64_t image_px, std::int64_t width) {
  if (image_px == 224) return {.n_stages = 5, .width = width, .head_kernel = 7};
  ImageDiscriminatorLayout layout{.n_stages = 0, .width = width, .head_kernel = image_px};
  while (layout.head_kernel > 4) {
    ++layout.n_stages;
    layout.head_kernel /= 2;
  }
  return layout;
}

std::shared_ptr<Discriminator> make_image_discriminator(const ImageDiscriminatorLayout& layout) {
  return std::make_shared<ImageDiscriminator>(layout);
}

std::shared_ptr<Discriminator> make_text_discriminator(std::int64_t text_dim, std::int64_t hidden,
                                                       std::int64_t middle, TextDiscriminator form,
                                                       std::int64_t n_outputs) {
  return std::make_shared<TextDiscriminatorNet>(text_dim, hidden, middle, form, n_outputs);
}

}  // namespace gauntlet::models
