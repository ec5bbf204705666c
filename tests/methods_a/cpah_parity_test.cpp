// CPAH against recorded values of the public program: forward, losses and gradients, training steps.

#include <sstream>

#include "core/models/detail/cpah.hpp"
#include "tests/methods_a/fixture.hpp"

namespace gauntlet::models {
namespace {

using testing::expect_near;
using testing::Fixture;

struct Case {
  torch::Dtype dtype;
  double tolerance;
  const char* name;
};

class CpahParity : public ::testing::TestWithParam<Case> {
 protected:
  [[nodiscard]] Fixture open(const std::string& name) const {
    return Fixture("targets/" + name, GetParam().dtype);
  }
  /// Losses, gradients and traces have twice the tolerance in single precision.
  [[nodiscard]] double loss_tolerance() const {
    return is_double() ? GetParam().tolerance : 2 * GetParam().tolerance;
  }
  [[nodiscard]] bool is_double() const { return GetParam().dtype == torch::kFloat64; }
};

struct Built {
  std::unique_ptr<collective::Communicator> solo = collective::make_solo_communicator();
  std::shared_ptr<CpahNet> net;
  std::unique_ptr<CpahTraining> training;
};

/// The number after `name` in a text such as "lr 1e-3, betas 0.5 0.9, eps 1e-8, weight_decay 1e-4 (L2)"; `at`
/// counts further ones.
double number_after(const Fixture& fixture, const std::string& key, const std::string& name,
                    std::size_t at = 0) {
  const std::string written = fixture.text(key);
  const auto found = written.find(name);
  EXPECT_NE(found, std::string::npos) << key << " has no '" << name << "'";
  if (found == std::string::npos) return 0;
  std::istringstream rest(written.substr(found + name.size()));
  double value = 0;
  for (std::size_t i = 0; i <= at; ++i) EXPECT_TRUE(rest >> value) << key << ": " << name;
  return value;
}

/// Every hyper-parameter the case names; the others play no role in it.
CpahConfig config_of(const Fixture& fixture) {
  CpahConfig config;
  if (fixture.has_text("alpha")) {
    config.alpha = fixture.number("alpha");
    config.beta = fixture.number("beta");
    config.adversarial_weight = fixture.number("adv_weight");
    config.penalty_weight = fixture.number("gp_weight");
  }
  if (fixture.has_text("adam_G")) {
    config.lr = number_after(fixture, "adam_G", "lr");
    config.adam_beta1 = number_after(fixture, "adam_G", "betas", 0);
    config.adam_beta2 = number_after(fixture, "adam_G", "betas", 1);
    config.weight_decay = number_after(fixture, "adam_G", "weight_decay");
    config.d_lr = number_after(fixture, "adam_D", "lr");
    config.d_adam_beta1 = number_after(fixture, "adam_D", "betas", 0);
    config.d_adam_beta2 = number_after(fixture, "adam_D", "betas", 1);
    config.d_weight_decay = number_after(fixture, "adam_D", "weight_decay");
  }
  return config;
}

Built build(const Fixture& fixture, const std::string& consistency) {
  Built built;
  CpahConfig config = config_of(fixture);
  config.backbone.backbone = "features";
  config.hidden = fixture.get("param.image_mlp.fc1.weight").size(0);
  config.consistency = consistency;
  ModelShape shape;
  shape.feature_dim = fixture.get("param.image_mlp.fc1.weight").size(1);
  shape.text_dim = fixture.get("param.text_mlp.fc1.weight").size(1);
  shape.n_labels = fixture.get("param.cls_v.fc.weight").size(0);
  shape.code_bits = fixture.get("param.hash_v.fc.weight").size(0);
  built.net = std::make_shared<CpahNet>(
      config, shape, make_backbone(config.backbone, shape, "cpah", built.solo.get()).value(),
      built.solo.get());
  built.net->to(fixture.dtype());
  TrainingSetup setup;
  setup.labels = fixture.has("in.labels")
                     ? fixture.get("in.labels")
                     : torch::zeros({fixture.get("in.image").size(0), shape.n_labels}, fixture.dtype());
  setup.communicator = built.solo.get();
  built.training = std::make_unique<CpahTraining>(config, built.net, setup);
  const int n_loaded =
      testing::load_params(fixture, *built.net) + testing::load_params(fixture, *built.training->critics);
  EXPECT_EQ(n_loaded, static_cast<int>(fixture.names("param.").size()));
  return built;
}

TrainingBatch batch_of(const Fixture& fixture, const torch::Tensor& rows) {
  return {fixture.get("in.image").index_select(0, rows), fixture.get("in.text").index_select(0, rows),
          fixture.get("in.labels").index_select(0, rows), rows};
}

void expect_parts(const Fixture& fixture, Built& built, const std::string& mode, double tolerance) {
  const std::string out = "out." + mode + ".";
  for (const Modality modality : {Modality::kImage, Modality::kText}) {
    const bool image = modality == Modality::kImage;
    const std::string side = image ? "_v" : "_t";
    CpahCritics& critics = built.training->critics;
    const torch::Tensor features = built.net->features(modality, fixture.get(image ? "in.image" : "in.text"));
    const CpahParts parts = built.net->parts(modality, features);
    expect_near(parts.feature, fixture.reference(out + "f" + side), tolerance, "f" + side);
    expect_near(parts.mask, fixture.reference(out + "m" + side), tolerance, "m" + side);
    expect_near(parts.common, fixture.reference(out + "fc" + side), tolerance, "fc" + side);
    expect_near(parts.own, fixture.reference(out + "fp" + side), tolerance, "fp" + side);
    expect_near(parts.code, fixture.reference(out + "h" + side), tolerance, "h" + side);
    expect_near(critics->D(parts.common), fixture.reference(out + "D" + side), tolerance, "D" + side);
    expect_near(critics->Cns(parts.common), fixture.reference(out + "Cns_fc" + side), tolerance,
                "Cns_fc" + side);
    expect_near(critics->Cns(parts.own), fixture.reference(out + "Cns_fp" + side), tolerance,
                "Cns_fp" + side);
    Head& classifier = image ? critics->cls_v : critics->cls_t;
    expect_near(torch::sigmoid(classifier(parts.common)), fixture.reference(out + "cls" + side), tolerance,
                "cls" + side);
    if (mode == "eval") {
      expect_near(built.net->hash(modality, features, false),
                  fixture.reference(out + "h" + side + "_unmasked"), tolerance, "unmasked h" + side);
      expect_near(built.net->encode(modality, fixture.get(image ? "in.image" : "in.text")),
                  fixture.reference(out + "h" + side), tolerance, "encode" + side);
    }
  }
}

TEST_P(CpahParity, ForwardInEvalAndTrainMode) {
  const Fixture fixture = open("cpah_forward");
  Built built = build(fixture, "recommended");
  built.net->eval();
  expect_parts(fixture, built, "eval", GetParam().tolerance);
  built.net->train();
  expect_parts(fixture, built, "train", GetParam().tolerance);
  const train::NamedTensors state = train::state_of(*built.net);
  for (const std::string& name : fixture.names("after_full.1.")) {
    expect_near(state.at(name), fixture.reference("after_full.1." + name), GetParam().tolerance, name);
  }
}

void expect_losses(const Fixture& fixture, const std::string& prefix, const CriticLoss& critic,
                   const GeneratorLoss& generator, double tolerance) {
  const std::pair<const char*, torch::Tensor> losses[] = {{"D_real", critic.real},
                                                          {"D_fake", critic.fake},
                                                          {"D_gp", critic.penalty},
                                                          {"L_D", critic.total()},
                                                          {"L_adv", generator.adversarial},
                                                          {"L_con", generator.consistency},
                                                          {"L_cls", generator.classification},
                                                          {"L_pair", generator.pairwise},
                                                          {"L_q", generator.quantisation},
                                                          {"L_G", generator.total}};
  for (const auto& [name, value] : losses) {
    expect_near(value, fixture.reference(prefix + name), tolerance, prefix + name);
  }
}

void expect_gradients(const Fixture& fixture, const torch::nn::Module& module, bool is_double,
                      double tolerance) {
  for (const auto& parameter : module.named_parameters()) {
    const std::string& name = parameter.key();
    if (!fixture.has("grad." + name)) {
      EXPECT_FALSE(parameter.value().grad().defined()) << name;
      continue;
    }
    if (!is_double && fixture.lists("zero_grad_params", name)) continue;
    ASSERT_TRUE(parameter.value().grad().defined()) << name;
    expect_near(parameter.value().grad(), fixture.reference("grad." + name), tolerance, "grad." + name, 0.01);
  }
}

TEST_P(CpahParity, LossesAndGradients) {
  for (const std::string form : {"released", "recommended"}) {
    SCOPED_TRACE(form);
    const Fixture fixture = open("cpah_losses_" + form);
    Built built = build(fixture, form);
    built.training->codes = fixture.get("in.b");
    const CpahForward pass =
        built.training->forward(batch_of(fixture, torch::arange(fixture.get("in.b").size(0))));
    expect_near(pass.image.code, fixture.reference("out.h_v"), loss_tolerance(), "h_v");
    const CriticLoss critic = built.training->critic_loss(pass, fixture.get("in.gp_eps"));
    const GeneratorLoss generator = built.training->generator_loss(pass);
    expect_losses(fixture, "loss.", critic, generator, loss_tolerance());
    generator.total.backward();
    built.training->critics->D->zero_grad();
    critic.total().backward();
    expect_gradients(fixture, *built.net, is_double(), loss_tolerance());
    expect_gradients(fixture, *built.training->critics, is_double(), loss_tolerance());
  }
}

/// Biases before a normalisation get pure rounding as gradient in single precision, and Adam makes steps of
/// it.
bool is_noise(const Fixture& fixture, const std::string& name) {
  return fixture.lists("zero_grad_params", name) || name.find("running_mean") != std::string::npos;
}

void expect_snapshot(const Fixture& fixture, Built& built, int snapshot, bool is_double, double tolerance) {
  train::NamedTensors state = train::state_of(*built.net);
  state.merge(train::state_of(*built.training->critics));
  const std::string after = fmt::format("after.{}.", snapshot);
  for (const std::string& name : fixture.names(after)) {
    if (!is_double && is_noise(fixture, name)) continue;
    const torch::Tensor& value = state.at(name);
    expect_near(torch::stack({value.sum(), value.abs().sum()}), fixture.reference(after + name), tolerance,
                after + name);
  }
  const std::string full = fmt::format("after_full.{}.", snapshot);
  for (const std::string& name : fixture.names(full)) {
    expect_near(state.at(name), fixture.reference(full + name),
                !is_double && is_noise(fixture, name) ? 1e-2 : tolerance, full + name);
  }
}

/// The steps a case has batches in.ind_1, in.ind_2, … for.
int n_steps_of(const Fixture& fixture) {
  int n = 0;
  while (fixture.has(fmt::format("in.ind_{}", n + 1))) ++n;
  return n;
}

TEST_P(CpahParity, TrainingSteps) {
  for (const std::string form : {"released", "recommended"}) {
    SCOPED_TRACE(form);
    const Fixture fixture = open("cpah_train_" + form);
    Built built = build(fixture, form);
    CpahTraining& training = *built.training;
    training.codes = fixture.get("in.B");
    ASSERT_GT(n_steps_of(fixture), 0);
    for (int step = 1; step <= n_steps_of(fixture); ++step) {
      const CpahForward pass =
          training.forward(batch_of(fixture, fixture.get(fmt::format("in.ind_{}", step))));
      const CriticLoss critic = training.critic_step(pass, fixture.get(fmt::format("in.gp_eps_{}", step)));
      expect_snapshot(fixture, built, 2 * step - 1, is_double(), loss_tolerance());
      const GeneratorLoss generator = training.generator_step(pass);
      expect_snapshot(fixture, built, 2 * step, is_double(), loss_tolerance());
      expect_losses(fixture, fmt::format("loss.{}.", step), critic, generator, loss_tolerance());
    }
    expect_near(training.relaxed_image, fixture.reference("out.H_v"), loss_tolerance(), "H_v");
    expect_near(training.relaxed_text, fixture.reference("out.H_t"), loss_tolerance(), "H_t");
    training.end_epoch();
    expect_near(training.codes.index_select(0, fixture.get("in.ind_seen")),
                fixture.reference("out.B_next_seen"), 0, "B");
  }
}

INSTANTIATE_TEST_SUITE_P(Precision, CpahParity,
                         ::testing::Values(Case{torch::kFloat64, 1e-8, "Double"},
                                           Case{torch::kFloat32, 1e-5, "Float"}),
                         [](const auto& tested) { return std::string(tested.param.name); });

TEST(CpahTraining, KeepsTheRandomCodeOfRowsNoBatchVisited) {
  const auto solo = collective::make_solo_communicator();
  CpahConfig config;
  config.backbone.backbone = "features";
  config.hidden = 8;
  const ModelShape shape{.feature_dim = 4, .text_dim = 5, .n_labels = 3, .code_bits = 8};
  TrainingSetup setup;
  setup.labels = torch::ones({6, 3});
  setup.communicator = solo.get();
  CpahTraining training(
      config,
      std::make_shared<CpahNet>(
          config, shape, make_backbone(config.backbone, shape, "cpah", solo.get()).value(), solo.get()),
      setup);
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
