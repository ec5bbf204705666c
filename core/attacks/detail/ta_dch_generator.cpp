#include "core/attacks/detail/ta_dch_generator.hpp"

#include <string>
#include <vector>

#include "core/attacks/detail/generator_layers.hpp"

namespace gauntlet::attacks::ta_dch {
namespace {

using torch::Tensor;

/// R, m, G, m, B, m: the map behind every colour.
Tensor interleaved(const Tensor& picture, const Tensor& map) {
  const auto colours = picture.split(1, 1);
  return torch::cat({colours[0], map, colours[1], map, colours[2], map}, 1);
}

class ImageGenerator final : public Generator {
 public:
  explicit ImageGenerator(const ImageLayout& layout) {
    const std::int64_t w = layout.width;
    const auto& t = layout.translator;
    const ConvShape steps[] = {{layout.feature, t[0], 3, 1, 2}, {t[0], t[1], 6, 4, 1}, {t[1], t[2], 6, 4, 1}};
    for (std::size_t i = 0; i < std::size(steps); ++i) {
      translator_.push_back(
          add_layer(*this, "translator", "deconv" + std::to_string(i + 1), make_deconv(steps[i])));
    }
    c1_ = add_layer(*this, "c1", "conv", make_conv({3 + 3 * t[2], w, 7, 1, 3, true}));
    c2_ = add_layer(*this, "c2", "conv", make_conv({w, 2 * w, 4, 2, 1, true}));
    c3_ = add_layer(*this, "c3", "conv", make_conv({2 * w, 4 * w, 4, 2, 1, true}));
    for (std::int64_t i = 1; i <= layout.n_blocks; ++i) {
      blocks_.push_back(register_module("res" + std::to_string(i), std::make_shared<ResidualBlock>(4 * w)));
    }
    up1_ = add_layer(*this, "up1", "deconv", make_deconv({4 * w, 2 * w, 4, 2, 1}));
    merge1_ = add_layer(*this, "merge1", "conv", make_conv({4 * w, 2 * w, 3, 1, 1}));
    up2_ = add_layer(*this, "up2", "deconv", make_deconv({2 * w, w, 4, 2, 1}));
    merge2_ = add_layer(*this, "merge2", "conv1", make_conv({2 * w, w, 3, 1, 1}));
    merge3_ = add_layer(*this, "merge2", "conv2", make_conv({w, 3, 3, 1, 1}));
    last_ = add_layer(*this, "last", "conv", make_conv({6, 3, 3, 1, 1}));
  }

  Generated forward(const Tensor& input, const Tensor& feature) override {
    Generated made;
    made.map = feature;
    for (auto& step : translator_) made.map = relu_of_norm(step->forward(made.map));
    made.c1 = relu_of_norm(c1_->forward(interleaved(input, made.map)));
    made.c2 = relu_of_norm(c2_->forward(made.c1));
    made.c3 = relu_of_norm(c3_->forward(made.c2));
    made.inner = made.c3;
    for (auto& block : blocks_) made.inner = block->forward(made.inner);
    made.up1 = relu_of_norm(up1_->forward(made.inner));
    const Tensor middle = relu_of_norm(merge1_->forward(torch::cat({made.c2, made.up1}, 1)));
    made.up2 = relu_of_norm(up2_->forward(middle));
    const Tensor outer = relu_of_norm(merge2_->forward(torch::cat({made.c1, made.up2}, 1)));
    made.merged = relu_of_norm(merge3_->forward(outer));
    made.output = torch::tanh(last_->forward(torch::cat({input, made.merged}, 1)));
    return made;
  }

 private:
  std::vector<torch::nn::ConvTranspose2d> translator_;
  torch::nn::Conv2d c1_{nullptr}, c2_{nullptr}, c3_{nullptr};
  std::vector<std::shared_ptr<ResidualBlock>> blocks_;
  torch::nn::ConvTranspose2d up1_{nullptr}, up2_{nullptr};
  torch::nn::Conv2d merge1_{nullptr}, merge2_{nullptr}, merge3_{nullptr}, last_{nullptr};
};

/// x + two layers of x.
struct ResidualLayers : torch::nn::Module {
  explicit ResidualLayers(std::int64_t width)
      : fc1(register_module("fc1", torch::nn::Linear(width, width))),
        fc2(register_module("fc2", torch::nn::Linear(width, width))) {}
  Tensor forward(const Tensor& x) { return x + fc2->forward(torch::relu(fc1->forward(x))); }
  torch::nn::Linear fc1, fc2;
};

class TextGenerator final : public Generator {
 public:
  explicit TextGenerator(const TextLayout& layout) : is_binary_(layout.is_binary) {
    const std::int64_t d = layout.text_dim;
    translator1_ =
        add_layer(*this, "translator", "fc1", torch::nn::Linear(layout.n_feature, layout.map_hidden));
    translator2_ = add_layer(*this, "translator", "fc2", torch::nn::Linear(layout.map_hidden, d));
    in_ = add_layer(*this, "in", "fc", torch::nn::Linear(2 * d, layout.hidden));
    for (const char* name : {"res1", "res2"}) {
      blocks_.push_back(register_module(name, std::make_shared<ResidualLayers>(layout.hidden)));
    }
    out_ = add_layer(*this, "out", "fc", torch::nn::Linear(layout.hidden, d));
    last_ = add_layer(*this, "last", "fc", torch::nn::Linear(2 * d, d));
    if (layout.starts_as_identity) start_as_identity(d);
  }

  Generated forward(const Tensor& input, const Tensor& feature) override {
    Generated made;
    made.map = torch::relu(translator2_->forward(torch::relu(translator1_->forward(feature.flatten(1)))));
    Tensor inner = torch::relu(in_->forward(torch::cat({input, made.map}, 1)));
    for (auto& block : blocks_) inner = block->forward(inner);
    const Tensor changed = torch::relu(out_->forward(inner));
    const Tensor last = last_->forward(torch::cat({input, changed}, 1));
    made.output = is_binary_ ? torch::sigmoid(last) : torch::tanh(last);
    return made;
  }

 private:
  /// A word gets logit +4 or -4, 0.98 or 0.02 after the sigmoid; a feature passes tanh nearly unchanged.
  void start_as_identity(std::int64_t d) {
    const torch::NoGradGuard no_grad;
    const double gain = is_binary_ ? 8 : 1;
    last_->weight.mul_(0.1);
    last_->bias.mul_(0.1).sub_(is_binary_ ? gain / 2 : 0);
    last_->weight.narrow(1, 0, d).add_(gain * torch::eye(d, last_->weight.options()));
  }

  bool is_binary_;
  torch::nn::Linear translator1_{nullptr}, translator2_{nullptr}, in_{nullptr}, out_{nullptr}, last_{nullptr};
  std::vector<std::shared_ptr<ResidualLayers>> blocks_;
};

}  // namespace

std::shared_ptr<Generator> make_image_generator(const ImageLayout& layout) {
  return std::make_shared<ImageGenerator>(layout);
}

std::shared_ptr<Generator> make_text_generator(const TextLayout& layout) {
  return std::make_shared<TextGenerator>(layout);
}

}  // namespace gauntlet::attacks::ta_dch
