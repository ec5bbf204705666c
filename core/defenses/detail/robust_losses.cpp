#include "core/defenses/detail/robust_losses.hpp"

#include "core/attacks/mainstay_code.hpp"
#include "core/base/check.hpp"

namespace gauntlet::defenses {

using torch::Tensor;

Tensor pairwise_regression(const Tensor& u, const std::vector<Tensor>& sets, const Tensor& similar) {
  GAUNTLET_CHECK(!sets.empty());
  const Tensor wanted = 2 * similar.to(u.scalar_type()) - 1;
  const auto n_bits = static_cast<double>(u.size(1));
  Tensor sum;
  for (const Tensor& set : sets) {
    const Tensor error = (u.matmul(set.detach().t()) / n_bits - wanted).square().mean();
    sum = sum.defined() ? sum + error : error;
  }
  return sum / static_cast<double>(sets.size());
}

Tensor quantisation(const Tensor& u) { return (u - attacks::signs(u.detach())).square().mean(); }

Tensor contrastive(const Tensor& u, const Tensor& v, const Tensor& positives, double temperature) {
  const Tensor cosine = torch::nn::functional::normalize(u).matmul(torch::nn::functional::normalize(v).t());
  const Tensor log_share = torch::log_softmax(cosine / temperature, 1);
  const Tensor mask = positives.to(u.scalar_type());
  return -((log_share * mask).sum(1) / mask.sum(1).clamp_min(1)).mean();
}

Tensor symmetric_contrastive(const Tensor& u, const Tensor& v, const Tensor& positives, double temperature) {
  return 0.5 * (contrastive(u, v, positives, temperature) + contrastive(v, u, positives.t(), temperature));
}

}  // namespace gauntlet::defenses
