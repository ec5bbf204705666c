// Training steps of DRFGD against recorded ones.
#include <gmock/gmock.h>

#include <cmath>
#include <sstream>

#include "core/defenses/detail/drfgd_trainer.hpp"
#include "tests/methods_b/recorded_nets.hpp"

namespace gauntlet::defenses {
namespace {

using torch::Tensor;

class DrfgdStep : public ::testing::TestWithParam<torch::ScalarType> {
 protected:
  static bool is_double() { return GetParam() == torch::kDouble; }
};
INSTANTIATE_TEST_SUITE_P(Types, DrfgdStep, ::testing::Values(torch::kDouble, torch::kFloat),
                         [](const auto& one) { return one.param == torch::kDouble ? "double" : "float"; });

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

struct RecordedStep {
  const Case& recorded;
  DrfgdPlayers players;
  DrfgdBatch batch;
  bool is_double;

  /// All recorded steps; losses, gradients of the first and all weights after each.
  void expect_steps() {
    recorded.load(*players.generator, "gen.");
    recorded.load(*players.discriminator, "dis.");
    players.code_sum = recorded["in.codes_image"] + recorded["in.codes_text"];
    players.train_labels = recorded["in.labels_train"];
    batch.labels = recorded["in.labels"];
    batch.global_size = batch.labels.size(0);
    DrfgdTrainer trainer(config(), players);
    ASSERT_TRUE(recorded.has("loss.step1.G"));
    for (int number = 1; recorded.has(fmt::format("loss.step{}.G", number)); ++number) {
      const std::string step = std::to_string(number);
      SCOPED_TRACE("step " + step);
      auto losses = trainer.step(batch);
      for (const auto& name : recorded.names("loss.step" + step + ".")) {
        const std::string key = name == "D" ? "d" : name == "G" ? "total" : name;
        ASSERT_TRUE(losses.contains(key)) << name;
        recorded.expect("loss.step" + step + "." + name, losses.at(key), is_double ? 1e-7 : 2e-4);
        losses.erase(key);
      }
      EXPECT_TRUE(losses.empty()) << losses.begin()->first << " is not recorded";
      if (number == 1) expect_gradients();
      expect_weights(step);
    }
  }

 private:
  [[nodiscard]] DrfgdConfig config() const {
    DrfgdConfig config;
    config.lr = recorded.number("lr");
    const std::vector<double> betas = recorded.numbers("betas");
    EXPECT_EQ(betas.size(), 2U);
    config.beta1 = betas.front();
    config.beta2 = betas.back();
    config.alpha = recorded.number("alpha");
    config.beta = recorded.number("beta");
    config.lambda = recorded.number("lam");
    config.tau = recorded.number("tau");
    config.div_mode = recorded.text("div_mode");
    if (recorded.has_text("margin_m")) config.div_margin = recorded.number("margin_m");
    config.cls_norm = recorded.integer("cls_norm") != 0;
    config.rec_pairs = recorded.integer("rec_pairs");
    config.gan = recorded.text("gan");
    config.d_every = recorded.integer("d_every");
    return config;
  }

  void expect_gradients() {
    const double tolerance = is_double ? 1e-7 : 2e-3;
    const auto generator = players.generator->named_parameters(),
               discriminator = players.discriminator->named_parameters();
    for (const auto& name : recorded.names("grad.gen."))
      recorded.expect("grad.gen." + name, generator[name].grad(), tolerance);
    for (const auto& name : recorded.names("grad.dis.")) {
      recorded.expect("grad.dis." + name, discriminator[name].grad(), tolerance);
    }
    std::vector<Tensor> norms;
    for (const auto& name : split(recorded.text("grad_norms_order")))
      norms.push_back(generator[name].grad().norm());
    recorded.expect("out.grad_norms", torch::stack(norms), tolerance);
  }

  void expect_weights(const std::string& step) {
    const double tolerance = is_double ? 1e-7 : 1e-3;
    const auto skipped = split(recorded.text("fp32_skip_after"));
    const std::pair<const char*, torch::nn::Module*> networks[] = {{"gen.", players.generator.get()},
                                                                   {"dis.", players.discriminator.get()}};
    for (const auto& [prefix, network] : networks) {
      const auto state = models::state_of(*network);
      for (const auto& name : recorded.names("after." + step + "." + prefix)) {
        if (!is_double && std::ranges::find(skipped, name) != skipped.end()) continue;
        recorded.expect("after." + step + "." + prefix + name, state.at(name), tolerance);
      }
    }
    if (recorded.names("out.step" + step + ".param_abs_sums").empty() || !is_double) return;
    const auto state = models::state_of(*players.generator);
    std::vector<Tensor> sums;
    for (const auto& name : split(recorded.text("param_abs_sums_order")))
      sums.push_back(state.at(name).abs().sum());
    recorded.expect("out.step" + step + ".param_abs_sums", torch::stack(sums), tolerance);
  }
};

TEST_P(DrfgdStep, Text) {
  const Case recorded("drfgd_step_text", GetParam());
  const auto solo = collective::make_solo_communicator();
  const auto weight = recorded["param.hash.fc.weight"], bias = recorded["param.hash.fc.bias"];
  RecordedStep step{
      .recorded = recorded,
      .players = {.generator = text_generator_of(recorded, "gen.", TextOutput::kRelu),
                  .discriminator = text_discriminator_of(recorded, "dis.", models::TextDiscriminator::kLeaky),
                  .encode = [&](const Tensor& t) { return torch::tanh(torch::linear(t, weight, bias)); },
                  .code_sum = {},
                  .train_labels = {},
                  .communicator = solo.get()},
      .batch = {.clean = recorded["in.x"], .adversarial = recorded["in.x_adv"], .labels = {}},
      .is_double = is_double()};
  step.expect_steps();
}

/// Side of the squares that the recorded hash network averages: its input is 3 maps of what remains.
std::int64_t pooled_side(const Tensor& pictures, const Tensor& hash_weight) {
  const auto maps = static_cast<double>(hash_weight.size(1)) / 3;
  return pictures.size(3) / static_cast<std::int64_t>(std::lround(std::sqrt(maps)));
}

TEST_P(DrfgdStep, Image) {
  const Case recorded("drfgd_step_image", GetParam());
  const auto solo = collective::make_solo_communicator();
  const auto weight = recorded["param.hash.fc.weight"], bias = recorded["param.hash.fc.bias"];
  const auto x = picture_of(recorded);
  const auto delta = enlarged(recorded, "coarse_delta", x.size(3) / recorded["in.coarse_delta"].size(3));
  const std::int64_t pool = pooled_side(x, weight);
  RecordedStep step{.recorded = recorded,
                    .players = {.generator = image_generator_of(recorded, "gen.", solo.get()),
                                .discriminator = image_discriminator_of(recorded, "dis."),
                                .encode =
                                    [&](const Tensor& n) {
                                      return torch::tanh(
                                          torch::linear(torch::avg_pool2d(n, pool).flatten(1), weight, bias));
                                    },
                                .code_sum = {},
                                .train_labels = {},
                                .communicator = solo.get()},
                    .batch = {.clean = x, .adversarial = (x + delta).clamp(-1, 1), .labels = {}},
                    .is_double = is_double()};
  step.expect_steps();
}

}  // namespace
}  // namespace gauntlet::defenses
