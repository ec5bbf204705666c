#include "core/attacks/detail/apgd.hpp"

#include <algorithm>
#include <limits>

#include "core/attacks/detail/pixel_grid.hpp"
#include "core/base/check.hpp"

namespace gauntlet::attacks {
namespace {

using torch::Tensor;

constexpr double kOwnShare = 0.75;       // of a step; the rest is momentum
constexpr double kRisesExpected = 0.75;  // of a window's steps
constexpr double kStillRising = 0.05;    // of all that was gained

Tensor per_input(const Tensor& values, const Tensor& like) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(like.dim()), 1);
  shape.front() = values.size(0);
  return values.view(shape);
}

Tensor within(const Tensor& inputs, const Tensor& clean, const Ball& ball) {
  return (clean + (inputs - clean).clamp(-ball.epsilon, ball.epsilon)).clamp_(ball.low, ball.high);
}

/// Inputs on their way, those that are done left out.
struct Path {
  Tensor items;  ///< [b] int64: which of the batch they are
  Tensor clean, x, x_before, x_best, gradient, gradient_best;
  Tensor value, value_before, value_best, value_first, value_late, value_checked;  ///< [b]
  Tensor step_size, n_rises, was_halved;                                           ///< [b]

  void keep(const Tensor& which) {
    for (Tensor* each :
         {&items, &clean, &x, &x_before, &x_best, &gradient, &gradient_best, &value, &value_before,
          &value_best, &value_first, &value_late, &value_checked, &step_size, &n_rises, &was_halved}) {
      *each = each->index_select(0, which);
    }
  }
};

class Climb {
 public:
  Climb(const Tensor& clean, const Ascent& ascent, const ApgdSettings& settings, const ApgdHooks& hooks)
      : ascent_(ascent), settings_(settings), hooks_(hooks) {
    const std::int64_t n = clean.size(0);
    path_.items = torch::arange(n, torch::kInt64);
    path_.clean = clean;
    path_.step_size = torch::full({n}, 2 * settings.ball.epsilon, torch::kFloat64);
    path_.n_rises = torch::zeros({n}, torch::kInt64);
    path_.was_halved = torch::ones({n}, torch::kBool);  // no halving for want of progress at the first look
    outcome_.best = clean.clone();
    outcome_.last = clean.clone();
    outcome_.best_value = torch::zeros({n}, torch::kFloat64);
    outcome_.last_value = torch::zeros({n}, torch::kFloat64);
    outcome_.no_gradient = torch::zeros({n}, torch::kBool);
    outcome_.still_rising = torch::zeros({n}, torch::kBool);
  }

  ApgdOutcome run(const Tensor& start) {
    begin(start);
    const std::vector<std::int64_t> checkpoints = apgd_checkpoints(settings_.n_steps);
    std::int64_t last_look = 0;
    for (std::int64_t step = 1; step <= settings_.n_steps && path_.items.numel() > 0; ++step) {
      move(step == 1 ? 1 : kOwnShare);
      if (step <= settings_.n_steps - settings_.n_steps / 10) path_.value_late = path_.value_best;
      if (step == settings_.n_steps || !std::ranges::binary_search(checkpoints, step)) continue;
      if (hooks_.watch) finish(hooks_.watch(placed(path_.x), path_.items));
      adapt(step - last_look);
      last_look = step;
    }
    finish(torch::ones({path_.items.size(0)}, torch::kBool));
    return std::move(outcome_);
  }

 private:
  [[nodiscard]] Tensor placed(const Tensor& inputs) const {
    if (settings_.on_grid) return on_pixel_grid(inputs, path_.clean, settings_.ball);
    return applied_within(path_.clean, inputs - path_.clean, settings_.ball);
  }

  void begin(const Tensor& start) {
    path_.x = within(start, path_.clean, settings_.ball);
    look_at_start();
    path_.x_before = path_.x;
    path_.x_best = path_.x;
    path_.gradient_best = path_.gradient;
    path_.value_best = path_.value;
    path_.value_first = path_.value;
    path_.value_late = path_.value;
    path_.value_checked = path_.value;
  }

  Slope slope_at(const Tensor& inputs, const Tensor& items, Tensor& unfinite, Tensor& dead) const {
    Slope slope = ascent_(inputs, items);
    slope.value = slope.value.detach().to(torch::kFloat64);
    const Tensor flat = slope.gradient.flatten(1);
    unfinite = flat.isfinite().all(1).logical_and(slope.value.isfinite()).logical_not();
    dead = unfinite.logical_or(flat.eq(0).all(1));
    slope.gradient = torch::nan_to_num(slope.gradient, 0, 0, 0);
    slope.value = torch::where(slope.value.isfinite(), slope.value,
                               torch::full_like(slope.value, -std::numeric_limits<double>::max()));
    return slope;
  }

  /// Value and gradient at x. A gradient of zero later on is what a goal that is reached looks like.
  void look() {
    Tensor unfinite, dead;
    const Slope here = slope_at(placed(path_.x), path_.items, unfinite, dead);
    path_.value = here.value;
    path_.gradient = here.gradient;
    if (unfinite.any().item<bool>()) outcome_.no_gradient.index_put_({path_.items.index({unfinite})}, true);
  }

