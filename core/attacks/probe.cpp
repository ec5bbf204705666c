// Measures what an attack would have to work with: the figures of robustness checks that need the network
// itself. What it leaves is noise. docs/robustness.md, "Checks".
#include <algorithm>
#include <cmath>

#include "core/attacks/attack.hpp"
#include "core/attacks/detail/code_ascent.hpp"
#include "core/attacks/detail/planted_answer.hpp"
#include "core/attacks/detail/scheduled_descent.hpp"
#include "core/base/random.hpp"
#include "core/models/objectives.hpp"

namespace gauntlet::attacks {
namespace {

using torch::Tensor;

constexpr std::string_view kName = "probe";
constexpr std::uint64_t kDirectionTag = 0x44495245;  // "DIRE"
constexpr double kDecided = 1e-4;                    // |output| of a bit that rounding does not turn
constexpr double kSaturated = 1 - 1e-6;
constexpr double kGreyLevel = 1.0 / 255;
constexpr std::int64_t kDirections = 16;
constexpr std::int64_t kSamples = 20;
constexpr std::int64_t kSingles = 8;  // queries that are encoded alone

struct ProbeConfig {
  std::int64_t steps = 50;
  double epsilon_image = 8.0 / 255.0;
  double epsilon_text = 0.05;

  static void fields(auto& self, auto& visit) {
    visit("steps", self.steps,
          {.doc = "Steps of the attack on a planted adversarial input; 0: nothing is planted.",
           .min = 0,
           .max = 10000});
    visit("epsilon_image", self.epsilon_image,
          {.doc = "Budget of what is planted in a picture, in [0,1] units.", .min = 0, .max = 1});
    visit("epsilon_text", self.epsilon_text,
          {.doc = "Budget of what is planted in a text.", .min = 0, .max = 1});
  }
};

/// [B] double: the mean over all values of an input.
Tensor mean_per_input(const Tensor& values) { return values.to(torch::kFloat64).flatten(1).mean(1); }

class Probe final : public Attack {
 public:
  Probe(ProbeConfig config, AttackSurface surface, std::uint64_t seed)
      : config_(config),
        surface_(std::move(surface)),
        ball_(ball_of(surface_, config_.epsilon_image, config_.epsilon_text)),
        seed_(seed) {}

  Tensor perturb(const AttackBatch& batch) override {
    const Tensor clean = batch.inputs.detach();
    observed_.clear();
    use_draw(0);
    look_at_codes(clean);
    look_at_gradients(clean, batch.rows);
    plant(clean, batch.rows);
    for (auto& [name, values] : observed_) values = values.to(torch::kCPU, torch::kFloat64);
    const Tensor corner = ball_.epsilon * random_signs(clean, batch.rows, stream("left"), kDirectionTag);
    return applied_within(clean, corner, ball_);
  }

  [[nodiscard]] std::map<std::string, Tensor> observed() const override { return observed_; }

 private:
  [[nodiscard]] std::uint64_t stream(std::string_view purpose) const {
    return purpose_seed(seed_, "", purpose);
  }
  void use_draw(std::uint64_t draw) const {
    if (surface_.use_draw) surface_.use_draw(draw);
  }
  [[nodiscard]] Tensor encoded(const Tensor& inputs) const {
    const torch::NoGradGuard no_grad;
    return surface_.encode(inputs);
  }

  /// Five passes: together, again, in halves, backwards, and some alone; of random pipelines each another
  /// draw.
  void look_at_codes(const Tensor& clean) {
    const std::int64_t n = clean.size(0);
    const Tensor first = encoded(clean);
    const Tensor decided = first.abs().gt(kDecided);
    Tensor changed = torch::zeros_like(decided);
    const auto compare = [&](const Tensor& outputs) {
      const std::int64_t n_seen = outputs.size(0);
      const Tensor differs = outputs.gt(0).ne(first.slice(0, 0, n_seen).gt(0));
      changed.slice(0, 0, n_seen).logical_or_(differs.logical_and(decided.slice(0, 0, n_seen)));
    };
    use_draw(1);
    compare(encoded(clean));
    use_draw(2);
    std::vector<Tensor> parts;
    for (const Tensor& half : clean.split(std::max<std::int64_t>((n + 1) / 2, 1)))
      parts.push_back(encoded(half));
    compare(torch::cat(parts));
    use_draw(3);
    compare(encoded(clean.flip(0)).flip(0));
    use_draw(4);
    parts.clear();
    for (std::int64_t row = 0; row < std::min(n, kSingles); ++row)
      parts.push_back(encoded(clean.slice(0, row, row + 1)));
    if (!parts.empty()) compare(torch::cat(parts));
    observed_["code_changes"] = changed.sum(1).to(torch::kFloat64) / decided.sum(1).clamp_min(1);
    observed_["saturated"] = mean_per_input(first.abs().gt(kSaturated));
    observed_["randomised"] = torch::full({n}, surface_.use_draw ? 1.0 : 0.0, torch::kFloat64);
  }

