#include "core/attacks/detail/planted_answer.hpp"

#include "core/attacks/detail/apgd.hpp"
#include "core/attacks/detail/code_ascent.hpp"
#include "core/base/random.hpp"

namespace gauntlet::attacks {
namespace {

using torch::Tensor;

constexpr std::uint64_t kPointTag = 0x504f494e;   // "POIN"
constexpr std::uint64_t kCornerTag = 0x434f524e;  // "CORN"
constexpr std::int64_t kInnerPoints = 199;
constexpr double kInside = 0.95;
constexpr std::int64_t kCorners = 50;  // that tell whether a plant is found by luck
constexpr double kEasy = 0.5;
constexpr double kClip = 1 - 1e-6;  // of outputs, whose atanh has to be finite
constexpr int kFitSteps = 200;
constexpr double kFitRate = 0.5;

/// Calls `next` of each row's stream for every value, in the order of the values.
template <typename Next>
Tensor drawn(const Tensor& clean, std::span<const std::int64_t> rows, std::uint64_t seed, std::uint64_t tag,
             const Next& next) {
  Tensor values = torch::empty(clean.sizes(), torch::kFloat32);
  const std::int64_t n_values = clean.size(0) == 0 ? 0 : clean.numel() / clean.size(0);
  auto* out = values.mutable_data_ptr<float>();
  for (const std::int64_t row : rows) {
    RandomStream stream = RandomStream::of(seed, tag, static_cast<std::uint64_t>(row));
    for (std::int64_t value = 0; value < n_values; ++value) *out++ = next(stream);
  }
  return values.to(clean.device(), clean.scalar_type());
}

Tensor uniform(const Tensor& clean, std::span<const std::int64_t> rows, std::uint64_t seed) {
  return drawn(clean, rows, seed, kPointTag,
               [](RandomStream& stream) { return static_cast<float>(2 * stream.uniform() - 1); });
}

std::uint64_t numbered(std::uint64_t seed, std::int64_t index) {
  return RandomStream::of(seed, kPointTag, static_cast<std::uint64_t>(index)).next();
}

Tensor within(const Tensor& clean, const Tensor& delta, const Ball& ball) {
  return (clean + delta).clamp(ball.low, ball.high);
}

/// Outputs before tanh [b, K] double.
Tensor logits_of(const Tensor& output) { return output.to(torch::kFloat64).clamp(-kClip, kClip).atanh(); }

/// A linear read-out of standardised logits, one per input.
struct ReadOut {
  Tensor mean, scale;  ///< [B, K]
  Tensor weight;       ///< [B, K]
  Tensor bias;         ///< [B]

  /// [b] of logits [b, K] of the items.
  [[nodiscard]] Tensor score(const Tensor& logits, const Tensor& items) const {
    const Tensor standard = (logits - mean.index_select(0, items)) / scale.index_select(0, items);
    return (standard * weight.index_select(0, items)).sum(1) + bias.index_select(0, items);
  }
};

/// Logistic regression of the last point [P, B, K] against the others, both classes weighing the same; its
/// bias is then put half-way between the last point and the nearest other.
ReadOut fitted(const Tensor& points) {
  const std::int64_t n_points = points.size(0);
  ReadOut read{points.mean(0), points.std(0).clamp_min(1e-9), {}, {}};
  const Tensor x = (points - read.mean) / read.scale;
  Tensor target = torch::zeros({n_points, 1}, torch::kFloat64);
  target[n_points - 1] = 1;
  Tensor share = torch::full({n_points, 1}, 0.5 / static_cast<double>(n_points - 1), torch::kFloat64);
  share[n_points - 1] = 0.5;
  target = target.to(points.device());
  share = share.to(points.device());
  read.weight = torch::zeros_like(read.mean);
  read.bias = torch::zeros({points.size(1)}, points.options());
  for (int step = 0; step < kFitSteps; ++step) {
    const Tensor error = share * (torch::sigmoid((x * read.weight).sum(2) + read.bias) - target);  // [P, B]
    read.weight = read.weight - kFitRate * (error.unsqueeze(2) * x).sum(0);
    read.bias = read.bias - kFitRate * error.sum(0);
  }
  const Tensor scores = (x * read.weight).sum(2);
  const Tensor nearest = std::get<0>(scores.slice(0, 0, n_points - 1).max(0));
  read.bias = -(scores[n_points - 1] + nearest) / 2;
  return read;
}

}  // namespace

Tensor random_signs(const Tensor& clean, std::span<const std::int64_t> rows, std::uint64_t seed,
                    std::uint64_t tag) {
  return drawn(clean, rows, seed, tag,
               [](RandomStream& stream) { return stream.below(2) == 0 ? -1.0F : 1.0F; });
}

PlantedAnswer planted_answer(const Tensor& clean, std::span<const std::int64_t> rows,
                             const PlantSettings& settings,
                             const std::function<Tensor(const Tensor&)>& encode) {
  const std::int64_t n = clean.size(0);
  const Tensor none = torch::zeros({n}, torch::kFloat64);
  if (n == 0 || settings.n_steps == 0 || settings.ball.epsilon <= 0) return {none, none, none, none};
  const torch::NoGradGuard no_grad;
  const auto corner = [&](std::int64_t index) {
    const Tensor signs = random_signs(clean, rows, numbered(settings.seed, index), kCornerTag);
    return within(clean, settings.ball.epsilon * signs, settings.ball);
  };
  std::vector<Tensor> points;
  for (std::int64_t index = 0; index < kInnerPoints; ++index) {
    const Tensor delta =
        kInside * settings.ball.epsilon * uniform(clean, rows, numbered(settings.seed, index));
    points.push_back(logits_of(encode(within(clean, delta, settings.ball))));
  }
  points.push_back(logits_of(encode(corner(0))));
  const ReadOut read = fitted(torch::stack(points));
  const Tensor all = torch::arange(n, torch::TensorOptions(torch::kInt64).device(clean.device()));
  const Tensor separable = read.score(points.back(), all).gt(0);
  Tensor by_chance = torch::zeros({n}, points.back().options());
  for (std::int64_t index = 1; index <= kCorners; ++index)
    by_chance += read.score(logits_of(encode(corner(index))), all).gt(0) / static_cast<double>(kCorners);
  const Tensor easy = separable.logical_and(by_chance.gt(kEasy));
  const Tensor tested = separable.logical_and(easy.logical_not());

  const auto margin = [&](const Tensor& output, const Tensor& items) {
    return read.score(logits_of(output), items.to(output.device()));
  };
  const Tensor start = apgd_start(clean, rows, settings.start_seed, settings.ball);
  const ApgdHooks hooks{.watch = [&](const Tensor& inputs, const Tensor& items) {
    return margin(encode(inputs), items).gt(0).to(torch::kCPU);
  }};
  ApgdSettings attack;
  attack.n_steps = settings.n_steps;
  attack.ball = settings.ball;
  const ApgdOutcome outcome = apgd(clean, start, code_ascent(encode, margin, {}), attack, hooks);
  const Tensor found = margin(encode(outcome.best), all).gt(0);
  return {tested.to(torch::kFloat64), tested.logical_and(found).to(torch::kFloat64), easy.to(torch::kFloat64),
          torch::where(separable, by_chance, torch::zeros_like(by_chance))};
}

}  // namespace gauntlet::attacks
