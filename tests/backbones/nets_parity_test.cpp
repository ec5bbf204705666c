// CNN-F and AlexNet against recorded values: normalisation and pooling alone, then pixels to codes with heads
// on top.

#include "core/models/detail/cpah.hpp"
#include "core/models/detail/dadh.hpp"
#include "core/models/detail/daph.hpp"
#include "core/models/detail/published_nets.hpp"
#include "core/models/detail/published_weights.hpp"
#include "tests/support/parity.hpp"

namespace gauntlet::models {
namespace {

using testing::expect_near;
using testing::expect_recorded;
using testing::Fixture;

struct Case {
  torch::Dtype dtype;
  double tolerance;         ///< of single layers
  double victim_tolerance;  ///< of pixels to codes
  const char* name;
};

class Nets : public ::testing::TestWithParam<Case> {
 protected:
  [[nodiscard]] Fixture open(const std::string& name) const { return {"targets/" + name, GetParam().dtype}; }
};

TEST_P(Nets, NormalisationAndPooling) {
  const Fixture fixture = open("cnnf_lrn_pool");
  const double tolerance = GetParam().tolerance;
  const torch::Tensor x = fixture.leaf("in.x");
  for (const bool released : {false, true}) {
    const std::string form = released ? "_released" : "_recommended";
    const torch::Tensor normal = cnnf_normalisation(x, released);
    expect_recorded(fixture, "out.lrn" + form, normal, tolerance);
    expect_recorded(fixture, "out.pool1" + form, cnnf_first_pooling(x, released), tolerance);
    expect_recorded(fixture, "out.lrn_pool1" + form, cnnf_first_pooling(normal, released), tolerance);
  }
  const torch::Tensor probe =
      (cnnf_first_pooling(cnnf_normalisation(x, false), false) * fixture.get("in.probe")).sum();
  expect_recorded(fixture, "loss.probe", probe, tolerance);
  probe.backward();
  expect_recorded(fixture, "grad.x", x.grad(), tolerance, 0.01);
}

/// The recorded layers under "param.<prefix>".
NamedTensors layers_of(const Fixture& fixture, const std::string& prefix) {
  NamedTensors layers;
  for (const std::string& name : fixture.names("param." + prefix))
    layers[name] = fixture.get("param." + prefix + name);
  return layers;
}

NetSizes recorded_sizes(const Fixture& fixture, const std::string& prefix) {
  NetSizes sizes = sizes_of(layers_of(fixture, prefix));
  sizes.canvas = fixture.get("in.image255").size(2);
  return sizes;
}

std::shared_ptr<Cnnf> recorded_cnnf(const Fixture& fixture) {
  const bool released = fixture.text("lrn").starts_with("window 2");
  EXPECT_EQ(released, fixture.text("pool1").find("all sides") != std::string::npos);
  auto net = std::make_shared<Cnnf>(recorded_sizes(fixture, "cnnf."), released);
  testing::load_recorded(fixture, *net, "cnnf.");
  return net;
}

/// Pictures in [0,1].
torch::Tensor pictures(const Fixture& fixture) { return fixture.get("in.image255") / 255; }

/// The gradient of the probed codes with respect to the first picture, and their value.
template <class Encode>
void expect_probe(const Fixture& fixture, double tolerance, Encode encode) {
  const torch::Tensor images = pictures(fixture).requires_grad_();
  const torch::Tensor codes = encode(images);
  expect_recorded(fixture, "out.h_v", codes, tolerance);
  EXPECT_TRUE(codes.detach().sign().to(torch::kFloat64).equal(fixture.reference("out.code_v").sign()));
  const torch::Tensor probe = (codes * fixture.get("in.probe")).sum();
  expect_recorded(fixture, "loss.probe", probe, tolerance);
  probe.backward();
  const torch::Tensor of_bytes = images.grad().slice(0, 0, 1) / 255;
  expect_recorded(fixture, "grad.image255_0", of_bytes, tolerance, /*floor=*/0);
}

void expect_stages(const Fixture& fixture, PublishedNet& net, double tolerance) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor maps = net.trunk(pictures(fixture));
  expect_recorded(fixture, "out.pool5", maps, tolerance);
  expect_recorded(fixture, "out.feature", net.head(maps), tolerance);
}

std::int64_t outputs_of(const Fixture& fixture, const std::string& layer) {
  return fixture.get("param." + layer + ".weight").size(0);
}

ModelShape shape_of(const Fixture& fixture, const std::string& hash_layer) {
  return {.image_px = fixture.get("in.image255").size(2),
          .text_dim = fixture.get("in.text").size(1),
          .n_labels = 1,
          .code_bits = outputs_of(fixture, hash_layer)};
}

/// Gives the model the recorded weights of all but its trunk, which has them, and compares pixels to codes.
void expect_codes(const Fixture& fixture, HashingModel& net, double tolerance) {
  net.to(fixture.dtype());
  net.eval();
  {
    const torch::NoGradGuard no_grad;
    for (auto& [name, tensor] : state_of(net)) {
      if (!name.starts_with("trunk.")) torch::Tensor(tensor).copy_(fixture.get("param." + name));
    }
  }
  expect_probe(fixture, tolerance, [&](const torch::Tensor& images) { return net.encode_image(images); });
  const torch::Tensor text = net.encode_text(fixture.get("in.text"));
  expect_recorded(fixture, "out.h_t", text, tolerance);
  EXPECT_TRUE(text.detach().sign().to(torch::kFloat64).equal(fixture.reference("out.code_t").sign()));
}

TEST_P(Nets, PixelsToCodesOfCpah) {
  for (const std::string form : {"released", "recommended"}) {
    SCOPED_TRACE(form);
    const Fixture fixture = open("victim_cpah_" + form);
    const double tolerance = GetParam().victim_tolerance;
    const std::shared_ptr<Cnnf> trunk = recorded_cnnf(fixture);
    expect_stages(fixture, *trunk, tolerance);

    CpahConfig config;
    config.hidden = outputs_of(fixture, "image_mlp.fc1");
    config.masked_codes = fixture.text("head").starts_with("masked");
    const auto solo = collective::make_solo_communicator();
    CpahNet net(config, shape_of(fixture, "hash_v.fc"), trunk, solo.get());
    expect_codes(fixture, net, tolerance);
    const torch::Tensor features = net.features(Modality::kImage, fixture.get("out.feature"));
    for (const bool masked : {false, true}) {
      const std::string key = masked ? "out.h_v_masked" : "out.h_v_unmasked";
      expect_recorded(fixture, key, net.hash(Modality::kImage, features, masked), std::max(tolerance, 1e-6));
    }
  }
}

TEST_P(Nets, PixelsToCodesOfDadh) {
  for (const std::string form : {"released", "recommended"}) {
    SCOPED_TRACE(form);
    const Fixture fixture = open("victim_dadh_" + form);
    const std::shared_ptr<Cnnf> trunk = recorded_cnnf(fixture);
    expect_stages(fixture, *trunk, GetParam().victim_tolerance);

    DadhConfig config;
    config.hidden = outputs_of(fixture, "image_mlp.fc1");
    config.hidden_2 = outputs_of(fixture, "image_mlp.fc2");
    config.feature_width = outputs_of(fixture, "image_mlp.fc3");
    const auto solo = collective::make_solo_communicator();
    DadhNet net(config, shape_of(fixture, "hash_v.fc"), trunk, solo.get());
    expect_codes(fixture, net, GetParam().victim_tolerance);
  }
}

TEST_P(Nets, PixelsToCodesOfDaph) {
  const Fixture fixture = open("victim_daph_recommended");
  const std::vector<double> scale = fixture.numbers("normalise");
  ASSERT_EQ(scale.size(), 6U);
  auto trunk =
      std::make_shared<Alexnet>(recorded_sizes(fixture, "image_net."),
                                ChannelScale{{scale[0], scale[1], scale[2]}, {scale[3], scale[4], scale[5]}});
  testing::load_recorded(fixture, *trunk, "image_net.");
  {
    const torch::NoGradGuard no_grad;
    expect_recorded(fixture, "out.trunk", trunk->trunk(pictures(fixture)).flatten(1),
                    GetParam().victim_tolerance);
  }
  DaphConfig config;
  config.hidden = outputs_of(fixture, "text_net.fc1");
  DaphNet net(config, shape_of(fixture, "image_net.hash"), trunk);
  expect_codes(fixture, net, GetParam().victim_tolerance);
}

INSTANTIATE_TEST_SUITE_P(Precision, Nets,
                         ::testing::Values(Case{torch::kFloat64, 1e-8, 1e-8, "Double"},
                                           Case{torch::kFloat32, 1e-5, 1e-4, "Float"}),
                         [](const auto& tested) { return std::string(tested.param.name); });

/// d f / d x along a random direction, by differences and by backward.
TEST(NetGradients, AgreeWithDifferencesThroughResizingToo) {
  torch::manual_seed(3);
  NetSizes sizes{.channels = {3, 4, 4, 4, 4}, .last_px = 2, .fc6 = 5, .fc7 = 6, .canvas = 96};
  const std::shared_ptr<PublishedNet> nets[] = {std::make_shared<Cnnf>(sizes, false),
                                                std::make_shared<Alexnet>(sizes)};
  for (const auto& net : nets) {
    net->to(torch::kFloat64);
    net->freeze();
    const torch::Tensor x = torch::rand({2, 3, 40, 56}, torch::kFloat64).requires_grad_();
    const torch::Tensor direction = torch::randn_like(x);
    const auto value = [&](const torch::Tensor& at) { return net->forward(at).square().sum(); };
    value(x).backward();
    for (const torch::Tensor& parameter : net->parameters()) EXPECT_FALSE(parameter.grad().defined());
    const double step = 1e-7;
    const torch::NoGradGuard no_grad;
    const double differences =
        (value(x + step * direction) - value(x - step * direction)).item<double>() / (2 * step);
    const double backward = (x.grad() * direction).sum().item<double>();
    EXPECT_NEAR(differences, backward, 1e-5 * std::max(1e-3, std::abs(backward)));
    EXPECT_GT(std::abs(backward), 0);
  }
}

}  // namespace
}  // namespace gauntlet::models
