// DADH: recorded values of the authors' code, and what is special about its terms and its training.

#include "core/models/detail/dadh.hpp"
#include "core/base/random.hpp"
#include "tests/target_models/support.hpp"

namespace gauntlet::models {
namespace {

using namespace gauntlet::testing;

struct Built {
  std::unique_ptr<collective::Communicator> solo = collective::make_solo_communicator();
  std::shared_ptr<DadhNet> net;
  std::unique_ptr<DadhTraining> training;
};

/// The hyper-parameters a case records, on the widths it records.
DadhConfig config_of(const Fixture& fixture) {
  DadhConfig config;
  config.backbone.backbone = "features";
  config.hidden = outputs_of(fixture, "image_mlp.fc1");
  config.hidden_2 = outputs_of(fixture, "image_mlp.fc2");
  config.feature_width = outputs_of(fixture, "image_mlp.fc3");
  config.critic_hidden = outputs_of(fixture, "D_f.fc1");
  config.critic_hidden_2 = outputs_of(fixture, "D_f.fc2");
  config.code_critic_hidden = outputs_of(fixture, "D_h.fc1");
  const std::pair<const char*, double*> numbers[] = {
      {"alpha", &config.alpha},   {"beta", &config.beta},        {"gamma", &config.gamma},
      {"margin", &config.margin}, {"c", &config.triplet_factor}, {"gp_weight", &config.penalty_weight}};
  for (const auto& [name, value] : numbers) {
    if (fixture.has_text(name)) *value = fixture.number(name);
  }
  config.adam = recorded_adam(fixture, "adam_G", config.adam);
  config.d_adam = recorded_adam(fixture, "adam_D", config.d_adam);
  return config;
}

Built build(const DadhConfig& config, const ModelShape& shape, const torch::Tensor& labels) {
  Built built;
  torch::manual_seed(1);
  built.net = std::make_shared<DadhNet>(
      config, shape, make_backbone(config.backbone, shape, "dadh", built.solo.get()).value(),
      built.solo.get());
  built.net->to(labels.scalar_type());
  built.training = std::make_unique<DadhTraining>(
      config, built.net, TrainingSetup{.labels = labels, .communicator = built.solo.get()});
  return built;
}

Built build(const Fixture& fixture) {
  ModelShape shape;
  shape.feature_dim = inputs_of(fixture, "image_mlp.fc1");
  shape.text_dim = inputs_of(fixture, "text_mlp.fc1");
  shape.code_bits = outputs_of(fixture, "hash_v.fc");
  const torch::Tensor labels = fixture.has("in.labels")
                                   ? fixture.get("in.labels")
                                   : torch::ones({fixture.get("in.image").size(0), 1}, fixture.dtype());
  shape.n_labels = labels.size(1);
  Built built = build(config_of(fixture), shape, labels);
  load_recorded(fixture, *built.net);
  load_recorded(fixture, *built.training->critics);
  return built;
}

using Terms = std::vector<std::pair<std::string, torch::Tensor>>;

Terms terms_of(const DadhCriticLosses& critic, const DadhLoss& loss) {
  return {{"Df_real", critic.feature.real},
          {"Df_fake", critic.feature.fake},
          {"Df_gp", critic.feature.penalty},
          {"L_Df", critic.feature.total()},
          {"Dh_real", critic.code.real},
          {"Dh_fake", critic.code.fake},
          {"Dh_gp", critic.code.penalty},
          {"L_Dh", critic.code.total()},
          {"T_v2t", loss.image_to_text},
          {"T_t2v", loss.text_to_image},
          {"L_tri", loss.image_to_text + loss.text_to_image},
          {"L_q", loss.quantisation},
          {"L_adv_f", loss.feature_adversarial},
          {"L_adv_h", loss.code_adversarial},
          {"L_adv", loss.feature_adversarial + loss.code_adversarial},
          {"L_G", loss.total}};
}

class DadhParity : public ParityTest {
 protected:
  /// The authors' code holds c = 12.1 in single precision, so its double values are known to 1e-6.
  [[nodiscard]] static double loss_tolerance(bool released) {
    if (!is_double()) return 2e-5;
    return released ? 1e-6 : 1e-8;
  }
};

TEST_P(DadhParity, ForwardInEvalAndTrainMode) {
  const Fixture fixture = open("dadh_forward");
  const Built built = build(fixture);
  DadhNet& net = *built.net;
  for (const std::string mode : {"eval", "train"}) {
    net.train(mode == "train");
    for (const Modality modality : {Modality::kImage, Modality::kText}) {
      const std::string side = modality == Modality::kImage ? "_v" : "_t";
      const torch::Tensor features =
          net.features(modality, fixture.get(modality == Modality::kImage ? "in.image" : "in.text"));
      const torch::Tensor code = net.hash(modality, features);
      expect_terms(fixture, "out." + mode + ".",
                   {{"f" + side, features},
                    {"h" + side, code},
                    {"D_f" + side, built.training->critics->D_f(features)},
                    {"D_h" + side, built.training->critics->D_h(code)}},
                   tolerance());
    }
  }
  expect_snapshot(fixture, 1, {&net}, tolerance());
  const torch::Tensor second =
      net.hash(Modality::kText, net.features(Modality::kText, fixture.get("in.text")));
  expect_terms(fixture, "out.train.", {{"h_t_second", second}}, tolerance());
  expect_snapshot(fixture, 2, {&net}, tolerance());
}

TEST_P(DadhParity, LossesAndGradients) {
  for (const std::string name : {"dadh_losses_released", "dadh_losses_plain_c1"}) {
    SCOPED_TRACE(name);
    const double allowed = loss_tolerance(name == "dadh_losses_released");
    const Fixture fixture = open(name);
    const Built built = build(fixture);
    DadhTraining& training = *built.training;
    training.codes = fixture.get("in.b");
    const DadhForward pass = training.forward(batch_of(fixture, torch::arange(fixture.get("in.b").size(0))));
    expect_terms(fixture, "out.",
                 {{"h_v", pass.code_v}, {"h_t", pass.code_t}, {"h_t_second", pass.second_code_t}}, allowed);
    const DadhCriticLosses critic = {training.feature_critic_loss(pass, fixture.get("in.gp_eps_f")),
                                     training.code_critic_loss(pass, fixture.get("in.gp_eps_h"))};
    const DadhLoss loss = training.generator_loss(pass);
    expect_terms(fixture, "loss.", terms_of(critic, loss), allowed);
    loss.total.backward();
    training.critics->zero_grad();
    (critic.feature.total() + critic.code.total()).backward();
    expect_gradients(fixture, *built.net, allowed);
    expect_gradients(fixture, *training.critics, allowed);
  }
}

TEST_P(DadhParity, TripletTermsAndTheirGradientsForCodes) {
  for (const std::string name : {"dadh_losses_released", "dadh_losses_plain_c1"}) {
    SCOPED_TRACE(name);
    const double allowed = loss_tolerance(name == "dadh_losses_released");
    const Fixture fixture = open(name);
    const LabelOverlap overlap(fixture.get("in.labels"), fixture.get("in.labels"));
    expect_terms(fixture, "out.", {{"r", overlap.shared}, {"Z", overlap.ideal}, {"w", overlap.weights}},
                 allowed);
    const torch::Tensor image = fixture.reference("out.h_v").to(fixture.dtype()).requires_grad_();
    const torch::Tensor text = fixture.reference("out.h_t").to(fixture.dtype()).requires_grad_();
    for (const bool from_image : {true, false}) {
      const std::string term = from_image ? "v2t" : "t2v";
      const torch::Tensor& anchors = from_image ? image : text;
      const torch::Tensor& targets = from_image ? text : image;
      expect_terms(fixture, "out.", {{"d_" + term, cosine_distances(anchors, targets)}}, allowed);
      const auto gradients = torch::autograd::grad(
          {fixture.number("c") * weighted_triplets(anchors, targets, overlap, fixture.number("margin"))},
          {image, text});
      expect_near(gradients[0], fixture.reference("grad.T_" + term + ".h_v"), allowed, term + " h_v", 0.01);
      expect_near(gradients[1], fixture.reference("grad.T_" + term + ".h_t"), allowed, term + " h_t", 0.01);
    }
  }
}

TEST_P(DadhParity, TrainingSteps) {
  const Fixture fixture = open("dadh_train_released");
  const double allowed = loss_tolerance(true);
  const Built built = build(fixture);
  DadhTraining& training = *built.training;
  const std::vector<const torch::nn::Module*> modules = {built.net.get(), training.critics.get()};
  training.codes = fixture.get("in.B");
  const int n_steps = n_recorded_batches(fixture);
  ASSERT_GT(n_steps, 0);
  for (int step = 1; step <= n_steps; ++step) {
    const int first = 3 * (step - 1);
    const DadhForward pass = training.forward(batch_of(fixture, fixture.get(fmt::format("in.ind_{}", step))));
    DadhCriticLosses critic;
    critic.feature = training.feature_critic_step(pass, fixture.get(fmt::format("in.gp_eps_f_{}", step)));
    expect_snapshot(fixture, first + 1, modules, allowed);
    critic.code = training.code_critic_step(pass, fixture.get(fmt::format("in.gp_eps_h_{}", step)));
    expect_snapshot(fixture, first + 2, modules, allowed);
    const DadhLoss loss = training.generator_step(pass);
    expect_snapshot(fixture, first + 3, modules, allowed);
    expect_terms(fixture, fmt::format("loss.{}.", step), terms_of(critic, loss), allowed);
  }
  expect_terms(fixture, "out.", {{"H_v", training.relaxed_image}, {"H_t", training.relaxed_text}}, allowed);
}

/// The weights mu of a case by the prefix of their keys: "1e-5 (keys without prefix) and 0.5 (keys mu05)".
std::map<std::string, double> code_weights(const Fixture& fixture) {
  std::set<std::string> prefixes;
  for (const std::string& name : fixture.names("out.")) {
    const std::size_t end = name.rfind("P_");
    if (end != std::string::npos) prefixes.insert(name.substr(0, end));
  }
  // "" comes first and the numbers are in the order of their prefixes' mention.
  std::map<std::string, double> weights;
  const std::vector<double> numbers = fixture.numbers("mu");
  EXPECT_EQ(numbers.size(), prefixes.size());
  std::size_t at = 0;
  for (const std::string& prefix : prefixes) {
    if (at < numbers.size()) weights[prefix] = numbers[at++];
  }
  return weights;
}

TEST_P(DadhParity, CodeUpdates) {
  const Fixture fixture = open("dadh_codes");
  for (const auto& [prefix, weight] : code_weights(fixture)) {
    torch::Tensor codes = fixture.get("in.B");
    for (int round = 1; fixture.has(fmt::format("out.{}P_{}", prefix, round)); ++round) {
      const CodeUpdate update = update_codes(fixture.get("in.L"), codes, fixture.get("in.H_v"),
                                             fixture.get("in.H_t"), fixture.number("lambda_"), weight);
      const auto name = [&](const char* what) { return fmt::format("{}{}_{}", prefix, what, round); };
      expect_terms(fixture, "out.", {{name("P"), update.projection}, {name("pre"), update.relaxed}},
                   tolerance());
      expect_terms(fixture, "out.", {{name("B"), update.codes}}, 0);
      codes = update.codes;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Precision, DadhParity, ::testing::ValuesIn(kPrecisions),
                         [](const auto& tested) { return std::string(tested.param.name); });

torch::Tensor small_labels() {
  return torch::tensor({{1, 0, 1, 0}, {1, 1, 1, 0}, {0, 1, 0, 0}, {0, 0, 0, 1}, {1, 0, 1, 0}})
      .to(torch::kFloat64);
}

TEST(DadhTerms, HaveTheirTrueGradients) {
  const LabelOverlap overlap(small_labels(), small_labels());
  const torch::Tensor image = waves({5, 6}, 1.3);
  const torch::Tensor text = waves({5, 6}, 0.7);
  expect_gradient(
      image, [&](const torch::Tensor& x) { return weighted_triplets(x, text, overlap, 0.4); }, "anchors");
  expect_gradient(
      text, [&](const torch::Tensor& x) { return weighted_triplets(image, x, overlap, 0.4); }, "targets");
  expect_gradient(
      image, [&](const torch::Tensor& x) { return quantisation_loss(signs(text), x, image); },
      "quantisation");
}

/// Everything behind the features: codes, triplets, critics with their penalties of second order.
TEST(DadhLosses, HaveTheirTrueGradients) {
  DadhConfig config;
  config.backbone.backbone = "features";
  config.hidden = config.hidden_2 = config.feature_width = 8;
  config.critic_hidden = 4;
  config.critic_hidden_2 = 3;
  config.code_critic_hidden = 4;
  const Built built =
      build(config, {.feature_dim = 6, .text_dim = 7, .n_labels = 4, .code_bits = 6}, small_labels());
  DadhTraining& training = *built.training;
  DadhForward pass;
  pass.labels = pass.all_labels = small_labels();
  pass.rows = torch::arange(5);
  const torch::Tensor image = waves({5, 8}, 1.3).abs(), text = waves({5, 8}, 0.7).abs();
  const auto fill = [&](const torch::Tensor& v, const torch::Tensor& t) {
    pass.feature_v = v;
    pass.feature_t = t;
    pass.code_v = pass.all_code_v = built.net->hash(Modality::kImage, v);
    pass.code_t = pass.all_code_t = built.net->hash(Modality::kText, t);
    pass.second_code_t = built.net->hash(Modality::kText, text);
  };
  const auto loss = [&](const torch::Tensor& v, const torch::Tensor& t) {
    fill(v, t);
    return training.generator_loss(pass).total;
  };
  expect_gradient(
      image, [&](const torch::Tensor& x) { return loss(x, text); }, "L_G, images");
  expect_gradient(
      text, [&](const torch::Tensor& x) { return loss(image, x); }, "L_G, texts");
  fill(image, text);
  const torch::Tensor feature_mix = waves({5, 8}, 2.1).abs(), code_mix = waves({5, 6}, 1.7).abs();
  expect_parameter_gradients(
      *training.critics->D_f, [&] { return training.feature_critic_loss(pass, feature_mix).total(); },
      "L_Df");
  expect_parameter_gradients(
      *training.critics->D_h, [&] { return training.code_critic_loss(pass, code_mix).total(); }, "L_Dh");
}

TEST(DadhTerms, WeighPairsByTheGainOfWhatTheyShare) {
  const LabelOverlap overlap(small_labels(), small_labels());
  // Row 0 shares 2, 2, 0, 0, 2 labels: gains 3, 3, 3 in the best order.
  const double ideal = 3 + 3 / std::log2(3.0) + 3 / std::log2(4.0);
  EXPECT_NEAR(overlap.ideal[0].item<double>(), ideal, 1e-12);
  EXPECT_NEAR(overlap.weights[0][1].item<double>(), 3 / ideal, 1e-12);
  EXPECT_EQ(overlap.weights[0][2].item<double>(), 0);
  EXPECT_EQ(overlap.weights[1][1].item<double>() * overlap.ideal[1].item<double>(), 7);
  // Nobody is dissimilar to anybody: no triplet.
  const torch::Tensor same = torch::ones({3, 2}, torch::kFloat64);
  const LabelOverlap alike(same, same);
  EXPECT_EQ(weighted_triplets(waves({3, 4}, 1), waves({3, 4}, 2), alike, 0.4).item<double>(), 0);
}

/// n label sets of mostly one to four labels out of 21.
torch::Tensor many_labels(std::int64_t n) {
  torch::Tensor labels = torch::zeros({n, 21}, torch::kFloat64);
  for (std::int64_t row = 0; row < n; ++row) {
    RandomStream stream = RandomStream::of(3, 0, static_cast<std::uint64_t>(row));
    const std::uint32_t n_draws = 1 + stream.below(4);
    for (std::uint32_t draw = 0; draw < n_draws; ++draw) {
      labels[row][static_cast<std::int64_t>(21 * stream.uniform() * stream.uniform())] = 1;
    }
  }
  return labels;
}

TEST(DadhCodes, SettleWithinTenEpochsAndFollowTheLabels) {
  const torch::Tensor labels = many_labels(2000);
  torch::Tensor codes = random_codes(2000, 32, 5, torch::kFloat64);
  const torch::Tensor relaxed = 0.9 * waves({2000, 32}, 1.7);
  std::vector<double> changed;
  for (int epoch = 0; epoch < 15; ++epoch) {
    const torch::Tensor next = update_codes(labels, codes, relaxed, relaxed, 1, 1e-5).codes;
    changed.push_back(next.ne(codes).to(torch::kFloat64).mean().item<double>());
    codes = next;
  }
  EXPECT_NEAR(changed[0], 0.48, 0.05);
  EXPECT_LT(changed[1], 0.1);
  for (std::size_t epoch = 10; epoch < changed.size(); ++epoch) EXPECT_LT(changed[epoch], 0.003) << epoch;

  const torch::Tensor shared = labels.matmul(labels.t());
  const torch::Tensor cosine = codes.matmul(codes.t()) / 32;
  const auto mean = [&](const torch::Tensor& pairs) {
    return cosine.masked_select(pairs).mean().item<double>();
  };
  EXPECT_NEAR(mean(shared.eq(0)), 0, 0.15);
  EXPECT_GT(mean(shared.eq(1)), 0.2);
  EXPECT_GT(mean(shared.eq(1)), mean(shared.eq(0)) + 0.2);
  const torch::Tensor same = shared.eq(labels.sum(1)).logical_and(shared.eq(labels.sum(1, true)));
  EXPECT_GT(mean(same), 0.999);
}

DadhConfig toy_config() {
  DadhConfig config;
  config.backbone.backbone = "features";
  config.hidden = 16;
  config.hidden_2 = 12;
  config.feature_width = 8;
  config.critic_hidden = 4;
  config.critic_hidden_2 = 2;
  config.code_critic_hidden = 8;
  config.adam.lr = 1e-3;
  return config;
}

Built toy(const DadhConfig& config) {
  return build(config, {.feature_dim = 6, .text_dim = 7, .n_labels = 4, .code_bits = 8}, small_labels());
}

TrainingBatch toy_batch() {
  return {waves({5, 6}, 0.9), waves({5, 7}, 0.4), small_labels(), torch::arange(5)};
}

TEST(DadhTraining, ObjectiveIsTheLossOfAStep) {
  const Built stepped = toy(toy_config());
  const Built asked = toy(toy_config());
  stepped.training->begin(4);
  asked.training->begin(4);
  const torch::Tensor loss = asked.training->objective(toy_batch());
  EXPECT_EQ(stepped.training->step(toy_batch()).at("total"), loss.item<double>());
  EXPECT_TRUE(state_of(*asked.training->critics)
                  .at("D_f.fc1.weight")
                  .equal(state_of(*stepped.training->critics).at("D_f.fc1.weight")));
  loss.backward();
  for (const auto& parameter : asked.net->named_parameters()) {
    EXPECT_TRUE(parameter.value().grad().defined()) << parameter.key();
  }
}

TEST(DadhTraining, DrawsDropoutByRowAndOnlyInTraining) {
  DadhConfig config = toy_config();
  config.dropout = 0.5;
  const Built dropping = toy(config);
  const Built keeping = toy(toy_config());
  dropping.net->eval();
  keeping.net->eval();
  const TrainingBatch batch = toy_batch();
  EXPECT_TRUE(dropping.net->encode_text(batch.text).equal(keeping.net->encode_text(batch.text)));
  const RowDraws all{.seed = 1, .step = 2, .rows = batch.rows};
  const RowDraws last{.seed = 1, .step = 2, .rows = batch.rows.slice(0, 4, 5)};
  const torch::Tensor features = dropping.net->features(Modality::kText, batch.text, &all, 9);
  EXPECT_FALSE(features.equal(dropping.net->features(Modality::kText, batch.text)));
  EXPECT_TRUE(torch::allclose(dropping.net->features(Modality::kText, batch.text.slice(0, 4, 5), &last, 9),
                              features.slice(0, 4, 5)));
}

TEST(Dropped, KeepsTheMean) {
  const RowDraws draws{.seed = 4, .step = 1, .rows = torch::arange(50)};
  const torch::Tensor values = dropped(torch::ones({50, 200}), 0.2, &draws, 7);
  EXPECT_NEAR(values.mean().item<double>(), 1, 0.02);
  EXPECT_TRUE(values.eq(0).logical_or(values.eq(1.25F)).all().item<bool>());
}

}  // namespace
}  // namespace gauntlet::models
