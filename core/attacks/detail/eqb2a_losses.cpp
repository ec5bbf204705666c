#include "core/attacks/detail/eqb2a_losses.hpp"

namespace gauntlet::attacks::eqb2a {

using torch::Tensor;

Tensor code_distance(const Tensor& a, const Tensor& b) {
  return 0.5 - (a * b).sum(-1) / (2.0 * static_cast<double>(a.size(-1)));
}

Tensor ranking(const Tensor& nearer, const Tensor& farther, double margin, const Tensor& gap) {
  const Tensor difference = nearer - farther;
  return torch::relu(margin + (gap.defined() ? difference / gap : difference)).mean();
}

Tensor alienation(const Tensor& codes, const Tensor& near_codes, double margin) {
  return torch::relu(margin - code_distance(codes.unsqueeze(1), near_codes)).mean(0).sum();
}

Tensor balance(const Tensor& codes) { return codes.sum(0).pow(2).sum() / static_cast<double>(codes.numel()); }

Tensor quantisation(const Tensor& codes) {
  const Tensor kept = codes.detach();
  const Tensor signs = torch::where(kept > 0, torch::ones_like(kept), -torch::ones_like(kept));
  return (signs - codes).pow(2).mean();
}

Tensor least_squares(const Tensor& logits, double fakeness) { return (logits - fakeness).pow(2).mean(); }

}  // namespace gauntlet::attacks::eqb2a
