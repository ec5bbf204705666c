// CPAH: recorded values of the public program, true gradients, and what is special about its training.

#include "core/models/detail/cpah.hpp"
#include "tests/target_models/support.hpp"

namespace gauntlet::models {
namespace {

using namespace gauntlet::testing;

struct Built {
  std::unique_ptr<collective::Communicator> solo = collective::make_solo_communicator();
  std::shared_ptr<CpahNet> net;
  std::unique_ptr<CpahTraining> training;
};

Built build(const CpahConfig& config, const ModelShape& shape, const torch::Tensor& labels) {
  Built built;
  torch::manual_seed(1);
  built.net = std::make_shared<CpahNet>(
      config, shape, make_backbone(config.backbone, shape, "cpah", built.solo.get()).value(),
      built.solo.get());
  built.net->to(labels.scalar_type());
  built.training = std::make_unique<CpahTraining>(
      config, built.net, TrainingSetup{.labels = labels, .communicator = built.solo.get()});
  return built;
}

/// Every hyper-parameter and width the case has; the others play no role in it.
CpahConfig config_of(const Fixture& fixture) {
  CpahConfig config;
  config.backbone.backbone = "features";
  config.hidden = outputs_of(fixture, "image_mlp.fc1");
  config.critic_hidden = outputs_of(fixture, "D.fc1");
  const std::pair<const char*, double*> numbers[] = {{"alpha", &config.alpha},
                                                     {"beta", &config.beta},
                                                     {"adv_weight", &config.adversarial_weight},
                                                     {"gp_weight", &config.penalty_weight}};
  for (const auto& [name, value] : numbers) {
    if (fixture.has_text(name)) *value = fixture.number(name);
  }
  config.adam = recorded_adam(fixture, "adam_G", config.adam);
  config.d_adam = recorded_adam(fixture, "adam_D", config.d_adam);
  if (fixture.has_text("consistency")) {
    config.consistency =
        fixture.text("consistency").find("raw features") != std::string::npos ? "released" : "recommended";
  }
  return config;
}

Built build(const Fixture& fixture) {
  ModelShape shape;
  shape.feature_dim = inputs_of(fixture, "image_mlp.fc1");
  shape.text_dim = inputs_of(fixture, "text_mlp.fc1");
  shape.n_labels = outputs_of(fixture, "cls_v.fc");
  shape.code_bits = outputs_of(fixture, "hash_v.fc");
  const torch::Tensor labels =
      fixture.has("in.labels")
          ? fixture.get("in.labels")
          : torch::zeros({fixture.get("in.image").size(0), shape.n_labels}, fixture.dtype());
  Built built = build(config_of(fixture), shape, labels);
  load_recorded(fixture, *built.net);
  load_recorded(fixture, *built.training->critics);
  return built;
}

class CpahParity : public ParityTest {
 protected:
  /// Losses, gradients and traces have twice the tolerance in single precision.
  [[nodiscard]] static double loss_tolerance() { return is_double() ? tolerance() : 2 * tolerance(); }
};

void expect_parts(const Fixture& fixture, Built& built, const std::string& mode, double tolerance) {
  CpahCritics& critics = built.training->critics;
  for (const Modality modality : {Modality::kImage, Modality::kText}) {
    const bool image = modality == Modality::kImage;
    const std::string side = image ? "_v" : "_t";
    const torch::Tensor input = fixture.get(image ? "in.image" : "in.text");
    const torch::Tensor features = built.net->features(modality, input);
    const CpahParts parts = built.net->parts(modality, features);
    Head& classifier = image ? critics->cls_v : critics->cls_t;
    expect_terms(fixture, "out." + mode + ".",
                 {{"f" + side, parts.feature},
                  {"m" + side, parts.mask},
                  {"fc" + side, parts.common},
                  {"fp" + side, parts.own},
                  {"h" + side, parts.code},
                  {"D" + side, critics->D(parts.common)},
                  {"Cns_fc" + side, critics->Cns(parts.common)},
                  {"Cns_fp" + side, critics->Cns(parts.own)},
                  {"cls" + side, torch::sigmoid(classifier(parts.common))}},
                 tolerance);
    if (mode != "eval") continue;
    expect_terms(fixture, "out.eval.",
                 {{"h" + side + "_unmasked", built.net->hash(modality, features, false)},
                  {"h" + side, built.net->encode(modality, input)}},
                 tolerance);
  }
}

TEST_P(CpahParity, ForwardInEvalAndTrainMode) {
  const Fixture fixture = open("cpah_forward");
  Built built = build(fixture);
  built.net->eval();
  expect_parts(fixture, built, "eval", tolerance());
  built.net->train();
  expect_parts(fixture, built, "train", tolerance());
  expect_snapshot(fixture, 1, {built.net.get()}, tolerance());
}

void expect_losses(const Fixture& fixture, const std::string& prefix, const CriticLoss& critic,
                   const GeneratorLoss& generator, double tolerance) {
  expect_terms(fixture, prefix,
               {{"D_real", critic.real},
                {"D_fake", critic.fake},
                {"D_gp", critic.penalty},
                {"L_D", critic.total()},
                {"L_adv", generator.adversarial},
                {"L_con", generator.consistency},
                {"L_cls", generator.classification},
                {"L_pair", generator.pairwise},
                {"L_q", generator.quantisation},
                {"L_G", generator.total}},
               tolerance);
}

TEST_P(CpahParity, LossesAndGradients) {
  for (const std::string form : {"released", "recommended"}) {
    SCOPED_TRACE(form);
    const Fixture fixture = open("cpah_losses_" + form);
    const Built built = build(fixture);
    built.training->codes = fixture.get("in.b");
    const CpahForward pass =
        built.training->forward(batch_of(fixture, torch::arange(fixture.get("in.b").size(0))));
    expect_terms(fixture, "out.", {{"h_v", pass.image.code}}, loss_tolerance());
    const CriticLoss critic = built.training->critic_loss(pass, fixture.get("in.gp_eps"));
    const GeneratorLoss generator = built.training->generator_loss(pass);
    expect_losses(fixture, "loss.", critic, generator, loss_tolerance());
    generator.total.backward();
    built.training->critics->D->zero_grad();
    critic.total().backward();
    expect_gradients(fixture, *built.net, loss_tolerance());
    expect_gradients(fixture, *built.training->critics, loss_tolerance());
  }
}

TEST_P(CpahParity, TrainingSteps) {
  for (const std::string form : {"released", "recommended"}) {
    SCOPED_TRACE(form);
    const Fixture fixture = open("cpah_train_" + form);
    const Built built = build(fixture);
    CpahTraining& training = *built.training;
    const std::vector<const torch::nn::Module*> modules = {built.net.get(), training.critics.get()};
    training.codes = fixture.get("in.B");
    const int n_steps = n_recorded_batches(fixture);
    ASSERT_GT(n_steps, 0);
    for (int step = 1; step <= n_steps; ++step) {
      const CpahForward pass =
          training.forward(batch_of(fixture, fixture.get(fmt::format("in.ind_{}", step))));
      const CriticLoss critic = training.critic_step(pass, fixture.get(fmt::format("in.gp_eps_{}", step)));
      expect_snapshot(fixture, 2 * step - 1, modules, loss_tolerance());
      const GeneratorLoss generator = training.generator_step(pass);
      expect_snapshot(fixture, 2 * step, modules, loss_tolerance());
      expect_losses(fixture, fmt::format("loss.{}.", step), critic, generator, loss_tolerance());
    }
    expect_terms(fixture, "out.", {{"H_v", training.relaxed_image}, {"H_t", training.relaxed_text}},
                 loss_tolerance());
    training.end_epoch();
    expect_terms(fixture, "out.",
                 {{"B_next_seen", training.codes.index_select(0, fixture.get("in.ind_seen"))}}, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Precision, CpahParity, ::testing::ValuesIn(kPrecisions),
                         [](const auto& tested) { return std::string(tested.param.name); });

constexpr ModelShape kToyShape = {.feature_dim = 4, .text_dim = 5, .n_labels = 3, .code_bits = 6};

CpahConfig toy_config() {
  CpahConfig config;
  config.backbone.backbone = "features";
  config.hidden = 5;
  config.critic_hidden = 4;
  return config;
}

torch::Tensor toy_labels() {
  return torch::tensor({{1, 0, 1}, {1, 1, 0}, {0, 1, 0}, {0, 0, 1}, {1, 0, 1}}).to(torch::kFloat64);
}

/// Everything behind the features of one rank's batch.
CpahForward pass_of(const Built& built, const torch::Tensor& image, const torch::Tensor& text) {
  CpahForward pass{.image = built.net->parts(Modality::kImage, image),
                   .text = built.net->parts(Modality::kText, text),
                   .labels = toy_labels(),
                   .rows = torch::arange(5),
                   .all_text_codes = {},
                   .all_labels = toy_labels()};
  pass.all_text_codes = pass.text.code;
  return pass;
}

/// L_G as a function of one modality's features, with everything behind them: mask, codes, critics.
TEST(CpahLosses, HaveTheirTrueGradients) {
  for (const std::string consistency : {"recommended", "released"}) {
    CpahConfig config = toy_config();
    config.consistency = consistency;
    const Built built = build(config, kToyShape, toy_labels());
    const torch::Tensor features[] = {waves({5, 5}, 1.3).abs() + 0.1, waves({5, 5}, 0.7).abs() + 0.1};
    const auto pass_with = [&](const torch::Tensor& image, const torch::Tensor& text) {
      return pass_of(built, image, text);
    };
    const auto loss = [&](const torch::Tensor& image, const torch::Tensor& text) {
      return built.training->generator_loss(pass_with(image, text)).total;
    };
    expect_gradient(
        features[0], [&](const torch::Tensor& x) { return loss(x, features[1]); },
        consistency + " L_G, images");
    expect_gradient(
        features[1], [&](const torch::Tensor& x) { return loss(features[0], x); },
        consistency + " L_G, texts");
    expect_parameter_gradients(
        *built.training->critics, [&] { return loss(features[0], features[1]); }, consistency + " L_G");
  }
}

/// The penalty holds a gradient itself, so its own is of second order.
TEST(CpahLosses, TheDiscriminatorsGradientIsTrueThroughItsPenalty) {
  const Built built = build(toy_config(), kToyShape, toy_labels());
  const CpahForward pass = pass_of(built, waves({5, 5}, 1.3).abs(), waves({5, 5}, 0.7).abs());
  const torch::Tensor mix = waves({5, 5}, 2.1).abs();
  expect_parameter_gradients(
      *built.training->critics->D, [&] { return built.training->critic_loss(pass, mix).total(); }, "L_D");
}

TEST(CpahTraining, KeepsTheRandomCodeOfRowsNoBatchVisited) {
  const Built built = build(toy_config(), kToyShape, torch::ones({6, 3}));
  CpahTraining& training = *built.training;
  const torch::Tensor before = training.codes.clone();
  EXPECT_TRUE(before.abs().eq(1).all().item<bool>());
  EXPECT_LT(before.sum().abs().item<double>(), before.numel());
  training.begin(1);
  training.step({torch::rand({4, 4}), torch::rand({4, 5}), torch::ones({4, 3}), torch::tensor({0, 2, 3, 5})});
  training.end_epoch();
  for (const std::int64_t row : {1, 4}) EXPECT_TRUE(training.codes[row].equal(before[row])) << row;
  const torch::Tensor sum = training.relaxed_image + training.relaxed_text;
  for (const std::int64_t row : {0, 2, 3, 5})
    EXPECT_TRUE(training.codes[row].eq(1).equal(sum[row] > 0)) << row;
}

}  // namespace
}  // namespace gauntlet::models
