#include "core/models/detail/dadh.hpp"

namespace gauntlet::models {

DadhNet::DadhNet(const DadhConfig& config, const ModelShape& shape, std::shared_ptr<Backbone> trunk,
                 collective::Communicator* communicator)
    : dropout_(config.dropout),
      code_bits_(shape.code_bits),
      trunk_(std::move(trunk)),
      image_mlp_(std::vector{trunk_->n_features(), config.hidden, config.hidden_2, config.feature_width},
                 communicator),
      text_mlp_(std::vector{shape.text_dim, config.hidden, config.hidden_2, config.feature_width},
                communicator),
      hash_v_(config.feature_width, shape.code_bits),
      hash_t_(config.feature_width, shape.code_bits) {
  register_module("trunk", trunk_);
  register_module("image_mlp", image_mlp_);
  register_module("text_mlp", text_mlp_);
  register_module("hash_v", hash_v_);
  register_module("hash_t", hash_t_);
}

torch::Tensor DadhNet::encode_image(const torch::Tensor& images) {
  return hash(Modality::kImage, features(Modality::kImage, images));
}

torch::Tensor DadhNet::encode_text(const torch::Tensor& text) {
  return hash(Modality::kText, features(Modality::kText, text));
}

torch::Tensor DadhNet::features(Modality modality, const torch::Tensor& input, const RowDraws* draws,
                                std::uint64_t tag) {
  if (modality == Modality::kText) return text_mlp_(input, draws, dropout_, tag);
  return image_mlp_(through_backbone(*trunk_, input), draws, dropout_, tag);
}

torch::Tensor DadhNet::hash(Modality modality, const torch::Tensor& features) {
  return torch::tanh((modality == Modality::kImage ? hash_v_ : hash_t_)(features));
}

DadhCriticsImpl::DadhCriticsImpl(const DadhConfig& config, std::int64_t code_bits)
    : D_f(register_module("D_f", Perceptron(std::vector{config.feature_width, config.critic_hidden,
                                                        config.critic_hidden_2, std::int64_t{1}}))),
      D_h(register_module("D_h",
                          Perceptron(std::vector{code_bits, config.code_critic_hidden, std::int64_t{1}}))) {
  const torch::NoGradGuard no_grad;
  for (const auto& parameter : named_parameters()) {
    if (parameter.value().dim() == 1) {
      parameter.value().zero_();
    } else {
      torch::nn::init::kaiming_normal_(parameter.value());
    }
  }
}

}  // namespace gauntlet::models
