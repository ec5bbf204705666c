// EQB2A against recorded values of the released code: lists, networks, and some steps of each of its three
// stages. Sizes and hyper-parameters are the case's.

#include <algorithm>
#include <cmath>

#include "core/attacks/detail/eqb2a_generator.hpp"
#include "tests/support/adam_reach.hpp"

namespace gauntlet::attacks::eqb2a {
namespace {

using testing::expect_recorded;
using testing::Fixture;
using torch::Tensor;

struct Case {
  torch::Dtype dtype;
  double loss_tolerance;   ///< knockoff losses, network outputs
  double trace_tolerance;  ///< losses of stages 2 and 3
  double after_tolerance;  ///< weights after steps
  const char* name;
};

// What the modules here are called in the recorded cases.
using Rename = std::string (*)(const std::string&);
std::string in_pg(const std::string& name) {
  return (name.starts_with("res") || name.starts_with("up") ? "pg" : "pg.") + name;
}
std::string in_ps(const std::string& name) { return "ps." + name; }
std::string in_ig(const std::string& name) {
  return "ig" + (name.starts_with("down") ? name.substr(4) : name);
}
std::string in_sim(const std::string& name) {
  const std::string backbone = "backbone.";
  return "sim." + (name.starts_with(backbone) ? name.substr(backbone.size()) : name);
}
std::string in_stm(const std::string& name) { return "stm." + name; }
std::string in_disc(const std::string& name) { return name; }

template <class Module>
std::shared_ptr<Module> load(const Fixture& fixture, std::shared_ptr<Module> module, Rename rename) {
  const torch::NoGradGuard no_grad;
  module->to(fixture.dtype());
  for (auto& [name, tensor] : testing::state_of(*module)) {
    if (name.ends_with("num_batches_tracked")) continue;
    const Tensor recorded = fixture.get("param." + rename(name));
    EXPECT_EQ(tensor.sizes(), recorded.sizes()) << name;
    if (tensor.sizes() == recorded.sizes()) Tensor(tensor).copy_(recorded);
  }
  return module;
}

std::int64_t size_of(const Fixture& fixture, const std::string& name, std::int64_t dimension = 0) {
  return fixture.get("param." + name).size(dimension);
}

/// Stands for the ResNet-50: average over a grid, flatten, FC, batch norm, ReLU, on grey levels 0..255.
class PooledBackbone final : public models::Backbone {
 public:
  explicit PooledBackbone(const Fixture& fixture)
      : grid_(std::lround(std::sqrt(static_cast<double>(size_of(fixture, "sim.backbone_fc.weight", 1)) / 3))),
        fc_(register_module(
            "backbone_fc", torch::nn::Linear(3 * grid_ * grid_, size_of(fixture, "sim.backbone_fc.weight")))),
        bn_(register_module("backbone_bn",
                            torch::nn::BatchNorm1d(size_of(fixture, "sim.backbone_fc.weight")))) {
    for (auto& parameter : parameters()) parameter.set_requires_grad(false);
  }
  Tensor forward(const Tensor& images) override {
    const Tensor pooled = torch::adaptive_avg_pool2d(images * 255, {grid_, grid_});
    return torch::relu(bn_->forward(fc_->forward(pooled.flatten(1))));
  }
  [[nodiscard]] std::int64_t n_features() const override { return fc_->weight.size(0); }

