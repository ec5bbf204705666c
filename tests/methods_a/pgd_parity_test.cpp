// The attack loss and projected gradient descent against recorded values.

#include "core/attacks/detail/projection.hpp"
#include "core/models/losses.hpp"
#include "tests/methods_a/fixture.hpp"

namespace gauntlet::attacks {
namespace {

using models::relevance_mask;
using models::repel_attract_logsumexp;
using models::repel_attract_loss;
using testing::expect_near;
using testing::Fixture;

struct Sets {
  torch::Tensor code_sum, relevant;
};

Sets sets_of(const Fixture& fixture) {
  return {fixture.get("in.codes_image") + fixture.get("in.codes_text"),
          relevance_mask(fixture.get("in.labels"), fixture.get("in.labels_train"))};
}

/// Recorded value and gradient of one direction; `taus` maps a name's ending to the temperature.
void expect_direction(const Fixture& fixture, const std::string& direction, double tolerance) {
  const Sets sets = sets_of(fixture);
  const torch::Tensor irrelevant = sets.relevant.logical_not();
  const bool attack = direction == "attack";
  const std::map<std::string, double> taus = {{"t05", 0.5}, {"t005", 0.05}};
  for (const auto& [ending, tau] : taus) {
    const std::string name = direction + "_" + ending;
    const torch::Tensor u = fixture.get("in.u").requires_grad_();
    const torch::Tensor loss = repel_attract_loss(u, sets.code_sum, attack ? irrelevant : sets.relevant,
                                                  attack ? sets.relevant : irrelevant, tau);
    expect_near(loss.mean(), fixture.reference("loss." + name), tolerance, name);
    if (fixture.has("out." + name))
      expect_near(loss, fixture.reference("out." + name), tolerance, "out." + name);
    loss.mean().backward();
    for (const std::string& gradient : {"grad." + name + "_u", "grad." + name}) {
      if (fixture.has(gradient)) expect_near(u.grad(), fixture.reference(gradient), tolerance, gradient);
    }
  }
}

TEST(AttackLoss, EqualsRecordedValuesInBothDirections) {
  for (const auto& [dtype, tolerance] :
       {std::pair{torch::kFloat64, 1e-8}, std::pair{torch::kFloat32, 1e-4}}) {
    for (const char* name : {"attacks/ladv", "defenses/golden_toy"}) {
      SCOPED_TRACE(name);
      const Fixture fixture = Fixture(name, dtype);
      expect_direction(fixture, "attack", tolerance);
      expect_direction(fixture, "align", tolerance);
    }
  }
}

TEST(AttackLoss, GivesZeroWithoutGradientWhereASetIsEmpty) {
  const Fixture fixture = Fixture("attacks/ladv", torch::kFloat64);
  const torch::Tensor code_sum = sets_of(fixture).code_sum;
  const torch::Tensor relevant = fixture.get("in.edge_mask_positive").gt(0.5);
  const torch::Tensor irrelevant = relevant.logical_not();
  const torch::Tensor u = fixture.get("in.u").requires_grad_();
  const torch::Tensor attack = repel_attract_loss(u, code_sum, irrelevant, relevant, 0.05);
  expect_near(attack, fixture.reference("out.edge_attack_t005"), 1e-8, "edge_attack");
  expect_near(repel_attract_loss(u, code_sum, relevant, irrelevant, 0.05),
              fixture.reference("out.edge_align_t005"), 1e-8, "edge_align");
  attack.sum().backward();
  EXPECT_TRUE(u.grad().isfinite().all().item<bool>());
  const torch::Tensor empty = relevant.all(1).logical_or(irrelevant.all(1));
  EXPECT_EQ(empty.sum().item<std::int64_t>(), 2);
  EXPECT_EQ(u.grad().index({empty}).abs().max().item<double>(), 0);
  EXPECT_EQ(repel_attract_logsumexp(u, code_sum, irrelevant, relevant, 0.05)
                .index({empty})
                .abs()
                .max()
                .item<double>(),
            0);
}

TEST(AttackLoss, EqualsTheFormulaWrittenOut) {
  // Three training items, K = 2: s = (-1/K) sum of Hamming distances, written as sums over bits.
  const torch::Tensor u = torch::tensor({{0.5, -0.25}}, torch::kFloat64);
  const torch::Tensor image = torch::tensor({{1.0, 1.0}, {1.0, -1.0}, {-1.0, 1.0}}, torch::kFloat64);
  const torch::Tensor text = torch::tensor({{1.0, -1.0}, {-1.0, -1.0}, {-1.0, 1.0}}, torch::kFloat64);
  const auto distance = [&](const torch::Tensor& code) {
    return (2 - (u[0] * code).sum().item<double>()) / 2;
  };
  double similarity[3];
  for (int item = 0; item < 3; ++item)
    similarity[item] = -0.5 * (distance(image[item]) + distance(text[item]));
  const double tau = 0.3;
  const double attracted = similarity[2];
  const double expected =
      std::log(1 + std::exp((similarity[0] - attracted) / tau) + std::exp((similarity[1] - attracted) / tau));
  const torch::Tensor repel = torch::tensor({{1, 1, 0}}).gt(0);
  const torch::Tensor loss = repel_attract_loss(u, image + text, repel.logical_not(), repel, tau);
  EXPECT_NEAR(loss.item<double>(), expected, 1e-12);
}

struct PgdCase {
  const char* file;
  double epsilon, step, low, high;
  bool image;
};

void expect_trace(const PgdCase& pgd, torch::Dtype dtype, double delta_tolerance, double loss_tolerance) {
  const Fixture fixture = Fixture(std::string("attacks/") + pgd.file, dtype);
  const Sets sets = sets_of(fixture);
  const torch::Tensor weight = fixture.get("param.hash.fc.weight");
  const torch::Tensor bias = fixture.get("param.hash.fc.bias");
  const auto encode =
      [&](const torch::Tensor& input) {  // images arrive in [-1,1]: the net's pixels/127.5 - 1
        return torch::tanh(input.flatten(1).matmul(weight.t()) + bias);
      };
  const auto exponent = [&](const torch::Tensor& input) {
    return repel_attract_logsumexp(encode(input), sets.code_sum, sets.relevant.logical_not(), sets.relevant,
                                   0.05);
  };
  const Ball ball{pgd.epsilon, pgd.low, pgd.high};
  const torch::Tensor clean = fixture.get("in.x");
  const torch::Tensor start = projected(fixture.get("in.start"), clean, ball);
  expect_near(start, fixture.reference("after.0.delta"), delta_tolerance, "after.0");
  for (const std::int64_t n_steps : {1, 2, 20}) {
    const torch::Tensor delta = descend(clean, start, exponent, {ball, pgd.step, n_steps});
    expect_near(delta, fixture.reference(fmt::format("after.{}.delta", n_steps)), delta_tolerance,
                fmt::format("after.{}", n_steps));
    const torch::Tensor loss = repel_attract_loss(encode(clean + delta), sets.code_sum,
                                                  sets.relevant.logical_not(), sets.relevant, 0.05)
                                   .mean();
    expect_near(loss, fixture.reference("out.loss_trace")[n_steps], loss_tolerance, "loss");
  }
}

TEST(Pgd, FollowsTheRecordedPath) {
  const PgdCase cases[] = {{"pgd_ladv_image", 8.0 / 255, 3.0 / 255, -1, 1, true},
                           {"pgd_ladv_text", 0.05, 0.006, 0, 1, false}};
  for (const PgdCase& pgd : cases) {
    SCOPED_TRACE(pgd.file);
    expect_trace(pgd, torch::kFloat64, 1e-6, 1e-6);
    expect_trace(pgd, torch::kFloat32, 2e-6, 2e-4);
  }
}

}  // namespace
}  // namespace gauntlet::attacks
