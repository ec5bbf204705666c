// A frozen backbone stays as it came whatever trains around it, lets the input's gradient through, and gives
// features that can stand in for pictures.

#include "core/models/detail/cpah.hpp"
#include "core/spec/backbone_fields.hpp"
#include "tests/backbones/weight_files.hpp"

namespace gauntlet::models {
namespace {

using testing::kSmallCnnf;

constexpr ModelShape kShape = {.image_px = 20, .text_dim = 6, .n_labels = 3, .code_bits = 8};
constexpr std::int64_t kPairs = 6;

/// CPAH on a small CNN-F.
struct Built {
  explicit Built(bool frozen, bool augments = false) {
    torch::manual_seed(11);
    config.hidden = 16;
    config.adam.lr = 0.01;
    config.backbone.backbone_frozen = frozen;
    config.augmentation.flip = augments;
    config.augmentation.max_shift = augments ? 0.4 : 0;
    trunk = std::make_shared<Cnnf>(kSmallCnnf, false);
    const NamedTensors layers = testing::random_layers(kSmallCnnf, true, 0);
    for (auto& [name, tensor] : state_of(*trunk)) torch::Tensor(tensor).copy_(layers.at(name));
    if (frozen) trunk->freeze();
    net = std::make_shared<CpahNet>(config, kShape, trunk, solo.get());
    net->train();
    setup.labels = torch::eye(3).repeat({2, 1});
    setup.communicator = solo.get();
    training = std::make_unique<CpahTraining>(config, net, setup);
    training->begin(4);
    pairs = {torch::rand({kPairs, 3, 20, 20}), torch::rand({kPairs, 6}).round(), setup.labels,
             torch::arange(kPairs)};
  }

  std::unique_ptr<collective::Communicator> solo = collective::make_solo_communicator();
  CpahConfig config;
  std::shared_ptr<Cnnf> trunk;
  std::shared_ptr<CpahNet> net;
  TrainingSetup setup;
  std::unique_ptr<CpahTraining> training;
  TrainingBatch pairs;
};

bool same(const NamedTensors& left, const NamedTensors& right) {
  return std::ranges::all_of(left, [&](const auto& item) { return item.second.equal(right.at(item.first)); });
}

TEST(FrozenBackbone, NothingOfItMovesWhileTheRestLearns) {
  Built built(true);
  EXPECT_TRUE(built.net->is_training());
  EXPECT_FALSE(built.trunk->is_training());
  for (const torch::Tensor& parameter : built.trunk->parameters()) EXPECT_FALSE(parameter.requires_grad());
  EXPECT_EQ(trainable_parameters(*built.net).size(),
            built.net->parameters().size() - built.trunk->parameters().size());
  const NamedTensors trunk = weights_of(*built.trunk);
  const NamedTensors all = weights_of(*built.net);
  for (int step = 0; step < 3; ++step) built.training->step(built.pairs);
  EXPECT_TRUE(same(trunk, state_of(*built.trunk)));
  EXPECT_FALSE(same(all, state_of(*built.net)));
  EXPECT_FALSE(built.trunk->is_training());
}

TEST(FrozenBackbone, ALearningOneMoves) {
  Built built(false);
  EXPECT_TRUE(built.trunk->is_training());
  const NamedTensors trunk = weights_of(*built.trunk);
  built.training->step(built.pairs);
  EXPECT_FALSE(same(trunk, state_of(*built.trunk)));
}

TEST(FrozenBackbone, TheInputsGradientPasses) {
  Built built(true);
  built.net->eval();
  const torch::Tensor images = built.pairs.images.clone().requires_grad_();
  built.net->encode_image(images).sum().backward();
  EXPECT_GT(images.grad().abs().max().item<double>(), 0);
}

TEST(FrozenBackbone, FeaturesStandInForPictures) {
  Built on_pictures(true);
  Built on_features(true);
  TrainingBatch cached = on_features.pairs;
  cached.images = on_features.trunk->forward(on_features.pairs.images);
  EXPECT_EQ(cached.images.sizes(), (std::vector<std::int64_t>{kPairs, kSmallCnnf.fc7}));
  for (int step = 0; step < 3; ++step) {
    const Losses left = on_pictures.training->step(on_pictures.pairs);
    const Losses right = on_features.training->step(cached);
    for (const auto& [name, value] : left)
      EXPECT_NEAR(value, right.at(name), 1e-6 * std::max(1.0, std::abs(value))) << name;
  }
  on_features.net->eval();
  EXPECT_TRUE(torch::allclose(on_features.net->encode_image(cached.images),
                              on_features.net->encode_image(on_features.pairs.images), 0, 1e-6));
}

TEST(FrozenBackbone, PicturesAreNotAugmentedBeforeIt) {
  Built plain(true);
  Built augmenting(true, /*augments=*/true);
  EXPECT_EQ(plain.training->step(plain.pairs), augmenting.training->step(augmenting.pairs));
  Built learning(false);
  Built learning_augmenting(false, /*augments=*/true);
  EXPECT_NE(learning.training->step(learning.pairs),
            learning_augmenting.training->step(learning_augmenting.pairs));
}

TEST(FrozenBackbone, IsWhatTheGraphTakesForOne) {
  for (const char* name : {"cnnf", "alexnet", "picto_cnn", "features"}) {
    for (const bool frozen : {false, true}) {
      BackboneConfig config;
      config.backbone = name;
      config.backbone_frozen = frozen;
      EXPECT_EQ(config.is_frozen(), spec::has_frozen_backbone(write_config(config))) << name << frozen;
    }
  }
}

TEST(FrozenBackbone, EveryFieldIsNamedAsTheGraphExpects) {
  EXPECT_EQ(spec::backbone_fields(write_config(BackboneConfig())), write_config(BackboneConfig()));
}

}  // namespace
}  // namespace gauntlet::models
