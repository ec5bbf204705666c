#include "core/attacks/detail/square_search.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "core/attacks/detail/pixel_grid.hpp"
#include "core/base/random.hpp"

namespace gauntlet::attacks {
namespace {

using torch::Tensor;

constexpr std::uint64_t kSquareTag = 0x53515541;  // "SQUA"
constexpr double kFirstShare = 0.8;
constexpr std::array<std::int64_t, 9> kHalvings = {10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000};

double random_sign(RandomStream& stream) { return stream.below(2) == 0 ? -1 : 1; }

/// Moves of one input's perturbation [C, H, W] or [D], float; each value is ±epsilon afterwards where it is
/// changed.
class Mover {
 public:
  explicit Mover(const torch::IntArrayRef& sizes, double epsilon)
      : epsilon_(static_cast<float>(epsilon)), is_picture_(sizes.size() == 4) {
    channels_ = is_picture_ ? sizes[1] : 1;
    height_ = is_picture_ ? sizes[2] : 1;
    width_ = is_picture_ ? sizes[3] : sizes[1];
  }

  void start(float* delta, RandomStream& stream) const {
    for (std::int64_t channel = 0; channel < channels_; ++channel) {
      for (std::int64_t column = 0; column < width_; ++column) {
        const float value = epsilon_ * static_cast<float>(random_sign(stream));
        for (std::int64_t row = 0; row < height_; ++row) at(delta, channel, row, column) = value;
      }
    }
  }

  /// Adds ±2 epsilon, cut to the budget: a value becomes that sign times epsilon.
  void move(float* delta, double share, RandomStream& stream) const {
    const std::int64_t n_values = height_ * width_;
    if (!is_picture_) {
      const auto n = std::max<std::int64_t>(std::llround(share * static_cast<double>(n_values)), 1);
      for (std::int64_t each = 0; each < n; ++each) {
        const auto column = static_cast<std::int64_t>(stream.below(static_cast<std::uint32_t>(width_)));
        at(delta, 0, 0, column) = epsilon_ * static_cast<float>(random_sign(stream));
      }
      return;
    }
    const std::int64_t side =
        std::min(std::max<std::int64_t>(std::llround(std::sqrt(share * static_cast<double>(n_values))), 1),
                 std::min(height_, width_));
    const auto top = static_cast<std::int64_t>(stream.below(static_cast<std::uint32_t>(height_ - side + 1)));
    const auto left = static_cast<std::int64_t>(stream.below(static_cast<std::uint32_t>(width_ - side + 1)));
    for (std::int64_t channel = 0; channel < channels_; ++channel) {
      const float value = epsilon_ * static_cast<float>(random_sign(stream));
      for (std::int64_t row = top; row < top + side; ++row) {
        for (std::int64_t column = left; column < left + side; ++column)
          at(delta, channel, row, column) = value;
      }
    }
  }

  [[nodiscard]] std::int64_t n_values() const { return channels_ * height_ * width_; }

 private:
  float& at(float* delta, std::int64_t channel, std::int64_t row, std::int64_t column) const {
    return delta[(channel * height_ + row) * width_ + column];
  }

  float epsilon_;
  bool is_picture_;
  std::int64_t channels_ = 1, height_ = 1, width_ = 1;
};

class Search {
 public:
  Search(const Tensor& clean, std::span<const std::int64_t> rows, const Judge& judge,
         const SquareSettings& settings)
      : clean_(clean), judge_(judge), settings_(settings), mover_(clean.sizes(), settings.ball.epsilon) {
    for (const std::int64_t row : rows)
      streams_.push_back(RandomStream::of(settings.seed, kSquareTag, static_cast<std::uint64_t>(row)));
    items_ = torch::arange(clean.size(0), torch::kInt64);
    clean_of_items_ = clean_;
    delta_ = torch::empty(clean.sizes(), torch::kFloat32);
  }

  SquareOutcome run() {
    SquareOutcome outcome{clean_.clone(), torch::zeros({clean_.size(0)}, torch::kFloat64)};
    each_item([&](float* delta, RandomStream& stream) { mover_.start(delta, stream); });
    consider(delta_, /*always=*/true, outcome);
    for (std::int64_t step = 0; step < settings_.n_iterations && items_.numel() > 0; ++step) {
      const double share = square_share(step, settings_.n_iterations);
      const Tensor before = delta_;
      delta_ = delta_.clone();
      each_item([&](float* delta, RandomStream& stream) { mover_.move(delta, share, stream); });
      consider(before, /*always=*/false, outcome);
    }
    return outcome;
  }

 private:
  void each_item(const std::function<void(float* delta, RandomStream& stream)>& change) {
    auto* values = delta_.mutable_data_ptr<float>();
    const std::int64_t* item = items_.const_data_ptr<std::int64_t>();
    for (std::int64_t at = 0; at < items_.numel(); ++at)
      change(values + at * mover_.n_values(), streams_[static_cast<std::size_t>(item[at])]);
  }

  [[nodiscard]] Tensor placed(const Tensor& clean) const {
    const Tensor delta = delta_.to(clean.scalar_type());
    if (settings_.on_grid) return on_pixel_grid(clean + delta, clean, settings_.ball);
    return applied_within(clean, delta, settings_.ball);
  }

  /// Judges the moved inputs; those that are no worse than before stay moved.
  void consider(const Tensor& before, bool always, SquareOutcome& outcome) {
    const Tensor inputs = placed(clean_of_items_);
    const Judged judged = judge_(inputs, items_);
    outcome.n_queries.index_add_(0, items_, torch::ones_like(judged.score));
    const Tensor accepted = always ? torch::ones({items_.numel()}, torch::kBool) : judged.score.le(score_);
    score_ = always ? judged.score : torch::where(accepted, judged.score, score_);
    std::vector<std::int64_t> shape(static_cast<std::size_t>(inputs.dim()), 1);
    shape.front() = inputs.size(0);
    const Tensor wide = accepted.view(shape);
    delta_ = torch::where(wide, delta_, before).contiguous();
    const Tensor moved = accepted.nonzero().view(-1);  // in late steps a few
    outcome.inputs.index_copy_(0, items_.index_select(0, moved), inputs.index_select(0, moved));
    if (!judged.done.any().item<bool>()) return;
    const Tensor rest = judged.done.logical_not().nonzero().view(-1);
    items_ = items_.index_select(0, rest);
    clean_of_items_ = clean_of_items_.index_select(0, rest);
    delta_ = delta_.index_select(0, rest);
    score_ = score_.index_select(0, rest);
  }

  Tensor clean_;
  const Judge& judge_;
  const SquareSettings& settings_;
  Mover mover_;
  std::vector<RandomStream> streams_;
  Tensor items_, clean_of_items_, delta_, score_;
};

}  // namespace

double square_share(std::int64_t iteration, std::int64_t n_iterations) {
  const std::int64_t at = 10000 * iteration / n_iterations;
  double share = kFirstShare;
  for (const std::int64_t halving : kHalvings) share = at > halving ? share / 2 : share;
  return share;
}

SquareOutcome square_search(const Tensor& clean, std::span<const std::int64_t> rows, const Judge& judge,
                            const SquareSettings& settings) {
  if (clean.size(0) == 0) return {clean, torch::zeros({0}, torch::kFloat64)};
  return Search(clean, rows, judge, settings).run();
}

}  // namespace gauntlet::attacks
