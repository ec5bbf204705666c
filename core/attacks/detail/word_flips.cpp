#include "core/attacks/detail/word_flips.hpp"

#include <algorithm>
#include <limits>

namespace gauntlet::attacks {
namespace {

using torch::Tensor;

constexpr double kNever = -std::numeric_limits<double>::infinity();

class Flips {
 public:
  Flips(const Tensor& clean, const Ascent& ascent, const FlipSettings& settings)
      : clean_(clean),
        ascent_(ascent),
        n_candidates_(std::min(settings.n_candidates, clean.size(1))),
        items_(torch::arange(clean.size(0), torch::kInt64)),
        x_(clean.clone()),
        value_(ascent(x_, items_).value.to(torch::kFloat64)) {}

  void flip_one() { take_best(x_, changed()); }

  /// Gives up the changed word number `number` (from 0) of every text that has so many for a better one.
  void replace(std::int64_t number) {
    const Tensor flips = changed();
    const Tensor order = flips.to(torch::kInt64).cumsum(1);
    const Tensor given_up = flips.logical_and(order.eq(number + 1));
    const Tensor has = given_up.any(1);
    if (!has.any().item<bool>()) return;
    const Tensor without = torch::where(given_up, clean_, x_);
    take_best(without, flips.logical_or(has.logical_not().unsqueeze(1)));
  }

  [[nodiscard]] const Tensor& texts() const { return x_; }

 private:
  [[nodiscard]] Tensor changed() const { return x_.ne(clean_); }

  /// The best text that is one flip from `base`, outside `closed` [B, D], where it is better than x.
  void take_best(const Tensor& base, const Tensor& closed) {
    const Slope slope = ascent_(base, items_);
    const Tensor gain = torch::where(closed, torch::full_like(base, kNever), slope.gradient * (1 - 2 * base));
    const auto [promised, words] = gain.topk(n_candidates_, /*dim=*/1);
    Tensor best = x_, best_value = value_;
    for (std::int64_t candidate = 0; candidate < n_candidates_; ++candidate) {
      const Tensor word = words.slice(1, candidate, candidate + 1);
      const Tensor open = promised.slice(1, candidate, candidate + 1).gt(kNever);
      const Tensor turned = base.scatter(1, word, 1 - base.gather(1, word));
      const Tensor value = ascent_(turned, items_).value.to(torch::kFloat64);
      const Tensor better = value.gt(best_value).logical_and(open.squeeze(1));
      best_value = torch::where(better, value, best_value);
      best = torch::where(better.unsqueeze(1), turned, best);
    }
    x_ = best;
    value_ = best_value;
  }

  Tensor clean_;
  const Ascent& ascent_;
  std::int64_t n_candidates_;
  Tensor items_, x_, value_;
};

}  // namespace

Tensor flipped_words(const Tensor& clean, const Ascent& ascent, const FlipSettings& settings) {
  if (clean.size(0) == 0) return clean;
  Flips flips(clean, ascent, settings);
  for (std::int64_t round = 0; round < settings.n_words; ++round) flips.flip_one();
  for (std::int64_t number = 0; number < settings.n_words; ++number) flips.replace(number);
  return flips.texts();
}

}  // namespace gauntlet::attacks
