// The attack loss and projected gradient descent against recorded values.

#include "core/attacks/detail/projection.hpp"
#include "core/models/losses.hpp"
#include "tests/support/gradients.hpp"
#include "tests/support/parity.hpp"

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

/// Recorded values and gradients of one direction, for every temperature there is.
void expect_direction(const Fixture& fixture, const std::string& direction, double tolerance) {
  const Sets sets = sets_of(fixture);
  const torch::Tensor irrelevant = sets.relevant.logical_not();
  const bool attack = direction == "attack";
  const std::vector<std::string> endings = fixture.names("loss." + direction + "_t");
  EXPECT_FALSE(endings.empty());
  for (const std::string& ending : endings) {
    const std::string name = direction + "_t" + ending;
    const torch::Tensor u = fixture.get("in.u").requires_grad_();
    const torch::Tensor loss =
        repel_attract_loss(u, sets.code_sum, attack ? irrelevant : sets.relevant,
                           attack ? sets.relevant : irrelevant, testing::temperature_in(name));
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
  const torch::Tensor empty = relevant.all(1).logical_or(irrelevant.all(1));
  ASSERT_TRUE(empty.any().item<bool>());
  const std::vector<std::string> endings = fixture.names("out.edge_attack_t");
  ASSERT_FALSE(endings.empty());
  for (const std::string& ending : endings) {
    const double tau = testing::temperature_in("t" + ending);
    const torch::Tensor u = fixture.get("in.u").requires_grad_();
    const torch::Tensor attack = repel_attract_loss(u, code_sum, irrelevant, relevant, tau);
    expect_near(attack, fixture.reference("out.edge_attack_t" + ending), 1e-8, "edge_attack");
    expect_near(repel_attract_loss(u, code_sum, relevant, irrelevant, tau),
                fixture.reference("out.edge_align_t" + ending), 1e-8, "edge_align");
    attack.sum().backward();
    EXPECT_TRUE(u.grad().isfinite().all().item<bool>());
    EXPECT_EQ(u.grad().index({empty}).abs().max().item<double>(), 0);
    const torch::Tensor exponent = repel_attract_logsumexp(u, code_sum, irrelevant, relevant, tau);
    EXPECT_EQ(exponent.index({empty}).abs().max().item<double>(), 0);
  }
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

TEST(AttackLoss, HasTheGradientOfItsValue) {
  torch::manual_seed(5);
  const auto options = torch::kFloat64;
  const torch::Tensor u = torch::rand({4, 6}, options) * 1.8 - 0.9;
  const torch::Tensor code_sum =
      (torch::randint(0, 2, {9, 6}, options) + torch::randint(0, 2, {9, 6}, options) - 1) * 2;
  torch::Tensor repel = torch::rand({4, 9}).lt(0.5);
  repel[3].fill_(false);  // nothing to repel: this sample has no gradient
  const torch::Tensor attract = repel.logical_not();
  for (const double tau : {0.5, 0.05}) {
    const models::RepelAttract objective(code_sum, attract, repel, tau);
    testing::expect_gradient(u, [&](const torch::Tensor& at) { return objective.loss(at).sum(); });
    testing::expect_gradient(u, [&](const torch::Tensor& at) { return objective.logsumexp(at).sum(); });
  }
}

void expect_trace(const std::string& name, torch::Dtype dtype, double delta_tolerance,
                  double loss_tolerance) {
  const Fixture fixture = Fixture("attacks/" + name, dtype);
  const Sets sets = sets_of(fixture);
  const torch::Tensor irrelevant = sets.relevant.logical_not();
  const double tau = fixture.number("tau");
  const torch::Tensor weight = fixture.get("param.hash.fc.weight");
  const torch::Tensor bias = fixture.get("param.hash.fc.bias");
  const auto encode =
      [&](const torch::Tensor& input) {  // images arrive in [-1,1]: the net's pixels/127.5 - 1
        return torch::tanh(input.flatten(1).matmul(weight.t()) + bias);
      };
  const auto exponent = [&](const torch::Tensor& input) {
    return repel_attract_logsumexp(encode(input), sets.code_sum, irrelevant, sets.relevant, tau);
  };
  const std::vector<double> range = fixture.numbers("value_range");
  const Ball ball{fixture.number("eps"), range.at(0), range.at(1)};
  const torch::Tensor clean = fixture.get("in.x");
  const torch::Tensor start = projected(fixture.get("in.start"), clean, ball);
  const torch::Tensor trace = fixture.reference("out.loss_trace");
  EXPECT_EQ(trace.size(0), fixture.integer("steps") + 1);
  for (const auto& steps : {std::string("0"), fixture.text("steps")}) {
    EXPECT_TRUE(fixture.has("after." + steps + ".delta"));
  }
  for (const std::string& recorded : fixture.names("after.")) {
    const std::int64_t n_steps = std::stoll(recorded);
    const torch::Tensor delta = descend(clean, start, exponent, {ball, fixture.number("step"), n_steps});
    expect_near(delta, fixture.reference("after." + recorded), delta_tolerance, recorded);
    const torch::Tensor loss =
        repel_attract_loss(encode(clean + delta), sets.code_sum, irrelevant, sets.relevant, tau).mean();
    expect_near(loss, trace[n_steps], loss_tolerance, "loss");
    if (n_steps == 0) expect_near(loss, fixture.reference("loss.start"), loss_tolerance, "loss.start");
    if (n_steps != fixture.integer("steps")) continue;
    expect_near(loss, fixture.reference("loss.end"), loss_tolerance, "loss.end");
    expect_near(encode(clean + delta), fixture.reference("out.code_adv"), loss_tolerance, "code_adv");
  }
  expect_near(encode(clean), fixture.reference("out.code_clean"), loss_tolerance, "code_clean");
}

TEST(Pgd, FollowsTheRecordedPath) {
  for (const char* name : {"pgd_ladv_image", "pgd_ladv_text"}) {
    SCOPED_TRACE(name);
    expect_trace(name, torch::kFloat64, 1e-6, 1e-6);
    expect_trace(name, torch::kFloat32, 2e-6, 2e-4);
  }
}

}  // namespace
}  // namespace gauntlet::attacks
