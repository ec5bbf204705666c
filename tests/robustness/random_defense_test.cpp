// A defense that draws: how many draws an attack needs, and what is reported of it.
#include <ATen/CPUGeneratorImpl.h>

#include <set>

#include "core/base/random.hpp"
#include "tests/robustness/support.hpp"

namespace gauntlet::attacks {
namespace {

using torch::Tensor;

constexpr double kEpsilon = 0.06;
constexpr double kSigma = 0.2;  // of values in [0,1]: a draw turns some bits
constexpr int kReported = 20;
constexpr int kResubmitted = 10;

Target pictures() { return {{3, 8, 8}, 8, 4, 10, 4, 0.03, /*seed=*/11}; }

/// Adds noise from the stream of the draw that it was told last.
struct Noisy {
  const Target& target;
  std::uint64_t draw = 0;
  std::set<std::uint64_t> used = {};

  Tensor operator()(const Tensor& input) const {
    torch::Generator generator = at::detail::createCPUGenerator(draw);
    return target.hash(input + kSigma * torch::randn(input.sizes(), generator, torch::TensorOptions()));
  }
  void use(std::uint64_t next) {
    draw = next;
    used.insert(next);
  }
};

/// As an encode job draws for the report.
std::uint64_t reported_draw(int number) {
  return purpose_seed(1, "data",
                      number == 0 ? "draws of the report" : fmt::format("draws of the report/{}", number));
}

struct Report {
  double mean = 0, resubmitted = 0;
};

Report report_of(const Target& target, Noisy& noisy, const Tensor& inputs) {
  Tensor sum, worst;
  for (int draw = 0; draw < kReported; ++draw) {
    noisy.draw = reported_draw(draw);
    const Tensor ap = target.ap(noisy(inputs));
    sum = draw == 0 ? ap.clone() : sum + ap;
    worst = draw == 0 ? ap.clone() : draw < kResubmitted ? torch::minimum(worst, ap) : worst;
  }
  return {sum.mean().item<double>() / kReported, worst.mean().item<double>()};
}

Tensor attacked(const Target& target, Noisy& noisy, int samples) {
  AttackSurface surface = target.surface([&](const Tensor& input) { return noisy(input); });
  surface.use_draw = [&](std::uint64_t draw) { noisy.use(draw); };
  return crafted("apgd", {{"steps", 20}, {"samples", samples}, {"epsilon_image", kEpsilon}}, surface,
                 target.queries)
      .inputs;
}

TEST(RandomDefense, TwentySamplesBeatOneAndTheReportDrawsAnew) {
  const Target target = pictures();
  Noisy one{target}, twenty{target};
  const Report clean = report_of(target, one, target.queries.inputs);
  const Report weak = report_of(target, one, attacked(target, one, 1));
  const Report strong = report_of(target, twenty, attacked(target, twenty, 20));
  EXPECT_LT(strong.mean, weak.mean - 0.01);
  EXPECT_LT(weak.mean, clean.mean);
  // Sending a query again helps whoever asks, attack or none.
  EXPECT_LT(strong.resubmitted, strong.mean - 0.01);
  EXPECT_LT(clean.resubmitted, clean.mean - 0.05);
  for (int draw = 0; draw < kReported; ++draw) {
    EXPECT_FALSE(twenty.used.contains(reported_draw(draw)));
    EXPECT_FALSE(one.used.contains(reported_draw(draw)));
  }
  EXPECT_GE(twenty.used.size(), 400U);  // twenty a step, and those that choose
}

}  // namespace
}  // namespace gauntlet::attacks
