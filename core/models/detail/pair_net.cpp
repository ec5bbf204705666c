#include "core/models/detail/pair_net.hpp"

namespace gauntlet::models {
namespace {

constexpr std::uint64_t kImageDropoutTag = 0x44524F56;  // "DROV"
constexpr std::uint64_t kTextDropoutTag = 0x44524F54;   // "DROT"

}  // namespace

HashHeadImpl::HashHeadImpl(const HashHeadLayout& layout) : layout_(layout) {
  if (layout.hidden > 0) hidden = register_module("hidden", torch::nn::Linear(layout.from, layout.hidden));
  out = register_module("out", torch::nn::Linear(layout.hidden > 0 ? layout.hidden : layout.from, layout.to));
}

torch::Tensor HashHeadImpl::forward(const torch::Tensor& input, const RowDraws* draws, std::uint64_t tag) {
  if (layout_.hidden == 0) return out(input);
  return out(dropped(torch::relu(hidden(input)), layout_.dropout, draws, tag));
}

void HashHeadImpl::draw_normal(double deviation) {
  for (const torch::Tensor& parameter : parameters()) torch::nn::init::normal_(parameter, 0, deviation);
}

PairNet::PairNet(std::shared_ptr<Backbone> trunk_, const HashHead& image, const HashHead& text)
    : trunk(std::move(trunk_)), image_head(image), text_head(text) {
  register_module("trunk", trunk);
  register_module("image_head", image_head);
  register_module("text_head", text_head);
}

torch::Tensor PairNet::outputs(Modality modality, const torch::Tensor& input, const RowDraws* draws) {
  if (modality == Modality::kText) return text_head(input, draws, kTextDropoutTag);
  return image_head(through_backbone(*trunk, input), draws, kImageDropoutTag);
}

std::vector<torch::Tensor> PairNet::trained_parameters(Modality modality) {
  std::vector<torch::Tensor> trained = head(modality)->parameters();
  if (modality == Modality::kText) return trained;
  const std::vector<torch::Tensor> of_trunk = trainable_parameters(*trunk);
  trained.insert(trained.end(), of_trunk.begin(), of_trunk.end());
  return trained;
}

}  // namespace gauntlet::models
