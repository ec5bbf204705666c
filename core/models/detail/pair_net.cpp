#include "core/models/detail/pair_net.hpp"

namespace gauntlet::models {

HashHeadImpl::HashHeadImpl(const HashHeadLayout& layout) : layout_(layout) {
  if (layout.hidden > 0) hidden = register_module("hidden", torch::nn::Linear(layout.from, layout.hidden));
  out = register_module("out", torch::nn::Linear(layout.hidden > 0 ? layout.hidden : layout.from, layout.to));
}

torch::Tensor HashHeadImpl::forward(const torch::Tensor& input, const torch::Tensor& mask) {
  if (layout_.hidden == 0) return out(input);
  const torch::Tensor units = torch::relu(hidden(input));
  return out(mask.defined() ? units * mask : units);
}

void HashHeadImpl::draw_normal(double deviation) {
  for (const torch::Tensor& parameter : parameters()) torch::nn::init::normal_(parameter, 0, deviation);
}

PairNet::PairNet(std::shared_ptr<Backbone> trunk_, bool frozen, const HashHead& image, const HashHead& text)
    : trunk(std::move(trunk_)), image_head(image), text_head(text) {
  register_module("trunk", trunk);
  register_module("image_head", image_head);
  register_module("text_head", text_head);
  if (!frozen) return;
  for (torch::Tensor& parameter : trunk->parameters()) parameter.set_requires_grad(false);
}

torch::Tensor PairNet::outputs(Modality modality, const torch::Tensor& input, const torch::Tensor& mask) {
  if (modality == Modality::kText) return text_head(input, mask);
  return image_head(through_backbone(*trunk, input), mask);
}

std::vector<torch::Tensor> PairNet::trained_parameters(Modality modality) {
  std::vector<torch::Tensor> trained = head(modality)->parameters();
  if (modality == Modality::kText) return trained;
  for (const torch::Tensor& parameter : trunk->parameters()) {
    if (parameter.requires_grad()) trained.push_back(parameter);
  }
  return trained;
}

}  // namespace gauntlet::models