 private:
  std::int64_t grid_;
  torch::nn::Linear fc_;
  torch::nn::BatchNorm1d bn_;
};

std::shared_ptr<ImageKnockoff> open_sim(const Fixture& fixture) {
  return load(
      fixture,
      std::make_shared<ImageKnockoff>(std::make_shared<PooledBackbone>(fixture),
                                      size_of(fixture, "sim.fc1.weight"), size_of(fixture, "sim.fc2.weight"),
                                      /*dropout=*/0),
      &in_sim);
}
std::shared_ptr<TextKnockoff> open_stm(const Fixture& fixture) {
  return load(fixture,
              std::make_shared<TextKnockoff>(size_of(fixture, "stm.fc1.weight", 1),
                                             size_of(fixture, "stm.fc1.weight"),
                                             size_of(fixture, "stm.fc3.weight"), /*dropout=*/0),
              &in_stm);
}
std::shared_ptr<PerturbationGenerator> open_pg(const Fixture& fixture) {
  return load(fixture,
              std::make_shared<PerturbationGenerator>(std::array{size_of(fixture, "pg.conv1.weight"),
                                                                 size_of(fixture, "pg.conv2.weight"),
                                                                 size_of(fixture, "pg.conv3.weight")}),
              &in_pg);
}
std::shared_ptr<PerturbationSupervisor> open_ps(const Fixture& fixture, std::int64_t image_px) {
  const SupervisorLayout layout{
      .image_px = image_px,
      .code_bits = size_of(fixture, "ps.fc4.weight"),
      .channels = {size_of(fixture, "ps.conv1.weight"), size_of(fixture, "ps.conv2.weight")},
      .full = {size_of(fixture, "ps.fc1.weight"), size_of(fixture, "ps.fc2.weight"),
               size_of(fixture, "ps.fc3.weight")}};
  return load(fixture, std::make_shared<PerturbationSupervisor>(layout), &in_ps);
}
std::shared_ptr<ImageGenerator> open_ig(const Fixture& fixture) {
  return load(fixture, std::make_shared<ImageGenerator>(size_of(fixture, "ig1.conv.weight")), &in_ig);
}
std::shared_ptr<models::Discriminator> open_disc(const Fixture& fixture) {
  models::ImageDiscriminatorLayout layout{.n_stages = 0,
                                          .width = size_of(fixture, "disc1.conv.weight"),
                                          .head_kernel = size_of(fixture, "dischead.conv.weight", 2),
                                          .n_outputs = size_of(fixture, "dischead.conv.weight"),
                                          .power_step_in_eval = true};
  while (fixture.has("param.disc" + std::to_string(layout.n_stages + 1) + ".conv.weight")) ++layout.n_stages;
  return load(fixture, models::make_image_discriminator(layout), &in_disc);
}

Tensor to_unit(const Tensor& grey_levels) { return 2 * grey_levels / 255 - 1; }

/// The text knockoff's codes of all recorded texts.
Tensor text_codes_of(const Fixture& fixture) {
  const torch::NoGradGuard no_grad;
  const auto stm = open_stm(fixture);
  stm->eval();
  return stm->forward(fixture.get("in.texts"));
}

/// Recorded pictures, in [-1,1], by their position in the training set.
Tensor pictures_of(const Fixture& fixture, const Tensor& positions) {
  const Tensor ids = fixture.get("in.image_ids");
  const Tensor stored = positions.unsqueeze(1).eq(ids.unsqueeze(0)).to(torch::kLong).argmax(1);
  return to_unit(fixture.get("in.images")).index_select(0, stored);
}

class Eqb2aParity : public ::testing::TestWithParam<Case> {
 protected:
  [[nodiscard]] Fixture open(const std::string& name) const {
    return {"attacks/eqb2a_" + name, GetParam().dtype};
  }

