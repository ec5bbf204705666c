#include "core/run/map_numbers.hpp"

#include <cmath>
#include <limits>

namespace gauntlet::run {
namespace {

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

/// [n] bool; `values` hold the candidates only.
torch::Tensor top(const torch::Tensor& values, std::int64_t n_top) {
  const torch::Tensor order = values.argsort(/*stable=*/true, /*dim=*/0, /*descending=*/true);
  return torch::zeros({values.size(0)}, torch::kBool).index_fill(0, order.slice(0, 0, n_top), true) &
         (values > 0);
}

bool is_flat(const torch::Tensor& values) {
  return values.min().item<double>() == values.max().item<double>();
}

}  // namespace

double overlap_of_top(const torch::Tensor& one, const torch::Tensor& other, const torch::Tensor& candidates,
                      double share) {
  const torch::Tensor a = one.masked_select(candidates), b = other.masked_select(candidates);
  if (a.numel() == 0 || is_flat(a) || is_flat(b)) return kNothing;
  const auto n_top = static_cast<std::int64_t>(std::ceil(share * static_cast<double>(a.numel()) - 1e-9));
  const torch::Tensor in_a = top(a, n_top), in_b = top(b, n_top);
  return (in_a & in_b).sum().item<double>() / (in_a | in_b).sum().item<double>();
}

double cosine_of(const torch::Tensor& one, const torch::Tensor& other) {
  const torch::Tensor a = one.flatten().to(torch::kFloat64), b = other.flatten().to(torch::kFloat64);
  const double norms = a.norm().item<double>() * b.norm().item<double>();
  return norms > 0 ? a.dot(b).item<double>() / norms : kNothing;
}

double mass_on_change(const torch::Tensor& map, const torch::Tensor& change,
                      const torch::Tensor& candidates) {
  const torch::Tensor mass = map.masked_select(candidates).to(torch::kFloat64);
  const torch::Tensor moved = change.masked_select(candidates);
  const double whole = mass.numel() == 0 ? 0 : mass.sum().item<double>();
  if (whole <= 0) return kNothing;
  return mass.masked_select(moved > moved.median()).sum().item<double>() / whole;
}

}  // namespace gauntlet::run
