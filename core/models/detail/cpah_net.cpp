#include "core/models/detail/cpah.hpp"

namespace gauntlet::models {
namespace {

constexpr std::int64_t kConsistencyClasses = 3;  // private to images, common, private to texts

}  // namespace

CpahNet::CpahNet(const CpahConfig& config, const ModelShape& shape, std::shared_ptr<Backbone> trunk,
                 collective::Communicator* communicator)
    : masked_codes_(config.masked_codes),
      trunk_(std::move(trunk)),
      image_mlp_(std::vector{trunk_->n_features(), config.hidden, config.hidden}, communicator),
      text_mlp_(std::vector{shape.text_dim, config.hidden, config.hidden}, communicator),
      mask_v_(config.hidden, config.hidden),
      mask_t_(config.hidden, config.hidden),
      hash_v_(config.hidden, shape.code_bits),
      hash_t_(config.hidden, shape.code_bits) {
  register_module("trunk", trunk_);
  register_module("image_mlp", image_mlp_);
  register_module("text_mlp", text_mlp_);
  register_module("mask_v", mask_v_);
  register_module("mask_t", mask_t_);
  register_module("hash_v", hash_v_);
  register_module("hash_t", hash_t_);
}

torch::Tensor CpahNet::encode_image(const torch::Tensor& images) {
  return hash(Modality::kImage, features(Modality::kImage, images), masked_codes_);
}

torch::Tensor CpahNet::encode_text(const torch::Tensor& text) {
  return hash(Modality::kText, features(Modality::kText, text), masked_codes_);
}

torch::Tensor CpahNet::features(Modality modality, const torch::Tensor& input) {
  if (modality == Modality::kText) return text_mlp_(input);
  return image_mlp_(through_backbone(*trunk_, input));
}

CpahParts CpahNet::parts(Modality modality, const torch::Tensor& features) {
  const bool image = modality == Modality::kImage;
  CpahParts parts;
  parts.feature = features;
  parts.mask = torch::sigmoid((image ? mask_v_ : mask_t_)(features));
  parts.common = features * parts.mask;
  parts.own = features * (1 - parts.mask);
  parts.code = torch::tanh((image ? hash_v_ : hash_t_)(parts.common));
  return parts;
}

torch::Tensor CpahNet::hash(Modality modality, const torch::Tensor& features, bool masked) {
  const bool image = modality == Modality::kImage;
  const torch::Tensor hashed =
      masked ? features * torch::sigmoid((image ? mask_v_ : mask_t_)(features)) : features;
  return torch::tanh((image ? hash_v_ : hash_t_)(hashed));
}

CpahCriticsImpl::CpahCriticsImpl(const CpahConfig& config, std::int64_t n_labels)
    : D(register_module("D", Perceptron(std::vector{config.hidden, config.critic_hidden, std::int64_t{1}}))),
      Cns(register_module("Cns",
                          Perceptron(std::vector{config.hidden, config.critic_hidden, kConsistencyClasses}))),
      cls_v(register_module("cls_v", Head(config.hidden, n_labels))),
      cls_t(register_module("cls_t", Head(config.hidden, n_labels))) {}

}  // namespace gauntlet::models