  /// Compares what is recorded of the module's state below `prefix`; returns how many tensors that were.
  /// `reach`: learning rate times steps.
  static std::size_t expect_state(const Fixture& fixture, const std::string& prefix,
                                  const torch::nn::Module& module, Rename rename, double tolerance,
                                  double reach) {
    std::size_t n = 0;
    for (const auto& [name, tensor] : testing::state_of(module)) {
      if (!fixture.has(prefix + rename(name))) continue;
      ++n;
      if (!fixture.is_double() && fixture.lists("fp32_skip_after", rename(name))) continue;
      expect_recorded(fixture, prefix + rename(name), tensor,
                      tolerance + testing::rounding_reach(fixture, rename(name), reach));
    }
    return n;
  }
  static std::size_t expect_gradients(const Fixture& fixture, const std::string& prefix,
                                      const torch::nn::Module& module, Rename rename, double tolerance) {
    std::size_t n = 0;
    for (const auto& parameter : module.named_parameters()) {
      const std::string name = prefix + rename(parameter.key());
      if (!fixture.has(name)) continue;
      ++n;
      EXPECT_TRUE(parameter.value().grad().defined()) << name;
      if (parameter.value().grad().defined())
        expect_recorded(fixture, name, parameter.value().grad(), tolerance);
    }
    return n;
  }
  /// `names`: loss here → its recorded name below `prefix`.
  static void expect_losses(const Fixture& fixture, const std::string& prefix, const StepLosses& losses,
                            const std::map<std::string, std::string>& names, double tolerance) {
    for (const auto& [name, recorded] : names) {
      EXPECT_EQ(losses.contains(name), fixture.has(prefix + recorded)) << prefix << recorded;
      if (losses.contains(name)) expect_recorded(fixture, prefix + recorded, losses.at(name), tolerance);
    }
  }
  static Config config_of(const Fixture& fixture) {
    Config config;
    const auto betas = fixture.numbers("betas");
    config.beta1 = betas.at(0);
    config.beta2 = betas.at(1);
    return config;
  }
};

TEST_P(Eqb2aParity, RankedLists) {
  const Fixture fixture = open("ranks");
  const Tensor product = fixture.get("in.query_codes").matmul(fixture.get("in.db_codes").t());
  const Tensor lists = std::get<1>((-product).sort(/*stable=*/true, 1, /*descending=*/false));
  const std::int64_t n_near = fixture.integer("near"), n_spread = fixture.integer("spread");
  EXPECT_TRUE(spread_positions(lists.size(1), n_spread).equal(fixture.get("out.spread_positions")));
  const RankedSample sample = sample_of(fixture.get("in.query_index"), lists, n_near, n_spread);
  EXPECT_TRUE(
      torch::cat({sample.query.unsqueeze(1), sample.near, sample.spread}, 1).equal(fixture.get("out.lists")));
}

TEST_P(Eqb2aParity, Networks) {
  const Fixture fixture = open("forward");
  const double tolerance = GetParam().loss_tolerance;
  const Tensor u = fixture.leaf("in.u");
  const auto pg = open_pg(fixture);
  const auto ps = open_ps(fixture, u.size(2));
  pg->eval();
  ps->eval();
  const Tensor perturbation = pg->forward(u.detach()).detach();
  expect_recorded(fixture, "out.eval.perturbation", perturbation, tolerance);
  expect_recorded(fixture, "out.eval.code", ps->forward(perturbation), tolerance);

  const auto ig = open_ig(fixture);
  expect_recorded(fixture, "out.igtrans", ig->translated(perturbation), tolerance);
  const Tensor adversarial = ig->forward(u, perturbation);
  expect_recorded(fixture, "out.u_adv", adversarial, tolerance);
  adversarial.pow(2).mean().backward();
  expect_recorded(fixture, "grad.u", u.grad(), tolerance);

  const auto disc = open_disc(fixture);
  expect_recorded(fixture, "out.logit", disc->forward(u.detach()), tolerance);
  std::size_t n_states = expect_state(fixture, "after.1.", *disc, &in_disc, tolerance, /*reach=*/0);

  pg->train();
  ps->train();
  const Tensor in_train_mode = pg->forward(u.detach());
  expect_recorded(fixture, "out.train.perturbation", in_train_mode, tolerance);
  expect_recorded(fixture, "out.train.code", ps->forward(in_train_mode), tolerance);
  n_states += expect_state(fixture, "after.1.", *pg, &in_pg, tolerance, /*reach=*/0);
  n_states += expect_state(fixture, "after.1.", *ps, &in_ps, tolerance, /*reach=*/0);
  EXPECT_EQ(n_states, fixture.names("after.1.").size());
}

TEST_P(Eqb2aParity, KnockoffSteps) {
  const Fixture fixture = open("knockoff");
  Config config = config_of(fixture);
  config.lr_text = fixture.number("lr_text");
  config.lr_image = fixture.number("lr_image");
  config.knockoff_rank_margin = fixture.number("margin");
  const auto weights = fixture.numbers("weights");
  config.knockoff_rank_weight = weights.at(0);
  config.knockoff_balance_weight = weights.at(1);
  config.knockoff_quantisation_weight = weights.at(2);
  const Knockoffs knockoffs{.image = open_sim(fixture), .text = open_stm(fixture)};
  const Tensor images = fixture.get("in.images") / 255, texts = fixture.get("in.texts");
  const auto items = [&](Modality modality, const Tensor& positions) {
    return (modality == Modality::kImage ? images : texts).index_select(0, positions);
  };
  KnockoffTrainer trainer(config, knockoffs, items);
  const double tolerance = GetParam().loss_tolerance;
  std::int64_t n_steps = 0;
  for (; fixture.has(fmt::format("in.step{}.tuples_TI", n_steps + 1)); ++n_steps) {
    const std::string step = fmt::format("step{}", n_steps + 1);
    const StepLosses losses =
        trainer.step(fixture.get("in." + step + ".tuples_TI"), fixture.get("in." + step + ".tuples_IT"));
    expect_losses(fixture, "loss." + step + ".", losses,
                  {{"rank_text", "rank_TI"},
                   {"rank_image", "rank_IT"},
                   {"balance_text", "balance_TI"},
                   {"balance_image", "balance_IT"},
                   {"quantisation_text", "quant_TI"},
                   {"quantisation_image", "quant_IT"},
                   {"total", "total"}},
                  tolerance);
    if (n_steps > 0) continue;
    EXPECT_EQ(expect_gradients(fixture, "grad.", *knockoffs.image, &in_sim, tolerance) +
                  expect_gradients(fixture, "grad.", *knockoffs.text, &in_stm, tolerance),
              fixture.names("grad.").size());
  }
  const std::string after = fmt::format("after.{}.", n_steps);
  const double after_tolerance = GetParam().after_tolerance, n = static_cast<double>(n_steps);
  EXPECT_EQ(expect_state(fixture, after, *knockoffs.image, &in_sim, after_tolerance, config.lr_image * n) +
                expect_state(fixture, after, *knockoffs.text, &in_stm, after_tolerance, config.lr_text * n),
            fixture.names("after.").size());
  EXPECT_GT(fixture.names(after).size(), 0U);
}

TEST_P(Eqb2aParity, PerturbationSteps) {
  const Fixture fixture = open("stage2");
  Config config = config_of(fixture);
  config.lr_perturbation = fixture.number("lr");
  const auto margins = fixture.numbers("margins"), weights = fixture.numbers("weights");
  config.perturbation_alienation_margin = margins.at(0);
  config.perturbation_rank_margin = margins.at(1);
  config.perturbation_alienation_weight = weights.at(0);
  config.perturbation_rank_weight = weights.at(1);
  config.perturbation_quantisation_weight = weights.at(2);
  const auto pg = open_pg(fixture);
  const auto ps = open_ps(fixture, fixture.get("in.images").size(2));
  PerturbationTrainer trainer(config, pg, ps, text_codes_of(fixture));
  const double tolerance = GetParam().trace_tolerance;
  std::int64_t n_steps = 0;
  for (; fixture.has(fmt::format("in.step{}.rows", n_steps + 1)); ++n_steps) {
    const std::string step = fmt::format("step{}", n_steps + 1);
    const Tensor rows = fixture.get("in." + step + ".rows");
    const StepLosses losses = trainer.step(pictures_of(fixture, rows.select(1, 0)), rows);
    expect_losses(
        fixture, "loss." + step + ".", losses,
        {{"alienation", "alienation"}, {"ranking", "ranking"}, {"quantisation", "quant"}, {"total", "total"}},
        tolerance);
    if (n_steps > 0) continue;
    EXPECT_EQ(expect_gradients(fixture, "grad.", *pg, &in_pg, tolerance) +
                  expect_gradients(fixture, "grad.", *ps, &in_ps, tolerance),
              fixture.names("grad.").size());
  }
  const std::string after = fmt::format("after.{}.", n_steps);
  const double reach = config.lr_perturbation * static_cast<double>(n_steps);
  EXPECT_EQ(expect_state(fixture, after, *pg, &in_pg, GetParam().after_tolerance, reach) +
                expect_state(fixture, after, *ps, &in_ps, GetParam().after_tolerance, reach),
            fixture.names("after.").size());
  EXPECT_GT(fixture.names(after).size(), 0U);
}

struct ThirdStage {
  Config config;
  GeneratorPlayers players;

