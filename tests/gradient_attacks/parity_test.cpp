// FGSM, HAG, P2P/DHTA and CMLA against recorded values: losses, gradients, paths of descent, and the
// registered attacks as a whole. All sizes and hyper-parameters are the case's.

#include <array>

#include "core/attacks/detail/code_losses.hpp"
#include "core/attacks/detail/learned_noise.hpp"
#include "core/attacks/detail/scheduled_descent.hpp"
#include "core/attacks/detail/sharpening.hpp"
#include "core/models/losses.hpp"
#include "tests/gradient_attacks/support.hpp"

namespace gauntlet::attacks {
namespace {

using testing::expect_near;
using testing::expect_recorded;
using testing::Fixture;
using torch::Tensor;

class GradientAttacks : public ::testing::TestWithParam<torch::ScalarType> {
 protected:
  [[nodiscard]] static Fixture open(const std::string& name) { return {"attacks/" + name, GetParam()}; }
  [[nodiscard]] static bool is_double() { return GetParam() == torch::kFloat64; }
  [[nodiscard]] static double tolerance(double of_float = 1e-4) { return is_double() ? 1e-6 : of_float; }
};
INSTANTIATE_TEST_SUITE_P(Types, GradientAttacks, ::testing::Values(torch::kFloat64, torch::kFloat32),
                         [](const auto& one) { return one.param == torch::kFloat64 ? "Double" : "Float"; });

TEST_P(GradientAttacks, FgsmTakesTheRecordedStep) {
  const Fixture fixture = open("fgsm");
  const HashNet net = HashNet::of(fixture);
  const Ball ball = ball_of(fixture);
  const Tensor anchor = fixture.get("in.anchor");
  for (const auto& [name, direction] : {std::pair{"mean", 1.0}, std::pair{"target", -1.0}}) {
    SCOPED_TRACE(name);
    const Tensor x = fixture.leaf("in.x");
    const auto losses = [&](const Tensor& inputs, std::int64_t) {
      return direction * code_agreement(net(inputs), anchor);
    };
    const Tensor loss = losses(x, 0).mean();
    expect_recorded(fixture, fmt::format("loss.{}", name), loss, tolerance());
    expect_recorded(fixture, fmt::format("grad.{}", name), torch::autograd::grad({loss}, {x}).front(),
                    tolerance());
    expect_recorded(fixture, fmt::format("out.x_adv_{}", name),
                    descend_scheduled(x.detach(), 1, ball, losses, signed_steps(ball.epsilon)), tolerance());
  }
}

TEST_P(GradientAttacks, HagHasTheRecordedLossAndGradient) {
  const Fixture fixture = open("hag");
  const HagLoss form{fixture.number("threshold"), fixture.number("beta")};
  const Tensor code = fixture.leaf("in.code"), clean = fixture.get("in.code_clean");
  const Tensor loss = hag_loss(code, clean, form).mean();
  expect_recorded(fixture, "loss.hag", loss, tolerance());
  const Tensor gradient = torch::autograd::grad({loss}, {code}).front();
  expect_recorded(fixture, "grad.code", gradient, tolerance());
  EXPECT_TRUE(gradient.ne(0).equal(fixture.reference("out.mask").ne(0)));
}

TEST_P(GradientAttacks, HagFollowsTheRecordedPath) {
  const Fixture fixture = open("hag");
  const HashNet net = HashNet::of(fixture);
  const Ball ball = ball_of(fixture);
  const Tensor x = fixture.get("in.x"), clean = net(x), alphas = fixture.reference("out.alpha");
  const std::int64_t n_steps = alphas.size(0);
  const HagLoss form{fixture.number("threshold"), fixture.number("beta")};
  expect_recorded(fixture, "out.code_clean", clean, tolerance());
  std::vector<Tensor> trace;
  const auto losses = [&](const Tensor& inputs, std::int64_t step) {
    EXPECT_DOUBLE_EQ(sharpness(step, n_steps), alphas[step].item<double>()) << step;
    const Tensor rows = hag_loss(sharpened(net(inputs), sharpness(step, n_steps)), clean, form);
    trace.push_back(rows.mean().detach());
    return rows / static_cast<double>(x.size(0));
  };
  const Tensor adversarial = descend_scheduled(
      x, n_steps, ball, losses, momentum_steps(fixture.number("lr"), fixture.number("momentum")));
  expect_recorded(fixture, "out.loss_trace", torch::stack(trace), tolerance(1e-3));
  expect_recorded(fixture, "out.x_adv", adversarial, tolerance(1e-3));
}

TEST_P(GradientAttacks, HagAsRegisteredEndsAtTheRecordedInput) {
  const Fixture fixture = open("hag");
  const Tensor x = fixture.get("in.x");
  const Ball ball = ball_of(fixture);
  const AttackSurface surface = text_surface(HashNet::of(fixture), ball);
  const Json config = {{"steps", fixture.reference("out.alpha").size(0)},
                       {"epsilon_text", ball.epsilon},
                       {"lr", fixture.number("lr")},
                       {"momentum", fixture.number("momentum")},
                       {"loss_batch", x.size(0)},
                       {"threshold", fixture.number("threshold")},
                       {"beta", fixture.number("beta")}};
  const auto attack = make_attack("hag", config, surface);
  ASSERT_NE(attack, nullptr);
  const auto rows = first_rows(x.size(0));
  expect_recorded(fixture, "out.x_adv", attack->perturb({x, own_labels(x.size(0)), rows}), tolerance(1e-3));
}

/// The numbers n of recorded anchors out.anchor<n>.
std::vector<std::int64_t> anchor_sizes(const Fixture& fixture) {
  std::vector<std::int64_t> sizes;
  for (const std::string& name : fixture.names("out.anchor")) sizes.push_back(std::stoll(name));
  std::ranges::sort(sizes);
  return sizes;
}

TEST_P(GradientAttacks, DhtaLetsCodesVoteOnTheAnchor) {
  const Fixture fixture = open("dhta");
  const Tensor codes = fixture.get("in.codes");
  ASSERT_FALSE(anchor_sizes(fixture).empty());
  for (const std::int64_t n : anchor_sizes(fixture)) {
    std::vector<Tensor> anchors;
    for (const Tensor& items : codes.unbind(0)) anchors.push_back(majority_code(items.slice(0, 0, n)));
    expect_recorded(fixture, fmt::format("out.anchor{}", n), torch::stack(anchors), 0);
  }
}

TEST_P(GradientAttacks, DhtaFollowsTheRecordedPath) {
  const Fixture fixture = open("dhta");
  const HashNet net = HashNet::of(fixture);
  const Ball ball = ball_of(fixture);
  const Tensor x = fixture.get("in.x");
  const Tensor anchor = fixture.get(fmt::format("out.anchor{}", anchor_sizes(fixture).back()));
  const std::int64_t n_steps = fixture.reference("out.loss_trace").size(0);
  std::vector<Tensor> trace, path;
  const auto losses = [&](const Tensor& inputs, std::int64_t step) {
    const Tensor rows = -code_agreement(sharpened(net(inputs), sharpness(step, n_steps)), anchor);
    path.push_back(inputs.detach() - x);
    trace.push_back(rows.mean().detach());
    return rows;
  };
  const Tensor adversarial =
      descend_scheduled(x, n_steps, ball, losses, signed_steps(fixture.number("step")));
  path.push_back(adversarial - x);
  expect_recorded(fixture, "out.loss_trace", torch::stack(trace), tolerance());
  for (const std::string& name : fixture.names("after.")) {
    expect_recorded(fixture, "after." + name, path.at(std::stoul(name)), tolerance());
  }
}

TEST_P(GradientAttacks, DhtaAsRegisteredEndsAtTheRecordedInput) {
  const Fixture fixture = open("dhta");
  const Tensor x = fixture.get("in.x"), codes = fixture.get("in.codes");
  const Ball ball = ball_of(fixture);
  const std::int64_t n_anchors = anchor_sizes(fixture).back();
  const std::int64_t n_steps = fixture.reference("out.loss_trace").size(0);
  AttackSurface surface = text_surface(HashNet::of(fixture), ball);
  surface.train_codes_image = codes.slice(1, 0, n_anchors).flatten(0, 1);
  surface.train_labels = own_labels(x.size(0), n_anchors);
  const Json config = {{"anchors", n_anchors},
                       {"target_min_items", n_anchors + 1},
                       {"steps", n_steps},
                       {"epsilon_text", ball.epsilon},
                       {"step_text", fixture.number("step")}};
  const auto attack = make_attack("dhta", config, surface);
  ASSERT_NE(attack, nullptr);
  const auto rows = first_rows(x.size(0));
  const AttackBatch batch{x, torch::zeros({x.size(0), x.size(0)}), rows, own_labels(x.size(0))};
  expect_recorded(fixture, fmt::format("after.{}.delta", n_steps), attack->perturb(batch) - x, tolerance());
}

/// One recorded case of CMLA; its net takes inputs in the case's own units.
struct CmlaCase {
  CmlaCase(const std::string& name, torch::ScalarType type)
      : fixture("attacks/" + name, type), net(HashNet::of(fixture)), clean(fixture.get("in.x")) {
    const std::vector<double> clip = fixture.numbers("clip"), range = fixture.numbers("data_range"),
                              betas = fixture.numbers("betas"), factors = fixture.numbers("weights");
    weights = {factors.at(0), factors.at(1), factors.at(2)};
    search = {.n_steps = fixture.reference("out.loss_trace").size(0),
              .lr = fixture.number("lr"),
              .beta1 = betas.at(0),
              .beta2 = betas.at(1),
              .adam_epsilon = fixture.number("adam_eps"),
              .noise_low = clip.at(0),
              .noise_high = clip.at(1),
              .data_low = range.at(0),
              .data_high = range.at(1)};
    const Tensor labels = fixture.get("in.labels");
    const std::int64_t n = labels.size(0);
    pairs = {fixture.get("in.codes_other"), fixture.get("in.codes_own"),
             models::relevance_mask(labels, labels).to(type),
             torch::full({n, n}, 1.0 / static_cast<double>(n), clean.options())};
  }

