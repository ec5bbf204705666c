// What adversarial training promises beside its formulas, and what its entries refuse.
#include "core/defenses/detail/robust_training.hpp"

#include "core/attacks/detail/sharpening.hpp"
#include "core/attacks/mainstay_code.hpp"
#include "core/attacks/prototype_net.hpp"
#include "core/defenses/detail/robust_losses.hpp"
#include "core/models/epochs.hpp"
#include "tests/methods_b/support.hpp"

namespace gauntlet::defenses {
namespace {

using ::testing::HasSubstr;
using torch::Tensor;

/// A target with a trunk of its own: images → trunk → image head; texts → text head.
class TrunkTarget final : public models::HashingModel {
 public:
  TrunkTarget()
      : trunk_(register_module("trunk", torch::nn::Linear(3 * 144, 6))),
        image_(register_module("image", torch::nn::Linear(6, kTinyShape.code_bits))),
        text_(register_module("text", torch::nn::Linear(kTinyShape.text_dim, kTinyShape.code_bits))) {}
  Tensor encode_image(const Tensor& images) override {
    return torch::tanh(image_(torch::relu(trunk_(images.flatten(1) * 2 - 1))));
  }
  Tensor encode_text(const Tensor& text) override { return torch::tanh(text_(text)); }
  std::vector<Tensor> backbone_parameters() override { return trunk_->parameters(); }

 private:
  torch::nn::Linear trunk_, image_, text_;
};

/// A training of the target's own whose objective is `objective` of the image codes.
class OwnTraining final : public models::ModelTraining {
 public:
  using Objective = std::function<Tensor(const Tensor& codes)>;
  OwnTraining(std::shared_ptr<models::HashingModel> model, Objective objective)
      : model_(std::move(model)), objective_(std::move(objective)) {}
  [[nodiscard]] std::int64_t n_epochs() const override { return 1; }
  [[nodiscard]] std::int64_t batch_size() const override { return 8; }
  void begin(std::int64_t) override {}
  models::Losses step(const models::TrainingBatch&) override { return {}; }
  [[nodiscard]] models::Rates learning_rates() const override { return {}; }
  void visit_state(models::StateVisitor&) override {}
  Tensor objective(const models::TrainingBatch& batch) override {
    return objective_(model_->encode_image(batch.images));
  }

 private:
  std::shared_ptr<models::HashingModel> model_;
  Objective objective_;
};

class RobustTrainingTest : public ::testing::Test {
 protected:
  static constexpr std::int64_t kRows = 20;

  RobustTrainingTest() : setup_(tiny_training(Modality::kImage, kRows, solo_.get())) {
    make_joint(setup_, kRows);
    torch::manual_seed(3);
    auto target = std::make_shared<TrunkTarget>();
    target->eval();
    for (auto& parameter : target->parameters()) parameter.set_requires_grad(false);
    setup_.model = target;
    setup_.target.copy = [target]() -> Result<std::shared_ptr<models::HashingModel>> {
      auto copy = std::make_shared<TrunkTarget>();
      GAUNTLET_CHECK_OK(models::restore(*copy, models::state_of(*target)));
      copy->eval();
      return copy;
    };
    config_.batch_size = 6;
    config_.at_epochs = 2;
    config_.at_lr = config_.at_lr_backbone = 0.01;
  }

  void give_own_training(OwnTraining::Objective objective) {
    setup_.target.own_training =
        [objective](std::shared_ptr<models::HashingModel> model,
                    const models::TrainingSetup&) -> Result<std::unique_ptr<models::ModelTraining>> {
      return std::make_unique<OwnTraining>(std::move(model), objective);
    };
  }

  [[nodiscard]] std::unique_ptr<RobustTraining> open() const {
    auto opened = RobustTraining::open("test", config_, setup_);
    EXPECT_TRUE(opened) << (opened ? "" : opened.error().message);
    return std::move(*opened);
  }

