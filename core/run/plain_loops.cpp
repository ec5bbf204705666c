#include "core/run/plain_loops.hpp"

#include "core/models/losses.hpp"

namespace gauntlet::run {

torch::Tensor plain_encode(models::HashingModel& model, Modality modality, const torch::Tensor& inputs) {
  std::vector<torch::Tensor> codes;
  for (std::int64_t begin = 0; begin < inputs.size(0); begin += kPlainBatch) {
    codes.push_back(model.encode(modality, inputs.slice(0, begin, begin + kPlainBatch)).detach().sign());
  }
  return torch::cat(codes);
}

torch::Tensor plain_pgd(const PlainTarget& target, Modality modality, const torch::Tensor& inputs,
                        const torch::Tensor& labels, std::int64_t n_steps, double epsilon, double step) {
  std::vector<torch::Tensor> crafted;
  for (std::int64_t begin = 0; begin < inputs.size(0); begin += kPlainBatch) {
    const torch::Tensor clean = inputs.slice(0, begin, begin + kPlainBatch).contiguous();
    const torch::Tensor own = labels.slice(0, begin, begin + kPlainBatch);
    torch::Tensor delta = torch::zeros_like(clean);
    for (std::int64_t at = 0; at < n_steps; ++at) {
      delta = delta.detach().requires_grad_();
      const torch::Tensor relevant = models::relevance_mask(own, target.train_labels);
      const torch::Tensor loss = models::repel_attract_loss(
          target.model->encode(modality, clean + delta), target.train_codes_image + target.train_codes_text,
          relevant.logical_not(), relevant, 0.05);
      target.model->zero_grad();
      loss.sum().backward();
      const torch::NoGradGuard no_grad;
      delta = (delta - step * delta.grad().sign()).clamp(-epsilon, epsilon);
      delta = (clean + delta).clamp(0, 1) - clean;
    }
    crafted.push_back((clean + delta).detach());
  }
  return torch::cat(crafted);
}

}  // namespace gauntlet::run
