// What is special about EQB2A as an attack: what it asks, what its switches change, what it refuses.

#include "core/attacks/attack.hpp"
#include "core/attacks/detail/eqb2a_training.hpp"
#include "tests/methods_a/toys.hpp"

namespace gauntlet::attacks {
namespace {

using ::testing::HasSubstr;
using torch::Tensor;

constexpr std::int64_t kItems = 30;

/// A target that hashes by fixed random planes and answers with ranked lists.
class PlaneTarget final : public RankedLists {
 public:
  explicit PlaneTarget(const models::TrainingBatch& items)
      : image_planes_(planes(3 * testing::kToyPx * testing::kToyPx, 1)),
        text_planes_(planes(testing::kToyTextDim, 2)),
        image_codes_(codes(Modality::kImage, items.images)),
        text_codes_(codes(Modality::kText, items.text)) {}

  Tensor rank(Modality modality, const Tensor& inputs) override {
    (modality == Modality::kImage ? n_images : n_texts) += inputs.size(0);
    most_at_once = std::max(most_at_once, inputs.size(0));
    const Tensor& items = modality == Modality::kImage ? text_codes_ : image_codes_;
    return std::get<1>(
        (-codes(modality, inputs).matmul(items.t())).sort(/*stable=*/true, 1, /*descending=*/false));
  }
  [[nodiscard]] std::int64_t queries_used() const override { return n_images + n_texts; }

  std::int64_t n_images = 0, n_texts = 0, most_at_once = 0;

