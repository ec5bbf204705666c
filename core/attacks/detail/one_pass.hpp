// Elementwise work on two tensors without a tensor for every step of it: on a CPU those cost more than a
// small network.
#pragma once

#include <ATen/Parallel.h>

#include "core/torch.hpp"

namespace gauntlet::attacks {

/// Whether both are plain float32 tensors [any shape, the same] on the CPU, and no gradient is asked for.
[[nodiscard]] inline bool goes_in_one_pass(const torch::Tensor& a, const torch::Tensor& b) {
  const auto is_plain = [](const torch::Tensor& each) {
    return each.device().is_cpu() && each.scalar_type() == torch::kFloat32 && !each.requires_grad();
  };
  return is_plain(a) && is_plain(b) && a.sizes() == b.sizes();
}

/// f(a, b) value by value, in the shape of `a`.
template <typename F>
torch::Tensor in_one_pass(const torch::Tensor& a, const torch::Tensor& b, const F& f) {
  constexpr std::int64_t kGrain = 1 << 14;
  const torch::Tensor first = a.contiguous(), second = b.contiguous();
  torch::Tensor result = torch::empty(first.sizes(), first.options());
  const float* from_a = first.const_data_ptr<float>();
  const float* from_b = second.const_data_ptr<float>();
  auto* out = result.mutable_data_ptr<float>();
  at::parallel_for(0, first.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t at = begin; at < end; ++at) out[at] = f(from_a[at], from_b[at]);
  });
  return result;
}

}  // namespace gauntlet::attacks
