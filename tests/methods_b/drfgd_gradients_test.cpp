// Every loss of DRFGD has the gradient of its value: central differences in double, by every input of the
// loss and, for the whole objective, by every weight of a small network.
#include <gmock/gmock.h>

#include "core/defenses/detail/drfgd_losses.hpp"
#include "core/defenses/detail/drfgd_trainer.hpp"
#include "core/models/losses.hpp"
#include "tests/methods_b/support.hpp"
#include "tests/support/gradients.hpp"

namespace gauntlet::defenses {
namespace {

using testing::gradient_error;
using torch::Tensor;

constexpr double kTolerance = 1e-7;

class DrfgdGradients : public ::testing::Test {
 protected:
  void SetUp() override { torch::manual_seed(31); }

  static Tensor random(std::int64_t rows, std::int64_t columns) {
    return torch::randn({rows, columns}, torch::kDouble);
  }
  /// One row without labels and one with all: the terms that have no target there.
  static Tensor labels() {
    return torch::tensor({{1, 0, 1}, {0, 0, 0}, {1, 1, 1}, {0, 1, 0}}, torch::kDouble);
  }
};

TEST_F(DrfgdGradients, Divergence) {
  const Tensor a = random(4, 6), b = random(4, 6);
  for (const auto form : {Divergence::kLiteral, Divergence::kSeparate}) {
    const double margin = 100;  // above every divergence here, so that the hinge slopes
    EXPECT_LT(gradient_error(a, [&](const Tensor& x) { return divergence(x, b, form, margin).mean(); }),
              kTolerance);
    EXPECT_LT(gradient_error(b, [&](const Tensor& x) { return divergence(a, x, form, margin).mean(); }),
              kTolerance);
  }
  const auto beyond = [&](const Tensor& x) { return divergence(x, b, Divergence::kSeparate, 0).mean(); };
  EXPECT_EQ(gradient_error(a, beyond), 0) << "no pull once the branches are parted";
}

TEST_F(DrfgdGradients, Classifier) {
  const Tensor logits = random(4, 3);
  for (const bool normalized : {true, false}) {
    for (const Tensor& targets : {labels(), 1 - labels()}) {
      const auto loss = [&](const Tensor& x) {
        return multi_label_cross_entropy(x, targets, normalized).mean();
      };
      EXPECT_LT(gradient_error(logits, loss), kTolerance);
    }
  }
}

TEST_F(DrfgdGradients, Alignment) {
  const Tensor codes = torch::randint(0, 2, {9, 8}, torch::kDouble) * 2 - 1;
  const Tensor other = torch::randint(0, 2, {9, 8}, torch::kDouble) * 2 - 1;
  const Tensor train_labels = torch::randint(0, 2, {9, 3}, torch::kDouble);
  const Tensor relevant = models::relevance_mask(labels(), train_labels), u = torch::tanh(random(4, 8));
  for (const double tau : {0.05, 0.5}) {
    const auto loss = [&](const Tensor& x) {
      return models::repel_attract_loss(x, codes + other, relevant, relevant.logical_not(), tau).mean();
    };
    EXPECT_LT(gradient_error(u, loss), 1e-6) << "temperature " << tau;
  }
}

TEST_F(DrfgdGradients, Reconstruction) {
  const Tensor x = random(4, 6), target = random(4, 6);
  EXPECT_LT(gradient_error(x, [&](const Tensor& at) { return squared_error(at, target).mean(); }),
            kTolerance);
  EXPECT_LT(gradient_error(target, [&](const Tensor& at) { return squared_error(x, at).mean(); }),
            kTolerance);
}

TEST_F(DrfgdGradients, BothGames) {
  const Tensor logits = random(5, 1).flatten();
  for (const auto game : {AdversarialGame::kBce, AdversarialGame::kLeastSquares}) {
    for (const auto& loss : {&discriminator_real, &discriminator_fake, &generator_fake}) {
      EXPECT_LT(gradient_error(logits, [&](const Tensor& x) { return loss(x, game).mean(); }), kTolerance);
    }
  }
}

/// The generator's whole objective as one step evaluates it, with a learning rate that moves nothing visible.
struct Objective {
  DrfgdConfig config;
  std::shared_ptr<Generator> generator;
  std::shared_ptr<models::Discriminator> discriminator;
  DrfgdBatch batch;
  Tensor hash, code_sum, train_labels;
  std::unique_ptr<collective::Communicator> solo = collective::make_solo_communicator();

  double value() {
    DrfgdTrainer trainer(config, {.generator = generator,
                                  .discriminator = discriminator,
                                  .encode = [this](const Tensor& t) { return torch::tanh(t.matmul(hash)); },
                                  .code_sum = code_sum,
                                  .train_labels = train_labels,
                                  .communicator = solo.get()});
    return trainer.step(batch).at("total").item<double>();
  }
};

TEST_F(DrfgdGradients, WholeObjectiveByEveryWeight) {
  Objective objective;
  objective.config.lr = 0;
  objective.config.alpha = 2;
  objective.config.beta = 5;
  objective.config.lambda = 0.7;
  objective.config.tau = 0.3;
  objective.generator = make_text_generator(
      {.text_dim = 5, .n_labels = 3, .hidden = 4, .bottleneck = 4, .branch = 5, .output = TextOutput::kTanh});
  objective.discriminator = models::make_text_discriminator(5, 4, 3, models::TextDiscriminator::kLeaky);
  objective.generator->to(torch::kDouble);
  objective.discriminator->to(torch::kDouble);
  objective.batch = {torch::rand({4, 5}, torch::kDouble), torch::rand({4, 5}, torch::kDouble), labels(), 4};
  objective.hash = random(5, 6);
  objective.code_sum = torch::randint(-1, 2, {7, 6}, torch::kDouble) * 2;
  objective.train_labels = torch::randint(0, 2, {7, 3}, torch::kDouble);

  static_cast<void>(objective.value());
  std::map<std::string, Tensor> gradients;
  for (const auto& item : objective.generator->named_parameters()) {
    ASSERT_TRUE(item.value().grad().defined()) << item.key();
    gradients[item.key()] = item.value().grad().detach().clone();
  }
  constexpr double kStep = 1e-6;
  for (const auto& item : objective.generator->named_parameters()) {
    Tensor weights = item.value().detach().view(-1);
    for (std::int64_t entry = 0; entry < weights.numel(); ++entry) {
      const double before = weights[entry].item<double>();
      const auto moved = [&](double by) {
        weights[entry] = before + by;
        return objective.value();
      };
      const double difference = (moved(kStep) - moved(-kStep)) / (2 * kStep);
      weights[entry] = before;
      EXPECT_NEAR(gradients.at(item.key()).view(-1)[entry].item<double>(), difference, 1e-6)
          << item.key() << " entry " << entry;
    }
  }
}

}  // namespace
}  // namespace gauntlet::defenses
