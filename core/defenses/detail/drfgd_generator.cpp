#include "core/defenses/detail/drfgd_generator.hpp"

#include <algorithm>
#include <string>

#include "core/base/check.hpp"

namespace gauntlet::defenses {
namespace {

using torch::Tensor;
constexpr double kSlope = 0.2;

torch::nn::Conv2d conv(std::int64_t in, std::int64_t out, const ConvStage& stage) {
  return torch::nn::Conv2d(
      torch::nn::Conv2dOptions(in, out, stage.kernel).stride(stage.stride).padding(stage.padding));
}

torch::nn::ConvTranspose2d deconv(std::int64_t in, std::int64_t out, const ConvStage& stage,
                                  bool bias = false) {
  return torch::nn::ConvTranspose2d(torch::nn::ConvTranspose2dOptions(in, out, stage.kernel)
                                        .stride(stage.stride)
                                        .padding(stage.padding)
                                        .bias(bias));
}

/// Convolution; batch norm and LeakyReLU except in the last stage.
struct DownBlock : torch::nn::Module {
  DownBlock(std::int64_t in, std::int64_t out, const ConvStage& stage, bool is_last,
            collective::Communicator* communicator)
      : conv_(register_module("conv", conv(in, out, stage))) {
    if (!is_last) bn_ = register_module("bn", collective::SyncBatchNorm(out, communicator));
  }
  Tensor forward(const Tensor& x) {
    auto y = conv_->forward(x);
    if (!bn_) return y;
    y = bn_->forward(y);
    return torch::leaky_relu_(y, kSlope);
  }
  torch::nn::Conv2d conv_;
  collective::SyncBatchNorm bn_{nullptr};
};

/// Two 1 x 1 convolutions with ReLU on a 1 x 1 map, computed as the matrix products they are.
struct BranchBlock : torch::nn::Module {
  BranchBlock(std::int64_t in, std::int64_t out)
      : conv1(register_module("conv1", conv(in, out, {1, 1, 0}))),
        conv2(register_module("conv2", conv(out, out, {1, 1, 0}))) {}
  Tensor forward(const Tensor& f) {
    const auto y = torch::relu(torch::linear(f.flatten(1), conv1->weight.flatten(1), conv1->bias));
    return torch::relu(torch::linear(y, conv2->weight.flatten(1), conv2->bias));
  }
  torch::nn::Conv2d conv1, conv2;
};

/// d1: from the 1 x 1 bottleneck to the map of the last encoder stage before it.
struct FirstUpBlock : torch::nn::Module {
  FirstUpBlock(std::int64_t in, std::int64_t out, const ConvStage& stage,
               collective::Communicator* communicator)
      : up(register_module("deconv", deconv(in, out, stage))),
        bn(register_module("bn", collective::SyncBatchNorm(out, communicator))) {}
  Tensor forward(const Tensor& x) {
    auto y = bn->forward(up->forward(x));
    return torch::leaky_relu_(y, kSlope);
  }
  torch::nn::ConvTranspose2d up;
  collective::SyncBatchNorm bn;
};

/// d2 … dn: mixes the skip with what comes from below, then doubles the size. The last one has no second
/// batch norm.
struct UpBlock : torch::nn::Module {
  UpBlock(std::int64_t in, std::int64_t middle, std::int64_t out, const ConvStage& stage, bool is_last,
          collective::Communicator* communicator)
      : mix(register_module("deconv1", deconv(in, middle, {3, 1, 1}))),
        bn1(register_module("bn1", collective::SyncBatchNorm(middle, communicator))),
        up(register_module("deconv2", deconv(middle, out, stage))) {
    if (!is_last) bn2 = register_module("bn2", collective::SyncBatchNorm(out, communicator));
  }
  Tensor forward(const Tensor& x) {
    auto y = bn1->forward(mix->forward(x));
    y = up->forward(torch::leaky_relu_(y, kSlope));
    if (bn2) y = bn2->forward(y);
    return torch::leaky_relu_(y, kSlope);
  }
  torch::nn::ConvTranspose2d mix;
  collective::SyncBatchNorm bn1;
  torch::nn::ConvTranspose2d up;
  collective::SyncBatchNorm bn2{nullptr};
};

/// A module with one child, for parameter names of the form <block>.<layer>.<tensor>.
template <class Layer>
Layer nested(torch::nn::Module& parent, const char* block, const char* layer_name, Layer layer) {
  auto holder = parent.register_module(block, std::make_shared<torch::nn::Module>());
  return holder->register_module(layer_name, std::move(layer));
}

class ImageGenerator final : public Generator {
 public:
  ImageGenerator(const ImageNet& net, collective::Communicator* communicator) : skips_(net.skips) {
    const std::size_t n = net.layout.encoder.size();
    GAUNTLET_CHECK(n >= 2 && net.layout.decoder.size() == n);
    const auto channels = [&net](std::size_t stage) {
      return net.width << (stage - 1);
    };  // of e_stage, from 1
    for (std::size_t i = 1; i <= n; ++i) {
      down_.push_back(
          register_module("e" + std::to_string(i),
                          std::make_shared<DownBlock>(i == 1 ? 3 : channels(i - 1), channels(i),
                                                      net.layout.encoder[i - 1], i == n, communicator)));
    }
    const std::int64_t bottleneck = channels(n), branch = 2 * bottleneck;
    arf_ = register_module("arf", std::make_shared<BranchBlock>(bottleneck, branch));
    if (net.has_avf) avf_ = register_module("avf", std::make_shared<BranchBlock>(bottleneck, branch));
    classifier_ = nested(*this, "cls", "fc", torch::nn::Linear(branch, net.n_labels));
    projection_ = nested(*this, "proj", "deconv", deconv(branch, bottleneck, {1, 1, 0}, /*bias=*/true));
    first_up_ =
        register_module("d1", std::make_shared<FirstUpBlock>(2 * bottleneck, channels(n - 1),
                                                             net.layout.decoder.front(), communicator));
    for (std::size_t i = 2; i <= n; ++i) {
      const std::int64_t here = channels(n + 1 - i);
      up_.push_back(
          register_module("d" + std::to_string(i),
                          std::make_shared<UpBlock>(skips_ ? 2 * here : here, here, i == n ? 3 : here / 2,
                                                    net.layout.decoder[i - 1], i == n, communicator)));
    }
    residual_ = nested(*this, "residual", "conv", conv(skips_ ? 6 : 3, 3, {3, 1, 1}));
  }

