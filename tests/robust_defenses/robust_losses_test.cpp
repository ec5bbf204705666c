// Values and gradients of the losses of adversarial training.
#include "core/defenses/detail/robust_losses.hpp"

#include <gmock/gmock.h>

#include "core/attacks/detail/sharpening.hpp"
#include "core/attacks/mainstay_code.hpp"
#include "core/attacks/prototype_net.hpp"
#include "tests/support/gradients.hpp"

namespace gauntlet::defenses {
namespace {

using testing::gradient_error;
using torch::Tensor;

TEST(RobustLosses, HaveTheGradientsOfTheirValues) {
  torch::manual_seed(2);
  const auto options = torch::kDouble;
  const Tensor u = torch::rand({4, 6}, options) * 1.6 - 0.8, v = torch::rand({4, 6}, options) * 1.6 - 0.8;
  const Tensor codes = attacks::signs(torch::randn({9, 6}, options));
  const Tensor labels = torch::randint(0, 2, {4, 3}, options),
               train_labels = torch::randint(0, 2, {9, 3}, options);
  const Tensor similar = labels.matmul(train_labels.t()).gt(0);
  const Tensor positives = labels.matmul(labels.t()).gt(0);
  const std::map<std::string, std::function<Tensor(const Tensor&)>> losses = {
      {"pairwise",
       [&](const Tensor& x) {
         return pairwise_regression(x, {codes, -codes}, similar);
       }},
      {"quantisation", [&](const Tensor& x) { return quantisation(x); }},
      {"contrastive", [&](const Tensor& x) { return symmetric_contrastive(x, v, positives, 0.3); }},
      {"plain",
       [&](const Tensor& x) {
         return attacks::mean_agreement(x, codes.narrow(0, 0, 4), attacks::Agreement::kPlain);
       }},
      {"sharp",
       [&](const Tensor& x) {
         return attacks::mean_agreement(x, codes.narrow(0, 0, 4), attacks::Agreement::kSharp);
       }},
      {"sharpened", [&](const Tensor& x) { return attacks::sharpened(x, 0.3).square().sum(); }},
      {"prototype quantisation", [&](const Tensor& x) {
         return attacks::prototype_loss(x, labels, {codes}, train_labels, {}).quantisation;
       }}};
  for (const auto& [name, loss] : losses) EXPECT_LT(gradient_error(u, loss), 1e-6) << name;
}

/// The bracket of the prototype loss with weights that are given and do not follow p.
Tensor bracket(const Tensor& p, const Tensor& codes, const Tensor& related, const Tensor& attract,
               const Tensor& repel) {
  const Tensor similarity = p.matmul(codes.t()) / static_cast<double>(p.size(1));
  return (repel * similarity).masked_select(related.logical_not()).logsumexp(0) +
         (-attract * similarity).masked_select(related).logsumexp(0);
}

TEST(RobustLosses, PrototypeLossHasTheGradientOfItsValueAtFixedWeights) {
  torch::manual_seed(4);
  const Tensor p = torch::rand({3, 6}, torch::kDouble) * 1.6 - 0.8;
  const Tensor codes = attacks::signs(torch::randn({7, 6}, torch::kDouble));
  const Tensor labels = torch::eye(3, torch::kDouble),
               train_labels = torch::randint(0, 2, {7, 3}, torch::kDouble);
  const Tensor related = labels.matmul(train_labels.t()).gt(0);
  ASSERT_TRUE(related.any().item<bool>() && !related.all().item<bool>());
  const Tensor similarity = p.matmul(codes.t()) / 6.0;
  for (const bool softplus : {false, true}) {
    const auto fixed = [&](const Tensor& x) {
      const Tensor value = bracket(x, codes, related, 2 - similarity, 2 + similarity);
      return (softplus ? torch::softplus(value) : value) / 3.0;
    };
    const Tensor leaf = p.clone().requires_grad_();
    const Tensor loss =
        attacks::prototype_loss(leaf, labels, {codes}, train_labels, {.softplus = softplus}).similarity;
    EXPECT_NEAR(loss.item<double>(), fixed(p).item<double>(), 1e-12);
    EXPECT_LT(gradient_error(p, fixed), 1e-6);
    const Tensor leaf_of_fixed = p.clone().requires_grad_();
    EXPECT_TRUE(torch::allclose(torch::autograd::grad({loss}, {leaf}).front(),
                                torch::autograd::grad({fixed(leaf_of_fixed)}, {leaf_of_fixed}).front(), 1e-10,
                                1e-12));
  }
}

Tensor rows(std::initializer_list<double> values, std::int64_t n_columns) {
  return torch::tensor(std::vector<double>(values), torch::kDouble).view({-1, n_columns});
}

TEST(RobustLosses, HaveTheValuesOfTheWorkedExample) {
  const Tensor u = rows({0.5, -0.25, 0.75, -1.0}, 4), labels = rows({1, 0, 1}, 3);
  const Tensor train_labels = rows({1, 0, 0, 0, 1, 0, 1, 1, 0, 0, 0, 1, 0, 1, 0}, 3);
  const Tensor image = rows({1, -1, 1, -1, -1, -1, -1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, 1, 1, 1}, 4);
  const Tensor text = rows({1, 1, 1, -1, -1, 1, -1, 1, 1, -1, 1, 1, 1, -1, 1, -1, -1, 1, -1, -1}, 4);
  const Tensor before = attacks::mainstay_before_sign(labels, train_labels, text);
  EXPECT_TRUE(torch::allclose(before, rows({2, -1.261204, 2, -0.477592}, 4), 0, 1e-6)) << before;
  const Tensor c = attacks::mainstay_code(labels, train_labels, text);
  EXPECT_TRUE(c.equal(rows({1, -1, 1, -1}, 4)));
  EXPECT_NEAR(attacks::mean_agreement(u, c, attacks::Agreement::kPlain).item<double>(), 0.625, 1e-12);
  EXPECT_NEAR(attacks::mean_agreement(u, c, attacks::Agreement::kSharp).item<double>(), 1.71875, 1e-12);
  const auto circle = [&](bool softplus) {
    return attacks::prototype_loss(u, labels, {image}, train_labels, {.softplus = softplus})
        .similarity.item<double>();
  };
  EXPECT_NEAR(circle(false), 0.8386565908, 1e-10);
  EXPECT_NEAR(circle(true), 1.1979317652, 1e-10);
  const Tensor similar = labels.matmul(train_labels.t()).gt(0);
  EXPECT_NEAR(pairwise_regression(u, {image}, similar).item<double>(), 0.503125, 1e-12);

  const Tensor left = rows({0.9, 0.8, -0.7, 0.6, -0.5, 0.9, 0.4, -0.8}, 4),
               right = rows({0.7, 0.9, -0.9, 0.2, -0.6, 0.3, 0.8, -0.9}, 4);
  const Tensor pairs = torch::eye(2).gt(0);
  EXPECT_NEAR(contrastive(left, right, pairs, 0.5).item<double>(), 0.0978686100, 1e-10);
  EXPECT_NEAR(contrastive(right, left, pairs, 0.5).item<double>(), 0.0896744669, 1e-10);
  EXPECT_NEAR(contrastive(left, right, pairs, 0.1).item<double>(), 7.0713e-5, 1e-9);
  EXPECT_NEAR(contrastive(right, left, pairs, 0.1).item<double>(), 2.9451e-5, 1e-9);
}

TEST(RobustLosses, PrototypeWeightsCarryNoGradient) {
  const auto options = torch::kDouble;
  const Tensor p = torch::tensor({{0.5, -0.25}}, options).requires_grad_();
  const Tensor codes = torch::tensor({{1.0, 1.0}, {1.0, -1.0}}, options);
  const Tensor labels = torch::tensor({{1.0, 0.0}}, options), train_labels = torch::eye(2, options);
  const auto loss = attacks::prototype_loss(p, labels, {codes}, train_labels, {});
  // One pair of each kind, so that each logsumexp is its argument: (2 + s) s of the second, -(2 - s) s of the
  // first.
  const double related = (0.5 - 0.25) / 2, unrelated = (0.5 + 0.25) / 2;
  EXPECT_NEAR(loss.similarity.item<double>(), (2 + unrelated) * unrelated - (2 - related) * related, 1e-12);
  loss.similarity.backward();
  const Tensor expected = ((2 + unrelated) * codes[1] - (2 - related) * codes[0]) / 2;
  EXPECT_TRUE(torch::allclose(p.grad()[0], expected, 1e-12, 1e-12));
}

TEST(RobustLosses, AKindOfPairThatDoesNotOccurCountsNothing) {
  const Tensor p = torch::rand({2, 4}), codes = torch::ones({3, 4});
  for (const double same : {0.0, 1.0}) {
    const Tensor labels = torch::tensor({{1.0, 0.0}, {1.0, 0.0}}).to(torch::kFloat);
    const Tensor train_labels = torch::tensor({{same, 1 - same}}).to(torch::kFloat).repeat({3, 1});
    EXPECT_TRUE(
        attacks::prototype_loss(p, labels, {codes}, train_labels, {}).total().isfinite().item<bool>());
  }
  const Tensor u = torch::rand({2, 4}), none = torch::zeros({2, 2}).gt(0);
  EXPECT_EQ(contrastive(u, u, none, 0.1).item<float>(), 0.0F);
}

TEST(Sharpness, IsWhatTanhOfTheScaledArgumentGivesEvenWhenSaturated) {
  const Tensor z = torch::tensor({0.3, -2.0, 4.0}, torch::kDouble);
  EXPECT_TRUE(torch::allclose(attacks::sharpened(torch::tanh(z), 0.2), torch::tanh(0.2 * z)));
  const Tensor saturated = torch::tensor({9.0F, -30.0F}).requires_grad_();
  const Tensor u = attacks::sharpened(torch::tanh(saturated), 0.1);
  EXPECT_TRUE(u.isfinite().all().item<bool>());
  EXPECT_LT(u.abs().max().item<float>(), 0.99F);
  u.sum().backward();
  EXPECT_TRUE(saturated.grad().isfinite().all().item<bool>());
  EXPECT_EQ(attacks::sharpness(0, 7), 0.1);
  EXPECT_EQ(attacks::sharpness(6, 7), 0.7);
  EXPECT_EQ(attacks::sharpness(99, 100), 1.0);
}

TEST(Targets, AreDistinctAndDrawnByStep) {
  const Tensor labels = torch::tensor({{1, 0}, {0, 0}, {0, 1}, {1, 0}, {1, 1}}).to(torch::kFloat);
  const Tensor vectors = attacks::distinct_label_vectors(labels);
  EXPECT_EQ(vectors.size(0), 3);
  EXPECT_GT(vectors.sum(1).min().item<float>(), 0.0F);
  const Tensor drawn = attacks::drawn_label_vectors(vectors, 50, 7, 0);
  EXPECT_TRUE(drawn.equal(attacks::drawn_label_vectors(vectors, 50, 7, 0)));
  EXPECT_FALSE(drawn.equal(attacks::drawn_label_vectors(vectors, 50, 7, 1)));
  EXPECT_EQ(std::get<0>(torch::unique_dim(drawn, 0)).size(0), 3);
}

}  // namespace
}  // namespace gauntlet::defenses