  explicit ThirdStage(const Fixture& fixture, Config settings) : config(std::move(settings)) {
    config.lr_generator = fixture.number("lr");
    config.alienation_margin = fixture.number("margin");
    const auto weights = fixture.numbers("weights");
    config.alienation_weight = weights.at(0);
    config.rec_weight = weights.at(1);
    config.gan_weight = weights.at(2);
    config.d_every = fixture.integer("D_every");
    players = {.generator = open_ig(fixture),
               .discriminator = open_disc(fixture),
               .perturbation = open_pg(fixture),
               .supervisor = open_ps(fixture, fixture.get("in.images").size(2)),
               .image_knockoff = open_sim(fixture),
               .text_codes = text_codes_of(fixture)};
    players.perturbation->eval();
    players.supervisor->eval();
    players.image_knockoff->eval();
  }
};

TEST_P(Eqb2aParity, GeneratorSteps) {
  const Fixture fixture = open("stage3");
  const double tolerance = GetParam().trace_tolerance;
  for (const bool restore : {true, false}) {
    SCOPED_TRACE(restore ? "restored pixels" : "pixels as generated");
    ThirdStage stage(fixture, config_of(fixture));
    stage.config.restore = restore;
    GeneratorTrainer trainer(stage.config, stage.players);
    const GeneratorPlayers& players = stage.players;
    std::int64_t n_steps = 0;
    for (; fixture.has(fmt::format("in.step{}.rows", n_steps)); ++n_steps) {
      const std::string step = fmt::format("step{}", n_steps);
      const Tensor rows = fixture.get("in." + step + ".rows");
      const Tensor u = pictures_of(fixture, rows.select(1, 0));
      if (n_steps == 0) {
        expect_recorded(fixture, "out.step0.u_adv",
                        players.generator->forward(u, players.perturbation->forward(u)), tolerance);
      }
      const StepLosses losses = trainer.step(u, rows.slice(1, 1), n_steps);
      expect_losses(fixture, (restore ? "loss." : "loss.norestore.") + step + ".", losses,
                    {{"alienation", "alienation"},
                     {"reconstruction", "rec"},
                     {"gan", "gan"},
                     {"total", "G"},
                     {"d", "D"},
                     {"d_real", "D_real"},
                     {"d_fake", "D_fake"}},
                    tolerance);
      if (n_steps > 0 || !restore) continue;
      EXPECT_EQ(expect_gradients(fixture, "grad.D.", *players.discriminator, &in_disc, tolerance) +
                    expect_gradients(fixture, "grad.G.", *players.generator, &in_ig, tolerance),
                fixture.names("grad.").size());
    }
    if (!restore) continue;
    const std::string after = fmt::format("after.{}.", n_steps);
    const double reach = stage.config.lr_generator * static_cast<double>(n_steps);
    const double after_tolerance = GetParam().after_tolerance;
    EXPECT_EQ(expect_state(fixture, after, *players.discriminator, &in_disc, after_tolerance, reach) +
                  expect_state(fixture, after, *players.generator, &in_ig, after_tolerance, reach),
              fixture.names("after.").size());
    EXPECT_GT(fixture.names(after).size(), 0U);
  }
}

INSTANTIATE_TEST_SUITE_P(Precision, Eqb2aParity,
                         ::testing::Values(Case{torch::kFloat64, 1e-6, 1e-6, 1e-7, "double"},
                                           Case{torch::kFloat32, 1e-4, 2e-4, 2e-4, "float"}),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace gauntlet::attacks::eqb2a