  Generated forward(const Tensor& input, Pass pass) override {
    Generated made;
    Tensor x = input;
    for (auto& block : down_) made.encoder.push_back(x = block->forward(x));
    made.f = x;
    made.z_arf = arf_->forward(made.f);
    if (pass == Pass::kEverything) {
      if (avf_) made.z_avf = avf_->forward(made.f);
      made.logits_arf = classifier_->forward(made.z_arf);
      if (avf_) made.logits_avf = classifier_->forward(made.z_avf);
    }
    made.p = torch::relu(torch::linear(made.z_arf, projection_->weight.flatten(1).t(), projection_->bias))
                 .view_as(made.f);
    made.decoder.push_back(x = first_up_->forward(torch::cat({made.f, made.p}, 1)));
    for (std::size_t i = 0; i < up_.size(); ++i) {
      const Tensor& skip = made.encoder[made.encoder.size() - 2 - i];
      made.decoder.push_back(x = up_[i]->forward(skips_ ? torch::cat({skip, x}, 1) : x));
    }
    made.output = torch::tanh(residual_->forward(skips_ ? torch::cat({x, input}, 1) : x));
    return made;
  }

 private:
  bool skips_;
  std::vector<std::shared_ptr<DownBlock>> down_;
  std::shared_ptr<BranchBlock> arf_, avf_;
  torch::nn::Linear classifier_{nullptr};
  torch::nn::ConvTranspose2d projection_{nullptr};
  std::shared_ptr<FirstUpBlock> first_up_;
  std::vector<std::shared_ptr<UpBlock>> up_;
  torch::nn::Conv2d residual_{nullptr};
};

struct TwoLayers : torch::nn::Module {
  TwoLayers(std::int64_t in, std::int64_t middle, std::int64_t out)
      : fc1(register_module("fc1", torch::nn::Linear(in, middle))),
        fc2(register_module("fc2", torch::nn::Linear(middle, out))) {}
  Tensor forward(const Tensor& x) { return torch::relu(fc2->forward(torch::relu(fc1->forward(x)))); }
  torch::nn::Linear fc1, fc2;
};

class TextGenerator final : public Generator {
 public:
  explicit TextGenerator(const TextNet& net) : output_(net.output), skips_(net.skips) {
    const std::int64_t d = net.text_dim;
    encoder_ = register_module("enc", std::make_shared<TwoLayers>(d, net.hidden, net.bottleneck));
    arf_ = nested(*this, "arf", "fc", torch::nn::Linear(net.bottleneck, net.branch));
    if (net.has_avf) avf_ = nested(*this, "avf", "fc", torch::nn::Linear(net.bottleneck, net.branch));
    classifier_ = nested(*this, "cls", "fc", torch::nn::Linear(net.branch, net.n_labels));
    projection_ = nested(*this, "proj", "fc", torch::nn::Linear(net.branch, net.bottleneck));
    decoder_ = register_module("dec", std::make_shared<TwoLayers>(2 * net.bottleneck, net.hidden, d));
    residual_ = nested(*this, "residual", "fc", torch::nn::Linear(skips_ ? 2 * d : d, d));
    if (net.residual_init == ResidualInit::kIdentity && skips_) {
      const torch::NoGradGuard no_grad;
      residual_->weight.mul_(0.1);
      residual_->bias.mul_(0.1);
      residual_->weight.narrow(1, 0, d).add_(torch::eye(d, residual_->weight.options()));
    }
  }

