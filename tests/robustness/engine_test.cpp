// The engine of the gradient members against a loop written from the text, corners and brute force; the
// losses; members on a toy network.
#include "core/attacks/detail/apgd.hpp"

#include <array>
#include <cmath>

#include "core/attacks/detail/bit_loss.hpp"
#include "core/attacks/detail/pixel_grid.hpp"
#include "core/attacks/mainstay_code.hpp"
#include "tests/robustness/support.hpp"

namespace gauntlet::attacks {
namespace {

using ::testing::ElementsAre;
using torch::Tensor;

TEST(Apgd, LooksAtItsStepSizeWhereTheReleaseDoes) {
  EXPECT_THAT(apgd_checkpoints(100), ElementsAre(22, 41, 57, 70, 80, 87, 93, 99));
  EXPECT_THAT(apgd_checkpoints(20), ElementsAre(4, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20));
  EXPECT_THAT(apgd_checkpoints(1), ElementsAre(1));
}

/// One input as a list of numbers, by the text of the method.
std::vector<double> climbed(std::vector<double> x0, const std::vector<double>& clean, const Ball& ball,
                            int n_steps, const std::function<double(const std::vector<double>&)>& f,
                            const std::function<std::vector<double>(const std::vector<double>&)>& gradient) {
  const auto within = [&](double value, double center) {
    return std::clamp(std::clamp(value, center - ball.epsilon, center + ball.epsilon), ball.low, ball.high);
  };
  const auto checkpoints = apgd_checkpoints(n_steps);
  std::vector<double> x = x0, before = x0, best = x0, g = gradient(x0), g_best = g;
  double f_best = f(x0), f_checked = f_best, f_before = f_best, step = 2 * ball.epsilon;
  int n_rises = 0, last_look = 0;
  bool was_halved = true;
  for (int i = 1; i <= n_steps; ++i) {
    const double a = i == 1 ? 1 : 0.75;
    std::vector<double> next;
    for (std::size_t d = 0; d < x.size(); ++d) {
      const double sign = g[d] > 0 ? 1 : g[d] < 0 ? -1 : 0;
      const double v = within(x[d] + step * sign, clean[d]);
      next.push_back(within(x[d] + a * (v - x[d]) + (1 - a) * (x[d] - before[d]), clean[d]));
    }
    before = x;
    x = next;
    g = gradient(x);
    const double now = f(x);
    n_rises += now > f_before ? 1 : 0;
    f_before = now;
    if (now > f_best) {
      f_best = now;
      best = x;
      g_best = g;
    }
    if (std::ranges::find(checkpoints, i) == checkpoints.end()) continue;
    const bool halves = n_rises <= 0.75 * (i - last_look) || (!was_halved && f_checked >= f_best);
    if (halves) {
      step /= 2;
      x = best;
      g = g_best;
    }
    was_halved = halves;
    f_checked = f_best;
    n_rises = 0;
    last_look = i;
  }
  return best;
}

TEST(Apgd, TakesTheStepsOfTheText) {
  // Waves with many tops, so that steps are halved and momentum matters.
  const auto f = [](const std::vector<double>& x) {
    return std::sin(40 * x[0]) + std::cos(55 * x[1]) + std::sin(25 * x[2] + 10 * x[0]);
  };
  const auto gradient = [](const std::vector<double>& x) {
    return std::vector<double>{40 * std::cos(40 * x[0]) + 10 * std::cos(25 * x[2] + 10 * x[0]),
                               -55 * std::sin(55 * x[1]), 25 * std::cos(25 * x[2] + 10 * x[0])};
  };
  const Ascent ascent = [](const Tensor& inputs, const Tensor&) {
    const Tensor x = inputs.detach().requires_grad_();
    const Tensor value = torch::sin(40 * x.select(1, 0)) + torch::cos(55 * x.select(1, 1)) +
                         torch::sin(25 * x.select(1, 2) + 10 * x.select(1, 0));
    return Slope{value, torch::autograd::grad({value.sum()}, {x}).front()};
  };
  torch::manual_seed(3);
  const Ball ball{0.1, 0, 1};
  const Tensor clean = torch::rand({6, 3}, torch::kFloat64);
  const auto rows = first_rows(6);
  const Tensor start = apgd_start(clean, rows, 1, ball);
  for (const int n_steps : {7, 20, 60}) {
    const ApgdOutcome outcome = apgd(clean, start, ascent, {.n_steps = n_steps, .ball = ball}, {});
    for (std::int64_t item = 0; item < 6; ++item) {
      const auto numbers = [&](const Tensor& all) {
        return std::vector<double>{all[item][0].item<double>(), all[item][1].item<double>(),
                                   all[item][2].item<double>()};
      };
      const std::vector<double> expected =
          climbed(numbers(start), numbers(clean), ball, n_steps, f, gradient);
      EXPECT_THAT(numbers(outcome.best), ::testing::Pointwise(::testing::DoubleNear(1e-9), expected))
          << n_steps << " steps, item " << item;
      EXPECT_NEAR(outcome.best_value[item].item<double>(), f(expected), 1e-9);
    }
  }
}

TEST(Apgd, StartsAtTheEdgeOfTheBudgetWhateverTheBatch) {
  const Ball ball{0.05, 0, 1};
  const Tensor clean = torch::full({4, 9}, 0.5);
  const auto rows = first_rows(4);
  const Tensor start = apgd_start(clean, rows, 8, ball);
  EXPECT_TRUE(torch::allclose((start - clean).abs().amax(1), torch::full({4}, 0.05)));
  EXPECT_TRUE(
      apgd_start(clean.slice(0, 2, 3), std::span(rows).subspan(2, 1), 8, ball).equal(start.slice(0, 2, 3)));
  EXPECT_FALSE(apgd_start(clean, rows, 9, ball).equal(start));
}

TEST(Apgd, GoesOnFromAnotherStartWhereThereIsNoGradient) {
  // Flat left of 0.5, a slope to the right; NaN for the last input until it is moved.
  const Ascent ascent = [](const Tensor& inputs, const Tensor&) {
    const Tensor flat = inputs.select(1, 0).lt(0.5);
    const Tensor gradient = flat.logical_not().to(inputs.scalar_type()).unsqueeze(1);
    const Tensor value =
        torch::where(inputs.select(1, 0).eq(0.2), torch::full({3}, std::nan("")).slice(0, 0, inputs.size(0)),
                     inputs.select(1, 0).clamp_min(0.5));
    return Slope{value, gradient};
  };
  const Tensor clean = torch::tensor({{0.45}, {0.55}, {0.45}}), start = torch::tensor({{0.4}, {0.55}, {0.2}});
  int asked = 0;
  const ApgdHooks hooks{.restart = [&](const Tensor& items) {
    ++asked;
    EXPECT_TRUE(items.equal(torch::tensor({0, 2})));
    return torch::full({2, 1}, 0.6);
  }};
  const ApgdOutcome outcome = apgd(clean, start, ascent, {.n_steps = 5, .ball = {0.3, 0, 1}}, hooks);
  EXPECT_EQ(asked, 1);
  EXPECT_TRUE(outcome.no_gradient.equal(torch::tensor({true, false, true})));
  EXPECT_TRUE(torch::allclose(outcome.best, clean + 0.3)) << outcome.best;
}

TEST(Apgd, StopsWhereNothingIsLeftToGainAndGoesOnElsewhere) {
  std::int64_t n_looked = 0;
  const Ascent ascent = [&](const Tensor& inputs, const Tensor& items) {
    n_looked += items.numel();
    return Slope{inputs.select(1, 0), torch::ones_like(inputs)};
  };
  const ApgdHooks hooks{.watch = [](const Tensor&, const Tensor& items) { return items.eq(1); }};
  const Tensor clean = torch::full({2, 1}, 0.5);
  const ApgdOutcome outcome = apgd(clean, clean, ascent, {.n_steps = 20, .ball = {0.1, 0, 1}}, hooks);
  EXPECT_EQ(n_looked, 2 * 5 + 16);  // the start and four steps of both, then one
  EXPECT_TRUE(torch::allclose(outcome.last, clean + 0.1));
}

TEST(BitLoss, HasTheSignsOfTheReleasedLossAndNoJump) {
  torch::manual_seed(1);
  const Tensor code = (torch::rand({40, 12}, torch::kFloat64) * 2 - 1).requires_grad_();
  const Tensor anchor = signs(torch::randn({40, 12}, torch::kFloat64));
  const Tensor ours = torch::autograd::grad({-away_from(code, anchor).sum()}, {code}).front();
  const Tensor theirs =
      torch::autograd::grad({agreement_terms(code, anchor, Agreement::kSharp).sum()}, {code}).front();
  EXPECT_TRUE(ours.sign().equal(theirs.sign()));
  const Tensor at = torch::tensor({-0.5 - 1e-9, -0.5, -0.5 + 1e-9, -1.0, 1.0}, torch::kFloat64);
  EXPECT_TRUE(
      torch::allclose(bit_loss(at), torch::tensor({-0.75, -0.75, -0.75, -0.75, 3.0}, torch::kFloat64)));
}

TEST(BitLoss, MarginKnowsNoScale) {
  torch::manual_seed(2);
  const Tensor z = torch::randn({5, 8}, torch::kFloat64), moved = z + 0.3 * torch::randn_like(z);
  const Tensor ours = margin(before_tanh(torch::tanh(moved)), before_tanh(torch::tanh(z)));
  EXPECT_TRUE(torch::allclose(margin(4 * moved, 4 * z), ours));
}

TEST(BitLoss, PushesOffTheNearestByTheFormula) {
  torch::manual_seed(3);
  const Tensor code = torch::rand({2, 6}, torch::kFloat64) * 2 - 1;
  const Tensor items = signs(torch::randn({9, 6}, torch::kFloat64)), repel = torch::rand({2, 9}).gt(0.5);
  const Tensor ours = off_the_nearest(code, items, repel, 0.05);
  for (std::int64_t query = 0; query < 2; ++query) {
    std::vector<double> s;
    double center = 0, n_others = 0, sum = 0;
    for (std::int64_t item = 0; item < 9; ++item) {
      const double hamming = (6 - code[query].dot(items[item]).item<double>()) / 2;
      s.push_back(-hamming / 6);
      if (repel[query][item].item<bool>()) continue;
      center += s.back();
      n_others += 1;
    }
    for (std::int64_t item = 0; item < 9; ++item) {
      if (repel[query][item].item<bool>())
        sum += std::exp((s[static_cast<std::size_t>(item)] - center / n_others) / 0.05);
    }
    EXPECT_NEAR(ours[query].item<double>(), -std::log(sum), 1e-9);
  }
  EXPECT_EQ(off_the_nearest(code, items, torch::zeros({2, 9}, torch::kBool), 0.05).abs().max().item<double>(),
            0);
}

TEST(PixelGrid, KeepsLevelsWithinTheBudget) {
  const Tensor clean = torch::tensor({100, 2, 253}).to(torch::kFloat32) / 255;
  const Tensor up = on_pixel_grid(clean + 0.031, clean, {0.031, 0, 1});
  EXPECT_TRUE((up * 255).round().equal(torch::tensor({107.0F, 9.0F, 255.0F}))) << up * 255;
  const Tensor down = on_pixel_grid(clean - 8.0 / 255, clean, {8.0 / 255, 0, 1});
  EXPECT_TRUE((down * 255).round().equal(torch::tensor({92.0F, 0.0F, 245.0F}))) << down * 255;
  EXPECT_TRUE(on_pixel_grid(clean, clean, {0.5 / 255, 0, 1}).equal((clean * 255).round() / 255));
}

/// A pipeline that says it is random, and is not, is encoded anew at every look: the same inputs come out,
/// for more passes.
TEST(Apgd, DoesNotEncodeTwiceWhatAStepHasEncoded) {
  const Target target({10}, 6, 3, 8, 4, 0.05);
  for (const char* objective : {"mainstay", "floor", "ladv", "margin"}) {
    const Json config = {{"objective", objective}, {"steps", 100}, {"epsilon_text", 0.12}};
    std::array<int, 2> n_passes = {0, 0};
    std::vector<Crafted> made;
    for (const bool remembers : {true, false}) {
      int& n = n_passes[remembers ? 0 : 1];
      AttackSurface surface = target.surface([&](const Tensor& inputs) {
        ++n;
        return target.hash(inputs);
      });
      if (!remembers) surface.use_draw = [](std::uint64_t) {};
      made.push_back(crafted("apgd", config, surface, target.queries));
    }
    EXPECT_TRUE(made[0].inputs.equal(made[1].inputs)) << objective;
    EXPECT_TRUE(made[0].observed.at("tracked_ap").equal(made[1].observed.at("tracked_ap"))) << objective;
    EXPECT_LE(n_passes[0], n_passes[1] - 4) << objective;  // up to 8 looks at the step's size
  }
}

/// Plain floats go another way than what has a gradient: the values are the same to the last bit.
TEST(PixelGrid, OnePassGivesWhatTensorsGive) {
  torch::manual_seed(3);
  const Tensor clean = (torch::rand({4, 3, 9, 9}) * 255).round() / 255;
  for (const double epsilon : {8.0 / 255, 0.031, 0.5 / 255, 0.0, 1.0}) {
    const Ball ball{epsilon, 0, 1};
    const Tensor inputs = clean + (torch::rand_like(clean) - 0.5) * 4 * epsilon;
    const Tensor traced = inputs.clone().requires_grad_();
    EXPECT_TRUE(on_pixel_grid(inputs, clean, ball).equal(on_pixel_grid(traced, clean, ball))) << epsilon;
    const Tensor change = inputs - clean, traced_change = change.clone().requires_grad_();
    EXPECT_TRUE(applied_within(clean, change, ball).equal(applied_within(clean, traced_change, ball)))
        << epsilon;
  }
}

/// One bit of six words: the worst input is a corner, and which one is known.
TEST(ToyHash, EveryMemberReachesTheKnownWorstCorner) {
  Target target({6}, 1, 2, 10, 3, 0.05);
  // Two classes on either side of the one bit.
  const Tensor direction = target.hash.weight[0].sign();
  const Tensor prototypes = torch::stack({0.5 + 0.2 * direction, 0.5 - 0.2 * direction});
  target.database = items_around(prototypes, 10, 0.01);
  target.queries = items_around(prototypes, 3, 0.01);
  const double epsilon = 0.05;
  const Tensor c = signs(target.hash(target.queries.inputs));
  const Tensor corner = (target.queries.inputs - epsilon * c * direction).clamp(0, 1);
  for (const char* objective : {"mainstay", "floor", "ladv", "margin", "anchor"}) {
    const Crafted made =
        crafted("apgd", {{"objective", objective}, {"select", "loss"}, {"epsilon_text", epsilon}},
                target.surface(), target.queries);
    EXPECT_TRUE(torch::allclose(made.inputs, corner, 0, 1e-6)) << objective << made.inputs - corner;
    EXPECT_EQ(made.observed.at("no_gradient").sum().item<double>(), 0) << objective;
  }
}

/// The least average precision at any corner of the budget, by trying them all.
Tensor brute_force(const Target& target, double epsilon) {
  const std::int64_t n_words = target.queries.inputs.size(1);
  Tensor worst = target.ap(target.hash(target.queries.inputs));
  for (std::int64_t corner = 0; corner < (1 << n_words); ++corner) {
    const Tensor bits =
        torch::full({n_words}, corner).bitwise_right_shift(torch::arange(n_words)).bitwise_and(1);
    const Tensor inputs = (target.queries.inputs + epsilon * (2 * bits - 1)).clamp(0, 1);
    worst = torch::minimum(worst, target.ap(target.hash(inputs)));
  }
  return worst;
}

TEST(ToyHash, TheWorstOverMembersIsThatOfBruteForce) {
  const Target target({10}, 6, 3, 8, 4, 0.05);
  const double epsilon = 0.12;
  Tensor worst = target.ap(target.hash(target.queries.inputs));
  const double clean = worst.mean().item<double>();
  for (const char* objective : {"mainstay", "floor", "ladv", "margin", "far1", "far2", "near1", "near2"}) {
    const bool is_anchor = std::isdigit(std::string_view(objective).back()) != 0;
    for (int restart = 1; restart <= 8; ++restart) {
      Json config = {{"objective", is_anchor ? "anchor" : objective},
                     {"restart", restart},
                     {"steps", 50},
                     {"epsilon_text", epsilon}};
      if (is_anchor) config["anchor"] = objective;
      const Crafted made = crafted("apgd", config, target.surface(), target.queries);
      const Tensor ap = target.ap(target.hash(made.inputs));
      EXPECT_TRUE(torch::allclose(ap, made.observed.at("tracked_ap"), 0, 1e-12)) << objective;
      EXPECT_LE((made.inputs - target.queries.inputs).abs().max().item<double>(), epsilon + 1e-7);
      worst = torch::minimum(worst, ap);
    }
  }
  for (const char* feedback : {"code", "soft", "rank"}) {
    for (int restart = 1; restart <= 8; ++restart) {
      const Crafted made = crafted("square",
                                   {{"feedback", feedback},
                                    {"list", 8},
                                    {"iterations", 500},
                                    {"restart", restart},
                                    {"epsilon_text", epsilon}},
                                   target.surface(), target.queries);
      worst = torch::minimum(worst, target.ap(target.hash(made.inputs)));
    }
  }
  const Tensor least = brute_force(target, epsilon);
  EXPECT_LT(least.mean().item<double>(), clean - 0.2);  // there is something to find
  // Corners are not all there is: an inner point may be worse still.
  EXPECT_TRUE(worst.le(least + 1e-9).all().item<bool>()) << torch::stack({worst, least});
}

TEST(ToyHash, DoesNotDependOnTheBatch) {
  const Target target({3, 6, 6}, 8, 3, 6, 3, 0.05);
  const std::vector<std::pair<const char*, Json>> members = {
      {"apgd", {{"steps", 10}}},
      {"apgd", {{"steps", 10}, {"objective", "anchor"}}},
      {"square", {{"iterations", 30}}},
      {"noise", Json::object()}};
  for (const auto& [name, options] : members) {
    const AttackSurface surface = target.surface();
    Json config = options;
    config["epsilon_image"] = 0.05;
    const auto attack = attack_registry().find(name).value()->make(config, surface, 1).value();
    const auto rows = first_rows(9);
    const Tensor together = attack->perturb({target.queries.inputs, target.queries.labels, rows});
    const Tensor alone =
        attack->perturb({target.queries.inputs.slice(0, 4, 5), target.queries.labels.slice(0, 4, 5),
                         std::span(rows).subspan(4, 1)});
    EXPECT_TRUE(torch::allclose(alone, together.slice(0, 4, 5), 0, 1e-6)) << name;
    EXPECT_GT((together - target.queries.inputs).abs().max().item<double>(), 0.04) << name;
  }
}

TEST(ToyHash, TargetedMembersComeToTheTarget) {
  const Target target({3, 6, 6}, 12, 4, 8, 2, 0.05);
  const auto ap_of_target = [&](const Tensor& inputs) {
    return CodeRanks::of({target.codes(), target.database.labels})
        .value()
        ->ap(target.hash(inputs), target.queries.labels.roll(1, 1))
        .mean()
        .item<double>();
  };
  const double clean = ap_of_target(target.queries.inputs);
  for (const char* objective : {"class", "vote", "search", "ladv"}) {
    const Crafted made =
        crafted("apgd_targeted", {{"objective", objective}, {"steps", 30}, {"epsilon_image", 0.2}},
                target.surface(), target.queries);
    EXPECT_GT(ap_of_target(made.inputs), clean + 0.5) << objective;
  }
  for (const char* feedback : {"code", "soft", "rank"}) {
    const Crafted made =
        crafted("square_targeted", {{"feedback", feedback}, {"iterations", 300}, {"epsilon_image", 0.2}},
                target.surface(), target.queries);
    EXPECT_GT(ap_of_target(made.inputs), clean + 0.5) << feedback;
  }
}

TEST(ToyHash, SearchesFindWithoutGradients) {
  const Target target({3, 6, 6}, 12, 4, 8, 2, 0.05);
  const double clean = target.map(target.hash(target.queries.inputs));
  const double noise = target.map(
      target.hash(crafted("noise", {{"epsilon_image", 0.1}}, target.surface(), target.queries).inputs));
  const double white = target.map(target.hash(
      crafted("apgd", {{"epsilon_image", 0.1}, {"steps", 40}}, target.surface(), target.queries).inputs));
  for (const char* feedback : {"code", "soft", "rank"}) {
    AttackSurface surface =
        target.surface([&](const Tensor& inputs) { return target.hash(inputs).detach(); });
    const Crafted made =
        crafted("square", {{"feedback", feedback}, {"iterations", 400}, {"list", 8}, {"epsilon_image", 0.1}},
                surface, target.queries);
    const double map = target.map(target.hash(made.inputs));
    EXPECT_LT(map, noise - 0.1) << feedback << ": clean " << clean << ", white " << white;
    EXPECT_GE(map, white - 0.05) << feedback;
    EXPECT_LE((made.inputs - target.queries.inputs).abs().max().item<double>(), 0.1 + 1e-6);
    EXPECT_GT(made.observed.at("queries_per_input").min().item<double>(), 1);
  }
}

}  // namespace
}  // namespace gauntlet::attacks
