// TA-DCH's networks and training steps against recorded numbers. Every size comes from the recorded tensors.

#include "core/attacks/detail/generator_layers.hpp"
#include "core/attacks/detail/ta_dch_training.hpp"
#include "tests/support/adam_reach.hpp"

namespace gauntlet::attacks::ta_dch {
namespace {

using testing::expect_recorded;
using testing::Fixture;
using torch::Tensor;

/// Every case runs in double and in float, with the recorded case's two tolerances.
class TaDchParity : public ::testing::TestWithParam<torch::Dtype> {
 protected:
  static Fixture open(const std::string& name) { return Fixture("attacks/tadch_" + name, GetParam()); }
  static bool is_double() { return GetParam() == torch::kFloat64; }
  static double tolerance(double in_float) { return is_double() ? 1e-6 : in_float; }
};
INSTANTIATE_TEST_SUITE_P(Types, TaDchParity, ::testing::Values(torch::kFloat64, torch::kFloat32),
                         [](const auto& one) { return one.param == torch::kFloat64 ? "double" : "float"; });

std::int64_t size_of(const Fixture& fixture, const std::string& name, std::int64_t dimension) {
  return fixture.get("param." + name).size(dimension);
}

std::shared_ptr<PrototypeNet> prototype_of(const Fixture& fixture) {
  PrototypeLayout layout;
  layout.n_labels = size_of(fixture, "labelnet.fc1.weight", 1);
  layout.text_dim = size_of(fixture, "textnet.fc1.weight", 1);
  layout.code_bits = size_of(fixture, "hash.fc.weight", 0);
  layout.hidden = size_of(fixture, "labelnet.fc1.weight", 0);
  layout.map = size_of(fixture, "labelnet.conv1.weight", 1);
  layout.middle = size_of(fixture, "labelnet.conv1.weight", 0);
  layout.feature = size_of(fixture, "labelnet.conv2.weight", 0);
  layout.squeeze = size_of(fixture, "local1.conv1.weight", 0);
  layout.fuse_first = size_of(fixture, "fuse.conv1.weight", 0);
  layout.fuse_last = size_of(fixture, "fuse.conv2.weight", 0);
  const auto places = static_cast<double>(size_of(fixture, "labelnet.fc2.weight", 0) / layout.map);
  layout.side = std::llround(std::sqrt(places)) / 2;
  auto net = std::make_shared<PrototypeNet>(layout);
  load_recorded(fixture, *net);
  return net;
}

std::shared_ptr<Generator> generator_of(const Fixture& fixture) {
  ImageLayout layout;
  layout.feature = size_of(fixture, "translator.deconv1.weight", 0);
  for (std::size_t i = 0; i < layout.translator.size(); ++i) {
    layout.translator[i] = size_of(fixture, fmt::format("translator.deconv{}.weight", i + 1), 1);
  }
  layout.width = size_of(fixture, "c1.conv.weight", 0);
  layout.n_blocks = 0;
  while (fixture.has(fmt::format("param.res{}.conv1.weight", layout.n_blocks + 1))) ++layout.n_blocks;
  auto net = make_image_generator(layout);
  load_recorded(fixture, *net);
  return net;
}

std::shared_ptr<models::Discriminator> discriminator_of(const Fixture& fixture) {
  models::ImageDiscriminatorLayout layout;
  layout.width = size_of(fixture, "disc1.conv.weight", 0);
  layout.head_kernel = size_of(fixture, "dischead.conv.weight", 2);
  layout.n_outputs = size_of(fixture, "dischead.conv.weight", 0);
  layout.power_step_in_eval = true;
  layout.n_stages = 0;
  while (fixture.has(fmt::format("param.disc{}.conv.weight", layout.n_stages + 1))) ++layout.n_stages;
  auto net = models::make_image_discriminator(layout);
  load_recorded(fixture, *net);
  return net;
}

/// Compares the gradients recorded under `prefix` with those of the module; returns how many.
int expect_gradients(const Fixture& fixture, const torch::nn::Module& module, const std::string& prefix,
                     double tolerance, double floor = 1) {
  int n_compared = 0;
  for (const auto& parameter : module.named_parameters()) {
    const std::string key = prefix + parameter.key();
    if (!fixture.has(key)) continue;
    SCOPED_TRACE(key);
    expect_recorded(fixture, key, parameter.value().grad(), tolerance, floor);
    ++n_compared;
  }
  return n_compared;
}

/// Compares parameters and buffers recorded under `prefix`, but for those that single precision cannot know;
/// returns how many are recorded. `reach`: learning rate times steps.
int expect_state(const Fixture& fixture, const torch::nn::Module& module, const std::string& prefix,
                 double tolerance, double reach) {
  int n_compared = 0;
  for (const auto& [name, tensor] : models::state_of(module)) {
    if (!fixture.has(prefix + name)) continue;
    ++n_compared;
    if (!fixture.is_double() && fixture.lists("fp32_skip_after", name)) continue;
    expect_recorded(fixture, prefix + name, tensor,
                    tolerance + testing::rounding_reach(fixture, name, reach));
  }
  return n_compared;
}

TaDchConfig recorded_config(const Fixture& fixture) {
  TaDchConfig config;
  config.prototype_lr = config.lr = fixture.number("lr");
  const auto betas = fixture.numbers("betas");
  config.beta1 = betas.at(0);
  config.beta2 = betas.at(1);
  config.adam_eps = fixture.number("adam_eps");
  return config;
}

TEST_P(TaDchParity, PrototypeNet) {
  const Fixture fixture = open("prototype");
  const auto net = prototype_of(fixture);
  const Tensor labels = fixture.get("in.label"), text = fixture.get("in.text");
  const auto expect = [&](const std::string& mode, const Prototype& made) {
    expect_recorded(fixture, "out." + mode + ".F", made.feature, tolerance(1e-4));
    expect_recorded(fixture, "out." + mode + ".p", made.code, tolerance(1e-4));
    expect_recorded(fixture, "out." + mode + ".l", made.labels, tolerance(1e-4));
  };
  net->eval();
  expect("eval", net->forward(labels, text));
  net->train();
  const Prototype made = net->forward(labels, text);
  expect("train", made);
  (made.feature.square().mean() + made.code.sum() + made.labels.sum()).backward();
  EXPECT_EQ(expect_gradients(fixture, *net, "grad.", tolerance(1e-4)),
            static_cast<int>(net->parameters().size()));
  EXPECT_EQ(expect_state(fixture, *net, "after.1.", tolerance(1e-4), /*reach=*/0),
            static_cast<int>(fixture.names("after.1.").size()));
}

TEST_P(TaDchParity, PrototypeTraining) {
  const Fixture fixture = open("stage1");
  const auto net = prototype_of(fixture);
  TaDchConfig config = recorded_config(fixture);
  const auto weights = fixture.numbers("weights");
  config.prototype_class_weight = weights.at(0);
  config.prototype_similarity_weight = weights.at(1);
  config.prototype_quantisation_weight = weights.at(2);
  const Tensor labels = fixture.get("in.label"), text = fixture.get("in.text");
  std::int64_t n_steps = 0;
  while (fixture.has(fmt::format("loss.step{}.total", n_steps + 1))) ++n_steps;
  ASSERT_GT(n_steps, 0);
  PrototypeTrainer trainer(config, net, fixture.get("in.codes"), labels, 2 * n_steps + 2);
  for (std::int64_t step = 1; step <= n_steps; ++step) {
    SCOPED_TRACE(step);
    for (const auto& [name, loss] : trainer.step(labels, text)) {
      expect_recorded(fixture, fmt::format("loss.step{}.{}", step, name), loss, tolerance(1e-4));
    }
    if (step == 1) {
      EXPECT_GT(fixture.names("grad.").size(), 0U);
      EXPECT_EQ(expect_gradients(fixture, *net, "grad.", tolerance(1e-4)),
                static_cast<int>(fixture.names("grad.").size()));
    }
    const std::string after = fmt::format("after.{}.", step);
    if (!fixture.names(after).empty()) {
      const double reach = config.prototype_lr * static_cast<double>(step);
      EXPECT_EQ(expect_state(fixture, *net, after, is_double() ? 1e-7 : 1e-4, reach),
                static_cast<int>(fixture.names(after).size()));
    }
  }
}

TEST_P(TaDchParity, GeneratorStagesAndGradients) {
  const Fixture fixture = open("generator");
  const auto net = generator_of(fixture);
  const Tensor input = fixture.leaf("in.u"), feature = fixture.leaf("in.F");
  const Generated made = net->forward(input, feature);
  const std::map<std::string, Tensor> stages = {
      {"m", made.map},   {"c1", made.c1},         {"c2", made.c2},
      {"c3", made.c3},   {"res", made.inner},     {"up1", made.up1},
      {"up2", made.up2}, {"merge2", made.merged}, {"u_adv", made.output}};
  EXPECT_EQ(fixture.names("out.").size(), stages.size());
  for (const auto& [name, stage] : stages) expect_recorded(fixture, "out." + name, stage, tolerance(1e-4));
  made.output.square().mean().backward();
  expect_recorded(fixture, "grad.u", input.grad(), tolerance(1e-4));
  expect_recorded(fixture, "grad.F", feature.grad(), tolerance(1e-4));
  EXPECT_EQ(expect_gradients(fixture, *net, "grad.", tolerance(1e-4)),
            static_cast<int>(fixture.names("grad.").size()) - 2);
}

TEST_P(TaDchParity, DiscriminatorAndItsGame) {
  const Fixture fixture = open("discriminator");
  const auto net = discriminator_of(fixture);
  const auto sigmas = [&](int n_forwards) {
    const std::string after = fmt::format("after.{}.", n_forwards);
    for (const auto& [name, tensor] : models::state_of(*net)) {
      if (!name.ends_with(".u")) continue;
      const std::string layer = name.substr(0, name.size() - 1);
      const auto state = models::state_of(*net);
      const Tensor sigma =
          torch::dot(tensor, torch::mv(state.at(layer + "weight").flatten(1), state.at(layer + "v")));
      expect_recorded(fixture, after + name, tensor, tolerance(1e-4));
      expect_recorded(fixture, after + layer + "v", state.at(layer + "v"), tolerance(1e-4));
      expect_recorded(fixture, after + layer + "sigma", sigma, tolerance(1e-4));
    }
  };
  const Tensor input = fixture.get("in.u");
  const Tensor logits = net->forward(input);
  expect_recorded(fixture, "out.logits1", logits, tolerance(1e-4));
  sigmas(1);
  const Tensor as_real = least_squares(logits, fixture.get("in.label"), 0).mean();
  const Tensor as_fake = least_squares(logits, fixture.get("in.target_label"), 1).mean();
  expect_recorded(fixture, "loss.as_real", as_real, tolerance(1e-4));
  expect_recorded(fixture, "loss.as_fake", as_fake, tolerance(1e-4));
  (0.5 * (as_real + as_fake)).backward();
  EXPECT_EQ(expect_gradients(fixture, *net, "grad.", tolerance(1e-4)),
            static_cast<int>(net->parameters().size()));
  net->eval();
  expect_recorded(fixture, "out.logits2_eval", net->forward(input), tolerance(1e-4));
  sigmas(2);
}

/// The recorded target of stage 2: tanh of a linear layer over a coarse picture.
Tensor coarse_code(const Fixture& fixture, const Tensor& input) {
  const Tensor weight = fixture.get("param.hash.fc.weight");
  const std::int64_t cells = weight.size(1) / input.size(1);
  const auto side = std::llround(std::sqrt(static_cast<double>(cells)));
  const std::int64_t kernel = input.size(2) / side;
  return torch::tanh(torch::linear(torch::avg_pool2d(input, {kernel, kernel}).flatten(1), weight,
                                   fixture.get("param.hash.fc.bias")));
}

TEST_P(TaDchParity, GeneratorTraining) {
  const Fixture fixture = open("stage2");
  TaDchConfig config = recorded_config(fixture);
  const auto weights = fixture.numbers("weights");
  config.code_weight = weights.at(0);
  config.gan_weight = weights.at(1);
  config.rec_weight = weights.at(2);
  config.d_every = fixture.integer("D_every");
  const auto solo = collective::make_solo_communicator();
  const Players players{.generator = generator_of(fixture),
                        .discriminator = discriminator_of(fixture),
                        .encode = [&](const Tensor& input) { return coarse_code(fixture, input); },
                        .communicator = solo.get()};
  const Tensor images = fixture.get("in.images") / 127.5 - 1, labels = fixture.get("in.labels");
  expect_recorded(
      fixture, "out.step0.u_adv",
      players.generator
          ->forward(images.slice(0, 0, fixture.get("in.step0.F").size(0)), fixture.get("in.step0.F"))
          .output,
      tolerance(1e-4));
  GeneratorTrainer trainer(config, players);
  std::int64_t first = 0, step = 0;
  for (; fixture.has(fmt::format("in.step{}.F", step)); ++step) {
    SCOPED_TRACE(step);
    const auto given = [&](const char* name) { return fixture.get(fmt::format("in.step{}.{}", step, name)); };
    const std::int64_t last = first + given("F").size(0);
    auto losses = trainer.step({.inputs = images.slice(0, first, last),
                                .labels = labels.slice(0, first, last),
                                .feature = given("F"),
                                .code = given("p"),
                                .target_labels = given("target_label")},
                               step);
    first = last;
    const std::string recorded = fmt::format("loss.step{}.", step);
    const std::map<std::string, std::string> names = {
        {"D", "d"},       {"D_real", "d_real"}, {"D_fake", "d_fake"}, {"G", "total"},
        {"code", "code"}, {"gan", "gan"},       {"rec", "rec"}};
    EXPECT_EQ(fixture.names(recorded).size(), losses.size());
    for (const auto& name : fixture.names(recorded)) {
      expect_recorded(fixture, recorded + name, losses[names.at(name)], tolerance(2e-4));
    }
    if (step == 0) {
      for (const auto& [prefix, net] : std::map<std::string, const torch::nn::Module*>{
               {"grad.G.", players.generator.get()}, {"grad.D.", players.discriminator.get()}}) {
        EXPECT_GT(fixture.names(prefix).size(), 0U);
        EXPECT_EQ(expect_gradients(fixture, *net, prefix, tolerance(2e-4)),
                  static_cast<int>(fixture.names(prefix).size()));
      }
    }
  }
  EXPECT_EQ(first, images.size(0));
  const std::string after = fmt::format("after.{}.", step);
  const double known = is_double() ? 1e-7 : 2e-4;
  const double reach = config.lr * static_cast<double>(step);
  const int n_compared = expect_state(fixture, *players.generator, after, known, reach) +
                         expect_state(fixture, *players.discriminator, after, known, reach);
  EXPECT_GT(n_compared, 0);
  EXPECT_EQ(n_compared, static_cast<int>(fixture.names(after).size()));
}

}  // namespace
}  // namespace gauntlet::attacks::ta_dch