  Generated forward(const Tensor& input, Pass pass) override {
    Generated made;
    made.f = encoder_->forward(input);
    made.z_arf = torch::relu(arf_->forward(made.f));
    if (pass == Pass::kEverything) {
      if (avf_) made.z_avf = torch::relu(avf_->forward(made.f));
      made.logits_arf = classifier_->forward(made.z_arf);
      if (avf_) made.logits_avf = classifier_->forward(made.z_avf);
    }
    made.p = torch::relu(projection_->forward(made.z_arf));
    const auto regenerated = decoder_->forward(torch::cat({made.f, made.p}, 1));
    made.decoder.push_back(regenerated);
    const auto last = residual_->forward(skips_ ? torch::cat({input, regenerated}, 1) : regenerated);
    switch (output_) {
      case TextOutput::kRelu:
        made.output = torch::relu(last);
        break;
      case TextOutput::kTanh:
        made.output = torch::tanh(last);
        break;
    }
    return made;
  }

 private:
  TextOutput output_;
  bool skips_;
  std::shared_ptr<TwoLayers> encoder_, decoder_;
  torch::nn::Linear arf_{nullptr}, avf_{nullptr}, classifier_{nullptr}, projection_{nullptr},
      residual_{nullptr};
};

}  // namespace

Result<ImageLayout> image_layout(std::int64_t image_px) {
  if (image_px == 224) {
    const ConvStage k2{2, 2, 1}, k4{4, 2, 1}, k5{5, 2, 1};
    return ImageLayout{.encoder = {k4, k4, k4, k2, k4, k4, k4}, .decoder = {k5, k5, k5, k2, k4, k4, k4}};
  }
  ImageLayout layout;
  std::int64_t size = image_px;
  while (size > 4 && size % 2 == 0) {
    layout.encoder.push_back({4, 2, 1});
    size /= 2;
  }
  if (layout.encoder.empty() || (size != 3 && size != 4)) {
    return fail(ErrorCode::kInvalid,
                "drfgd has no picture network for {0} x {0} pixels; allowed: 224, and 3 or 4 times "
                "a power of two from 6 up (32, 48, 64, 96, …)",
                image_px);
  }
  layout.decoder.push_back({size, 1, 0});
  layout.decoder.insert(layout.decoder.end(), layout.encoder.begin(), layout.encoder.end());
  layout.encoder.push_back({size, 1, 0});
  return layout;
}

std::shared_ptr<Generator> make_image_generator(const ImageNet& net, collective::Communicator* communicator) {
  return std::make_shared<ImageGenerator>(net, communicator);
}

std::shared_ptr<Generator> make_text_generator(const TextNet& net) {
  return std::make_shared<TextGenerator>(net);
}

bool is_autoencoder(std::string_view name) {
  static constexpr std::string_view kBetween[] = {"arf", "avf", "cls", "proj"};
  const std::string_view block = name.substr(0, name.find('.'));
  return std::ranges::find(kBetween, block) == std::end(kBetween);
}

}  // namespace gauntlet::defenses
