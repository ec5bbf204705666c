// The objectives of both stages of TA-DCH against finite differences, and what its switches change.

#include "core/attacks/detail/generator_layers.hpp"
#include "core/attacks/detail/ta_dch_training.hpp"
#include "tests/support/gradients.hpp"

namespace gauntlet::attacks::ta_dch {
namespace {

using torch::Tensor;

constexpr std::int64_t kRows = 3, kLabels = 4, kWords = 6, kBits = 5, kItems = 7, kPx = 16;

Tensor uniform(at::IntArrayRef sizes, std::uint64_t seed) {
  return torch::rand(sizes, at::make_generator<at::CPUGeneratorImpl>(seed),
                     torch::TensorOptions(torch::kFloat64));
}
Tensor bits(at::IntArrayRef sizes, std::uint64_t seed) { return uniform(sizes, seed).round(); }

/// Steps that change nothing, so that a step's gradient can be compared with differences of its loss.
TaDchConfig standing_still() {
  TaDchConfig config;
  config.lr = config.prototype_lr = 0;
  config.rec_weight = 3;
  config.d_every = 2;
  return config;
}

PrototypeLayout small_layout() {
  PrototypeLayout layout = prototype_layout(2);
  layout.n_labels = kLabels;
  layout.text_dim = kWords;
  layout.code_bits = kBits;
  layout.side = feature_side(kPx);
  layout.hidden = 5;
  return layout;
}

/// One linear layer in place of the discriminator: no state that a forward pass would move.
struct LinearCritic final : models::Discriminator {
  explicit LinearCritic(std::int64_t n_inputs)
      : fc(register_module("fc", torch::nn::Linear(n_inputs, kLabels + 1))) {
    to(torch::kFloat64);
  }
  Tensor forward(const Tensor& input) override { return fc->forward(input.flatten(1)); }
  torch::nn::Linear fc;
};

TEST(TaDchLosses, ThePrototypeStepHasTheGradientOfItsTotal) {
  torch::manual_seed(3);
  const auto net = std::make_shared<PrototypeNet>(small_layout());
  net->to(torch::kFloat64);
  const Tensor labels = bits({kRows, kLabels}, 1), text = bits({kRows, kWords}, 2);
  const Tensor codes = 2 * bits({kItems, kBits}, 3) - 1, train_labels = bits({kItems, kLabels}, 4);
  PrototypeTrainer trainer(standing_still(), net, codes, train_labels, 1000);
  testing::expect_step_gradients(*net, [&] { return trainer.step(labels, text).at("total"); });
}

void expect_generator_gradients(const std::shared_ptr<Generator>& generator, const Tensor& inputs,
                                std::int64_t feature_channels) {
  generator->to(torch::kFloat64);
  const std::int64_t n_inputs = inputs[0].numel();
  const Tensor planes = uniform({n_inputs, kBits}, 5) - 0.5;
  const auto solo = collective::make_solo_communicator();
  const std::int64_t side = feature_side(kPx);
  const auto critic = std::make_shared<LinearCritic>(n_inputs);
  GeneratorTrainer trainer(
      standing_still(),
      {.generator = generator,
       .discriminator = critic,
       .encode = [&](const Tensor& input) { return torch::tanh(input.flatten(1).matmul(planes)); },
       .communicator = solo.get()});
  const GeneratorBatch batch{.inputs = inputs,
                             .labels = bits({kRows, kLabels}, 6),
                             .feature = uniform({kRows, feature_channels, side, side}, 7) - 0.5,
                             .code = 1.8 * uniform({kRows, kBits}, 8) - 0.9,
                             .target_labels = bits({kRows, kLabels}, 9)};
  constexpr std::int64_t kStepOfTheGenerator = 1;  // not a multiple of d_every
  testing::expect_step_gradients(*generator,
                                 [&] { return trainer.step(batch, kStepOfTheGenerator).at("total"); });
  for (const Tensor& parameter : critic->parameters()) EXPECT_FALSE(parameter.grad().defined());
  // A step of the discriminator first: the gradient of its own mean loss.
  testing::expect_step_gradients(*critic, [&] { return trainer.step(batch, 0).at("d"); });
}

TEST(TaDchLosses, ThePictureGeneratorsStepHasTheGradientOfItsTotal) {
  torch::manual_seed(4);
  expect_generator_gradients(make_image_generator({.feature = 3, .translator = {4, 2, 1}, .width = 2}),
                             2 * uniform({kRows, 3, kPx, kPx}, 10) - 1, 3);
}

TEST(TaDchLosses, TheTextGeneratorsStepHasTheGradientOfItsTotal) {
  torch::manual_seed(5);
  const std::int64_t side = feature_side(kPx);
  for (const bool is_binary : {true, false}) {
    expect_generator_gradients(make_text_generator({.text_dim = kWords,
                                                    .n_feature = 2 * side * side,
                                                    .map_hidden = 4,
                                                    .hidden = 5,
                                                    .is_binary = is_binary}),
                               bits({kRows, kWords}, 11), 2);
  }
}

TEST(TaDchLosses, LeastSquaresCompareLogitsWithLabelsAndFakeness) {
  const Tensor logits = torch::tensor({{0.5, 2.0, -1.0}}, torch::kFloat64);
  const Tensor labels = torch::tensor({{1.0, 0.0}}, torch::kFloat64);
  EXPECT_NEAR(least_squares(logits, labels, 1).item<double>(), (0.25 + 4 + 4) / 3, 1e-12);
  EXPECT_NEAR(least_squares(logits, labels, 0).item<double>(), (0.25 + 4 + 1) / 3, 1e-12);
  testing::expect_gradient(logits, [&](const Tensor& at) { return least_squares(at, labels, 1).sum(); });
}

/// What a target's own weights would get is not computed; the input's gradient is that of the whole.
TEST(TaDchLosses, TheTargetsLossDifferentiatesTheInputOnly) {
  const Tensor weight = uniform({kWords, kBits}, 12).requires_grad_();
  const Tensor input = uniform({kRows, kWords}, 13);
  const auto loss = [&](const Tensor& at) { return torch::tanh(at.matmul(weight)).square().mean(); };
  const Tensor leaf = input.clone().requires_grad_();
  const Tensor value = input_loss(leaf * 2, loss);
  EXPECT_NEAR(value.item<double>(), loss(2 * input).item<double>(), 1e-12);
  value.backward();
  EXPECT_FALSE(weight.grad().defined());
  EXPECT_TRUE(
      torch::allclose(leaf.grad(), torch::autograd::grad({loss(leaf * 2)}, {leaf}).front(), 1e-12, 1e-12));
}

TEST(TaDchLosses, TheLearningRateOfStage1FallsAtHalfOfItsSteps) {
  TaDchConfig config;
  config.prototype_lr = 0.5;
  const auto net = std::make_shared<PrototypeNet>(small_layout());
  net->to(torch::kFloat64);
  const Tensor labels = bits({kRows, kLabels}, 1), text = bits({kRows, kWords}, 2);
  PrototypeTrainer trainer(config, net, 2 * bits({kItems, kBits}, 3) - 1, bits({kItems, kLabels}, 4), 5);
  std::vector<double> rates;
  for (int step = 0; step < 5; ++step) {
    rates.push_back(trainer.learning_rate());
    trainer.step(labels, text);
  }
  EXPECT_THAT(rates, ::testing::ElementsAre(0.5, 0.5, 0.05, 0.05, 0.05));
}

}  // namespace
}  // namespace gauntlet::attacks::ta_dch
