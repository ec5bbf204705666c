#include "core/models/detail/row_draws.hpp"

#include "core/base/random.hpp"

namespace gauntlet::models {
namespace {

constexpr std::uint64_t kCodesTag = 0x434F4445;  // "CODE"

}  // namespace

torch::Tensor RowDraws::uniform(std::uint64_t tag, std::int64_t width) const {
  torch::Tensor drawn = torch::empty({rows.size(0), width}, torch::kFloat32);
  const std::int64_t* row = rows.const_data_ptr<std::int64_t>();
  float* out = drawn.mutable_data_ptr<float>();
  for (std::int64_t item = 0; item < rows.size(0); ++item) {
    const auto index = (static_cast<std::uint64_t>(step) << 32U) | static_cast<std::uint64_t>(row[item]);
    RandomStream stream = RandomStream::of(seed, tag, index);
    for (std::int64_t column = 0; column < width; ++column) *out++ = static_cast<float>(stream.uniform());
  }
  return drawn;
}

torch::Tensor dropped(const torch::Tensor& x, double p, const RowDraws* draws, std::uint64_t tag) {
  if (draws == nullptr || p <= 0) return x;
  return x * draws->uniform(tag, x.size(1)).ge(p).to(x.options()).div_(1 - p);
}

torch::Tensor random_codes(std::int64_t n_rows, std::int64_t n_bits, std::uint64_t seed, torch::Dtype dtype) {
  const RowDraws draws{.seed = seed, .rows = torch::arange(n_rows)};
  return draws.uniform(kCodesTag, n_bits).ge(0.5).to(dtype).mul_(2).sub_(1);
}

}  // namespace gauntlet::models
