#include "core/models/detail/augment.hpp"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "core/base/random.hpp"

namespace gauntlet::models {
namespace {

constexpr std::uint64_t kAugmentTag = 0x41554720;  // "AUG "
constexpr std::int64_t kChannels = 3;

struct Move {
  bool flip = false;
  std::int64_t dx = 0;
  std::int64_t dy = 0;
};

Move draw(const Augmentation& augmentation, std::int64_t reach, RandomStream stream) {
  const auto n_shifts = static_cast<std::uint32_t>(2 * reach + 1);
  Move move;
  move.flip = stream.uniform() < 0.5 && augmentation.flip;
  move.dx = static_cast<std::int64_t>(stream.below(n_shifts)) - reach;
  move.dy = static_cast<std::int64_t>(stream.below(n_shifts)) - reach;
  return move;
}

/// One picture, rows of pixels of three channels.
template <class Scalar>
void move_picture(const Scalar* from, Scalar* to, std::int64_t height, std::int64_t width, const Move& move) {
  for (std::int64_t y = 0; y < height; ++y) {
    const Scalar* row = from + std::clamp(y + move.dy, std::int64_t{0}, height - 1) * width * kChannels;
    for (std::int64_t x = 0; x < width; ++x) {
      const std::int64_t column = std::clamp(x + move.dx, std::int64_t{0}, width - 1);
      const Scalar* pixel = row + (move.flip ? width - 1 - column : column) * kChannels;
      to = std::copy_n(pixel, kChannels, to);
    }
  }
}

RandomStream stream_of(std::uint64_t seed, std::int64_t step, std::int64_t row) {
  return RandomStream::of(seed, kAugmentTag,
                          (static_cast<std::uint64_t>(step) << 32U) | static_cast<std::uint64_t>(row));
}

/// The same moves where the pictures are: only the coordinates are made on the host.
torch::Tensor augmented_on_device(const torch::Tensor& images, const torch::Tensor& rows,
                                  const Augmentation& augmentation, std::uint64_t seed, std::int64_t step,
                                  std::int64_t reach) {
  const std::int64_t n = images.size(0), height = images.size(2), width = images.size(3);
  const torch::Tensor on_host = rows.cpu();
  torch::Tensor ys = torch::empty({n, height}, torch::kInt64), xs = torch::empty({n, width}, torch::kInt64);
  for (std::int64_t item = 0; item < n; ++item) {
    const Move move =
        draw(augmentation, reach, stream_of(seed, step, on_host.const_data_ptr<std::int64_t>()[item]));
    auto* const y_out = ys.mutable_data_ptr<std::int64_t>() + item * height;
    auto* const x_out = xs.mutable_data_ptr<std::int64_t>() + item * width;
    for (std::int64_t y = 0; y < height; ++y) y_out[y] = std::clamp(y + move.dy, std::int64_t{0}, height - 1);
    for (std::int64_t x = 0; x < width; ++x) {
      const std::int64_t column = std::clamp(x + move.dx, std::int64_t{0}, width - 1);
      x_out[x] = move.flip ? width - 1 - column : column;
    }
  }
  const torch::Tensor item = torch::arange(n, torch::TensorOptions(images.device()).dtype(torch::kInt64));
  return images.permute({0, 2, 3, 1})
      .index({item.view({n, 1, 1}), ys.to(images.device()).unsqueeze(2), xs.to(images.device()).unsqueeze(1)})
      .permute({0, 3, 1, 2});
}

}  // namespace

torch::Tensor augmented(const torch::Tensor& images, const torch::Tensor& rows,
                        const Augmentation& augmentation, std::uint64_t seed, std::int64_t step) {
  const auto reach = static_cast<std::int64_t>(augmentation.max_shift *
                                               static_cast<double>(std::min(images.size(2), images.size(3))));
  if (!images.device().is_cpu()) return augmented_on_device(images, rows, augmentation, seed, step, reach);
  const torch::Tensor source = images.contiguous(torch::MemoryFormat::ChannelsLast);
  torch::Tensor moved = torch::empty_like(source);
  const std::int64_t height = images.size(2);
  const std::int64_t width = images.size(3);
  const std::int64_t n_values = height * width * kChannels;
  const std::int64_t* row = rows.const_data_ptr<std::int64_t>();
  AT_DISPATCH_FLOATING_TYPES(images.scalar_type(), "augmented", [&] {
    const scalar_t* from = source.const_data_ptr<scalar_t>();
    scalar_t* to = moved.mutable_data_ptr<scalar_t>();
    at::parallel_for(0, images.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t item = begin; item < end; ++item) {
        const Move move = draw(augmentation, reach, stream_of(seed, step, row[item]));
        move_picture(from + item * n_values, to + item * n_values, height, width, move);
      }
    });
  });
  return moved;
}

TrainingBatch augmented(const TrainingBatch& batch, const Augmentation& augmentation, std::uint64_t seed,
                        std::int64_t step) {
  TrainingBatch seen = batch;
  if (batch.images.dim() == 4 && (augmentation.flip || augmentation.max_shift > 0)) {
    seen.images = augmented(batch.images, batch.rows, augmentation, seed, step);
  }
  return seen;
}

}  // namespace gauntlet::models
