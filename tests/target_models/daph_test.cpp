// DAPH: recorded values of the authors' code, and what is special about its two stages.

#include "core/models/detail/daph.hpp"
#include "core/models/objectives.hpp"
#include "tests/target_models/support.hpp"

namespace gauntlet::models {
namespace {

using namespace gauntlet::testing;

struct Built {
  std::unique_ptr<collective::Communicator> solo = collective::make_solo_communicator();
  std::shared_ptr<DaphNet> net;
  std::unique_ptr<DaphTraining> training;
};

Built build(const DaphConfig& config, const ModelShape& shape, const torch::Tensor& labels) {
  Built built;
  torch::manual_seed(1);
  const auto trunk = [&] { return make_backbone(config.backbone, shape, "daph", built.solo.get()).value(); };
  built.net = std::make_shared<DaphNet>(config, shape, trunk());
  built.net->to(labels.scalar_type());
  built.training =
      std::make_unique<DaphTraining>(config, built.net, std::make_unique<DaphProxies>(config, shape, trunk()),
                                     TrainingSetup{.labels = labels, .communicator = built.solo.get()});
  return built;
}

/// What both stages record.
DaphConfig config_of(const Fixture& fixture) {
  DaphConfig config;
  config.backbone.backbone = "features";
  config.gamma = fixture.number("gamma");
  config.sigma = fixture.number("sigma");
  config.eps = fixture.numbers("eps").at(0);
  return config;
}

ModelShape shape_of(const Fixture& fixture, const std::string& code_layer) {
  return {.feature_dim = fixture.get("in.feature").size(1),
          .text_dim = fixture.get("in.text").size(1),
          .n_labels = fixture.get("in.labels").size(1),
          .code_bits = outputs_of(fixture, code_layer)};
}

TrainingBatch batch_of(const Fixture& fixture) {
  return {fixture.get("in.feature"), fixture.get("in.text"), fixture.get("in.labels"),
          torch::arange(fixture.get("in.labels").size(0))};
}

Built build_stage_1(const Fixture& fixture) {
  DaphConfig config = config_of(fixture);
  config.fc_width = outputs_of(fixture, "image_proxy.fc6");
  config.hidden = outputs_of(fixture, "text_proxy.fc1");
  config.embedding = outputs_of(fixture, "image_proxy.embed");
  config.alpha = fixture.number("alpha");
  config.beta = fixture.number("beta");
  config.weight_decay = fixture.numbers("sgd").at(1);
  config.proxy_lr = fixture.numbers("sgd").at(2);
  config.class_lr = fixture.numbers("sgd").at(3);
  config.proxy_loss =
      fixture.text("positives_in_denominator").starts_with("yes") ? "released" : "recommended";
  config.train_proxy_head = fixture.text("stepped") == "everything";
  Built built = build(config, shape_of(fixture, "image_proxy.code"), fixture.get("in.labels"));
  load_recorded(fixture, built.training->proxies());
  return built;
}

class DaphParity : public ParityTest {};

TEST_P(DaphParity, ProxyNetworksLossAndStep) {
  for (const std::string name : {"daph_stage1_released", "daph_stage1_recommended"}) {
    SCOPED_TRACE(name);
    const Fixture fixture = open(name);
    const Built built = build_stage_1(fixture);
    DaphTraining& training = *built.training;
    const ProxyForward pass = training.proxy_forward(batch_of(fixture), nullptr);
    expect_terms(fixture, "out.", {{"u", pass.image}, {"s", pass.text}, {"p", pass.classes}}, tolerance());
    const auto gradients = torch::autograd::grad({training.proxy_loss(pass).total},
                                                 {pass.image, pass.text, pass.classes}, {}, true);
    for (std::size_t i = 0; i < gradients.size(); ++i) {
      const std::string key = std::vector<std::string>{"grad.u", "grad.s", "grad.p"}[i];
      expect_near(gradients[i], fixture.reference(key), tolerance(), key, 0.01);
    }
    const ProxyLoss loss = training.proxy_step(pass);
    expect_terms(fixture, "loss.",
                 {{"A_u", loss.image_affinity},
                  {"A_s", loss.text_affinity},
                  {"O", loss.separation},
                  {"Q_u", loss.image_gap},
                  {"Q_s", loss.text_gap},
                  {"Q_p", loss.class_gap},
                  {"N_u", loss.image_imbalance},
                  {"N_s", loss.text_imbalance},
                  {"N_p", loss.class_imbalance},
                  {"L1", loss.total}},
                 tolerance());
    expect_gradients(fixture, training.proxies(), tolerance());
    expect_snapshot(fixture, 1, {&training.proxies()}, tolerance());
  }
}

TEST_P(DaphParity, EveryFormOfTheProxyTerm) {
  const Fixture fixture = open("daph_stage1_released");
  const DaphConfig config = config_of(fixture);
  const torch::Tensor classes = fixture.reference("out.p").to(fixture.dtype());
  for (const std::string code : {"u", "s"}) {
    for (const bool with_eps : {false, true}) {
      for (const bool counts_own : {false, true}) {
        const std::string form = fmt::format("A_{}.eps{}_pos{}", code, with_eps ? 1 : 0, counts_own ? 1 : 0);
        const torch::Tensor z = fixture.reference("out." + code).to(fixture.dtype()).requires_grad_();
        const torch::Tensor term = proxy_term(z, classes, fixture.get("in.labels"), config.scale(),
                                              {.eps = with_eps ? config.eps : 0, .counts_own = counts_own});
        expect_terms(fixture, "loss.", {{form, term}}, tolerance());
        expect_near(torch::autograd::grad({term}, {z}).front(),
                    fixture.reference("grad." + form + "." + code), tolerance(), form, 0.01);
      }
    }
  }
}

Built build_stage_2(const Fixture& fixture) {
  DaphConfig config = config_of(fixture);
  config.fc_width = outputs_of(fixture, "image_net.fc6");
  config.hidden = outputs_of(fixture, "text_net.fc1");
  config.eta = fixture.number("eta");
  config.lr = fixture.numbers("sgd").at(0);
  config.weight_decay = fixture.numbers("sgd").at(2);
  config.text_positives =
      fixture.text("positives_text").find("identical") != std::string::npos ? "identical" : "subset";
  Built built = build(config, shape_of(fixture, "image_net.hash"), fixture.get("in.anchor_labels"));
  load_recorded(fixture, *built.net);
  built.training->anchors = {fixture.get("in.anchor_v"), fixture.get("in.anchor_t"),
                             fixture.get("in.anchor_labels"), fixture.get("in.anchor_class")};
  return built;
}

class DaphParityOfHashNetworks : public DaphParity {
 protected:
  static double loss_tolerance() { return is_double() ? tolerance() : 2 * tolerance(); }