  /// A defense of the registry, trained with few and large steps.
  [[nodiscard]] Result<TrainedDefense> trained(const std::string& name, Json config = Json::object()) const {
    for (const auto& [key, value] : {std::pair{"at_epochs", Json(2)},
                                     {"batch_size", Json(6)},
                                     {"at_lr", Json(0.01)},
                                     {"at_lr_backbone", Json(0.01)}}) {
      if (!config.contains(key)) config[key] = value;
    }
    if (name == "atrdh") config.update({{"atrdh_hidden", 8}, {"atrdh_middle", 6}, {"atrdh_lr", 0.05}});
    return (*defense_registry().find(name))->train(config, setup_);
  }
  [[nodiscard]] Weights weights(const std::string& name, const Json& config = Json::object()) const {
    auto result = trained(name, config);
    EXPECT_TRUE(result) << (result ? "" : result.error().message);
    return result ? result->weights : Weights();
  }
  [[nodiscard]] std::string refusal(const std::string& name, const Json& config) const {
    const auto result = trained(name, config);
    EXPECT_FALSE(result);
    if (result) return "";
    EXPECT_EQ(result.error().code, ErrorCode::kInvalid);
    return result.error().message;
  }

  std::unique_ptr<collective::Communicator> solo_ = collective::make_solo_communicator();
  DefenseTraining setup_;
  RobustConfig config_;
};

bool same(const Weights& left, const Weights& right) {
  if (left.size() != right.size()) return false;
  return std::ranges::all_of(left, [&](const auto& one) {
    return right.contains(one.first) && one.second.equal(right.at(one.first));
  });
}

const char* const kAll[] = {"atrdh", "saat", "rocmr", "tpap"};

TEST_F(RobustTrainingTest, SameSeedSameBytesAnotherSeedOthers) {
  for (const char* name : kAll) {
    SCOPED_TRACE(name);
    setup_.seed = 5;
    const Weights first = weights(name);
    EXPECT_TRUE(same(first, weights(name)));
    setup_.seed = 6;
    EXPECT_FALSE(same(first, weights(name)));
  }
}

TEST_F(RobustTrainingTest, SwitchesChangeWhatIsTrained) {
  const std::vector<std::pair<std::string, Json>> switches = {{"atrdh", {{"atrdh_pairs", "above_diagonal"}}},
                                                              {"atrdh", {{"atrdh_weight", 2}}},
                                                              {"saat", {{"saat_obj", "sharp"}}},
                                                              {"saat", {{"saat_lambda", 3}}},
                                                              {"saat", {{"saat_mu", 1}}},
                                                              {"saat", {{"at_optimiser", "adam"}}},
                                                              {"rocmr", {{"con_pos", "instance"}}},
                                                              {"rocmr", {{"con_temp", 1}}},
                                                              {"tpap", {{"tpap_ben", false}}},
                                                              {"tpap", {{"epsilon_text", 0.5}}},
                                                              {"rocmr", {{"con_mu", 1}}},
                                                              {"rocmr", {{"ben_weight", 5}}},
                                                              {"rocmr", {{"epsilon_image", 0.1}}},
                                                              {"atrdh", {{"pgd_iters", 1}}},
                                                              {"atrdh", {{"at_beta2", 0.9}}},
                                                              {"atrdh", {{"at_weight_decay", 0.1}}},
                                                              {"saat", {{"at_momentum", 0.9}}},
                                                              {"saat", {{"at_epochs", 3}}},
                                                              {"saat", {{"at_lr", 0.1}}},
                                                              {"saat", {{"first_milestone", 0.25}}},
                                                              {"saat", {{"n_train", 12}}}};
  for (const auto& [name, config] : switches) {
    EXPECT_FALSE(same(weights(name), weights(name, config))) << name << " " << config.dump();
  }
}

TEST_F(RobustTrainingTest, SoftplusBoundsThePrototypeLoss) {
  const auto with = trained("atrdh"), without = trained("atrdh", {{"atrdh_softplus", false}});
  ASSERT_TRUE(with && without);
  EXPECT_NE(with->curves.at("image prototype"), without->curves.at("image prototype"));
}

TEST(RobustFields, HoldEverySwitchWithADefaultAndItsReason) {
  const std::vector<std::string> common = {"epsilon_image",   "epsilon_text", "ben_loss",        "ben_weight",
                                           "freeze_backbone", "at_epochs",    "batch_size",      "at_lr",
                                           "at_lr_backbone",  "at_optimiser", "first_milestone", "n_train",
                                           "at_weight_decay"};
  const std::map<std::string, std::vector<std::string>> own = {
      {"atrdh", {"pgd_iters", "atrdh_weight", "atrdh_pairs", "atrdh_softplus"}},
      {"saat", {"pgd_iters", "saat_lambda", "saat_mu", "saat_obj"}},
      {"rocmr", {"pgd_iters", "con_temp", "con_pos", "con_mu"}},
      {"tpap", {"tpap_mode", "tpap_ben", "tpap_pre"}}};
  for (const auto& [name, switches] : own) {
    std::map<std::string, FieldInfo> fields;
    for (const FieldInfo& field : (*defense_registry().find(name))->about.fields())
      fields[field.name] = field;
    std::vector<std::string> wanted = common;
    wanted.insert(wanted.end(), switches.begin(), switches.end());
    for (const std::string& field : wanted) {
      ASSERT_TRUE(fields.contains(field)) << name << " " << field;
      EXPECT_FALSE(fields.at(field).default_value.is_null()) << name << " " << field;
      EXPECT_FALSE(fields.at(field).doc.empty()) << name << " " << field;
    }
  }
}

TEST_F(RobustTrainingTest, MovesABackboneThatTheTargetKeptFrozenUnlessToldNotTo) {
  const auto plain = setup_.target.copy;
  setup_.target.copy = [plain]() -> Result<std::shared_ptr<models::HashingModel>> {
    GAUNTLET_TRY(auto copy, plain());
    for (Tensor& parameter : copy->backbone_parameters()) parameter.set_requires_grad(false);
    return copy;
  };
  const Tensor before = models::weights_of(*setup_.model).at("trunk.weight");
  EXPECT_FALSE(weights("rocmr").at("trunk.weight").equal(before));
  const auto kept = trained("rocmr", {{"freeze_backbone", true}});
  ASSERT_TRUE(kept) << kept.error().message;
  EXPECT_TRUE(kept->weights.at("trunk.weight").equal(before));
  EXPECT_EQ(kept->n_parameters, (6 + 1 + kTinyShape.text_dim + 1) * kTinyShape.code_bits);
}

TEST_F(RobustTrainingTest, KeepsABackboneFrozenOrMovesItAtItsOwnRate) {
  const auto before = models::weights_of(*setup_.model);
  const auto moves = [&](const Json& config) {
    const Weights after = weights("saat", config);
    EXPECT_FALSE(after.at("image.weight").equal(before.at("image.weight")));
    EXPECT_FALSE(after.at("text.weight").equal(before.at("text.weight")));
    return !after.at("trunk.weight").equal(before.at("trunk.weight"));
  };
  EXPECT_TRUE(moves({{"freeze_backbone", false}}));
  EXPECT_FALSE(moves({{"freeze_backbone", true}}));
  EXPECT_FALSE(moves({{"at_lr_backbone", 0}}));
}

TEST_F(RobustTrainingTest, BatchesAreOfEqualSizeAndHoldEveryRowOnce) {
  config_.n_train = 17;
  const auto training = open();
  const auto order = models::shuffled_rows(training->n_pairs(), 1, 2, 3);
  ASSERT_EQ(training->n_batches(), 2);
  std::vector<std::int64_t> seen;
  for (std::int64_t index = 0; index < training->n_batches(); ++index) {
    const RobustBatch batch = training->batch(order, index, index);
    EXPECT_GE(batch.own.images.size(0), 8);
    EXPECT_LE(batch.own.images.max().item<float>(), 1.0F);
    seen.insert(seen.end(), batch.own_rows.begin(), batch.own_rows.end());
    EXPECT_TRUE(batch.labels.equal(setup_.labels.index_select(0, batch.rows)));
  }
  std::ranges::sort(seen);
  for (std::int64_t row = 0; row < 17; ++row) EXPECT_EQ(seen.at(static_cast<std::size_t>(row)), row);
  EXPECT_EQ(seen.size(), 17U);
}

TEST_F(RobustTrainingTest, InnerAttackStaysInTheBudgetLowersItsLossAndLeavesTheCopyAlone) {
  const auto training = open();
  const auto before = models::weights_of(training->model());
  const RobustBatch batch = training->batch(models::shuffled_rows(kRows, 1, 2, 3), 0, 0);
  for (const Modality modality : {Modality::kImage, Modality::kText}) {
    const auto loss = [](const Tensor& u) { return u.sum(1); };
    const Tensor& clean = batch.inputs(modality);
    const Tensor adversarial = training->perturbed(modality, batch, {}, loss);
    const double budget = modality == Modality::kImage ? config_.epsilon_image : config_.epsilon_text;
    EXPECT_LE((adversarial - clean).abs().max().item<double>(), budget + 1e-6);
    EXPECT_GE(adversarial.min().item<double>(), 0);
    EXPECT_LE(adversarial.max().item<double>(), 1);
    EXPECT_LT(training->codes_without_gradient(modality, adversarial).sum().item<double>(),
              training->codes_without_gradient(modality, clean).sum().item<double>());
    EXPECT_FALSE(adversarial.requires_grad());
  }
  EXPECT_TRUE(training->model().is_training());
  EXPECT_TRUE(same(models::weights_of(training->model()), before));
  for (const Tensor& parameter : training->model().parameters()) {
    EXPECT_TRUE(parameter.requires_grad());
    EXPECT_FALSE(parameter.grad().defined());
  }
}

TEST_F(RobustTrainingTest, TextsStayInTheRangeOfTheDataSet) {
  setup_.text = torch::rand({kRows, kTinyShape.text_dim}) * 0.04 - 0.02;
  const auto least = [&](double low) {
    setup_.text_low = low;
    const auto training = open();
    const RobustBatch batch = training->batch(models::shuffled_rows(kRows, 1, 2, 3), 0, 0);
    return training->perturbed(Modality::kText, batch, {}, [](const Tensor& u) { return u.sum(1); })
        .min()
        .item<double>();
  };
  EXPECT_EQ(least(0), 0);
  EXPECT_LT(least(-1), -0.02);
}

TEST_F(RobustTrainingTest, BuffersStartAsTheTargetsCodesAndKeepTheLastOnes) {
  const auto training = open();
  EXPECT_TRUE(training->buffer(Modality::kText).equal(setup_.train_codes_text));
  const RobustBatch batch = training->batch(models::shuffled_rows(kRows, 1, 2, 3), 0, 0);
  const Tensor codes = torch::rand({batch.rows.size(0), kTinyShape.code_bits});
  training->remember(Modality::kText, batch, codes);
  EXPECT_TRUE(training->buffer(Modality::kText).index_select(0, batch.rows).equal(codes));
  EXPECT_EQ(training->buffer(Modality::kText).ne(setup_.train_codes_text).any(1).sum().item<std::int64_t>(),
            batch.rows.size(0));
  EXPECT_TRUE(training->target_codes(Modality::kText).equal(setup_.train_codes_text));
  EXPECT_TRUE(training->buffer(Modality::kImage).equal(setup_.train_codes_image));
}

TEST_F(RobustTrainingTest, RatesFallAtTheMilestones) {
  const auto training = open();
  EXPECT_DOUBLE_EQ(training->rate_factor(0), 1);
  EXPECT_DOUBLE_EQ(training->rate_factor(0.49), 1);
  EXPECT_DOUBLE_EQ(training->rate_factor(0.5), 0.1);
  EXPECT_DOUBLE_EQ(training->rate_factor(0.74), 0.1);
  EXPECT_NEAR(training->rate_factor(0.75), 0.01, 1e-15);
}

/// Remembers the progress of every batch, by modality.
class ProgressRecorder final : public RobustMethod {
 public:
  Result<LossTerms> losses(RobustTraining& training, const RobustBatch& batch, Modality modality) override {
    seen[modality].push_back(batch.progress);
    return LossTerms{{"total", training.encoded(modality, {batch.inputs(modality)})[0].square().mean()}};
  }
  std::map<Modality, std::vector<double>> seen;
};

TEST_F(RobustTrainingTest, ImagesAndTextsThatTakeTurnsMeetTheSameRates) {
  config_.batch_size = 10;
  const auto training = open();
  ProgressRecorder method;
  ASSERT_TRUE(train_robust(*training, method, "test", config_));
  EXPECT_THAT(method.seen[Modality::kImage], ::testing::ElementsAre(0, 0.25, 0.5, 0.75));
  EXPECT_THAT(method.seen[Modality::kText], ::testing::ElementsAre(0, 0.25, 0.5, 0.75));
}

TEST_F(RobustTrainingTest, TakesTheTargetsOwnObjectiveWhenAsked) {
  give_own_training([](const Tensor& codes) { return codes.square().sum(); });
  const Json target = {{"ben_loss", "target"}};
  for (const char* name : kAll) EXPECT_FALSE(same(weights(name), weights(name, target))) << name;
  const Weights pulled = weights(
      "saat", {{"ben_loss", "target"}, {"ben_weight", 100}, {"at_optimiser", "adam"}, {"at_epochs", 10}});
  auto model = setup_.target.copy();
  ASSERT_TRUE(models::restore(**model, pulled));
  const Tensor images = setup_.images.to(torch::kFloat) / 255;
  EXPECT_LT((*model)->encode_image(images).abs().mean().item<double>(),
            setup_.model->encode_image(images).abs().mean().item<double>());
}

TEST_F(RobustTrainingTest, RefusesATargetWithoutACommonObjective) {
  EXPECT_EQ(refusal("rocmr", {{"ben_loss", "target"}}),
            "rocmr: ben_loss is 'target', but a tiny target is not trained; allowed: ben_loss 'pairwise'");
  give_own_training([](const Tensor&) { return Tensor(); });
  EXPECT_THAT(refusal("saat", {{"ben_loss", "target"}}),
              ::testing::AllOf(HasSubstr("saat: ben_loss is 'target'"), HasSubstr("no common objective")));
}

TEST_F(RobustTrainingTest, RefusesImageFeatures) {
  setup_.shape.image_px = 0;
  setup_.shape.feature_dim = 4096;
  for (const char* name : kAll) {
    EXPECT_THAT(
        refusal(name, Json::object()),
        ::testing::AllOf(HasSubstr(name), HasSubstr("image features (4096 each)"), HasSubstr("pictures")));
  }
}

TEST_F(RobustTrainingTest, RefusesDataOfOneSide) {
  setup_.shape.text_dim = 0;
  EXPECT_EQ(refusal("saat", Json::object()),
            "saat trains on pairs, and this data set holds no texts; allowed: a data set with pictures and "
            "texts");
  setup_.shape = kTinyShape;
  setup_.shape.image_px = 0;
  EXPECT_EQ(refusal("saat", Json::object()),
            "saat trains on perturbed pictures, and this data set holds no images; allowed: a data set with "
            "pictures");
}

TEST_F(RobustTrainingTest, RefusesLabelsThatAreAllEmptyWherePrototypesAreLearned) {
  setup_.train_labels.zero_();
  EXPECT_THAT(refusal("atrdh", Json::object()), HasSubstr("none of the 40 training items has a label"));
}

TEST_F(RobustTrainingTest, SaysWhichLossDiverged) {
  give_own_training(
      [](const Tensor& codes) { return codes.sum() * std::numeric_limits<double>::quiet_NaN(); });
  const auto result = trained("saat", {{"ben_loss", "target"}});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kDiverged);
  EXPECT_EQ(result.error().message,
            "saat: loss 'image benign' became nan in epoch 1, step 1, at at_lr 0.01; a smaller learning rate "
            "may help");
}

TEST_F(RobustTrainingTest, SaysAtWhichStepALossDiverged) {
  int n_calls = 0;
  give_own_training([&n_calls](const Tensor& codes) {
    return codes.sum() * (++n_calls == 5 ? std::numeric_limits<double>::infinity() : 1.0);
  });
  const auto result = trained("tpap", {{"ben_loss", "target"}});  // three steps a pass
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kDiverged);
  EXPECT_THAT(result.error().message, HasSubstr("loss 'text benign' became"));
  EXPECT_THAT(result.error().message, HasSubstr("in epoch 1, step 5, at at_lr"));
}