 private:
  static Tensor planes(std::int64_t n, std::uint64_t seed) {
    return torch::randn({n, testing::kToyBits}, at::make_generator<at::CPUGeneratorImpl>(seed),
                        torch::TensorOptions(torch::kFloat32));
  }
  [[nodiscard]] Tensor codes(Modality modality, const Tensor& inputs) const {
    const Tensor flat = inputs.flatten(1) - 0.5;
    return flat.matmul(modality == Modality::kImage ? image_planes_ : text_planes_).sign();
  }
  Tensor image_planes_, text_planes_, image_codes_, text_codes_;
};

struct Outcome {
  Result<TrainedAttack> trained = fail(ErrorCode::kInvalid, "not run");
  std::int64_t n_images = 0, n_texts = 0;
  std::vector<std::int64_t> epochs;  ///< numbers told
  std::int64_t n_epochs = 0;
};

const AttackEntry& entry() { return *attack_registry().find("eqb2a").value(); }

Json toy(const Json& changes = Json::object()) {
  Json config = testing::toy_config(entry().about);
  config.update({{"n_queries", 12},
                 {"pg_width", 2},
                 {"ps_fc1", 8},
                 {"ps_fc2", 8},
                 {"ps_fc3", 8},
                 {"disc_width", 4},
                 {"epochs_knockoff", 1},
                 {"epochs_perturbation", 1},
                 {"epochs_generator", 2}});
  config.update(changes);
  return config;
}

Outcome run(const Json& config, const models::ModelShape& shape = testing::toy_shape()) {
  const models::TrainingBatch items = testing::toy_pairs(kItems, 5);
  PlaneTarget target(items);
  const auto solo = collective::make_solo_communicator();
  Outcome done;
  AttackTraining setup;
  setup.surface.shape = shape;
  setup.surface.train_labels = items.labels;
  setup.surface.code_bits = testing::kToyBits;
  setup.ranked_lists = &target;
  setup.images = (items.images * 255).round().to(torch::kUInt8);
  setup.text = items.text.to(torch::kUInt8);
  setup.labels = items.labels;
  setup.seed = 11;
  setup.communicator = solo.get();
  setup.on_epoch = [&](std::int64_t epoch, std::int64_t epochs, const models::Losses&, double) {
    done.epochs.push_back(epoch);
    done.n_epochs = epochs;
  };
  done.trained = entry().train(config, std::move(setup));
  done.n_images = target.n_images;
  done.n_texts = target.n_texts;
  return done;
}

bool same(const Weights& left, const Weights& right) {
  return std::ranges::equal(left, right, [](const auto& one, const auto& another) {
    return one.first == another.first && one.second.equal(another.second);
  });
}

TEST(Eqb2a, AsksAsOftenAsItSays) {
  const Outcome once = run(toy());
  ASSERT_TRUE(once.trained) << once.trained.error().message;
  EXPECT_EQ(once.n_images, 12);
  EXPECT_EQ(once.n_texts, 12);
  EXPECT_THAT(once.epochs, ::testing::ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(once.n_epochs, 4);
  const Outcome redrawn = run(toy({{"redraw", true}}));
  ASSERT_TRUE(redrawn.trained) << redrawn.trained.error().message;
  EXPECT_EQ(redrawn.n_images, 36);
  EXPECT_EQ(redrawn.n_texts, 12);
  const Outcome all = run(toy({{"n_queries", 5000}}));
  ASSERT_TRUE(all.trained) << all.trained.error().message;
  EXPECT_EQ(all.n_images, kItems);
  EXPECT_EQ(all.n_texts, kItems);
}

TEST(Eqb2a, TrainsTheSameBytesFromTheSameSeed) {
  const Outcome first = run(toy()), second = run(toy());
  ASSERT_TRUE(first.trained && second.trained);
  EXPECT_TRUE(same(first.trained->weights, second.trained->weights));
  for (const char* curve : {"knockoff_total", "perturbation_total", "generator_total", "generator_d"}) {
    EXPECT_TRUE(first.trained->curves.contains(curve)) << curve;
  }
  EXPECT_EQ(first.trained->curves.at("generator_total").size(), 2U);
}

TEST(Eqb2a, HasSwitchesThatChangeWhatItLearns) {
  const Outcome plain = run(toy());
  ASSERT_TRUE(plain.trained);
  EXPECT_FALSE(plain.trained->curves.contains("generator_supervisor"));
  for (const Json& change : {Json{{"redraw", true}}, Json{{"restore", false}}, Json{{"supervisor_weight", 5}},
                             Json{{"near", 2}}, Json{{"d_every", 1}}}) {
    const Outcome changed = run(toy(change));
    ASSERT_TRUE(changed.trained) << change << changed.trained.error().message;
    EXPECT_FALSE(same(plain.trained->weights, changed.trained->weights)) << change;
  }
}

/// Root of the mean squared difference between made and clean pictures.
double distance_of(const Json& config) {
  Outcome made = run(config);
  EXPECT_TRUE(made.trained);
  AttackSurface surface;
  surface.shape = testing::toy_shape();
  surface.weights = made.trained->weights;
  auto attack = entry().make(config, surface, 1);
  EXPECT_TRUE(attack) << (attack ? "" : attack.error().message);
  const models::TrainingBatch queries = testing::toy_pairs(8, 6);
  std::vector<std::int64_t> rows(8);
  const Tensor adversarial = (*attack)->perturb({queries.images, queries.labels, rows});
  return (adversarial - queries.images).pow(2).mean().sqrt().item<double>();
}

TEST(Eqb2a, KeepsPicturesTheBetterTheMoreReconstructionWeighs) {
  const Json longer = {{"epochs_generator", 40}, {"lr_generator", 0.003}};
  Json heavy = toy(longer), light = toy(longer);
  heavy["rec_weight"] = 1000;
  light["rec_weight"] = 0;
  EXPECT_LT(distance_of(heavy), 0.8 * distance_of(light));
}

/// A network with or without something that batches change.
class FakeBackbone final : public models::Backbone {
 public:
  explicit FakeBackbone(bool collects) {
    if (collects) register_module("bn", torch::nn::BatchNorm2d(3));
  }
  Tensor forward(const Tensor& images) override { return images.mean({2, 3}); }
  [[nodiscard]] std::int64_t n_features() const override { return 3; }
};

TEST(Eqb2a, ComputesFeaturesOnceWhereNothingChangesThem) {
  eqb2a::Config config;
  config.backbone.backbone = "cnnf";
  EXPECT_TRUE(eqb2a::has_constant_features(FakeBackbone(false), config));
  EXPECT_FALSE(eqb2a::has_constant_features(FakeBackbone(true), config));
  config.backbone_batch_statistics = false;
  EXPECT_TRUE(eqb2a::has_constant_features(FakeBackbone(true), config));
  config.backbone.backbone_frozen = false;
  EXPECT_FALSE(eqb2a::has_constant_features(FakeBackbone(true), config));
  config.backbone = models::BackboneConfig();
  config.backbone.backbone = "picto_cnn";
  EXPECT_FALSE(eqb2a::has_constant_features(FakeBackbone(true), config));
}

TEST(Eqb2a, SaysWhatItCannotDo) {
  models::ModelShape shape = testing::toy_shape();
  const auto refusal = [&](const Json& config) {
    const Outcome refused = run(config, shape);
    EXPECT_FALSE(refused.trained);
    if (refused.trained) return std::string();
    EXPECT_EQ(refused.trained.error().code, ErrorCode::kInvalid);
    EXPECT_EQ(refused.n_images + refused.n_texts, 0);  // no query is spent on what cannot work
    return refused.trained.error().message;
  };
  EXPECT_THAT(refusal(toy({{"near", 31}})), HasSubstr("near is 31"));
  EXPECT_THAT(refusal(toy({{"spread", 31}})), HasSubstr("at most 30"));
  EXPECT_THAT(refusal(toy({{"rec_weight", -1}})), HasSubstr("rec_weight"));
  shape.image_px = 18;
  EXPECT_THAT(refusal(toy()), HasSubstr("18 x 18"));
  shape.image_px = 0;
  shape.feature_dim = 64;
  EXPECT_THAT(refusal(toy()), HasSubstr("features"));
}

}  // namespace
}  // namespace gauntlet::attacks
