#include "core/models/detail/daph.hpp"
#include "core/models/objectives.hpp"

namespace gauntlet::models {
namespace {

// Purposes of dropout draws; stages do not overlap in steps.
constexpr std::uint64_t kImageTag = 0x44414900;       // "DAI"
constexpr std::uint64_t kTextTag = 0x44415400;        // "DAT"
constexpr std::uint64_t kClassTag = 0x44414300;       // "DAC"
constexpr std::uint64_t kImageLabelTag = 0x444C4900;  // "DLI"
constexpr std::uint64_t kTextLabelTag = 0x444C5400;   // "DLT"

// Standard deviations of the weights the authors draw themselves.
constexpr double kClassStd = 0.2;
constexpr double kTextStd = 0.3;

void draw_normal(torch::Tensor weight, double std) {
  const torch::NoGradGuard no_grad;
  weight.normal_(0, std);
}

}  // namespace

FullyConnectedPair::FullyConnectedPair(std::int64_t from, std::int64_t width, double dropout)
    : out_(width > 0 ? width : from), dropout_(dropout) {
  if (width == 0) return;
  fc6_ = register_module("fc6", torch::nn::Linear(from, width));
  fc7_ = register_module("fc7", torch::nn::Linear(width, width));
}

torch::Tensor FullyConnectedPair::through_pair(const torch::Tensor& feature, const RowDraws* draws,
                                               std::uint64_t tag) {
  if (fc6_.is_empty()) return feature;
  const torch::Tensor middle = torch::relu(fc6_(dropped(feature, dropout_, draws, tag)));
  return torch::relu(fc7_(dropped(middle, dropout_, draws, tag + 1)));
}

ImageHashNetImpl::ImageHashNetImpl(const DaphConfig& config, std::int64_t from, std::int64_t code_bits)
    : FullyConnectedPair(from, config.fc_width, config.fc_dropout),
      hash_(register_module("hash", torch::nn::Linear(pair_width(), code_bits))) {}

torch::Tensor ImageHashNetImpl::forward(const torch::Tensor& feature, const RowDraws* draws) {
  return torch::tanh(hash_(through_pair(feature, draws, kImageTag)));
}

TextHashNetImpl::TextHashNetImpl(const DaphConfig& config, std::int64_t from, std::int64_t code_bits)
    : dropout_(config.text_dropout),
      fc1_(register_module("fc1", torch::nn::Linear(from, config.hidden))),
      hash_(register_module("hash", torch::nn::Linear(config.hidden, code_bits))) {
  draw_normal(hash_->weight, kTextStd);
}

torch::Tensor TextHashNetImpl::forward(const torch::Tensor& text, const RowDraws* draws) {
  return torch::tanh(hash_(dropped(torch::relu(fc1_(text)), dropout_, draws, kTextTag)));
}

DaphNet::DaphNet(const DaphConfig& config, const ModelShape& shape, std::shared_ptr<Backbone> trunk)
    : shape_(shape),
      trunk_(std::move(trunk)),
      image_net_(config, trunk_->n_features(), shape.code_bits),
      text_net_(config, shape.text_dim, shape.code_bits) {
  register_module("trunk", trunk_);
  register_module("image_net", image_net_);
  register_module("text_net", text_net_);
}

torch::Tensor DaphNet::image_codes(const torch::Tensor& images, const RowDraws* draws) {
  return image_net_(through_backbone(*trunk_, images), draws);
}

torch::Tensor DaphNet::text_codes(const torch::Tensor& text, const RowDraws* draws) {
  return text_net_(text, draws);
}

ImageProxyNetImpl::ImageProxyNetImpl(const DaphConfig& config, std::int64_t from, std::int64_t code_bits)
    : FullyConnectedPair(from, config.fc_width, config.fc_dropout),
      embed_layer(register_module("embed", torch::nn::Linear(pair_width(), config.embedding))),
      code(register_module("code", torch::nn::Linear(config.embedding, code_bits))) {}

torch::Tensor ImageProxyNetImpl::embed(const torch::Tensor& feature, const RowDraws* draws) {
  return unit_rows(embed_layer(through_pair(feature, draws, kImageTag)));
}

TextProxyNetImpl::TextProxyNetImpl(const DaphConfig& config, std::int64_t from, std::int64_t code_bits)
    : fc1(register_module("fc1", torch::nn::Linear(from, config.hidden))),
      embed_layer(register_module("embed", torch::nn::Linear(config.hidden, config.embedding))),
      code(register_module("code", torch::nn::Linear(config.embedding, code_bits))),
      dropout_(config.proxy_text_dropout) {
  draw_normal(embed_layer->weight, kTextStd);
}

torch::Tensor TextProxyNetImpl::embed(const torch::Tensor& text, const RowDraws* draws) {
  return unit_rows(embed_layer(dropped(torch::relu(fc1(text)), dropout_, draws, kTextTag)));
}

DaphProxies::DaphProxies(const DaphConfig& config, const ModelShape& shape, std::shared_ptr<Backbone> trunk)
    : class_dropout_(config.class_dropout),
      label_dropout_(config.label_dropout),
      n_labels_(shape.n_labels),
      trunk_(register_module("trunk", std::move(trunk))),
      class_proxy_(register_module("class_proxy", Perceptron(std::vector<std::int64_t>{
                                                      shape.n_labels, config.hidden, shape.code_bits}))),
      label_v_(register_module("label_v", Perceptron(std::vector<std::int64_t>{
                                              shape.n_labels, config.embedding, config.embedding}))),
      label_t_(register_module("label_t", Perceptron(std::vector<std::int64_t>{
                                              shape.n_labels, config.embedding, config.embedding}))),
      image_proxy_(
          register_module("image_proxy", ImageProxyNet(config, trunk_->n_features(), shape.code_bits))),
      text_proxy_(register_module("text_proxy", TextProxyNet(config, shape.text_dim, shape.code_bits))) {
  for (const torch::Tensor& parameter : class_proxy_->parameters()) {
    if (parameter.dim() == 2) draw_normal(parameter, kClassStd);
  }
}

torch::Tensor DaphProxies::image(const torch::Tensor& images, const torch::Tensor& labels,
                                 const RowDraws* draws) {
  const torch::Tensor label = unit_rows(label_v_(labels, draws, label_dropout_, kImageLabelTag));
  const torch::Tensor data = image_proxy_->embed(through_backbone(*trunk_, images), draws);
  return unit_rows(image_proxy_->code(data + label));
}

torch::Tensor DaphProxies::text(const torch::Tensor& text, const torch::Tensor& labels,
                                const RowDraws* draws) {
  const torch::Tensor label = unit_rows(label_t_(labels, draws, label_dropout_, kTextLabelTag));
  return unit_rows(text_proxy_->code(text_proxy_->embed(text, draws) + label));
}

torch::Tensor DaphProxies::classes(const RowDraws* draws) {
  const torch::Tensor one_hot = torch::eye(n_labels_, class_proxy_->parameters().front().options());
  if (draws == nullptr) return unit_rows(class_proxy_(one_hot));
  const RowDraws by_class{draws->seed, draws->step, torch::arange(n_labels_)};
  return unit_rows(class_proxy_(one_hot, &by_class, class_dropout_, kClassTag));
}

std::vector<torch::Tensor> DaphProxies::data_parameters(bool head) const {
  std::vector<torch::Tensor> chosen;
  for (const auto& parameter : named_parameters()) {
    const std::string& name = parameter.key();
    const bool of_head = name.starts_with("label_v.") || name.starts_with("image_proxy.embed.") ||
                         name.starts_with("image_proxy.code.");
    if (name.starts_with("class_proxy.") || (of_head && !head)) continue;
    if (parameter.value().requires_grad()) chosen.push_back(parameter.value());
  }
  return chosen;
}

}  // namespace gauntlet::models
