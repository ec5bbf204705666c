#include "core/models/detail/row_draws.hpp"

#include <cmath>
#include <numbers>

#include "core/base/random.hpp"

namespace gauntlet::models {
namespace {

constexpr std::uint64_t kCodesTag = 0x434F4445;  // "CODE"

/// Row i holds what `draw` makes of the stream of (seed, tag, step, rows[i]).
template <class Draw>
torch::Tensor drawn(const RowDraws& draws, std::uint64_t tag, std::int64_t width, const Draw& draw) {
  const std::int64_t n_rows = draws.rows.size(0);
  torch::Tensor values = torch::empty({n_rows, width}, torch::kFloat32);
  const torch::Tensor rows = draws.rows.cpu();
  const std::int64_t* row = rows.const_data_ptr<std::int64_t>();
  float* out = values.mutable_data_ptr<float>();
  for (std::int64_t item = 0; item < n_rows; ++item) {
    const auto index =
        (static_cast<std::uint64_t>(draws.step) << 32U) | static_cast<std::uint64_t>(row[item]);
    RandomStream stream = RandomStream::of(draws.seed, tag, index);
    for (std::int64_t column = 0; column < width; ++column) *out++ = static_cast<float>(draw(stream));
  }
  return values.to(draws.rows.device());
}

}  // namespace

torch::Tensor RowDraws::uniform(std::uint64_t tag, std::int64_t width) const {
  return drawn(*this, tag, width, [](RandomStream& stream) { return stream.uniform(); });
}

torch::Tensor RowDraws::normal(std::uint64_t tag, std::int64_t width) const {
  return drawn(*this, tag, width, [](RandomStream& stream) {
    const double radius = std::sqrt(-2 * std::log(1 - stream.uniform()));  // Box and Muller
    return radius * std::cos(2 * std::numbers::pi * stream.uniform());
  });
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