TEST_F(RobustTrainingTest, SaysThatTheLastStepLeftNoUsableWeights) {
  // Finite, with a gradient that is not.
  give_own_training([](const Tensor& codes) { return (codes * 0).sqrt().sum(); });
  const auto result = trained("rocmr", {{"ben_loss", "target"}, {"batch_size", 20}, {"at_epochs", 1}});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kDiverged);
  EXPECT_THAT(result.error().message, HasSubstr("is no longer finite in epoch 1"));
}

TEST_F(RobustTrainingTest, TrainsOnOnePairAndBatchesOfOne) {
  for (const char* name : kAll) {
    EXPECT_FALSE(weights(name, {{"n_train", 1}}).empty()) << name;
    EXPECT_FALSE(weights(name, {{"batch_size", 1}, {"at_epochs", 1}}).empty()) << name;
  }
}

/// The pipeline of tpap for `modality`.
Result<std::unique_ptr<Pipeline>> tpap_pipeline(const DefenseTraining& setup, const Json& config,
                                                const Weights& weights) {
  return (*defense_registry().find("tpap"))
      ->make(config, {.model = setup.model,
                      .shape = setup.shape,
                      .modality = Modality::kImage,
                      .weights = weights,
                      .target = setup.target});
}

TEST_F(RobustTrainingTest, TpapMovesEveryInputByOneStepAndPassesGradientsStraightThrough) {
  const Json config = {{"epsilon_image", 0.03}};
  const auto made = tpap_pipeline(setup_, config, weights("tpap", config));
  ASSERT_TRUE(made) << made.error().message;
  Tensor input = torch::rand({4, 3, 12, 12}) * 0.8 + 0.1;
  const Tensor moved = [&] {
    const torch::NoGradGuard no_grad;
    return ((*made)->purified(Modality::kImage, input) - input).abs();
  }();
  EXPECT_NEAR(moved.max().item<double>(), 0.03, 1e-6);
  EXPECT_GT(moved.gt(0.0299).to(torch::kFloat).mean().item<double>(), 0.9);
  const Tensor weight = torch::rand_like(input);
  input.requires_grad_();
  ((*made)->purified(Modality::kImage, input) * weight).sum().backward();
  EXPECT_TRUE(input.grad().equal(weight));
  EXPECT_TRUE((*made)
                  ->encode_retrieval(Modality::kImage, input)
                  .ne((*made)->encode_query(Modality::kImage, input))
                  .any()
                  .item<bool>());
}