  /// Away from the query's own code: a loss that every query has.
  [[nodiscard]] CodeObjective away_from(const Tensor& code) const {
    return [code](const Tensor& output, const Tensor& items) {
      return -(output * code.index_select(0, items.to(code.device()))).sum(1);
    };
  }

  void look_at_gradients(const Tensor& clean, std::span<const std::int64_t> rows) {
    const std::int64_t n = clean.size(0);
    const Tensor all = torch::arange(n, torch::kInt64);
    use_draw(0);
    const CodeObjective objective = away_from(models::signs(encoded(clean)));
    const auto gradient_of = [&](std::int64_t samples, std::uint64_t seed) {
      return code_ascent(surface_.encode, objective, {surface_.use_draw, seed, samples, true})(clean, all)
          .gradient.flatten(1);
    };
    const Tensor gradient = gradient_of(1, stream("gradient"));
    const Tensor unfinite = gradient.isfinite().all(1).logical_not();
    observed_["unfinite_gradient"] = unfinite;
    observed_["no_gradient"] = gradient.eq(0).all(1).logical_or(unfinite);
    observed_["gradient_agreement"] = agreement(clean, rows, gradient, objective);
    if (!surface_.use_draw) {
      observed_["gradient_cosine"] = torch::ones({n}, torch::kFloat64);
      return;
    }
    observed_["gradient_cosine"] = torch::cosine_similarity(gradient_of(kSamples, stream("samples/1")),
                                                            gradient_of(kSamples, stream("samples/2")));
  }

  /// [B]: of the directions along which the gradient predicts most, the share where a step of one grey level
  /// goes the way it says.
  Tensor agreement(const Tensor& clean, std::span<const std::int64_t> rows, const Tensor& gradient,
                   const CodeObjective& objective) const {
    const Tensor all = torch::arange(clean.size(0), torch::kInt64);
    const Draws frozen{surface_.use_draw, stream("gradient"), 1, true};
    const auto value_at = [&](const Tensor& inputs) {
      Tensor value;
      frozen.each(0, [&] { value = objective(encoded(inputs), all).to(torch::kFloat64); });
      return value;
    };
    std::vector<Tensor> predicted, right;
    for (std::int64_t index = 0; index < kDirections; ++index) {
      const Tensor direction = random_signs(
          clean, rows, purpose_seed(seed_, "", fmt::format("direction/{}", index)), kDirectionTag);
      const Tensor slope =
          (value_at(clean + kGreyLevel * direction) - value_at(clean - kGreyLevel * direction));
      const Tensor along = (gradient * direction.flatten(1)).sum(1).to(torch::kFloat64);
      predicted.push_back(along.abs());
      right.push_back(slope.sign().eq(along.sign()).logical_and(along.ne(0)).to(torch::kFloat64));
    }
    const Tensor strongest = std::get<1>(torch::stack(predicted, 1).topk(kDirections / 2, 1));
    return torch::stack(right, 1).gather(1, strongest).mean(1);
  }

  void plant(const Tensor& clean, std::span<const std::int64_t> rows) {
    use_draw(0);
    const PlantedAnswer answer = planted_answer(
        clean, rows, {ball_, config_.steps, stream("planted"), stream("planted/start")}, surface_.encode);
    observed_["planted_tested"] = answer.tested;
    observed_["planted_found"] = answer.found;
    observed_["planted_easy"] = answer.easy;
    observed_["planted_by_chance"] = answer.by_chance;
  }

  ProbeConfig config_;
  AttackSurface surface_;
  Ball ball_;
  std::uint64_t seed_;
  std::map<std::string, Tensor> observed_;
};

Result<std::unique_ptr<Attack>> make(const Json& config, AttackSurface surface, std::uint64_t seed) {
  GAUNTLET_TRY(const ProbeConfig read, read_config<ProbeConfig>(config, kName));
  return std::make_unique<Probe>(read, std::move(surface), seed);
}

}  // namespace

extern const AttackEntry probe_entry;
constinit const AttackEntry probe_entry{
    .about = {.name = kName,
              .version = 1,
              .summary = "No attack: measures whether codes repeat and gradients lead anywhere; leaves noise",
              .reference = "",
              .capabilities = {.adaptive = true},
              .fields = &describe_fields<ProbeConfig>},
    .make = &make,
};

}  // namespace gauntlet::attacks
