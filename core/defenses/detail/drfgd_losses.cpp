#include "core/defenses/detail/drfgd_losses.hpp"

#include "core/base/check.hpp"

namespace gauntlet::defenses {

using torch::Tensor;

Tensor symmetric_kl(const Tensor& a, const Tensor& b) {
  const auto log_p = torch::log_softmax(a, 1), log_q = torch::log_softmax(b, 1);
  return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(1);
}

Tensor divergence(const Tensor& z_arf, const Tensor& z_avf, Divergence form, double margin) {
  const auto kl = symmetric_kl(z_arf, z_avf);
  switch (form) {
    case Divergence::kLiteral:
      return kl;
    case Divergence::kSeparate:
      return torch::relu(margin - kl);
  }
  GAUNTLET_CHECK(false);
}

Tensor multi_label_cross_entropy(const Tensor& logits, const Tensor& labels, bool normalized) {
  const auto sums = (labels * torch::log_softmax(logits, 1)).sum(1);
  return normalized ? -sums / labels.sum(1).clamp_min(1) : -sums;
}

Tensor squared_error(const Tensor& a, const Tensor& b) { return (a - b).square().flatten(1).mean(1); }

Tensor discriminator_real(const Tensor& logits, AdversarialGame game) {
  switch (game) {
    case AdversarialGame::kBce:
      return torch::softplus(-logits);
    case AdversarialGame::kLeastSquares:
      return logits.sigmoid().square();
  }
  GAUNTLET_CHECK(false);
}

Tensor discriminator_fake(const Tensor& logits, AdversarialGame game) {
  switch (game) {
    case AdversarialGame::kBce:
      return torch::softplus(logits);
    case AdversarialGame::kLeastSquares:
      return (logits.sigmoid() - 1).square();
  }
  GAUNTLET_CHECK(false);
}

Tensor looks_generated(const Tensor& logits, AdversarialGame game) {
  switch (game) {
    case AdversarialGame::kBce:
      return logits < 0;
    case AdversarialGame::kLeastSquares:
      return logits > 0;
  }
  GAUNTLET_CHECK(false);
}

}  // namespace gauntlet::defenses