TEST_F(RobustTrainingTest, TpapStepsAwayFromTheCodeOfTheNearestTrainingItemWhenAsked) {
  const Json nearest = {{"tpap_pre", "nearest"}};
  const Weights with_codes = weights("tpap", nearest), without = weights("tpap");
  EXPECT_EQ(with_codes.at("nearest_image.codes").sizes(), (torch::IntArrayRef{kRows, kTinyShape.code_bits}));
  EXPECT_EQ(with_codes.size(), without.size() + 4);
  const auto refused = tpap_pipeline(setup_, nearest, without);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(refused.error().message, HasSubstr("tpap_pre 'nearest'"));
  const auto by_nearest = tpap_pipeline(setup_, nearest, with_codes),
             by_self = tpap_pipeline(setup_, Json::object(), with_codes);
  const Tensor input = torch::rand({6, 3, 12, 12});
  EXPECT_FALSE(
      (*by_nearest)->purified(Modality::kImage, input).equal((*by_self)->purified(Modality::kImage, input)));
}

TEST_F(RobustTrainingTest, TpapFrozenIsTheTargetItself) {
  const Weights frozen = weights("tpap", {{"tpap_mode", "frozen"}});
  EXPECT_TRUE(same(models::with_prefix(frozen, "model."), models::weights_of(*setup_.model)));
}

}  // namespace
}  // namespace gauntlet::defenses
