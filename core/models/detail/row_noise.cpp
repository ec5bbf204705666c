#include "core/models/detail/row_noise.hpp"

#include <cmath>
#include <numbers>

#include "core/base/random.hpp"

namespace gauntlet::models {
namespace {

constexpr std::uint64_t kSignsTag = 0x5349474E;  // "SIGN"

/// Row i holds what `draw` makes of the stream `stream_of(i)`.
template <class StreamOf, class Draw>
torch::Tensor drawn(std::int64_t n_rows, std::int64_t n_columns, torch::Dtype dtype,
                    const StreamOf& stream_of, const Draw& draw) {
  torch::Tensor values = torch::empty({n_rows, n_columns}, torch::kFloat32);
  float* out = values.mutable_data_ptr<float>();
  for (std::int64_t row = 0; row < n_rows; ++row) {
    RandomStream stream = stream_of(row);
    for (std::int64_t column = 0; column < n_columns; ++column) *out++ = static_cast<float>(draw(stream));
  }
  return values.to(dtype);
}

}  // namespace

torch::Tensor random_signs(std::int64_t n_rows, std::int64_t n_columns, std::uint64_t seed,
                           torch::Dtype dtype) {
  const auto stream_of = [&](std::int64_t row) {
    return RandomStream::of(seed, kSignsTag, static_cast<std::uint64_t>(row));
  };
  return drawn(n_rows, n_columns, dtype, stream_of,
               [](RandomStream& stream) { return stream.uniform() < 0.5 ? -1.0 : 1.0; });
}

torch::Tensor random_normals(std::int64_t n_rows, std::int64_t n_columns, std::uint64_t seed,
                             std::uint64_t purpose, torch::Dtype dtype) {
  const auto stream_of = [&](std::int64_t row) {
    return RandomStream::of(seed, purpose, static_cast<std::uint64_t>(row));
  };
  return drawn(n_rows, n_columns, dtype, stream_of, [](RandomStream& stream) {
    const double radius = std::sqrt(-2 * std::log(1 - stream.uniform()));  // Box and Muller
    return radius * std::cos(2 * std::numbers::pi * stream.uniform());
  });
}

torch::Tensor dropout_mask(const torch::Tensor& rows, std::int64_t width, double rate, std::uint64_t seed,
                           std::uint64_t purpose, std::int64_t step, torch::Dtype dtype) {
  const std::int64_t* row = rows.const_data_ptr<std::int64_t>();
  const auto stream_of = [&](std::int64_t item) {
    const auto index = (static_cast<std::uint64_t>(step) << 32U) | static_cast<std::uint64_t>(row[item]);
    return RandomStream::of(seed, purpose, index);
  };
  return drawn(rows.size(0), width, dtype, stream_of,
               [&](RandomStream& stream) { return stream.uniform() < rate ? 0.0 : 1 / (1 - rate); });
}

}  // namespace gauntlet::models
