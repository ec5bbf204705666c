#include "core/attacks/detail/ta_dch_prototype.hpp"

#include "core/attacks/detail/generator_layers.hpp"

namespace gauntlet::attacks::ta_dch {
namespace {

using torch::Tensor;

/// Halves a map; one that would be left with a single place, where instance norm has nothing to say, keeps
/// its size.
struct FuseStage {
  ConvShape conv;
  std::int64_t side;  ///< of the result
};
FuseStage fuse_stage(std::int64_t in, std::int64_t out, std::int64_t side) {
  if (side < 4) return {{in, out, 3, 1, 1, true}, side};
  return {{in, out, 4, 2, 1, true}, side / 2};
}

Tensor tanh_of_norm(const Tensor& maps) { return torch::tanh(instance_norm(maps)); }

}  // namespace

/// LabelNet and TextNet: a vector as a map of F's size.
struct PrototypeNet::MapNet : torch::nn::Module {
  MapNet(std::int64_t in, const PrototypeLayout& layout)
      : sizes{-1, layout.map, 2 * layout.side, 2 * layout.side},
        fc1(register_module("fc1", torch::nn::Linear(in, layout.hidden))),
        fc2(register_module("fc2", torch::nn::Linear(layout.hidden, layout.map * sizes[2] * sizes[3]))),
        conv1(register_module("conv1", make_conv({layout.map, layout.middle, 4, 2, 1, true}))),
        conv2(register_module("conv2", make_conv({layout.middle, layout.feature, 5, 1, 2, true}))) {}
  Tensor forward(const Tensor& vectors) {
    const Tensor map = fc2->forward(torch::relu(fc1->forward(vectors))).view(sizes);
    return tanh_of_norm(conv2->forward(tanh_of_norm(conv1->forward(map))));
  }
  std::vector<std::int64_t> sizes;
  torch::nn::Linear fc1, fc2;
  torch::nn::Conv2d conv1, conv2;
};

/// What decides between two maps, at each place or, after averaging over places, for all of them.
struct PrototypeNet::Attention : torch::nn::Module {
  explicit Attention(const PrototypeLayout& layout)
      : conv1(register_module("conv1", make_conv({layout.feature, layout.squeeze, 1, 1, 0, true}))),
        conv2(register_module("conv2", make_conv({layout.squeeze, layout.feature, 1, 1, 0, true}))),
        bn1(register_module("bn1", torch::nn::BatchNorm2d(layout.squeeze))),
        bn2(register_module("bn2", torch::nn::BatchNorm2d(layout.feature))) {}
  Tensor forward(const Tensor& maps) {
    const Tensor inner = torch::relu(bn1->forward(conv1->forward(maps)));
    return bn2->forward(conv2->forward(inner));
  }
  torch::nn::Conv2d conv1, conv2;
  torch::nn::BatchNorm2d bn1, bn2;
};

PrototypeLayout prototype_layout(std::int64_t map) {
  PrototypeLayout layout;
  layout.map = map;
  layout.middle = 2 * map;
  layout.feature = 4 * map;
  layout.squeeze = map;
  layout.fuse_first = 8 * map;
  layout.fuse_last = 16 * map;
  return layout;
}

PrototypeNet::PrototypeNet(const PrototypeLayout& layout)
    : label_net_(register_module("labelnet", std::make_shared<MapNet>(layout.n_labels, layout))),
      text_net_(register_module("textnet", std::make_shared<MapNet>(layout.text_dim, layout))),
      local1_(register_module("local1", std::make_shared<Attention>(layout))),
      global1_(register_module("global1", std::make_shared<Attention>(layout))),
      local2_(register_module("local2", std::make_shared<Attention>(layout))),
      global2_(register_module("global2", std::make_shared<Attention>(layout))) {
  const FuseStage first = fuse_stage(layout.feature, layout.fuse_first, layout.side);
  const FuseStage last = fuse_stage(layout.fuse_first, layout.fuse_last, first.side);
  fuse1_ = add_layer(*this, "fuse", "conv1", make_conv(first.conv));
  fuse2_ = add_layer(*this, "fuse", "conv2", make_conv(last.conv));
  const std::int64_t flat = layout.fuse_last * last.side * last.side;
  hash_ = add_layer(*this, "hash", "fc", torch::nn::Linear(flat, layout.code_bits));
  classifier_ = add_layer(*this, "cls", "fc", torch::nn::Linear(flat, layout.n_labels));
}

Prototype PrototypeNet::forward(const Tensor& labels, const Tensor& text) {
  const Tensor of_labels = label_net_->forward(labels), of_text = text_net_->forward(text);
  const auto mixed = [&](Attention& local, Attention& global, const Tensor& maps) {
    const Tensor weight =
        torch::sigmoid(local.forward(maps) + global.forward(torch::adaptive_avg_pool2d(maps, {1, 1})));
    return of_text + weight * (of_labels - of_text);
  };
  const Tensor first = mixed(*local1_, *global1_, of_labels + of_text);
  Prototype made;
  made.feature = mixed(*local2_, *global2_, first);
  const Tensor fused = tanh_of_norm(fuse2_->forward(tanh_of_norm(fuse1_->forward(made.feature))));
  const Tensor flat = fused.flatten(1);
  made.code = torch::tanh(hash_->forward(flat));
  made.labels = torch::sigmoid(classifier_->forward(flat));
  return made;
}

Prototype prototype_of(PrototypeNet& net, models::Precision precision, const Tensor& labels,
                       const Tensor& text) {
  Prototype made;
  {
    const models::PrecisionScope scope(precision, labels.device().type());
    made = net.forward(labels, text);
  }
  const auto type = labels.scalar_type();
  return {made.feature.to(type), made.code.to(type), made.labels.to(type)};
}

}  // namespace gauntlet::attacks::ta_dch
