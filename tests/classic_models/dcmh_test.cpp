#include "core/models/detail/dcmh.hpp"

#include <cmath>

#include "core/models/losses.hpp"
#include "tests/classic_models/support.hpp"

namespace gauntlet::models {
namespace {

using namespace gauntlet::testing;

struct Case {
  torch::Tensor outputs = waves({3, kBits}, 0.9) * 3;
  torch::Tensor own = waves({7, kBits}, 1.3) * 2;
  torch::Tensor other = waves({7, kBits}, 2.9) * 2;
  torch::Tensor codes = signs(waves({7, kBits}, 0.4));
  torch::Tensor rows = torch::tensor({5, 0, 2});
  torch::Tensor similar = waves({3, 7}, 1.1).gt(0).to(torch::kFloat64);
  double gamma = 0.7, eta = 0.3;
  [[nodiscard]] DcmhLoss loss(const torch::Tensor& of) const {
    return dcmh_loss(of, sum_outside(own, rows), other, codes, rows, similar, gamma, eta);
  }
};

TEST(Dcmh, LossIsWhatLoopsGive) {
  const Case given;
  double pairwise = 0, quantisation = 0, balance = 0;
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 7; ++j) {
      double theta = 0;
      for (int k = 0; k < kBits; ++k) theta += 0.5 * cell(given.outputs, i, k) * cell(given.other, j, k);
      pairwise += std::log(1 + std::exp(theta)) - cell(given.similar, i, j) * theta;
    }
    for (int k = 0; k < kBits; ++k) {
      const double b = cell(given.codes, given.rows[i].item<std::int64_t>(), k);
      quantisation += std::pow(b - cell(given.outputs, i, k), 2);
    }
  }
  for (int k = 0; k < kBits; ++k) {
    double sum = 0;
    for (const int outside : {1, 3, 4, 6}) sum += cell(given.own, outside, k);
    for (int i = 0; i < 3; ++i) sum += cell(given.outputs, i, k);
    balance += sum * sum;
  }
  const DcmhLoss loss = given.loss(given.outputs);
  EXPECT_NEAR(loss.pairwise.item<double>(), pairwise, 1e-10);
  EXPECT_NEAR(loss.quantisation.item<double>(), quantisation, 1e-10);
  EXPECT_NEAR(loss.balance.item<double>(), balance, 1e-10);
  EXPECT_NEAR(loss.total.item<double>(), (pairwise + 0.7 * quantisation + 0.3 * balance) / (3 * 7), 1e-10);
  expect_gradient(
      given.outputs, [&](const torch::Tensor& of) { return given.loss(of).total; }, "outputs");
}

/// The own loss in the recorded adversarial training of a DCMH model, for the first image batch and the first
/// text batch. Buffers start as the signs of the untrained networks' outputs.
TEST(Dcmh, LossIsTheRecordedOne) {
  for (const torch::Dtype dtype : {torch::kFloat64, torch::kFloat32}) {
    const Fixture fixture("defenses/saat_cross_train", dtype);
    const auto encoded = [&](const std::string& network, const std::string& inputs) {
      return torch::tanh(torch::nn::functional::linear(fixture.get(inputs),
                                                       fixture.get("param." + network + ".fc.weight"),
                                                       fixture.get("param." + network + ".fc.bias")));
    };
    const torch::Tensor image = encoded("hash_image", "in.x");
    const torch::Tensor text = encoded("hash_text", "in.t");
    const torch::Tensor labels = fixture.get("in.labels");
    const auto expect_step = [&](const std::string& step, const torch::Tensor& outputs,
                                 const torch::Tensor& other) {
      const torch::Tensor rows = torch::arange(fixture.get("in." + step + ".start").size(0));
      const DcmhLoss loss = dcmh_loss(outputs.index_select(0, rows), sum_outside(outputs.sign(), rows), other,
                                      fixture.get("in.unified_codes_start"), rows,
                                      relevance_mask(labels.index_select(0, rows), labels).to(dtype),
                                      fixture.number("dcmh_gamma"), fixture.number("dcmh_eta"));
      expect_recorded(fixture, "loss." + step + ".ben", loss.total, fixture.is_double() ? 1e-7 : 1e-4);
    };
    expect_step("step1", image, text.sign());
    expect_step("step3", text, fixture.get("out.buffer_image"));  // the first after the pass over images
  }
}

TEST(Dcmh, BuffersFollowTheRowsOfTheTrainingSet) {
  SmallRun<DcmhConfig, DcmhTraining> run(small_config<DcmhConfig>());
  DcmhTraining& training = *run.training;
  const torch::Tensor before = training.image_outputs.clone();
  EXPECT_TRUE(before[kItems - 1].eq(0).all().item<bool>());
  EXPECT_TRUE(before.slice(0, 0, kItems - 1).ne(0).all().item<bool>());
  EXPECT_FALSE(before.equal(training.text_outputs));
  const TrainingBatch batch = pick(run.all, {6, 1, 3});
  const PairForward pass = training.forward(batch);
  static_cast<void>(training.losses(pass));
  for (int i = 0; i < 3; ++i) {
    const std::int64_t row = batch.rows[i].item<std::int64_t>();
    EXPECT_TRUE(training.image_outputs[row].equal(pass.image[i]));
    EXPECT_TRUE(training.text_outputs[row].equal(pass.text[i]));
  }
  for (const std::int64_t row : {0, 2, 4, 5, 7, 8, 9})
    EXPECT_TRUE(training.image_outputs[row].equal(before[row]));
  training.end_epoch();
  EXPECT_TRUE(training.codes.gt(0).equal((training.image_outputs + training.text_outputs).gt(0)));
}

TEST(Dcmh, BalanceOverTheBatchIgnoresTheBuffer) {
  for (const std::string over : {"training_set", "batch"}) {
    DcmhConfig config = small_config<DcmhConfig>();
    config.balance_over = over;
    SmallRun<DcmhConfig, DcmhTraining> run(config);
    const PairForward pass = run.training->forward(pick(run.all, {6, 1, 3, 4}));
    const auto balance = [&] { return run.training->losses(pass).at("balance").item<double>(); };
    const double before = balance();
    run.training->image_outputs[0] += 1;
    EXPECT_EQ(balance() == before, over == "batch");
    if (over == "training_set") continue;
    const torch::Tensor sums = torch::cat({pass.image.sum(0), pass.text.sum(0)});
    EXPECT_NEAR(before, sums.square().sum().item<double>(), 1e-12);
  }
}

TEST(Dcmh, TrainsOnRawOutputsAndEncodesTheirTanh) {
  SmallRun<DcmhConfig, DcmhTraining> run(small_config<DcmhConfig>());
  run.net->image_head->draw_normal(2);
  const PairForward pass = run.training->forward(run.all);
  EXPECT_GT(pass.image.abs().max().item<double>(), 1);
  EXPECT_TRUE(run.net->encode_image(run.all.images).equal(pass.image.tanh()));
}

}  // namespace
}  // namespace gauntlet::models
