// Steps of ATRDH, SAAT, RoCMR and TPAP against recorded numbers: the losses, attacks and optimisers of the
// defenses, put together in the way of each recorded case.
#include "core/attacks/detail/sharpening.hpp"
#include "core/attacks/mainstay_code.hpp"
#include "core/attacks/prototype_net.hpp"
#include "core/defenses/detail/robust_losses.hpp"
#include "core/defenses/detail/robust_training.hpp"
#include "core/defenses/detail/tpap_purifier.hpp"
#include "core/models/losses.hpp"
#include "core/models/objectives.hpp"
#include "tests/robust_defenses/recorded.hpp"

namespace gauntlet::defenses {
namespace {

using namespace gauntlet::testing;
using attacks::Agreement;
using attacks::Ball;
using attacks::descend;
using attacks::signs;
using torch::Tensor;

class TrainingParity : public Parity {};
INSTANTIATE_TEST_SUITE_P(Types, TrainingParity, ::testing::Values(torch::kDouble, torch::kFloat),
                         [](const auto& one) { return one.param == torch::kDouble ? "double" : "float"; });

constexpr Tolerance kLosses = {1e-7, 1e-4};
constexpr double kInputs = 2e-6;
constexpr double kRecordedQuantisation = 1e-3;  // in RoCMR's outer gradient; part of what the case is

Tensor rows_of(const Tensor& all, const std::pair<std::int64_t, std::int64_t>& batch) {
  return all.slice(0, batch.first, batch.second);
}

TEST_P(TrainingParity, AtrdhAttack) {
  const Fixture fixture("defenses/atrdh_pgd", GetParam());
  RecordedHash hash(fixture);
  const Tensor clean = fixture.get("in.x"), target = fixture.get("in.target");
  const Ball ball = ball_of(fixture);
  const Tensor start = attacks::projected(fixture.get("in.start"), clean, ball);
  std::vector<double> trace;
  const auto loss = [&](const Tensor& input) {
    const Tensor value = -(hash.encode_image(input) * target).mean();
    trace.push_back(value.item<double>());
    return value;
  };
  for (const std::int64_t n_steps : recorded_steps(fixture, "delta")) {
    trace.clear();
    const Tensor delta = descend(clean, start, loss, {ball, step_of(fixture, ball), n_steps});
    expect_recorded(fixture, fmt::format("after.{}.delta", n_steps), delta, kInputs);
    if (n_steps == fixture.integer("iterations")) {
      expect_recorded(fixture, "out.loss_trace", torch::tensor(trace, torch::kDouble), kInputs);
    }
  }
}

/// Learning rate at a step of the epoch.
using Rate = std::function<double(std::int64_t step, std::int64_t n_steps)>;

/// One recorded epoch of single-modality ATRDH. The later release wraps the prototype loss in softplus,
/// doubles the adversarial loss and lowers the rates within the epoch.
void expect_atrdh_epoch(const Fixture& fixture, const attacks::PrototypeForm& form, double adversarial_weight,
                        const Rate& rate) {
  const double tolerance = kLosses.of(fixture), weights_tolerance = Tolerance{1e-8, 1e-5}.of(fixture);
  RecordedHash hash(fixture);
  const auto width = [&](int layer, int dim) {
    return fixture.get(fmt::format("param.proto.fc{}.weight", layer)).size(dim);
  };
  attacks::PrototypeNet net(width(1, 1), width(1, 0), width(2, 0), width(3, 0));
  load_recorded(fixture, *net, "proto.");
  const torch::optim::AdamOptions adam = recorded_adam(fixture);
  attacks::PrototypeLearner learner(net, form, adam);
  RobustConfig config;
  config.at_lr = adam.lr();
  std::tie(config.at_beta1, config.at_beta2) = adam.betas();
  const auto optimiser = make_optimiser(hash, config);
  for (auto& group : optimiser->param_groups()) {
    static_cast<torch::optim::AdamOptions&>(group.options()).eps(adam.eps());
  }

  const Tensor x = fixture.get("in.x"), labels = fixture.get("in.labels");
  Tensor signs_buffer = signs(hash.encode_image(x).detach()), buffer = torch::zeros_like(signs_buffer);
  const Ball ball = ball_of(fixture);
  const auto batches = batches_of(fixture);
  int step = 0;
  for (const auto& batch : batches) {
    const double lr = rate(step, std::ssize(batches));
    learner.set_learning_rate(lr);
    set_rate(*optimiser, lr);
    const std::string name = fmt::format("step{}.", ++step);
    SCOPED_TRACE(name);
    const Tensor clean = rows_of(x, batch);
    const Tensor before = hash.encode_image(clean).detach();
    rows_of(signs_buffer, batch).copy_(signs(before));
    rows_of(buffer, batch).copy_(before);
    const Tensor targets =
        fixture.get("in.target_labels").index_select(0, fixture.get("in." + name + "target_index"));
    const auto prototype = learner.step(targets, {signs_buffer}, labels);
    expect_recorded(fixture, "out." + name + "p", prototype.p, tolerance);
    expect_recorded(fixture, "loss." + name + "proto_log", prototype.loss.similarity, tolerance);
    expect_recorded(fixture, "loss." + name + "proto_quant", prototype.loss.quantisation, tolerance);
    expect_recorded(fixture, "loss." + name + "proto", prototype.loss.total(), tolerance);
    for (const auto& parameter : net->named_parameters()) {
      expect_recorded(fixture, "grad." + name + "proto." + parameter.key(), parameter.value().grad(),
                      tolerance);
    }

    const Tensor start = attacks::projected(fixture.get("in." + name + "start"), clean, ball);
    const Tensor goal = signs(prototype.p);
    const Tensor delta =
        descend(clean, start, [&](const Tensor& input) { return -(hash.encode_image(input) * goal).mean(); },
                {ball, step_of(fixture, ball), fixture.integer("iterations")});
    const Tensor adversarial = attacks::applied(clean, delta, ball);
    expect_recorded(fixture, "out." + name + "x_adv", adversarial, kInputs);

    const Tensor similar = models::relevance_mask(rows_of(labels, batch), labels);
    const Tensor benign = pairwise_regression(hash.encode_image(clean), {buffer}, similar);
    const Tensor robust =
        adversarial_weight * pairwise_regression(hash.encode_image(adversarial), {buffer}, similar);
    if (fixture.has("loss." + name + "ben"))
      expect_recorded(fixture, "loss." + name + "ben", benign, tolerance);
    if (fixture.has("loss." + name + "adv"))
      expect_recorded(fixture, "loss." + name + "adv", robust, tolerance);
    expect_recorded(fixture, "loss." + name + "total", benign + robust, tolerance);
    optimiser->zero_grad();
    (benign + robust).backward();
    hash.expect(fixture, "grad." + name, tolerance, /*gradients=*/true);
    optimiser->step();
  }
  const std::string after = fmt::format("after.{}.", step);
  hash.expect(fixture, after, weights_tolerance, /*gradients=*/false);
  for (const auto& parameter : net->named_parameters()) {
    expect_recorded(fixture, after + "proto." + parameter.key(), parameter.value(), weights_tolerance);
  }
}

TEST_P(TrainingParity, AtrdhEpoch) {
  const Fixture fixture("defenses/atrdh_train", GetParam());
  expect_atrdh_epoch(fixture, {.above_diagonal = true}, 1,
                     [&](std::int64_t, std::int64_t) { return fixture.number("lr"); });
}

TEST_P(TrainingParity, AtrdhEpochWithSoftplus) {
  const Fixture fixture("defenses/atrdh_train_softplus", GetParam());
  expect_atrdh_epoch(fixture, {.above_diagonal = true, .softplus = true}, 2,
                     [&](std::int64_t step, std::int64_t n) {
                       return fixture.number("lr") * released_rate_factor(step, n);
                     });
}

TEST_P(TrainingParity, AtrdhAcrossModalities) {
  const Fixture fixture("defenses/atrdh_cross", GetParam());
  const double tolerance = Tolerance{1e-9, 1e-5}.of(fixture);
  const std::vector<Tensor> buffers = {fixture.get("in.U_image"), fixture.get("in.U_text")};
  const std::vector<Tensor> codes = {fixture.get("in.codes_image"), fixture.get("in.codes_text")};
  const Tensor train_labels = fixture.get("in.labels_train");
  const Tensor similar = models::relevance_mask(fixture.get("in.labels"), train_labels);
  const auto expect = [&](const std::string& name, const Tensor& leaf, const Tensor& loss) {
    expect_recorded(fixture, "loss." + name, loss, tolerance);
    loss.backward();
    expect_recorded(fixture, "grad." + name, leaf.grad(), tolerance);
  };
  const Tensor u = fixture.leaf("in.u"), u_adversarial = fixture.leaf("in.u_adv");
  const Tensor benign = pairwise_regression(u, buffers, similar);
  expect("benign", u, benign);
  const Tensor robust = pairwise_regression(u_adversarial, buffers, similar);
  expect("adv", u_adversarial, robust);
  for (const bool softplus : {false, true}) {
    const Tensor p = fixture.leaf("in.p");
    const auto loss = attacks::prototype_loss(p, fixture.get("in.target_labels"), codes, train_labels,
                                              {.softplus = softplus});
    expect_recorded(fixture, "loss.proto_quant", loss.quantisation, tolerance);
    const Tensor total = loss.total();
    expect(softplus ? "proto_softplus" : "proto_plain", p, total);
  }
}

TEST_P(TrainingParity, SaatEpoch) {
  const Fixture fixture("defenses/saat_train", GetParam());
  const double tolerance = kLosses.of(fixture);
  RecordedHash hash(fixture);
  RobustConfig config;
  config.at_optimiser = "sgd";
  config.at_lr = fixture.number("lr");
  config.at_weight_decay = fixture.number("weight_decay");
  const auto optimiser = make_optimiser(hash, config);
  const Tensor x = fixture.get("in.x"), labels = fixture.get("in.labels");
  // A batch's rows are its signs while its mainstay codes are made, then the relaxed codes.
  Tensor buffer = signs(hash.encode_image(x).detach());
  const Ball ball = ball_of(fixture);
  const auto batches = batches_of(fixture);
  int step = 0;
  for (const auto& batch : batches) {
    set_rate(*optimiser, config.at_lr * released_rate_factor(step, std::ssize(batches)));
    const std::string name = fmt::format("step{}.", ++step);
    SCOPED_TRACE(name);
    const Tensor clean = rows_of(x, batch), batch_labels = rows_of(labels, batch);
    const Tensor before = attacks::mainstay_code(batch_labels, labels, buffer);
    expect_recorded(fixture, "out." + name + "mainstay_before", before, 0);
    const Tensor start = attacks::projected(fixture.get("in." + name + "start"), clean, ball);
    const auto objective = [&](const Tensor& input) {
      return attacks::agreement_terms(hash.encode_image(input), before, Agreement::kPlain).sum(1);
    };
    const Tensor delta =
        descend(clean, start, objective, {ball, step_of(fixture, ball), fixture.integer("iterations")});
    const Tensor adversarial = attacks::applied(clean, delta, ball);
    expect_recorded(fixture, "out." + name + "x_adv", adversarial, kInputs);

    const Tensor u = hash.encode_image(clean), u_adversarial = hash.encode_image(adversarial);
    rows_of(buffer, batch).copy_(signs(u.detach()));
    const Tensor after = attacks::mainstay_code(batch_labels, labels, buffer);
    expect_recorded(fixture, "out." + name + "mainstay_after", after, 0);
    rows_of(buffer, batch).copy_(u.detach());
    const Tensor benign = pairwise_regression(u, {buffer}, models::relevance_mask(batch_labels, labels));
    const Tensor robust =
        -fixture.number("lam") * attacks::mean_agreement(u_adversarial, after, Agreement::kPlain);
    const Tensor quant = quantisation(u_adversarial);
    const Tensor total = benign + robust + fixture.number("mu") * quant;
    expect_recorded(fixture, "loss." + name + "ben", benign, tolerance);
    expect_recorded(fixture, "loss." + name + "adv", robust, tolerance);
    expect_recorded(fixture, "loss." + name + "quant", quant, tolerance);
    expect_recorded(fixture, "loss." + name + "total", total, tolerance);
    optimiser->zero_grad();
    total.backward();
    hash.expect(fixture, "grad." + name, tolerance, /*gradients=*/true);
    optimiser->step();
  }
  hash.expect(fixture, fmt::format("after.{}.", step), tolerance, /*gradients=*/false);
}

/// The recorded target's own loss (DCMH), which no registered target has.
Tensor dcmh_loss(const Fixture& fixture, const Tensor& u, const Tensor& unified, const Tensor& own_buffer,
                 const Tensor& other_buffer, const Tensor& similar,
                 std::pair<std::int64_t, std::int64_t> batch) {
  const Tensor likelihood =
      models::pairwise_likelihood(0.5 * u.matmul(other_buffer.t()), similar.to(u.scalar_type()));
  const Tensor all = torch::cat({own_buffer.slice(0, 0, batch.first), u, own_buffer.slice(0, batch.second)});
  return (likelihood + fixture.number("dcmh_gamma") * (unified - u).square().sum() +
          fixture.number("dcmh_eta") * all.sum(0).square().sum()) /
         static_cast<double>(u.size(0) * own_buffer.size(0));
}

TEST_P(TrainingParity, SaatCrossModalEpoch) {
  const Fixture fixture("defenses/saat_cross_train", GetParam());
  const double tolerance = kLosses.of(fixture);
  RecordedHash hash(fixture, "hash_image.fc", "hash_text.fc");
  RobustConfig config;
  config.at_optimiser = "sgd";
  config.at_lr = fixture.number("lr");
  config.at_weight_decay = fixture.number("weight_decay");
  const auto optimiser = make_optimiser(hash, config);
  const Tensor labels = fixture.get("in.labels");
  std::map<Modality, Tensor> inputs = {{Modality::kImage, fixture.get("in.x")},
                                       {Modality::kText, fixture.get("in.t")}};
  std::map<Modality, Tensor> buffers;
  for (const auto& [modality, input] : inputs)
    buffers[modality] = signs(hash.encode(modality, input).detach());
  const Tensor unified = fixture.get("in.unified_codes_start");
  const auto n_steps = fixture.integer("iterations");
  std::vector<double> alphas;
  for (std::int64_t step = 0; step < n_steps; ++step) alphas.push_back(attacks::sharpness(step, n_steps));
  expect_recorded(fixture, "out.alpha", torch::tensor(alphas, torch::kDouble), 1e-12);
  const auto batches = batches_of(fixture);
  int step = 0;
  for (const Modality modality : {Modality::kImage, Modality::kText}) {
    const Ball ball = ball_of(fixture, modality == Modality::kImage ? "eps_image" : "eps_text");
    for (const auto& batch : batches) {
      set_rate(*optimiser,
               config.at_lr * released_rate_factor(step % std::ssize(batches), std::ssize(batches)));
      const std::string name = fmt::format("step{}.", ++step);
      SCOPED_TRACE(name);
      const Tensor clean = rows_of(inputs.at(modality), batch), batch_labels = rows_of(labels, batch);
      const Tensor mainstay = attacks::mainstay_code(batch_labels, labels, buffers.at(other(modality)));
      expect_recorded(fixture, "out." + name + "mainstay", mainstay, 0);
      const Tensor start = attacks::projected(fixture.get("in." + name + "start"), clean, ball);
      std::int64_t inner = 0;
      const auto objective = [&](const Tensor& input) {
        const Tensor u =
            attacks::sharpened(hash.encode(modality, input), attacks::sharpness(inner++, n_steps));
        return attacks::agreement_terms(u, mainstay, Agreement::kSharp).sum(1);
      };
      const Tensor delta = descend(clean, start, objective, {ball, step_of(fixture, ball), n_steps});
      const Tensor adversarial = attacks::applied(clean, delta, ball);
      expect_recorded(fixture, "out." + name + "adv", adversarial, kInputs);

      const Tensor u = hash.encode(modality, clean), u_adversarial = hash.encode(modality, adversarial);
      rows_of(buffers.at(modality), batch).copy_(u.detach());
      const Tensor benign =
          dcmh_loss(fixture, u, rows_of(unified, batch), buffers.at(modality), buffers.at(other(modality)),
                    models::relevance_mask(batch_labels, labels), batch);
      const Tensor robust =
          -fixture.number("lam") * attacks::mean_agreement(u_adversarial, mainstay, Agreement::kPlain);
      const Tensor quant = quantisation(u_adversarial);
      const Tensor total = benign + robust + fixture.number("mu") * quant;
      expect_recorded(fixture, "loss." + name + "ben", benign, tolerance);
      expect_recorded(fixture, "loss." + name + "adv", robust, tolerance);
      expect_recorded(fixture, "loss." + name + "quant", quant, tolerance);
      expect_recorded(fixture, "loss." + name + "total", total, tolerance);
      optimiser->zero_grad();
      total.backward();
      hash.expect(fixture, "grad." + name, tolerance, /*gradients=*/true, modality);
      optimiser->step();
    }
  }
  const std::string after = fmt::format("after.{}.", step);
  hash.expect(fixture, after, tolerance, /*gradients=*/false, Modality::kImage);
  hash.expect(fixture, after, tolerance, /*gradients=*/false, Modality::kText);
  expect_recorded(fixture, "out.buffer_image", buffers.at(Modality::kImage), tolerance);
  expect_recorded(fixture, "out.buffer_text", buffers.at(Modality::kText), tolerance);
  expect_recorded(fixture, "out.unified_codes",
                  (buffers.at(Modality::kImage) + buffers.at(Modality::kText)).sign(), 0);
}

TEST_P(TrainingParity, RocmrContrastiveLoss) {
  const Fixture fixture("defenses/rocmr", GetParam());
  const double tolerance = kLosses.of(fixture), temperature = fixture.number("temperature");
  const Tensor labels = fixture.get("in.labels");
  for (const std::string kind : {"label", "instance"}) {
    const Tensor positives = kind == "label" ? models::relevance_mask(labels, labels)
                                             : torch::eye(labels.size(0), labels.options()).gt(0);
    const Tensor u = fixture.leaf("in.U"), v = fixture.leaf("in.V");
    expect_recorded(fixture, "loss." + kind + ".con_uv", contrastive(u, v, positives, temperature),
                    tolerance);
    expect_recorded(fixture, "loss." + kind + ".con_vu", contrastive(v, u, positives, temperature),
                    tolerance);
    const Tensor loss = symmetric_contrastive(u, v, positives, temperature);
    expect_recorded(fixture, "loss." + kind + ".Con", loss, tolerance);
    loss.backward();
    expect_recorded(fixture, "grad." + kind + ".U", u.grad(), tolerance);
    expect_recorded(fixture, "grad." + kind + ".V", v.grad(), tolerance);
  }
}

TEST_P(TrainingParity, RocmrAttacksAndOuterLoss) {
  const Fixture fixture("defenses/rocmr", GetParam());
  const double tolerance = kLosses.of(fixture), temperature = fixture.number("temperature");
  RecordedHash hash(fixture, "hash_image.fc", "hash_text.fc");
  const Tensor labels = fixture.get("in.labels");
  const Tensor positives = models::relevance_mask(labels, labels);
  const auto con = [&](const Tensor& u, const Tensor& v) {
    return symmetric_contrastive(u, v, positives, temperature);
  };
  std::map<std::string, Tensor> codes;
  for (const auto& [modality, name, input] : {std::tuple{Modality::kImage, std::string("image"), "in.x"},
                                              {Modality::kText, std::string("text"), "in.t"}}) {
    const Tensor clean = fixture.get(input);
    const Tensor theirs =
        hash.encode(other(modality), fixture.get(modality == Modality::kImage ? "in.t" : "in.x")).detach();
    const Ball ball = ball_of(fixture, "eps_" + name);
    const Tensor start = attacks::projected(fixture.get("in." + name + "_start"), clean, ball);
    std::vector<double> trace;
    const auto loss = [&, m = modality](const Tensor& x) {
      const Tensor value = con(hash.encode(m, x), theirs);
      trace.push_back(value.item<double>());
      return -value;
    };
    Tensor adversarial;
    for (const std::int64_t n_steps : recorded_steps(fixture, name + "_delta")) {
      trace.clear();
      const Tensor delta = descend(clean, start, loss, {ball, step_of(fixture, ball), n_steps});
      expect_recorded(fixture, fmt::format("after.{}.{}_delta", n_steps, name), delta, kInputs);
      if (n_steps != fixture.integer("iterations")) continue;
      adversarial = attacks::applied(clean, delta, ball);
      expect_recorded(fixture, "out." + name + "_trace", torch::tensor(trace, torch::kDouble), tolerance);
    }
    codes["u_" + name] = hash.encode(modality, clean).detach();
    codes["u_" + name + "_adv"] = hash.encode(modality, adversarial).detach();
  }
  Tensor quant = torch::zeros({}, fixture.dtype());
  for (auto& [name, u] : codes) {
    expect_recorded(fixture, "out." + name, u, tolerance);
    quant = quant + quantisation(u.requires_grad_());
  }
  const Tensor outer =
      (con(codes["u_image"], codes["u_text"]) + con(codes["u_image_adv"], codes["u_text"]) +
       con(codes["u_image"], codes["u_text_adv"]) + con(codes["u_image_adv"], codes["u_text_adv"])) /
      4;
  expect_recorded(fixture, "loss.outer_con", outer, tolerance);
  expect_recorded(fixture, "loss.outer_quant", quant, tolerance);
  (outer + kRecordedQuantisation * quant).backward();
  for (const auto& [name, u] : codes) expect_recorded(fixture, "grad.outer." + name, u.grad(), tolerance);
}

TEST_P(TrainingParity, TpapOnAClassifier) {
  const Fixture fixture("defenses/tpap", GetParam());
  const double tolerance = Tolerance{1e-6, 1e-4}.of(fixture);
  RecordedHash net(fixture, "net.fc");
  const Tensor x = fixture.get("in.x"), y = fixture.get("in.y");
  const Ball ball = ball_of(fixture);
  const auto logits = [&](const Tensor& input) { return net.linear(Modality::kImage, input); };
  const auto entropy_of = [&](const Tensor& labels) {
    return [&logits, labels](const Tensor& input) {
      return torch::cross_entropy_loss(logits(input), labels, {}, at::Reduction::None);
    };
  };
  const Tensor leaf = fixture.leaf("in.x");
  const Tensor clean_loss = entropy_of(y)(leaf).mean();
  expect_recorded(fixture, "loss.ce_clean", clean_loss, tolerance);
  expect_recorded(fixture, "grad.x", torch::autograd::grad({clean_loss}, {leaf}).front(), tolerance);
  const Tensor adversarial = signed_step_up(x, entropy_of(y), ball);
  expect_recorded(fixture, "out.x_adv", adversarial, tolerance);

  RobustConfig config;
  config.at_optimiser = "sgd";
  config.at_lr = fixture.number("lr");
  config.at_momentum = fixture.number("momentum");
  config.at_weight_decay = fixture.number("weight_decay");
  const auto optimiser = make_optimiser(net, config);
  const Tensor loss = entropy_of(y)(adversarial).mean();
  expect_recorded(fixture, "loss.ce_adv", loss, tolerance);
  // The other form of the release, of which no defense here makes use.
  const Tensor kl = torch::kl_div(torch::log_softmax(logits(adversarial), 1), torch::softmax(logits(x), 1),
                                  at::Reduction::Sum) /
                    static_cast<double>(x.size(0));
  expect_recorded(fixture, "loss.kl", kl, tolerance);
  expect_recorded(fixture, "loss.trades", clean_loss + fixture.number("trades_beta") * kl, tolerance);
  optimiser->zero_grad();
  loss.backward();
  net.expect(fixture, "grad.", tolerance, /*gradients=*/true);
  optimiser->step();
  net.expect(fixture, "after.1.", tolerance, /*gradients=*/false);

  for (const auto& [name, input] : {std::pair{std::string("clean"), x}, {std::string("adv"), adversarial}}) {
    const Tensor pseudo = logits(input).argmax(1);
    EXPECT_TRUE(pseudo.equal(fixture.get("out." + name + ".pseudo_label")));
    const Tensor purified = signed_step_up(input, entropy_of(pseudo), ball);
    expect_recorded(fixture, "out." + name + ".purified", purified, tolerance);
    expect_recorded(fixture, "out." + name + ".logits", logits(purified), tolerance);
  }
}

TEST_P(TrainingParity, TpapOnCodes) {
  const Fixture fixture("defenses/tpap_hash", GetParam());
  const double tolerance = Tolerance{1e-6, 1e-4}.of(fixture);
  RecordedHash hash(fixture);
  const Tensor x = fixture.get("in.x"), anchor = fixture.get("in.anchor");
  const Ball ball = ball_of(fixture);
  const auto encode = [&](const Tensor& input) { return hash.encode_image(input); };
  const auto objective = [&](const Tensor& input) {
    return -attacks::mean_agreement(encode(input), anchor, Agreement::kPlain);
  };
  const Tensor leaf = fixture.leaf("in.x");
  const Tensor clean_objective = objective(leaf);
  expect_recorded(fixture, "loss.J_clean", clean_objective, tolerance);
  expect_recorded(fixture, "grad.x", torch::autograd::grad({clean_objective}, {leaf}).front(), tolerance);
  const Tensor adversarial = signed_step_up(x, objective, ball);
  expect_recorded(fixture, "out.x_adv", adversarial, tolerance);
  const Tensor similar = models::relevance_mask(fixture.get("in.labels"), fixture.get("in.labels_train"));
  const Tensor benign =
      pairwise_regression(encode(x), {fixture.get("in.U_image"), fixture.get("in.U_text")}, similar);
  expect_recorded(fixture, "loss.J_adv", objective(adversarial), tolerance);
  expect_recorded(fixture, "loss.benign", benign, tolerance);
  (objective(adversarial) + benign).backward();
  hash.expect(fixture, "grad.", tolerance, /*gradients=*/true);

  expect_recorded(fixture, "out.pseudo_self", signs(encode(adversarial)), 0);
  expect_recorded(fixture, "out.purified_self", purified_by_step(adversarial, encode, signs, ball),
                  tolerance);
  const NearestCode nearest{fixture.get("in.train_codes"), fixture.get("in.train_mainstay")};
  EXPECT_TRUE(nearest.index_of(encode(adversarial)).equal(fixture.get("out.nearest_index")));
  const auto code = [&](const Tensor& u) { return nearest.of(u); };
  expect_recorded(fixture, "out.purified_nearest", purified_by_step(adversarial, encode, code, ball),
                  tolerance);
}

}  // namespace
}  // namespace gauntlet::defenses
