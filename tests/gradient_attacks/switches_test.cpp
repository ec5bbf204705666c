// What is special about the gradient attacks: their losses by finite differences, their switches, what they
// refuse.

#include "core/attacks/detail/code_losses.hpp"
#include "core/attacks/detail/item_draw.hpp"
#include "core/attacks/detail/learned_noise.hpp"
#include "core/attacks/detail/scheduled_descent.hpp"
#include "core/attacks/detail/sharpening.hpp"
#include "tests/gradient_attacks/support.hpp"
#include "tests/support/gradients.hpp"

namespace gauntlet::attacks {
namespace {

using testing::expect_gradient;
using ::testing::HasSubstr;
using torch::Tensor;

constexpr std::int64_t kInputs = 6, kWords = 10, kBits = 8, kItems = 30, kLabels = 3;

/// A net and training codes of noise; inputs are 0/1 texts.
struct Toy {
  HashNet net;
  AttackSurface surface;
  Tensor inputs, labels;
  std::vector<std::int64_t> rows = first_rows(kInputs);

  Toy() {
    torch::manual_seed(4);
    net = {torch::randn({kBits, kWords}, torch::kFloat64), torch::randn({kBits}, torch::kFloat64)};
    surface = text_surface(net, {0, 0, 1});
    surface.train_codes_image = signs(torch::randn({kItems, kBits}, torch::kFloat64));
    surface.train_codes_text = signs(torch::randn({kItems, kBits}, torch::kFloat64));
    surface.train_labels = own_labels(kLabels, kItems / kLabels);
    inputs = torch::rand({kInputs, kWords}, torch::kFloat64).round();
    labels = own_labels(kLabels, kInputs / kLabels);
  }
  [[nodiscard]] static Tensor signs(const Tensor& values) {
    return values.gt(0).to(values.scalar_type()) * 2 - 1;
  }
  [[nodiscard]] Tensor perturbed(const char* name, const Json& config, std::uint64_t seed = 1) const {
    const auto attack = make_attack(name, config, surface, seed);
    return attack->perturb({inputs, labels, rows, labels.roll(kInputs / kLabels, 0)});
  }
  [[nodiscard]] double agreement(const Tensor& adversarial, const Tensor& codes) const {
    return code_agreement(net(adversarial), codes).mean().item<double>();
  }
};

TEST(Sharpening, FollowsTheTenthsOfTheSteps) {
  const std::vector<double> tenths = {0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0};
  for (std::int64_t step = 0; step < 2000; ++step) {
    EXPECT_EQ(sharpness(step, 2000), tenths.at(static_cast<std::size_t>(step / 200))) << step;
  }
  EXPECT_EQ(sharpness(0, 1), 0.1);
  EXPECT_EQ(sharpness(3, 4), 0.5);
}

TEST(Sharpening, IsTheTanhOfTheScaledPreactivation) {
  const Tensor z = torch::linspace(-6, 6, 49, torch::kFloat64);
  for (const double alpha : {0.1, 0.7, 1.0}) {
    EXPECT_TRUE(torch::allclose(sharpened(torch::tanh(z), alpha), torch::tanh(alpha * z), 1e-9, 1e-10));
  }
  expect_gradient(torch::tanh(torch::linspace(-2, 2, 9, torch::kFloat64)),
                  [](const Tensor& code) { return sharpened(code, 0.3).square().sum(); });
}

/// d tanh(alpha z) / dz through the code tanh(z), which is all an attack sees.
Tensor gradient_at(const Tensor& z, double alpha) {
  const Tensor leaf = z.clone().requires_grad_();
  return torch::autograd::grad({sharpened(torch::tanh(leaf), alpha).sum()}, {leaf}).front();
}

TEST(Sharpening, GivesSaturatedBitsTheGradientThatTheirOwnTanhHasLost) {
  // At z = 6 the code itself has a slope of 2.5e-5 and tanh(z / 10) one of 0.07: 2900 times as much.
  for (const auto& [type, greatest, precision] :
       {std::tuple{torch::kFloat64, 15.0, 0.05}, std::tuple{torch::kFloat32, 6.0, 0.02}}) {
    const Tensor z = torch::linspace(-greatest, greatest, 31, type);
    const Tensor expected = 0.1 * (1 - torch::tanh(0.1 * z).square());
    EXPECT_TRUE(torch::allclose(gradient_at(z, 0.1), expected, precision, 0))
        << gradient_at(z, 0.1) / expected;
    EXPECT_TRUE(torch::allclose(sharpened(torch::tanh(z), 0.1), torch::tanh(0.1 * z), precision, 1e-3));
  }
}

TEST(Sharpening, LetsBitsBeyondItsLimitTurnAsLongAsTheirTanhDoes) {
  // tanh(8) is 1 - 2.25e-7, two float units below 1 and beyond the limit of 1e-6; tanh(17) is 1 - 3.4e-15.
  // What is left of the gradient is the share of the code's slope in the one at the limit.
  for (const auto& [type, z] : {std::pair{torch::kFloat32, 8.0}, std::pair{torch::kFloat64, 17.5}}) {
    const Tensor at = torch::full({1}, z, type), expected = 0.1 * (1 - torch::tanh(0.1 * at).square());
    const double share = (gradient_at(at, 0.1) / expected).item<double>();
    EXPECT_GT(share, 0.1) << type;
    EXPECT_LT(share, 1) << type;
    EXPECT_LT(gradient_at(-at, 0.1).sub(gradient_at(at, 0.1)).abs().item<double>(), 1e-6) << type;
  }
}

TEST(Sharpening, StaysBelowOneWhereTheCodeIsExactlyOne) {
  for (const auto& [type, greatest] : {std::pair{torch::kFloat32, 7.3}, std::pair{torch::kFloat64, 17.4}}) {
    const Tensor code = torch::tensor({1.0, -1.0, 0.0}, type).requires_grad_();
    const Tensor sharp = sharpened(code, 0.1);
    sharp.sum().backward();
    const double limit = std::tanh(0.1 * greatest);
    EXPECT_NEAR(sharp[0].item<double>(), limit, 0.01) << type;
    EXPECT_EQ(sharp[1].item<double>(), -sharp[0].item<double>()) << type;
    EXPECT_EQ(sharp[2].item<double>(), 0) << type;
    EXPECT_NEAR(code.grad()[2].item<double>(), 0.1, 1e-6) << type;
    EXPECT_TRUE(code.grad().isfinite().all().item<bool>()) << code.grad();
    EXPECT_GT(code.grad()[0].item<double>(), 1e4) << type;  // d atanh / d code grows as 1 / (1 - code)
  }
}

TEST(CodeLosses, HaveTheirGradients) {
  torch::manual_seed(2);
  const Tensor code = torch::rand({3, kBits}, torch::kFloat64) * 1.8 - 0.9;
  const Tensor clean = torch::rand({3, kBits}, torch::kFloat64) * 1.8 - 0.9;
  expect_gradient(code, [&](const Tensor& h) { return code_agreement(h, clean).sum(); });
  for (const HagLoss& form : {HagLoss{}, HagLoss{.threshold = 0, .beta = 0.5}}) {
    expect_gradient(code, [&](const Tensor& h) { return hag_loss(h, clean, form).sum(); });
  }
  const NoisePairs pairs{Toy::signs(torch::randn({5, kBits}, torch::kFloat64)),
                         Toy::signs(torch::randn({5, kBits}, torch::kFloat64)),
                         torch::rand({3, 5}, torch::kFloat64).round(), torch::rand({3, 5}, torch::kFloat64)};
  expect_gradient(code, [&](const Tensor& h) {
    return total(noise_loss(h, pairs, h - clean), {0.5, 2, 3}).sum();
  });
}

TEST(CodeLosses, HagForgetsBitsThatAreFlippedForGood) {
  const Tensor clean = torch::tensor({{0.5, 0.5, -0.5, -0.5}}, torch::kFloat64);
  const Tensor code = torch::tensor({{-0.6, 0.4, 0.4, -0.9}}, torch::kFloat64).requires_grad_();
  const Tensor loss = hag_loss(code, clean, {});
  // The first bit is 1.6 from its sign. Three are left: (0.2 - 0.2 + 0.45) / 3 + 1 and (0.4 + 0.4 - 0.9) / 4.
  EXPECT_NEAR(loss.item<double>(), 1.15 * 1.15 + 0.025 * 0.025, 1e-7);
  loss.sum().backward();
  EXPECT_EQ(code.grad()[0][0].item<double>(), 0);
  const Tensor flipped = hag_loss(torch::full({1, 4}, -0.9, torch::kFloat64), -clean.abs().neg(), {});
  EXPECT_NEAR(flipped.item<double>(), 1, 1e-12);  // an empty mask: beta² remains
}

TEST(CodeLosses, TiedVotesCountAsMinusOne) {
  const Tensor codes = torch::tensor({{1., 1., -1.}, {1., -1., -1.}});
  EXPECT_TRUE(majority_code(codes).equal(torch::tensor({1., -1., -1.})));
}

TEST(ItemDraw, TakesDistinctItemsFromTheStream) {
  const Tensor items = torch::arange(100, 120);
  std::map<std::int64_t, int> counts;
  for (std::uint64_t index = 0; index < 300; ++index) {
    const Tensor some = drawn_items(items, 5, RandomStream::of(1, 2, index));
    EXPECT_EQ(std::get<0>(torch::_unique2(some)).numel(), 5);
    EXPECT_TRUE(some.equal(drawn_items(items, 5, RandomStream::of(1, 2, index))));
    for (std::int64_t i = 0; i < 5; ++i) ++counts[some[i].item<std::int64_t>()];
  }
  EXPECT_EQ(counts.size(), 20U);  // 75 expected of each; four standard deviations are 30
  for (const auto& [item, n] : counts) EXPECT_NEAR(n, 75, 30) << item;
  EXPECT_TRUE(std::get<0>(drawn_items(items, 50, RandomStream(7)).sort()).equal(items));
}

TEST(ScheduledDescent, KnowsThreeKindsOfSteps) {
  const Tensor gradient = torch::tensor({{3.0, -4.0}, {0.0, 0.0}});
  EXPECT_TRUE(signed_steps(0.5)(gradient).equal(torch::tensor({{0.5, -0.5}, {0.0, 0.0}})));
  EXPECT_TRUE(torch::allclose(normalized_steps(10)(gradient), torch::tensor({{6.0, -8.0}, {0.0, 0.0}})));
  const StepRule momentum = momentum_steps(2, 0.5);
  EXPECT_TRUE(momentum(gradient).equal(2 * gradient));
  EXPECT_TRUE(momentum(gradient).equal(3 * gradient));
  const StepRule raw = momentum_steps(2, 0);
  EXPECT_TRUE(raw(gradient).equal(raw(gradient)));
}

TEST(LearnedNoise, PassesGradientsOnTheBoundsOnly) {
  const Tensor data = torch::tensor({-0.1, 0.0, 0.5, 1.0, 1.1}).requires_grad_();
  const Tensor limited = clamp_inclusive(data, 0, 1);
  EXPECT_TRUE(limited.equal(torch::tensor({0.0, 0.0, 0.5, 1.0, 1.0})));
  limited.sum().backward();
  EXPECT_TRUE(data.grad().equal(torch::tensor({0.0, 1.0, 1.0, 1.0, 0.0})));
}

TEST(Fgsm, MovesEveryValueByTheWholeBudgetOrToTheBound) {
  const Toy toy;
  for (const char* loss : {"relevance", "code"}) {
    const Tensor change = toy.perturbed("fgsm", {{"loss", loss}, {"epsilon_text", 0.25}}) - toy.inputs;
    EXPECT_TRUE(change.abs().sub(0.25).abs().lt(1e-9).logical_or(change.eq(0)).all().item<bool>()) << loss;
    EXPECT_GT(change.abs().max().item<double>(), 0) << loss;
  }
}

TEST(Fgsm, LeavesTheCleanCodeWithLossCode) {
  const Toy toy;
  const Tensor own = Toy::signs(toy.net(toy.inputs));
  EXPECT_LT(toy.agreement(toy.perturbed("fgsm", {{"loss", "code"}, {"epsilon_text", 0.3}}), own),
            toy.agreement(toy.inputs, own) - 0.1);
}

TEST(Fgsm, LeavesInputsWithoutRelevantItemsClean) {
  Toy toy;
  toy.labels[0].zero_();
  const Tensor adversarial = toy.perturbed("fgsm", Json::object());
  EXPECT_TRUE(adversarial[0].equal(toy.inputs[0]));
  EXPECT_FALSE(adversarial[1].equal(toy.inputs[1]));
}

TEST(Hag, TurnsTheCodeAgainstTheCleanOne) {
  const Toy toy;
  const Tensor clean = toy.net(toy.inputs);
  const Tensor far = toy.perturbed("hag", {{"steps", 50}, {"epsilon_text", 0.4}, {"lr", 1}});
  EXPECT_LT(toy.agreement(far, clean), toy.agreement(toy.inputs, clean) - 0.3);
  EXPECT_FALSE(far.equal(
      toy.perturbed("hag", {{"steps", 50}, {"epsilon_text", 0.4}, {"lr", 0.01}, {"loss_batch", 64}})));
}

TEST(Dhta, ReachesTheTargetsAnchorWithEveryFormOfStep) {
  const Toy toy;
  const Tensor targets = toy.labels.roll(kInputs / kLabels, 0);
  std::vector<Tensor> anchors;
  for (std::int64_t input = 0; input < kInputs; ++input) {  // all ten items of a label vote
    const std::int64_t label = targets[input].argmax().item<std::int64_t>();
    anchors.push_back(majority_code(toy.surface.train_codes_image.slice(0, 10 * label, 10 * label + 10)));
  }
  const Tensor anchor = torch::stack(anchors);
  const double before = toy.agreement(toy.inputs, anchor);
  for (const auto& [form, step] :
       {std::pair{"sign", 0.02}, std::pair{"normalized", 0.1}, std::pair{"raw", 2.0}}) {
    const Json config = {{"anchors", 10},       {"target_min_items", 11}, {"steps", 40},
                         {"epsilon_text", 0.5}, {"step_form", form},      {"step_text", step}};
    EXPECT_GT(toy.agreement(toy.perturbed("dhta", config), anchor), before + 0.2) << form;
  }
}

TEST(Dhta, DrawsItsAnchorsBySeedAndLeavesTargetsNoItemHasClean) {
  Toy toy;
  const Json one = {{"anchors", 1}, {"steps", 5}, {"targets", "uniform"}};
  EXPECT_TRUE(toy.perturbed("dhta", one, 1).equal(toy.perturbed("dhta", one, 1)));
  EXPECT_FALSE(toy.perturbed("dhta", one, 1).equal(toy.perturbed("dhta", one, 2)));
  toy.labels.slice(0, 0, kInputs / kLabels).fill_(1);  // the targets of the second pair of inputs
  const Tensor adversarial = toy.perturbed("dhta", one);
  EXPECT_TRUE(adversarial.slice(0, 2, 4).equal(toy.inputs.slice(0, 2, 4)));
  EXPECT_FALSE(adversarial.slice(0, 4, 6).equal(toy.inputs.slice(0, 4, 6)));
}

TEST(Dhta, RefusesTargetsWithTooFewItems) {
  const auto refused = attack_registry().find("dhta").value()->make({{"anchors", 9}, {"target_min_items", 9}},
                                                                    Toy().surface, 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(refused.error().message, HasSubstr("allowed: target_min_items at least 10"));
}

double cmla_loss(const Toy& toy, const Tensor& adversarial) {
  const Tensor similar = toy.labels.matmul(toy.surface.train_labels.t()).to(torch::kFloat64);
  const NoisePairs pairs{toy.surface.train_codes_image, toy.surface.train_codes_text, similar,
                         torch::full_like(similar, 1.0 / kItems)};
  return total(noise_loss(toy.net(adversarial), pairs, adversarial - toy.inputs), {}).sum().item<double>();
}

TEST(Cmla, LowersItsLossAndClipsAsAsked) {
  const Toy toy;
  const Json config = {{"steps", 60}, {"epsilon_text", 0.2}, {"lr_text", 0.02}};
  const auto with = [&](const Json& change) {
    Json all = config;
    all.update(change);
    return toy.perturbed("cmla", all);
  };
  const Tensor one_sided = with(Json::object()), symmetric = with({{"clip", "symmetric"}});
  EXPECT_LT(cmla_loss(toy, one_sided), cmla_loss(toy, toy.inputs) - 0.1);
  EXPECT_LT(cmla_loss(toy, symmetric), cmla_loss(toy, one_sided));
  EXPECT_GE((one_sided - toy.inputs).min().item<double>(), -1e-12);
  EXPECT_LT((symmetric - toy.inputs).min().item<double>(), -0.1);
  EXPECT_LE((one_sided - toy.inputs).abs().max().item<double>(), 0.2 + 1e-12);
  EXPECT_GT((with({{"stored", "unclipped"}}) - toy.inputs).abs().max().item<double>(), 0.2 + 1e-6);
  EXPECT_FALSE(with({{"adam", "tensorflow"}}).equal(one_sided));
}

TEST(Cmla, ComparesWithDrawnPairsOrWithAll) {
  const Toy toy;
  const Json config = {{"steps", 5}, {"lr_text", 0.001}};
  Json drawn = config;
  drawn.update({{"pairs", "batch"}, {"batch_pairs", 4}});
  EXPECT_FALSE(toy.perturbed("cmla", drawn).equal(toy.perturbed("cmla", config)));
  EXPECT_TRUE(toy.perturbed("cmla", drawn).equal(toy.perturbed("cmla", drawn)));
  EXPECT_FALSE(toy.perturbed("cmla", drawn, 1).equal(toy.perturbed("cmla", drawn, 2)));
  drawn["batch_pairs"] = 1000;
  EXPECT_TRUE(torch::allclose(toy.perturbed("cmla", drawn), toy.perturbed("cmla", config), 0, 1e-12));
}

}  // namespace
}  // namespace gauntlet::attacks
