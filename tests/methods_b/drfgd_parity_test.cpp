// DRFGD's losses and networks against recorded numbers.
#include <gmock/gmock.h>

#include "core/defenses/detail/drfgd_generator.hpp"
#include "core/defenses/detail/drfgd_losses.hpp"
#include "core/models/discriminators.hpp"
#include "core/models/losses.hpp"
#include "tests/methods_b/recorded_nets.hpp"

namespace gauntlet::defenses {
namespace {

using torch::Tensor;

/// Every case runs in double and in float.
class DrfgdParity : public ::testing::TestWithParam<torch::ScalarType> {
 protected:
  static bool is_double() { return GetParam() == torch::kDouble; }
};
INSTANTIATE_TEST_SUITE_P(Types, DrfgdParity, ::testing::Values(torch::kDouble, torch::kFloat),
                         [](const auto& one) { return one.param == torch::kDouble ? "double" : "float"; });

Tensor alignment(const Case& recorded, const Tensor& u, double tau, bool attack = false) {
  const auto relevant = models::relevance_mask(recorded["in.labels"], recorded["in.labels_train"]);
  const auto code_sum = recorded["in.codes_image"] + recorded["in.codes_text"];
  const auto other = relevant.logical_not();
  return models::repel_attract_loss(u, code_sum, attack ? other : relevant, attack ? relevant : other, tau);
}

TEST_P(DrfgdParity, GoldenToy) {
  const Case toy("golden_toy", GetParam());
  const double tolerance = is_double() ? 1e-9 : 1e-5;
  for (const std::string kind : {"attack", "align"}) {
    const auto recorded = toy.names("loss." + kind + "_");
    EXPECT_FALSE(recorded.empty());
    for (const auto& temperature : recorded) {
      const std::string name = kind + "_" + temperature;
      const auto u = toy.leaf("in.u");
      const auto loss = alignment(toy, u, testing::temperature_in(name), kind == "attack").mean();
      toy.expect("loss." + name, loss, tolerance);
      if (!toy.has("grad." + name)) continue;
      loss.backward();
      toy.expect("grad." + name, u.grad(), tolerance);
    }
  }
  toy.expect("loss.symkl", symmetric_kl(toy["in.kl_a"], toy["in.kl_b"]), tolerance);
  const auto logits = toy["in.ce_logits"], labels = toy["in.labels"];
  toy.expect("loss.ce_literal", multi_label_cross_entropy(logits, labels, false), tolerance);
  toy.expect("loss.ce_norm", multi_label_cross_entropy(logits, labels, true), tolerance);
  toy.expect("loss.ce_reversed", multi_label_cross_entropy(logits, 1 - labels, true), tolerance);
}

struct LossInputs {
  explicit LossInputs(const Case& recorded) {
    for (const char* name :
         {"z_arf", "z_avf", "z_arf_adv", "z_avf_adv", "logit_arf", "logit_avf", "logit_arf_adv",
          "logit_avf_adv", "u_bar", "u_tilde", "x_bar", "x_tilde", "d_real", "d_bar", "d_tilde"}) {
      leaves[name] = recorded.leaf(std::string("in.") + name);
    }
  }
  Tensor operator[](const std::string& name) const { return leaves.at(name); }
  std::map<std::string, Tensor> leaves;
};

Tensor divergence_loss(const LossInputs& in, Divergence form, double margin) {
  return 0.5 * (divergence(in["z_arf"], in["z_avf"], form, margin) +
                divergence(in["z_arf_adv"], in["z_avf_adv"], form, margin))
                   .mean();
}

std::map<std::string, Tensor> classifier_parts(const Case& recorded, const LossInputs& in, bool normalized) {
  const auto labels = recorded["in.labels"];
  const auto entropy = [&](const char* logits, const Tensor& targets) {
    return multi_label_cross_entropy(in[logits], targets, normalized).mean();
  };
  return {{"arf", entropy("logit_arf", labels)},
          {"avf", entropy("logit_avf", labels)},
          {"arf_adv", entropy("logit_arf_adv", labels)},
          {"avf_adv", entropy("logit_avf_adv", 1 - labels)}};
}
Tensor classifier_loss(const std::map<std::string, Tensor>& parts) {
  return (parts.at("arf") + parts.at("arf_adv") + parts.at("avf")) / 3 + parts.at("avf_adv");
}

/// Loss and the gradients recorded for it.
void expect_loss(const Case& recorded, const std::string& name, double tolerance,
                 const std::function<Tensor(const LossInputs&)>& loss_of) {
  SCOPED_TRACE(name);
  const LossInputs in(recorded);
  const auto loss = loss_of(in);
  recorded.expect("loss." + name, loss, tolerance);
  loss.backward();
  const auto graded = recorded.names("grad." + name + ".");
  ASSERT_FALSE(graded.empty());
  for (const auto& leaf : graded) recorded.expect("grad." + name + "." + leaf, in[leaf].grad(), tolerance);
}

Tensor reconstruction(const Case& recorded, const LossInputs& in, std::int64_t pairs) {
  const auto x = recorded["in.x"];
  auto sum = squared_error(in["x_bar"], x) + squared_error(in["x_tilde"], x);
  if (pairs == 3) sum = sum + squared_error(in["x_bar"], in["x_tilde"]);
  return (sum / static_cast<double>(pairs)).mean();
}
Tensor discriminator_loss(const LossInputs& in, AdversarialGame game) {
  return (discriminator_real(in["d_real"], game) +
          0.5 * (discriminator_fake(in["d_bar"], game) + discriminator_fake(in["d_tilde"], game)))
      .mean();
}
Tensor deception_loss(const LossInputs& in, AdversarialGame game) {
  return 0.5 * (generator_fake(in["d_bar"], game) + generator_fake(in["d_tilde"], game)).mean();
}

TEST_P(DrfgdParity, EveryLossAndItsGradients) {
  const Case recorded("drfgd_losses", GetParam());
  const double tolerance = is_double() ? 1e-9 : 1e-4;
  const double margin = recorded.number("margin_m");
  const auto ali = [&](double tau) {
    return [&recorded, tau](const LossInputs& in) {
      return 0.5 * (alignment(recorded, in["u_bar"], tau) + alignment(recorded, in["u_tilde"], tau)).mean();
    };
  };
  expect_loss(recorded, "div_literal", tolerance,
              [&](const auto& in) { return divergence_loss(in, Divergence::kLiteral, margin); });
  expect_loss(recorded, "div_separate", tolerance,
              [&](const auto& in) { return divergence_loss(in, Divergence::kSeparate, margin); });
  for (const bool normalized : {true, false}) {
    const std::string name = normalized ? "cls_norm" : "cls_literal";
    expect_loss(recorded, name, tolerance,
                [&](const auto& in) { return classifier_loss(classifier_parts(recorded, in, normalized)); });
    for (const auto& [part, value] : classifier_parts(recorded, LossInputs(recorded), normalized)) {
      recorded.expect("loss." + name + "." + part, value, tolerance);
    }
  }
  const auto temperatures = recorded.names("loss.ali_"), pairs = recorded.names("loss.rec");
  EXPECT_FALSE(temperatures.empty() || pairs.empty());
  for (const auto& temperature : temperatures)
    expect_loss(recorded, "ali_" + temperature, tolerance, ali(testing::temperature_in(temperature)));
  for (const auto& number : pairs) {
    expect_loss(recorded, "rec" + number, tolerance,
                [&](const auto& in) { return reconstruction(recorded, in, std::stoll(number)); });
  }
  for (const auto& [suffix, game] :
       {std::pair{"", AdversarialGame::kBce}, std::pair{"_lsgan", AdversarialGame::kLeastSquares}}) {
    expect_loss(recorded, std::string("D") + suffix, tolerance,
                [g = game](const auto& in) { return discriminator_loss(in, g); });
    expect_loss(recorded, std::string("Dis") + suffix, tolerance,
                [g = game](const auto& in) { return deception_loss(in, g); });
  }
  expect_loss(recorded, "total", tolerance, [&](const auto& in) {
    return recorded.number("lam") * (divergence_loss(in, Divergence::kLiteral, margin) +
                                     classifier_loss(classifier_parts(recorded, in, true))) +
           deception_loss(in, AdversarialGame::kBce) +
           recorded.number("alpha") * ali(recorded.number("tau"))(in) +
           recorded.number("beta") * reconstruction(recorded, in, 2);
  });
}

TEST_P(DrfgdParity, DivergencePerSample) {
  const Case recorded("drfgd_losses", GetParam());
  const double tolerance = is_double() ? 1e-9 : 1e-4;
  recorded.expect("out.symkl", symmetric_kl(recorded["in.z_arf"], recorded["in.z_avf"]), tolerance);
  recorded.expect("out.symkl_adv", symmetric_kl(recorded["in.z_arf_adv"], recorded["in.z_avf_adv"]),
                  tolerance);
  recorded.expect("out.symkl_near", symmetric_kl(recorded["in.near.z_arf"], recorded["in.near.z_avf"]),
                  tolerance);
  const auto near = [&](const char* a, const char* b) {
    return divergence(recorded[std::string("in.near.") + a], recorded[std::string("in.near.") + b],
                      Divergence::kSeparate, recorded.number("margin_m"));
  };
  recorded.expect("loss.div_separate_near",
                  0.5 * (near("z_arf", "z_avf") + near("z_arf_adv", "z_avf_adv")).mean(), tolerance);
}

TEST(DrfgdLosses, RowWithoutTargetsCountsNothing) {
  const auto logits = torch::tensor({{3.0, -1.0}, {0.5, 0.25}}, torch::kDouble);
  const auto labels = torch::tensor({{0.0, 0.0}, {1.0, 1.0}}, torch::kDouble);
  EXPECT_EQ(multi_label_cross_entropy(logits, labels, true)[0].item<double>(), 0);
  EXPECT_EQ(multi_label_cross_entropy(logits, 1 - labels, true)[1].item<double>(), 0);
}

class DrfgdTextParity : public DrfgdParity {};
INSTANTIATE_TEST_SUITE_P(Types, DrfgdTextParity, ::testing::Values(torch::kDouble, torch::kFloat));

TEST_P(DrfgdTextParity, GeneratorOutputsAndGradients) {
  const double tolerance = is_double() ? 1e-6 : 1e-4;
  for (const auto& [name, output] :
       {std::pair{"drfgd_text_relu", TextOutput::kRelu}, std::pair{"drfgd_text_tanh", TextOutput::kTanh}}) {
    SCOPED_TRACE(name);
    const Case recorded(name, GetParam());
    const auto t = recorded["in.t"];
    const auto net = text_generator_of(recorded, "", output);
    recorded.load(*net, "");
    const Generated made = net->forward(t, Pass::kEverything);
    for (const auto& [part, value] : std::map<std::string, Tensor>{{"f", made.f},
                                                                   {"z_arf", made.z_arf},
                                                                   {"z_avf", made.z_avf},
                                                                   {"p", made.p},
                                                                   {"logit_arf", made.logits_arf},
                                                                   {"logit_avf", made.logits_avf},
                                                                   {"r", made.decoder.back()},
                                                                   {"x", made.output}}) {
      recorded.expect("out." + part, value, tolerance);
    }
    (made.output.mean() + made.logits_arf.mean() + made.logits_avf.mean()).backward();
    for (const auto& item : net->named_parameters())
      recorded.expect("grad." + item.key(), item.value().grad(), tolerance);
    EXPECT_TRUE(torch::equal(net->forward(t, Pass::kRegenerate).output, made.output));
  }
}

TEST_P(DrfgdTextParity, Discriminator) {
  const Case recorded("drfgd_disc_text", GetParam());
  const double tolerance = is_double() ? 1e-6 : 1e-4;
  for (const auto& [name, form] : {std::pair{"default", models::TextDiscriminator::kLeaky},
                                   std::pair{"linear", models::TextDiscriminator::kLinear}}) {
    const auto net = text_discriminator_of(recorded, "", form);
    recorded.load(*net, "");
    const auto t = recorded["in.t"], fake = t.flip({0});
    recorded.expect(std::string("out.logit_") + name, net->forward(t), tolerance);
    const auto loss = (discriminator_real(net->forward(t), AdversarialGame::kBce) +
                       discriminator_fake(net->forward(fake), AdversarialGame::kBce))
                          .mean();
    recorded.expect(std::string("loss.D_") + name, loss, tolerance);
    loss.backward();
    for (const auto& item : net->named_parameters()) {
      recorded.expect(std::string("grad.") + name + "." + item.key(), item.value().grad(), tolerance);
    }
  }
}

class DrfgdImageParity : public DrfgdParity {};
INSTANTIATE_TEST_SUITE_P(Types, DrfgdImageParity, ::testing::Values(torch::kDouble, torch::kFloat));

TEST_P(DrfgdImageParity, DiscriminatorAndItsPowerSteps) {
  const Case recorded("drfgd_disc_image", GetParam());
  const double tolerance = is_double() ? 1e-6 : 1e-4;
  const auto net = image_discriminator_of(recorded, "");
  recorded.load(*net, "");
  const auto expect_buffers = [&](const std::string& moment) {
    const auto state = models::state_of(*net);
    for (const auto& name : recorded.names(moment)) {
      if (!name.ends_with("sigma")) {
        recorded.expect(moment + name, state.at(name), tolerance);
        continue;
      }
      const std::string layer = name.substr(0, name.size() - 5);
      const auto weight = state.at(layer + "weight").flatten(1);
      recorded.expect(moment + name, torch::dot(state.at(layer + "u"), weight.mv(state.at(layer + "v"))),
                      tolerance);
    }
  };
  const auto n = recorded["in.n"];
  const auto first = net->forward(n);
  recorded.expect("out.logit_train1", first, tolerance);
  expect_buffers("after.1.");
  torch::softplus(-first).mean().backward();
  for (const auto& item : net->named_parameters())
    recorded.expect("grad." + item.key(), item.value().grad(), tolerance);
  recorded.expect("out.logit_train2", net->forward(n), tolerance);
  expect_buffers("after.2.");
  net->eval();
  recorded.expect("out.logit_eval", net->forward(n), tolerance);
  expect_buffers("after.3.");
}

/// A stage's map: whole, or every few pixels (metadata sub_<stage>) with means and mean squares per channel.
void expect_stage(const Case& recorded, const std::string& mode, const std::string& stage, const Tensor& map,
                  double tolerance) {
  const std::string name = mode + stage;
  if (!recorded.has(name + ".sub")) {
    recorded.expect(name, map, tolerance);
    return;
  }
  using torch::indexing::Slice;
  const Slice every(0, torch::indexing::None, recorded.integer("sub_" + stage));
  recorded.expect(name + ".sub", map.index({Slice(), Slice(), every, every}), tolerance);
  recorded.expect(name + ".stat", torch::stack({map.mean({2, 3}), map.square().mean({2, 3})}), tolerance);
}

TEST_P(DrfgdImageParity, GeneratorStagesInBothModes) {
  const Case recorded("drfgd_image_net", GetParam());
  const double tolerance = is_double() ? 1e-6 : 1e-4;
  const auto solo = collective::make_solo_communicator();
  const auto net = image_generator_of(recorded, "", solo.get());
  recorded.load(*net, "");
  const auto n = picture_of(recorded).requires_grad_(true);
  for (const std::string mode : {"eval", "train"}) {
    SCOPED_TRACE(mode);
    net->train(mode == "train");
    const Generated made = net->forward(n, Pass::kEverything);
    const std::string out = "out." + mode + ".";
    const std::size_t n_stages = made.encoder.size();  // the last one is f
    ASSERT_EQ(made.decoder.size(), n_stages);
    for (std::size_t stage = 1; stage <= n_stages; ++stage) {
      const std::string number = std::to_string(stage);
      if (stage < n_stages) expect_stage(recorded, out, "e" + number, made.encoder[stage - 1], tolerance);
      expect_stage(recorded, out, "d" + number, made.decoder[stage - 1], tolerance);
    }
    for (const auto& [part, value] : std::map<std::string, Tensor>{{"f", made.f},
                                                                   {"z_arf", made.z_arf},
                                                                   {"z_avf", made.z_avf},
                                                                   {"p", made.p},
                                                                   {"logit_arf", made.logits_arf},
                                                                   {"logit_avf", made.logits_avf}}) {
      recorded.expect(out + part, value, tolerance);
    }
    expect_stage(recorded, out, "x", made.output, tolerance);
    if (mode == "train") continue;
    const auto gradient = torch::autograd::grad({made.output.square().mean()}, {n}).front();
    recorded.expect("grad.eval.n.abs_sum", gradient.abs().sum(), tolerance);
    recorded.expect("grad.eval.n.sub", torch::max_pool2d(gradient, 1, recorded.integer("sub_x")), tolerance);
  }
  const auto state = models::state_of(*net);
  const auto moved = recorded.names("after.1.");
  EXPECT_FALSE(moved.empty());
  for (const auto& name : moved) recorded.expect("after.1." + name, state.at(name), tolerance);
}

TEST(DrfgdLayout, HalvesUntilThreeOrFourPixelsRemain) {
  const auto layout = image_layout(48);
  ASSERT_TRUE(layout);
  const ConvStage halve{4, 2, 1}, rest{3, 1, 0};
  EXPECT_THAT(layout->encoder, ::testing::ElementsAre(halve, halve, halve, halve, rest));
  EXPECT_THAT(layout->decoder, ::testing::ElementsAre(rest, halve, halve, halve, halve));
  EXPECT_EQ(image_layout(32)->encoder.back(), (ConvStage{4, 1, 0}));
  EXPECT_EQ(image_layout(6)->encoder.size(), 2U);
  EXPECT_EQ(image_layout(224)->encoder[3], (ConvStage{2, 2, 1}));
  const auto pilot = models::image_discriminator_layout(48, 12);
  EXPECT_EQ(pilot.n_stages, 4);
  EXPECT_EQ(pilot.head_kernel, 3);
  EXPECT_EQ(models::image_discriminator_layout(224, 64).head_kernel, 7);
}

TEST(DrfgdLayout, RefusesOtherSizes) {
  for (const std::int64_t px : {0, 3, 4, 5, 40, 50, 56, 112, 100}) {
    const auto layout = image_layout(px);
    ASSERT_FALSE(layout) << px;
    EXPECT_EQ(layout.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(layout.error().message,
                ::testing::HasSubstr(fmt::format("no picture network for {0} x {0} pixels", px)));
  }
}

TEST(DrfgdLayout, HasThePilotsSize) {
  const auto solo = collective::make_solo_communicator();
  const auto count = [](const torch::nn::Module& module) {
    std::int64_t n = 0;
    for (const auto& parameter : module.parameters()) n += parameter.numel();
    return n;
  };
  const ImageNet image{.layout = *image_layout(48), .width = 12, .n_labels = 26};
  EXPECT_NEAR(static_cast<double>(count(*make_image_generator(image, solo.get()))), 1.44e6, 5e3);
  EXPECT_NEAR(static_cast<double>(
                  count(*models::make_image_discriminator(models::image_discriminator_layout(48, 12)))),
              0.10e6, 5e3);
  const TextNet text{.text_dim = 985, .n_labels = 26, .hidden = 128, .bottleneck = 256, .branch = 512};
  EXPECT_NEAR(static_cast<double>(count(*make_text_generator(text))), 2.70e6, 5e3);
}

}  // namespace
}  // namespace gauntlet::defenses