  /// The first look; inputs without a gradient go on from another start.
  void look_at_start() {
    Tensor unfinite, dead;
    const Slope here = slope_at(placed(path_.x), path_.items, unfinite, dead);
    path_.value = here.value;
    path_.gradient = here.gradient;
    const Tensor again = dead.nonzero().view(-1);
    outcome_.no_gradient = dead;
    if (again.numel() == 0 || !hooks_.restart) return;
    const Tensor items = path_.items.index_select(0, again), clean = path_.clean.index_select(0, again);
    const Tensor x = within(hooks_.restart(items), clean, settings_.ball);
    const Tensor given = settings_.on_grid ? on_pixel_grid(x, clean, settings_.ball) : x;
    const Slope there = slope_at(given, items, unfinite, dead);
    path_.x = path_.x.index_copy(0, again, x);
    path_.value = path_.value.index_copy(0, again, there.value);
    path_.gradient = path_.gradient.index_copy(0, again, there.gradient);
  }

  void move(double own_share) {
    const Tensor size = per_input(path_.step_size, path_.x).to(path_.x.scalar_type());
    const Tensor ahead = within(path_.x + size * path_.gradient.sign(), path_.clean, settings_.ball);
    const Tensor momentum = path_.x - path_.x_before;
    path_.x_before = path_.x;
    path_.value_before = path_.value;
    path_.x = within(path_.x + own_share * (ahead - path_.x) + (1 - own_share) * momentum, path_.clean,
                     settings_.ball);
    look();
    path_.n_rises = path_.n_rises + path_.value.gt(path_.value_before).to(torch::kInt64);
    const Tensor better = path_.value.gt(path_.value_best);
    path_.value_best = torch::where(better, path_.value, path_.value_best);
    const Tensor wide = per_input(better, path_.x);
    path_.x_best = torch::where(wide, path_.x, path_.x_best);
    path_.gradient_best = torch::where(wide, path_.gradient, path_.gradient_best);
  }

  /// Halves the step of inputs that no longer get on, and takes them back to their best.
  void adapt(std::int64_t n_window) {
    const Tensor few = path_.n_rises.le(kRisesExpected * static_cast<double>(n_window));
    const Tensor stuck = path_.was_halved.logical_not().logical_and(path_.value_checked.ge(path_.value_best));
    const Tensor halved = few.logical_or(stuck);
    path_.was_halved = halved;
    path_.value_checked = path_.value_best;
    path_.n_rises = torch::zeros_like(path_.n_rises);
    path_.step_size = torch::where(halved, path_.step_size / 2, path_.step_size);
    const Tensor wide = per_input(halved, path_.x);
    path_.x = torch::where(wide, path_.x_best, path_.x);
    path_.gradient = torch::where(wide, path_.gradient_best, path_.gradient);
  }

  /// Writes down the inputs of `done` [b] bool and goes on without them.
  void finish(const Tensor& done) {
    if (!done.any().item<bool>()) return;
    const Tensor rest = done.logical_not().nonzero().view(-1);
    Path all = path_;
    path_.keep(done.nonzero().view(-1));
    const Tensor& at = path_.items;
    outcome_.best.index_copy_(0, at, placed(path_.x_best));
    outcome_.last.index_copy_(0, at, placed(path_.x));
    outcome_.best_value.index_copy_(0, at, path_.value_best);
    outcome_.last_value.index_copy_(0, at, path_.value);
    const Tensor gained = path_.value_best - path_.value_first, late = path_.value_best - path_.value_late;
    outcome_.still_rising.index_copy_(0, at, late.gt(kStillRising * gained));
    path_ = std::move(all);
    path_.keep(rest);
  }

  const Ascent& ascent_;
  const ApgdSettings& settings_;
  const ApgdHooks& hooks_;
  Path path_;
  ApgdOutcome outcome_;
};

}  // namespace

std::vector<std::int64_t> apgd_checkpoints(std::int64_t n_steps) {
  GAUNTLET_CHECK(n_steps >= 1);
  const auto share = [&](std::int64_t percent) { return std::max<std::int64_t>(percent * n_steps / 100, 1); };
  std::vector<std::int64_t> checkpoints;
  std::int64_t window = share(22);
  for (std::int64_t at = window; at <= n_steps; at += window) {
    checkpoints.push_back(at);
    window = std::max(window - share(3), share(6));
  }
  return checkpoints;
}

Tensor apgd_start(const Tensor& clean, std::span<const std::int64_t> rows, std::uint64_t seed,
                  const Ball& ball) {
  constexpr double kNoBound = std::numeric_limits<double>::infinity();
  const Tensor u = random_start(torch::zeros_like(clean), rows, seed, {1, -kNoBound, kNoBound});
  const Tensor greatest = u.flatten(1).abs().amax(1).clamp_min(std::numeric_limits<float>::min());
  return within(clean + ball.epsilon * u / per_input(greatest, u), clean, ball);
}

ApgdOutcome apgd(const Tensor& clean, const Tensor& start, const Ascent& ascent, const ApgdSettings& settings,
                 const ApgdHooks& hooks) {
  if (clean.size(0) == 0) {
    const Tensor none = torch::zeros({0}, torch::kFloat64), flags = torch::zeros({0}, torch::kBool);
    return {clean, clean, none, none, flags, flags};
  }
  return Climb(clean, ascent, settings, hooks).run(start);
}

}  // namespace gauntlet::attacks
