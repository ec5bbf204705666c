#include "core/attacks/prototype_net.hpp"

#include "core/attacks/mainstay_code.hpp"
#include "core/base/check.hpp"
#include "core/base/random.hpp"
#include "core/models/losses.hpp"

namespace gauntlet::attacks {
namespace {

using torch::Tensor;

constexpr double kQuantisationWeight = 1e-4;
constexpr std::uint64_t kTargetsTag = 0x50524F544F;  // "PROTO"

/// logsumexp over the entries in the mask; 0 when there are none.
Tensor log_sum_exp_of(const Tensor& values, const Tensor& mask) {
  if (!mask.any().item<bool>()) return torch::zeros({}, values.options());
  return values.masked_select(mask).logsumexp(0);
}

/// bool [B, N]: which pairs count at all.
Tensor counted_pairs(const Tensor& related, bool above_diagonal) {
  const Tensor all = torch::ones_like(related);
  return above_diagonal ? all.triu(1) : all;
}

}  // namespace

PrototypeNetImpl::PrototypeNetImpl(std::int64_t n_labels, std::int64_t hidden, std::int64_t middle,
                                   std::int64_t n_bits)
    : fc1_(register_module("fc1", torch::nn::Linear(n_labels, hidden))),
      fc2_(register_module("fc2", torch::nn::Linear(hidden, middle))),
      fc3_(register_module("fc3", torch::nn::Linear(middle, n_bits))) {}

Tensor PrototypeNetImpl::forward(const Tensor& labels) {
  return torch::tanh(fc3_(fc2_(torch::relu(fc1_(labels)))));
}

PrototypeLoss prototype_loss(const Tensor& p, const Tensor& target_labels, const std::vector<Tensor>& codes,
                             const Tensor& train_labels, const PrototypeForm& form) {
  GAUNTLET_CHECK(!codes.empty());
  const auto n_rows = static_cast<double>(p.size(0)), n_bits = static_cast<double>(p.size(1));
  const Tensor related = models::relevance_mask(target_labels, train_labels);
  const Tensor counted = counted_pairs(related, form.above_diagonal);
  std::vector<Tensor> similarities;
  for (const Tensor& set : codes) similarities.push_back(p.matmul(set.t()) / n_bits);
  const auto n_sets = static_cast<std::int64_t>(codes.size());
  const Tensor similarity = torch::cat(similarities, 1);
  const Tensor attract = related.logical_and(counted).repeat({1, n_sets});
  const Tensor repel = related.logical_not().logical_and(counted).repeat({1, n_sets});

  const Tensor attract_weight = (2 - similarity.detach()).clamp_min(0);
  const Tensor repel_weight = (2 + similarity.detach()).clamp_min(0);
  Tensor bracket = log_sum_exp_of(repel_weight * similarity, repel) +
                   log_sum_exp_of(-attract_weight * similarity, attract);
  if (form.softplus) bracket = torch::softplus(bracket);
  const Tensor quantisation = (signs(p.detach()) - p).square().sum();
  return {bracket / n_rows, kQuantisationWeight / n_rows * quantisation};
}

PrototypeLearner::PrototypeLearner(PrototypeNet net, const PrototypeForm& form, double lr, double beta1)
    : PrototypeLearner(std::move(net), form, torch::optim::AdamOptions(lr).betas({beta1, 0.999})) {}

PrototypeLearner::PrototypeLearner(PrototypeNet net, const PrototypeForm& form,
                                   const torch::optim::AdamOptions& adam)
    : net_(std::move(net)), form_(form), optimiser_(net_->parameters(), adam) {}

PrototypeLearner::Step PrototypeLearner::step(const Tensor& target_labels, const std::vector<Tensor>& codes,
                                              const Tensor& train_labels) {
  const torch::AutoGradMode with_gradient(true);
  const Tensor p = net_(target_labels);
  PrototypeLoss loss = prototype_loss(p, target_labels, codes, train_labels, form_);
  optimiser_.zero_grad();
  loss.total().backward();
  optimiser_.step();
  return {p.detach(), {loss.similarity.detach(), loss.quantisation.detach()}};
}

void PrototypeLearner::set_learning_rate(double lr) {
  for (auto& group : optimiser_.param_groups()) group.options().set_lr(lr);
}

void PrototypeLearner::visit_state(models::StateVisitor& visitor) {
  visitor.module("net", *net_);
  visitor.optimiser("optimiser", optimiser_);
}

Tensor distinct_label_vectors(const Tensor& labels) {
  const Tensor labelled = labels.index({labels.sum(1).gt(0)});
  return std::get<0>(torch::unique_dim(labelled, 0));
}

Tensor drawn_label_vectors(const Tensor& vectors, std::int64_t n, std::uint64_t seed, std::int64_t step) {
  RandomStream stream = RandomStream::of(seed, kTargetsTag, static_cast<std::uint64_t>(step));
  std::vector<std::int64_t> rows(static_cast<std::size_t>(n));
  for (std::int64_t& row : rows) row = stream.below(static_cast<std::uint32_t>(vectors.size(0)));
  return vectors.index_select(0, torch::tensor(rows, torch::kLong).to(vectors.device()));
}

}  // namespace gauntlet::attacks
