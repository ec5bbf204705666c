// Prototype networks and mainstay codes against recorded numbers, and the worked toy example.
#include "core/attacks/detail/sharpening.hpp"
#include "core/attacks/mainstay_code.hpp"
#include "core/attacks/prototype_net.hpp"
#include "core/defenses/detail/robust_losses.hpp"
#include "core/models/losses.hpp"
#include "tests/robust_defenses/recorded.hpp"

namespace gauntlet::attacks {
namespace {

using namespace gauntlet::testing;
using torch::Tensor;

class PrototypeParity : public Parity {};
INSTANTIATE_TEST_SUITE_P(Types, PrototypeParity, ::testing::Values(torch::kDouble, torch::kFloat),
                         [](const auto& one) { return one.param == torch::kDouble ? "double" : "float"; });

PrototypeNet recorded_net(const Fixture& fixture) {
  const auto width = [&](const char* layer) {
    return fixture.get(fmt::format("param.proto.{}.weight", layer)).size(0);
  };
  PrototypeNet net(fixture.get("param.proto.fc1.weight").size(1), width("fc1"), width("fc2"), width("fc3"));
  load_recorded(fixture, *net, "proto.");
  return net;
}

TEST_P(PrototypeParity, LossOfThaInEveryForm) {
  const Fixture fixture("attacks/tha", GetParam());
  const double tolerance = Tolerance{1e-6, 1e-4}.of(fixture);
  const std::pair<const char*, PrototypeForm> forms[] = {
      {"full", {}}, {"triu", {.above_diagonal = true}}, {"softplus_full", {.softplus = true}}};
  for (const auto& [name, form] : forms) {
    SCOPED_TRACE(name);
    const PrototypeNet net = recorded_net(fixture);
    const Tensor p = PrototypeNet(net)->forward(fixture.get("in.labels"));
    expect_recorded(fixture, "out.p", p, tolerance);
    const PrototypeLoss loss = prototype_loss(p, fixture.get("in.labels"), {fixture.get("in.codes")},
                                              fixture.get("in.labels_train"), form);
    expect_recorded(fixture, fmt::format("loss.{}", name), loss.similarity, tolerance);
    expect_recorded(fixture, "loss.quant", loss.quantisation, tolerance);
    loss.total().backward();
    for (const auto& parameter : net->named_parameters()) {
      expect_recorded(fixture, fmt::format("grad.{}.proto.{}", name, parameter.key()),
                      parameter.value().grad(), tolerance);
    }
  }
}

TEST_P(PrototypeParity, PathOfThaTowardThePrototype) {
  const Fixture fixture("attacks/tha", GetParam());
  RecordedHash hash(fixture);
  const Tensor clean = fixture.get("in.x");
  const Tensor goal = signs(fixture.get("out.p"));
  const Ball ball = ball_of(fixture);
  std::vector<double> trace;
  const auto loss = [&](const Tensor& input) {
    const Tensor agreement = agreement_terms(hash.encode_image(input), goal, Agreement::kPlain);
    trace.push_back(-agreement.mean().item<double>());
    return -agreement.sum(1);
  };
  for (const std::int64_t n_steps : recorded_steps(fixture, "delta")) {
    trace.clear();
    const Tensor delta =
        descend(clean, torch::zeros_like(clean), loss, {ball, step_of(fixture, ball), n_steps});
    expect_recorded(fixture, fmt::format("after.{}.delta", n_steps), delta,
                    Tolerance{1e-6, 2e-6}.of(fixture));
  }
  expect_recorded(fixture, "out.loss_trace", torch::tensor(trace, torch::kDouble),
                  Tolerance{1e-6, 1e-4}.of(fixture));
}

class MainstayParity : public ::testing::TestWithParam<std::tuple<const char*, torch::ScalarType>> {
 protected:
  MainstayParity() : fixture_(std::get<0>(GetParam()), std::get<1>(GetParam())) {}
  Fixture fixture_;
  double tolerance_ = Tolerance{1e-6, 1e-4}.of(fixture_);
};
INSTANTIATE_TEST_SUITE_P(Cases, MainstayParity,
                         ::testing::Combine(::testing::Values("attacks/saat_attack_image",
                                                              "attacks/saat_attack_text"),
                                            ::testing::Values(torch::kDouble, torch::kFloat)));

TEST_P(MainstayParity, CodesFromSignsAndFromRelaxedCodes) {
  const Tensor labels = fixture_.get("in.labels"), train_labels = fixture_.get("in.labels_train");
  for (const std::string kind : {"", "_continuous"}) {
    const Tensor codes = fixture_.get("in.codes" + kind);
    expect_recorded(fixture_, "out.mainstay" + kind + "_pre",
                    mainstay_before_sign(labels, train_labels, codes), tolerance_);
    expect_recorded(fixture_, "out.mainstay" + kind, mainstay_code(labels, train_labels, codes), 0);
  }
}

TEST_P(MainstayParity, ObjectivesAndTheirGradients) {
  for (const auto& [name, form] : {std::pair{"plain", Agreement::kPlain}, {"sharp", Agreement::kSharp}}) {
    const Tensor u = fixture_.leaf("in.u");
    const Tensor loss = mean_agreement(u, fixture_.get("out.mainstay"), form);
    expect_recorded(fixture_, fmt::format("loss.{}", name), loss, tolerance_);
    loss.backward();
    expect_recorded(fixture_, fmt::format("grad.{}", name), u.grad(), tolerance_);
  }
}

TEST_P(MainstayParity, PathWithGrowingSharpness) {
  RecordedHash hash(fixture_);
  const Tensor clean = fixture_.get("in.x"), mainstay = fixture_.get("out.mainstay");
  const Ball ball = ball_of(fixture_);
  const auto n_steps = fixture_.get("out.alpha").size(0);
  const Tensor start = projected(fixture_.get("in.start"), clean, ball);
  std::vector<double> trace, alphas;
  const auto loss = [&](const Tensor& input) {
    alphas.push_back(sharpness(static_cast<std::int64_t>(alphas.size()), n_steps));
    const Tensor u = sharpened(hash.encode_image(input), alphas.back());
    trace.push_back(mean_agreement(u, mainstay, Agreement::kSharp).item<double>());
    return agreement_terms(u, mainstay, Agreement::kSharp).sum(1);
  };
  for (const std::int64_t n : recorded_steps(fixture_, "delta")) {
    trace.clear();
    alphas.clear();
    const Tensor delta = descend(clean, start, loss, {ball, step_of(fixture_, ball), n});
    expect_recorded(fixture_, fmt::format("after.{}.delta", n), delta, Tolerance{1e-6, 2e-6}.of(fixture_));
    if (n != n_steps) continue;
    expect_recorded(fixture_, "out.alpha", torch::tensor(alphas, torch::kDouble), 1e-12);
    expect_recorded(fixture_, "out.loss_trace", torch::tensor(trace, torch::kDouble), tolerance_);
  }
}

TEST_P(PrototypeParity, WorkedToyExample) {
  const Fixture toy("defenses/golden_toy", GetParam());
  const double tolerance = Tolerance{1e-9, 1e-5}.of(toy);
  const Tensor u = toy.get("in.u"), labels = toy.get("in.labels"), train_labels = toy.get("in.labels_train");
  const Tensor image = toy.get("in.codes_image"), text = toy.get("in.codes_text");
  expect_recorded(toy, "out.mainstay_pre", mainstay_before_sign(labels, train_labels, text), tolerance);
  const Tensor mainstay = mainstay_code(labels, train_labels, text);
  expect_recorded(toy, "out.mainstay", mainstay, 0);
  expect_recorded(toy, "loss.saat_plain", mean_agreement(u, mainstay, Agreement::kPlain), tolerance);
  expect_recorded(toy, "loss.saat_sharp", mean_agreement(u, mainstay, Agreement::kSharp), tolerance);
  for (const auto& [name, form] :
       {std::pair{"circle", PrototypeForm{}}, {"circle_softplus", {.softplus = true}}}) {
    const PrototypeLoss loss = prototype_loss(u, labels, {image}, train_labels, form);
    expect_recorded(toy, fmt::format("loss.{}", name), loss.similarity, tolerance);
  }
  const Tensor similar = models::relevance_mask(labels, train_labels);
  expect_recorded(toy, "loss.pairwise", defenses::pairwise_regression(u, {image}, similar), tolerance);
  const Tensor U = toy.get("in.U"), V = toy.get("in.V");
  const Tensor pairs = torch::eye(U.size(0), U.options()).gt(0);
  const std::vector<std::string> endings = toy.names("loss.con_uv_");
  EXPECT_FALSE(endings.empty());
  for (const std::string& ending : endings) {
    const double temperature = temperature_in(ending);
    expect_recorded(toy, "loss.con_uv_" + ending, defenses::contrastive(U, V, pairs, temperature), tolerance);
    expect_recorded(toy, "loss.con_vu_" + ending, defenses::contrastive(V, U, pairs, temperature), tolerance);
  }
}

}  // namespace
}  // namespace gauntlet::attacks
