#include "core/attacks/detail/code_losses.hpp"

namespace gauntlet::attacks {
namespace {

constexpr double kMaskGuard = 1e-8;  // keeps an empty mask finite, as released

}  // namespace

torch::Tensor code_agreement(const torch::Tensor& code, const torch::Tensor& anchor) {
  return (code * anchor).mean(1);
}

torch::Tensor majority_code(const torch::Tensor& codes) {
  return codes.sum(0).gt(0).to(codes.scalar_type()) * 2 - 1;
}

torch::Tensor hag_loss(const torch::Tensor& code, const torch::Tensor& clean, const HagLoss& form) {
  const torch::Tensor mask =
      (code.detach() - clean.sign()).abs().le(1 + form.threshold).to(code.scalar_type());
  const torch::Tensor kept = code * mask;
  const torch::Tensor agreement = (kept * clean).sum(1) / (mask.sum(1) + kMaskGuard);
  return (agreement + form.beta).square() + kept.mean(1).square();
}

}  // namespace gauntlet::attacks
