// What DCMH, DCPH, DCHUC and DGCPN share: schedules, random draws by row, frozen trunks, steps.
#include "core/models/detail/pair_training.hpp"

#include <cmath>

#include "core/models/detail/dchuc.hpp"
#include "core/models/detail/dcmh.hpp"
#include "core/models/detail/row_draws.hpp"
#include "tests/classic_models/support.hpp"

namespace gauntlet::models {
namespace {

using namespace gauntlet::testing;

TEST(Schedule, GivesThePublishedRates) {
  const RecipeConfig dcmh = DcmhConfig{}.recipe;
  EXPECT_NEAR(dcmh.lr_image, std::pow(10, -1.5), 1e-10);
  const auto dcmh_rate = [&](std::int64_t epoch) {
    return dcmh.lr_image * rate_factor(dcmh, {.n_steps = 1, .epoch = epoch});
  };
  EXPECT_DOUBLE_EQ(dcmh_rate(0), dcmh.lr_image);
  EXPECT_NEAR(dcmh_rate(250), (std::pow(10, -1.5) + 1e-6) / 2, 1e-9);
  EXPECT_NEAR(dcmh_rate(500), 1e-6, 1e-12);
  const RecipeConfig dchuc = DchucConfig{}.recipe;
  const auto dchuc_factor = [&](std::int64_t epoch) {
    return rate_factor(dchuc, {.n_steps = 1, .epoch = epoch});
  };
  EXPECT_EQ(dchuc_factor(9), 1);
  EXPECT_DOUBLE_EQ(dchuc_factor(10), 1 / 1.5);
  EXPECT_DOUBLE_EQ(dchuc_factor(29), 1 / 2.25);
}

TEST(Schedule, RisesAndFallsByStep) {
  RecipeConfig recipe{.epochs = 4, .rate = {.schedule = "poly", .warmup_steps = 4}};
  EXPECT_DOUBLE_EQ(rate_factor(recipe, {0, 10, 0}), 0.25);
  EXPECT_DOUBLE_EQ(rate_factor(recipe, {1, 10, 0}), 0.5 * std::pow(0.9, 0.9));
  EXPECT_DOUBLE_EQ(rate_factor(recipe, {9, 10, 3}), std::pow(0.1, 0.9));
  recipe = {.epochs = 4, .rate = {.schedule = "logarithmic"}, .last_rate = 1e-4};
  EXPECT_DOUBLE_EQ(rate_factor(recipe, {0, 10, 1}), 0.1);
}

TEST(RowDraws, BelongToRows) {
  const auto draws = [](const torch::Tensor& rows, std::int64_t step) {
    return RowDraws{.seed = 1, .step = step, .rows = rows};
  };
  const RowDraws every = draws(torch::arange(40), 3);
  const torch::Tensor all = every.uniform(2, 50);
  const torch::Tensor some = draws(torch::tensor({7, 33}), 3).uniform(2, 50);
  EXPECT_TRUE(some[0].equal(all[7]));
  EXPECT_TRUE(some[1].equal(all[33]));
  EXPECT_FALSE(all.equal(draws(torch::arange(40), 4).uniform(2, 50)));
  EXPECT_FALSE(all.equal(every.uniform(5, 50)));
}

TEST(RowDraws, HaveTheirDistributions) {
  const RowDraws draws{.seed = 1, .rows = torch::arange(200)};
  const torch::Tensor uniform = draws.uniform(2, 50);
  EXPECT_NEAR(uniform.mean().item<double>(), 0.5, 0.02);
  EXPECT_NEAR(uniform.std().item<double>(), std::sqrt(1.0 / 12), 0.01);
  const torch::Tensor normals = draws.normal(2, 50);
  EXPECT_NEAR(normals.mean().item<double>(), 0, 0.04);
  EXPECT_NEAR(normals.std().item<double>(), 1, 0.03);
  EXPECT_NEAR(normals.pow(4).mean().item<double>(), 3, 0.3);
  const torch::Tensor codes = random_codes(200, 50, 1, torch::kFloat32);
  EXPECT_TRUE(codes.abs().eq(1).all().item<bool>());
  EXPECT_NEAR(codes.mean().item<double>(), 0, 0.04);
}

TEST(PairTraining, DropsUnitsInTrainingAndNeverInEncoding) {
  DchucConfig config = small_config<DchucConfig>();
  SmallRun<DchucConfig, DchucTraining> run(config);
  const torch::Tensor encoded = run.net->encode_text(run.all.text);
  EXPECT_TRUE(run.net->is_training());
  EXPECT_FALSE(run.training->forward(run.all).text.tanh().allclose(encoded));
  config.dropout = 0;
  SmallRun<DchucConfig, DchucTraining> whole(config);
  EXPECT_TRUE(whole.training->forward(whole.all).text.tanh().equal(whole.net->encode_text(whole.all.text)));
}

/// The networks share nothing and see each other without gradient: a step of plain sgd with one rate at 0
/// moves the other network just as a step of both does.
TEST(PairTraining, StepsOfTheTwoNetworksDoNotTouchEachOther) {
  DcmhConfig config = small_config<DcmhConfig>();
  const auto after_step = [&](double lr_image, double lr_text) {
    config.recipe.lr_image = lr_image;
    config.recipe.lr_text = lr_text;
    SmallRun<DcmhConfig, DcmhTraining> run(config);
    run.training->step(pick(run.all, {6, 1, 3}));
    return std::pair(run.net->image_head->out->weight.detach(), run.net->text_head->out->weight.detach());
  };
  const auto both = after_step(0.5, 0.5), image = after_step(0.5, 0), text = after_step(0, 0.5),
             none = after_step(0, 0);
  EXPECT_TRUE(both.first.equal(image.first));
  EXPECT_TRUE(both.second.equal(text.second));
  EXPECT_TRUE(image.second.equal(none.second));
  EXPECT_FALSE(both.first.equal(none.first));
  EXPECT_FALSE(both.second.equal(none.second));
}

TEST(PairTraining, LeavesAFrozenTrunkAsItIs) {
  const auto solo = collective::make_solo_communicator();
  const ModelShape shape{.image_px = 16, .text_dim = kWords, .n_labels = kLabels, .code_bits = kBits};
  TrainingBatch all = items();
  all.images = waves({kItems, 3, 16, 16}, 0.37).abs().to(torch::kFloat32);
  all.text = all.text.to(torch::kFloat32);
  all.labels = all.labels.to(torch::kFloat32);
  DcmhConfig config;
  config.backbone.backbone = "picto_cnn";
  config.backbone.backbone_width = 4;
  config.recipe.augmentation.flip = true;
  for (const bool frozen : {true, false}) {
    const auto trunk = make_backbone(config.backbone, shape, "dcmh", solo.get()).value();
    const HashHead image(HashHeadLayout{.from = trunk->n_features(), .to = kBits});
    const HashHead text(HashHeadLayout{.from = kWords, .hidden = 8, .to = kBits});
    if (frozen) trunk->freeze();
    const auto net = std::make_shared<PairNet>(trunk, image, text);
    const torch::Tensor before = trunk->parameters().front().detach().clone();
    EXPECT_EQ(net->trained_parameters(Modality::kImage).size(),
              2 + (frozen ? 0 : trunk->parameters().size()));
    DcmhTraining training(config, net, {.labels = all.labels, .seed = 3, .communicator = solo.get()});
    training.begin(1);
    training.step(pick(all, {6, 1, 3, 4}));
    EXPECT_EQ(trunk->parameters().front().equal(before), frozen);
  }
}

}  // namespace
}  // namespace gauntlet::models