  [[nodiscard]] Tensor code(const Tensor& data) const {
    return net(fixture.has("in.mean") ? data - fixture.get("in.mean") : data);
  }
  /// The three terms at `noise`, batch means.
  [[nodiscard]] NoiseLoss terms(const Tensor& noise) const {
    const Tensor data = clamp_inclusive(clean + noise, search.data_low, search.data_high);
    const NoiseLoss rows = noise_loss(code(data), pairs, data - clean);
    return {rows.cross.mean(), rows.own.mean(), rows.size.mean()};
  }

  Fixture fixture;
  HashNet net;
  Tensor clean;
  NoiseWeights weights;
  NoiseSearch search;
  NoisePairs pairs;
};

/// The moments whose terms are recorded as loss.<number of steps in words>.cross, with that number.
std::map<std::string, std::int64_t> moments_of(const Fixture& fixture) {
  static const std::vector<std::string> words = {"zero", "one",   "two",   "three", "four", "five",
                                                 "six",  "seven", "eight", "nine",  "ten"};
  std::map<std::string, std::int64_t> moments;
  for (const std::string& name : fixture.names("loss.")) {
    const std::string word = name.substr(0, name.find('.'));
    const auto found = std::ranges::find(words, word);
    EXPECT_NE(found, words.end()) << "loss." << name;
    if (found != words.end()) moments[word] = found - words.begin();
  }
  EXPECT_GE(moments.size(), 2U);
  return moments;
}

void expect_terms(const CmlaCase& recorded, const std::string& moment, const Tensor& noise,
                  double tolerance) {
  const NoiseLoss terms = recorded.terms(noise);
  expect_recorded(recorded.fixture, "loss." + moment + ".cross", terms.cross, tolerance);
  expect_recorded(recorded.fixture, "loss." + moment + ".own", terms.own, tolerance);
  expect_recorded(recorded.fixture, "loss." + moment + ".size", terms.size, tolerance);
}

/// Noise after every recorded number of steps, and the loss before each step.
void expect_search(const CmlaCase& recorded, const NoiseSearch& search, const std::string& trace_name,
                   const std::function<std::string(const std::string&)>& noise_name, double tolerance) {
  std::vector<Tensor> trace;
  const auto loss = [&](const Tensor& data, const Tensor& change) {
    const Tensor rows = total(noise_loss(recorded.code(data), recorded.pairs, change), recorded.weights);
    trace.push_back(rows.mean().detach());
    return rows.mean();
  };
  static_cast<void>(learn_noise(recorded.clean, search, loss));
  expect_recorded(recorded.fixture, trace_name, torch::stack(trace), tolerance);
  const double of_noise = tolerance * search.noise_high;
  for (const std::string& steps : recorded.fixture.names("out.noise_before_clip.")) {
    NoiseSearch shorter = search;
    shorter.n_steps = std::stoll(steps);
    const LearnedNoise noise = learn_noise(recorded.clean, shorter, loss);
    const std::string name = noise_name(steps);
    // Noise is compared relative to the clip's width, which is below 1 for texts.
    expect_near(noise.clipped, recorded.fixture.reference(name), of_noise, name, 1);
    if (trace_name != "out.loss_trace") continue;
    expect_near(noise.unclipped, recorded.fixture.reference("out.noise_before_clip." + steps), of_noise,
                "unclipped " + steps, 1);
  }
}

TEST_P(GradientAttacks, CmlaLearnsTheRecordedNoise) {
  for (const char* name : {"cmla_image", "cmla_text"}) {
    SCOPED_TRACE(name);
    const CmlaCase recorded(name, GetParam());
    const Fixture& fixture = recorded.fixture;
    expect_recorded(fixture, "out.zero.code", recorded.code(recorded.clean), tolerance());
    const Tensor noise = torch::zeros_like(recorded.clean).requires_grad_();
    expect_terms(recorded, "zero", noise, tolerance());
    for (const auto& [moment, n_steps] : moments_of(fixture)) {
      if (n_steps == 0) continue;
      const Tensor learned = fixture.get(fmt::format("after.{}.noise", n_steps));
      expect_terms(recorded, moment, learned, tolerance());
      expect_recorded(
          fixture, "out." + moment + ".x_adv",
          clamp_inclusive(recorded.clean + learned, recorded.search.data_low, recorded.search.data_high),
          tolerance());
    }
    expect_recorded(fixture, "grad.noise",
                    torch::autograd::grad({total(recorded.terms(noise), recorded.weights)}, {noise}).front(),
                    tolerance());
    expect_search(
        recorded, recorded.search, "out.loss_trace",
        [](const std::string& steps) { return "after." + steps + ".noise"; }, tolerance());
    NoiseSearch symmetric = recorded.search;
    symmetric.noise_low = -symmetric.noise_high;
    expect_search(
        recorded, symmetric, "out.symmetric.loss_trace",
        [](const std::string& steps) { return "out.symmetric.noise." + steps; }, tolerance());
    NoiseSearch tensorflow = recorded.search;
    tensorflow.adam = AdamForm::kTensorFlow;
    expect_search(
        recorded, tensorflow, "out.tfadam.loss_trace",
        [](const std::string& steps) { return "out.tfadam.noise." + steps; }, tolerance());
  }
}

/// The registered attack with the case's inputs as its training pairs: every input against the batch.
TEST_P(GradientAttacks, CmlaAsRegisteredEndsAtTheRecordedNoise) {
  for (const char* name : {"cmla_image", "cmla_text"}) {
    SCOPED_TRACE(name);
    const CmlaCase recorded(name, GetParam());
    const bool image = recorded.clean.dim() == 4;
    const double unit = image ? 255 : 1;
    const Tensor labels = recorded.fixture.get("in.labels");
    const AttackSurface surface{
        .modality = image ? Modality::kImage : Modality::kText,
        .encode = [&](const Tensor& input) { return recorded.code(input * unit); },
        .train_codes_image = image ? recorded.pairs.codes_own : recorded.pairs.codes_other,
        .train_codes_text = image ? recorded.pairs.codes_other : recorded.pairs.codes_own,
        .train_labels = labels,
        .input_low = recorded.search.data_low / unit,
        .input_high = recorded.search.data_high / unit};
    const std::string side = image ? "_image" : "_text";
    // The recorded loss is a mean over the batch, the attack's a sum: Adam's guard counts accordingly.
    const Json config = {{"steps", recorded.search.n_steps},
                         {"epsilon" + side, recorded.search.noise_high / unit},
                         {"lr" + side, recorded.search.lr / unit},
                         {"beta1", recorded.search.beta1},
                         {"beta2", recorded.search.beta2},
                         {"adam_epsilon", recorded.search.adam_epsilon * static_cast<double>(labels.size(0))},
                         {"cross_weight", recorded.weights.cross},
                         {"own_weight", recorded.weights.own},
                         {"size_weight", recorded.weights.size}};
    const auto rows = first_rows(labels.size(0));
    const std::array<std::pair<const char*, std::string>, 2> forms = {
        {{"clipped", "after.{}.noise"}, {"unclipped", "out.noise_before_clip.{}"}}};
    for (const auto& [stored, key] : forms) {
      Json settings = config;
      settings["stored"] = stored;
      const auto attack = make_attack("cmla", settings, surface);
      ASSERT_NE(attack, nullptr);
      const Tensor noise =
          recorded.fixture.reference(fmt::format(fmt::runtime(key), recorded.search.n_steps));
      const Tensor expected = (recorded.clean.to(torch::kFloat64) + noise)
                                  .clamp(recorded.search.data_low, recorded.search.data_high);
      expect_near(attack->perturb({recorded.clean / unit, labels, rows}) * unit, expected,
                  tolerance() * recorded.search.noise_high, stored);
    }
  }
}

}  // namespace
}  // namespace gauntlet::attacks