  static void expect_losses(const Fixture& fixture, const std::string& net, const HashLoss& loss) {
    expect_terms(fixture, "loss." + net + ".",
                 {{"F_av", loss.image_anchors.full},
                  {"F_at", loss.text_anchors.full},
                  {"W_av", loss.image_anchors.partial},
                  {"W_at", loss.text_anchors.partial},
                  {"K", loss.classes},
                  {"L2", loss.total}},
                 loss_tolerance());
  }
  static void expect_gradients_for_codes(const Fixture& fixture, const std::string& net, const HashLoss& loss,
                                         const torch::Tensor& codes) {
    const std::pair<std::string, torch::Tensor> terms[] = {
        {"grad." + net + ".F_av.h", loss.image_anchors.full},
        {"grad." + net + ".W_av.h", loss.image_anchors.partial},
        {"grad." + net + ".K.h", loss.classes},
        {net == "image" ? "grad.h_v" : "grad.h_t", loss.total}};
    for (const auto& [key, term] : terms) {
      const torch::Tensor gradient =
          torch::autograd::grad({term}, {codes}, {}, /*retain_graph=*/true).front();
      expect_near(gradient, fixture.reference(key), loss_tolerance(), key, 0.01);
    }
  }
};

TEST_P(DaphParityOfHashNetworks, LossesGradientsAndStep) {
  for (const std::string name : {"daph_stage2_released", "daph_stage2_recommended"}) {
    SCOPED_TRACE(name);
    const Fixture fixture = open(name);
    const Built built = build_stage_2(fixture);
    DaphTraining& training = *built.training;
    const HashForward pass = training.hash_forward(batch_of(fixture), nullptr);
    expect_terms(fixture, "out.", {{"h_v", pass.image}, {"h_t", pass.text}}, loss_tolerance());
    const HashLoss image = training.hash_loss(Modality::kImage, pass);
    const HashLoss text = training.hash_loss(Modality::kText, pass);
    expect_losses(fixture, "image", image);
    expect_losses(fixture, "text", text);
    expect_gradients_for_codes(fixture, "image", image, pass.image);
    expect_gradients_for_codes(fixture, "text", text, pass.text);
    training.hash_step(image.total + text.total);
    expect_gradients(fixture, *built.net, loss_tolerance());
    expect_snapshot(fixture, 1, {built.net.get()}, loss_tolerance());
  }
}

TEST_P(DaphParityOfHashNetworks, AnchorSets) {
  for (const std::string name : {"daph_stage2_released", "daph_stage2_recommended"}) {
    const Fixture fixture = open(name);
    for (const std::string net : {"image", "text"}) {
      const bool subset = fixture.text("positives_" + net).find("identical") == std::string::npos;
      const AnchorSets sets =
          anchor_sets(fixture.get("in.labels"), fixture.get("in.anchor_labels"), subset, 0);
      expect_terms(fixture, "out." + net + ".",
                   {{"positive", sets.positive}, {"negative", sets.negative}, {"partial", sets.partial}}, 0);
    }
  }
}

const auto precision_name = [](const auto& tested) { return std::string(tested.param.name); };
INSTANTIATE_TEST_SUITE_P(Precision, DaphParity, ::testing::ValuesIn(kPrecisions), precision_name);
INSTANTIATE_TEST_SUITE_P(Precision, DaphParityOfHashNetworks, ::testing::ValuesIn(kPrecisions),
                         precision_name);

torch::Tensor small_labels() {
  return torch::tensor({{1, 0, 1}, {1, 1, 1}, {0, 1, 0}, {0, 0, 1}, {1, 0, 1}, {0, 1, 0}})
      .to(torch::kFloat64);
}

TEST(DaphLosses, HaveTheirTrueGradients) {
  const torch::Tensor labels = small_labels();
  const torch::Tensor classes = unit_rows(waves({3, 5}, 0.6));
  const torch::Tensor codes = waves({6, 5}, 1.1);
  const DaphScale scale{.gamma = 6, .sigma = 0.2};
  for (const ProxyTermForm form :
       {ProxyTermForm{}, ProxyTermForm{0, false, false}, ProxyTermForm{1e-5, true, true}}) {
    const std::string name = fmt::format("A eps {} own {}", form.eps, form.counts_own);
    expect_gradient(
        codes, [&](const torch::Tensor& z) { return proxy_term(unit_rows(z), classes, labels, scale, form); },
        name);
    expect_gradient(
        classes, [&](const torch::Tensor& p) { return proxy_term(unit_rows(codes), p, labels, scale, form); },
        name + " classes");
  }
  // Rows of length 1 sit on the corner of max(0, p_c·p_c - 1)^2, so these are a little longer.
  expect_gradient(
      1.1 * classes, [](const torch::Tensor& p) { return class_separation(p); }, "O");
  expect_gradient(
      codes, [](const torch::Tensor& z) { return binary_gap(z); }, "Q");
  expect_gradient(
      codes, [](const torch::Tensor& z) { return bit_imbalance(z); }, "N");
  const torch::Tensor anchors = signs(waves({6, 5}, 2.3));
  const AnchorSets sets = anchor_sets(labels, labels, false, 1e-5);
  expect_gradient(
      codes, [&](const torch::Tensor& h) { return anchor_loss(h, anchors, sets, scale).full; }, "F");
  expect_gradient(
      codes, [&](const torch::Tensor& h) { return anchor_loss(h, anchors, sets, scale).partial; }, "W");
  expect_gradient(
      codes, [&](const torch::Tensor& h) { return class_loss(h, signs(classes), labels, scale); }, "K");
}

TEST(DaphLosses, SplitAnchorsByLabelSets) {
  const torch::Tensor labels = torch::tensor({{1.0, 0.0, 1.0}});
  const torch::Tensor anchor_labels =
      torch::tensor({{1.0, 0.0, 1.0}, {1.0, 1.0, 1.0}, {1.0, 0.0, 0.0}, {0.0, 1.0, 0.0}});
  const AnchorSets identical = anchor_sets(labels, anchor_labels, false, 0);
  EXPECT_TRUE(identical.positive[0].equal(torch::tensor({true, false, false, false})));
  EXPECT_TRUE(identical.partial[0].equal(torch::tensor({false, true, true, false})));
  EXPECT_TRUE(identical.negative[0].equal(torch::tensor({false, false, false, true})));
  // Shared labels 2, 2, 1, 0.
  EXPECT_TRUE(torch::allclose(identical.partial_weights[0], torch::tensor({0.0, 0.4, 0.2, 0.0})));
  const AnchorSets subset = anchor_sets(labels, anchor_labels, true, 0);
  EXPECT_TRUE(subset.positive[0].equal(torch::tensor({true, true, false, false})));
  EXPECT_TRUE(subset.partial[0].equal(torch::tensor({false, false, true, false})));
}

TEST(DaphLosses, StayFiniteWhereASetIsEmpty) {
  const torch::Tensor everything = torch::ones({2, 3}, torch::kFloat64);  // no negative, no partial anchor
  const torch::Tensor codes = waves({2, 5}, 1.1).requires_grad_();
  const torch::Tensor anchors = signs(waves({2, 5}, 2.3));
  const AnchorLoss loss = anchor_loss(codes, anchors, anchor_sets(everything, everything, false, 0), {});
  EXPECT_EQ(loss.full.item<double>(), 0);
  EXPECT_EQ(loss.partial.item<double>(), 0);
  const torch::Tensor classes = class_loss(codes, signs(waves({3, 5}, 0.6)), everything, {});
  const torch::Tensor gradient = torch::autograd::grad({loss.full + loss.partial + classes}, {codes}).front();
  EXPECT_TRUE(gradient.eq(0).all().item<bool>()) << gradient;
}

TEST(DaphLosses, CapATermOfTheFirstStage) {
  const torch::Tensor code = torch::tensor({{-1.0, 0.0}}, torch::kFloat64);
  const torch::Tensor classes = torch::tensor({{1.0, 0.0}, {-1.0, 0.0}}, torch::kFloat64);
  const torch::Tensor labels = torch::tensor({{1.0, 0.0}}, torch::kFloat64);
  EXPECT_NEAR(proxy_term(code, classes, labels, {}, {}).item<double>(), -std::log(1e-5), 1e-6);
  EXPECT_NEAR(proxy_term(code, classes, labels, {}, {.eps = 0}).item<double>(), 44, 1e-6);
}

constexpr std::int64_t kPairs = 9;
constexpr std::int64_t kUnlabelled = 8;

DaphConfig toy_config() {
  DaphConfig config;
  config.backbone.backbone = "features";
  config.fc_width = 8;
  config.hidden = 12;
  config.embedding = 6;
  config.proxy_epochs = 2;
  config.epochs = 2;
  config.batch_size = 4;
  config.proxy_lr = config.class_lr = config.lr = 0.05;
  return config;
}

TrainingBatch toy_pairs(torch::IntArrayRef rows) {
  torch::Tensor labels = torch::cat({small_labels(), small_labels().slice(0, 0, 3)});
  labels[kUnlabelled].zero_();
  const torch::Tensor index = torch::tensor(rows, torch::kInt64);
  return {waves({kPairs, 6}, 0.9).index_select(0, index), waves({kPairs, 7}, 0.4).index_select(0, index),
          labels.index_select(0, index), index};
}

Built toy(const DaphConfig& config) {
  const std::vector<std::int64_t> all = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  Built built =
      build(config, {.feature_dim = 6, .text_dim = 7, .n_labels = 3, .code_bits = 8}, toy_pairs(all).labels);
  built.training->begin(2 * built.training->n_epochs());
  return built;
}

/// Two batches, and with a run of five epochs one labelled row that the last pass leaves out.
void run_epoch(DaphTraining& training, bool last_pass = false) {
  training.step(toy_pairs({0, 1, 2, 3}));
  training.step(last_pass ? toy_pairs({4, 5, 6}) : toy_pairs({4, 5, 6, 7}));
  training.end_epoch();
}

void make_proxies(DaphTraining& training) {
  run_epoch(training);
  run_epoch(training);
  run_epoch(training, true);
}

TEST(DaphTraining, HasProxiesOfEveryLabelledItemBeforeTheHashNetworksLearn) {
  const Built built = toy(toy_config());
  DaphTraining& training = *built.training;
  EXPECT_EQ(training.n_epochs(), 2 + 1 + 2);
  const NamedTensors before = weights_of(*built.net);
  make_proxies(training);
  for (const auto& [name, tensor] : state_of(*built.net)) EXPECT_TRUE(tensor.equal(before.at(name))) << name;
  ASSERT_EQ(training.anchors.image.sizes(), torch::IntArrayRef({kPairs - 1, 8}));
  EXPECT_TRUE(training.anchors.labels.sum(1).gt(0).all().item<bool>());
  for (const torch::Tensor& proxies :
       {training.anchors.image, training.anchors.text, training.anchors.classes}) {
    EXPECT_TRUE(proxies.abs().eq(1).all().item<bool>());
  }
  const Losses losses = training.step(toy_pairs({0, 1, 2, 3}));
  EXPECT_EQ(losses.at("proxies"), 0);
  EXPECT_DOUBLE_EQ(losses.at("total"), losses.at("image") + losses.at("text"));
  for (const auto& [name, tensor] : state_of(*built.net)) EXPECT_FALSE(tensor.equal(before.at(name))) << name;
}

TEST(DaphTraining, TakesProxiesWithoutDropoutUnlessToldSo) {
  const auto encoded = [](bool export_dropout) {
    DaphConfig config = toy_config();
    config.export_dropout = export_dropout;
    const Built built = toy(config);
    run_epoch(*built.training);
    run_epoch(*built.training);
    const TrainingBatch all = toy_pairs({0, 1, 2, 3, 4, 5, 6, 7});
    const torch::NoGradGuard no_grad;
    const torch::Tensor clean = signs(built.training->proxies().image(all.images, all.labels, nullptr));
    run_epoch(*built.training);
    return built.training->anchors.image.equal(clean);
  };
  EXPECT_TRUE(encoded(false));
  EXPECT_FALSE(encoded(true));
}

TEST(DaphTraining, LeavesTheImageProxyHeadAsDrawnWhenToldSo) {
  for (const bool trained : {true, false}) {
    DaphConfig config = toy_config();
    config.train_proxy_head = trained;
    const Built built = toy(config);
    const NamedTensors before = weights_of(built.training->proxies());
    run_epoch(*built.training);
    const NamedTensors after = weights_of(built.training->proxies());
    for (const std::string name :
         {"image_proxy.embed.weight", "image_proxy.code.bias", "label_v.fc1.weight"}) {
      EXPECT_EQ(after.at(name).equal(before.at(name)), !trained) << name;
    }
    for (const std::string name :
         {"image_proxy.fc6.weight", "label_t.fc1.weight", "class_proxy.fc1.weight"}) {
      EXPECT_FALSE(after.at(name).equal(before.at(name))) << name;
    }
  }
}

TEST(DaphTraining, HasAnObjectiveOnceThereAreProxies) {
  const Built built = toy(toy_config());
  const Built twin = toy(toy_config());
  DaphTraining& training = *built.training;
  EXPECT_FALSE(training.objective(toy_pairs({0, 1, 2, 3})).defined());
  twin.training->step(toy_pairs({0, 1, 2, 3}));
  EXPECT_TRUE(state_of(training.proxies())
                  .at("image_proxy.fc6.weight")
                  .equal(state_of(twin.training->proxies()).at("image_proxy.fc6.weight")));
  for (const Built* each : {&built, &twin}) {
    each->training->step(toy_pairs({4, 5, 6, 7}));
    each->training->end_epoch();
    run_epoch(*each->training);
    run_epoch(*each->training);
  }
  const torch::Tensor loss = training.objective(toy_pairs({0, 1, 2, 3}));
  ASSERT_TRUE(loss.defined());
  EXPECT_EQ(loss.item<double>(), twin.training->step(toy_pairs({0, 1, 2, 3})).at("total"));
  loss.backward();
  for (const auto& parameter : built.net->named_parameters()) {
    EXPECT_TRUE(parameter.value().grad().defined()) << parameter.key();
  }
}

TEST(DaphNet, IsFineTunedAlexNetByDefault) {
  const DaphConfig config;
  EXPECT_EQ(config.backbone.backbone, "alexnet");
  EXPECT_FALSE(config.backbone.is_frozen());
  EXPECT_EQ(config.fc_width, 0);
}

}  // namespace
}  // namespace gauntlet::models
