// Every registered target model against the promises of its interface.

#include <algorithm>
#include <cmath>

#include "core/models/trained_models.hpp"
#include "core/train/checkpoint.hpp"
#include "tests/methods_a/toys.hpp"

namespace gauntlet::models {
namespace {

using namespace gauntlet::testing;

class EveryModel : public ::testing::TestWithParam<const ModelEntry*> {
 protected:
  [[nodiscard]] const ModelEntry& entry() const { return *GetParam(); }
  std::unique_ptr<collective::Communicator> solo_ = collective::make_solo_communicator();
};

/// A toy model after four epochs; appends the steps' totals where asked.
std::shared_ptr<HashingModel> trained(const ModelEntry& entry, collective::Communicator* communicator,
                                      std::vector<double>* totals) {
  const TrainingBatch pairs = toy_pairs(24, 3);
  auto model = toy_model(entry, 5, communicator);
  const auto training = toy_training(entry, model, pairs, 12, communicator);
  EXPECT_GE(training->n_epochs(), 1);
  EXPECT_GE(training->batch_size(), 1);
  for (int epoch = 0; epoch < 4; ++epoch) {
    for (std::int64_t first = 0; first < 24; first += 8) {
      const Losses losses = training->step(rows_of(pairs, first, first + 8));
      for (const auto& [name, value] : losses) EXPECT_TRUE(std::isfinite(value)) << name;
      if (totals != nullptr) totals->push_back(losses.at("total"));
    }
    for (const auto& [name, rate] : training->learning_rates()) {
      const std::vector<FieldInfo> fields = entry.about.fields();
      EXPECT_TRUE(std::ranges::any_of(fields, [&](const FieldInfo& field) { return field.name == name; }))
          << name;
      EXPECT_GE(rate, 0) << name;
    }
    training->end_epoch();
  }
  return model;
}

TEST_P(EveryModel, DescribesItselfTruthfully) {
  const Json about = describe(entry().about);
  EXPECT_EQ(model_registry().find(entry().about.name).value(), GetParam());
  EXPECT_GE(entry().about.version, 1);
  EXPECT_FALSE(entry().about.summary.empty());
  EXPECT_EQ(entry().about.capabilities, Capabilities{});  // both modalities; nothing else is said of models
  EXPECT_TRUE(about["dataset_defaults"].contains("picto_scenes"));
  for (const auto& [dataset, options] : about["dataset_defaults"].items()) {
    EXPECT_TRUE(complete_config(entry().about.fields(), options, dataset)) << dataset;
  }
  const Json complete = complete_config(entry().about.fields(), Json::object(), "defaults").value();
  EXPECT_EQ(complete_config(entry().about.fields(), complete, "again").value(), complete);
}

TEST_P(EveryModel, RefusesAnUnknownOptionWithItsName) {
  const auto made = entry().make({{"no_such_option", 1}}, toy_shape(), solo_.get());
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(made.error().message, ::testing::HasSubstr("no_such_option"));
}

TEST_P(EveryModel, RefusesDataItCannotHash) {
  const auto message = [&](const ModelShape& shape) {
    const auto made = entry().make({{"backbone", "picto_cnn"}}, shape, solo_.get());
    EXPECT_FALSE(made);
    EXPECT_EQ(made.error().code, ErrorCode::kInvalid);
    return made.error().message;
  };
  const std::string name(entry().about.name);
  const auto lacks = [&](const char* what) {
    return fmt::format("{}: the dataset has no {}; a target model hashes images and texts of labelled pairs",
                       name, what);
  };
  ModelShape shape = toy_shape();
  shape.image_px = 0;
  EXPECT_EQ(message(shape), lacks("images"));
  shape = toy_shape();
  shape.text_dim = 0;
  EXPECT_EQ(message(shape), lacks("texts"));
  shape = toy_shape();
  shape.n_labels = 0;
  EXPECT_EQ(message(shape), lacks("labels"));
  shape = toy_shape();
  shape.code_bits = 0;
  EXPECT_EQ(message(shape), name + ": codes of 0 bits do not exist; allowed: at least 1");
}

TEST_P(EveryModel, EncodesBothModalitiesIntoOneSpaceWhateverTheBatch) {
  const auto model = toy_model(entry(), 1, solo_.get());
  model->eval();
  const TrainingBatch pairs = toy_pairs(9, 2);
  const torch::NoGradGuard no_grad;
  for (const Modality modality : {Modality::kImage, Modality::kText}) {
    const torch::Tensor inputs = modality == Modality::kImage ? pairs.images : pairs.text;
    const torch::Tensor codes = model->encode(modality, inputs);
    EXPECT_EQ(codes.sizes(), torch::IntArrayRef({9, kToyBits}));
    EXPECT_TRUE(codes.abs().lt(1).all().item<bool>());
    for (const std::int64_t batch : {1, 2, 5}) {
      std::vector<torch::Tensor> parts;
      for (const torch::Tensor& part : inputs.split(batch)) parts.push_back(model->encode(modality, part));
      EXPECT_TRUE(torch::allclose(torch::cat(parts), codes, 1e-4, 1e-5)) << batch;
    }
    EXPECT_FALSE(model->is_training());
  }
}

TEST_P(EveryModel, EncodingChangesNothingOfIt) {
  const auto model = trained(entry(), solo_.get(), nullptr);
  model->eval();
  const NamedTensors before = weights_of(*model);
  const TrainingBatch pairs = toy_pairs(9, 2);
  model->encode_image(pairs.images);
  model->encode_text(pairs.text);
  for (const auto& [name, tensor] : state_of(*model)) EXPECT_TRUE(tensor.equal(before.at(name))) << name;
}

/// Lengths that fill bytes and words and such that do not.
TEST_P(EveryModel, HasCodesOfAnyLength) {
  const TrainingBatch pairs = toy_pairs(12, 3);
  for (const std::int64_t bits : {8, 33, 64, 256}) {
    ModelShape shape = toy_shape();
    shape.code_bits = bits;
    torch::manual_seed(1);
    const auto made = entry().make(toy_config(entry().about), shape, solo_.get());
    ASSERT_TRUE(made) << made.error().message;
    const auto training = toy_training(entry(), *made, pairs, 8, solo_.get());
    for (int epoch = 0; epoch < 4; ++epoch) {
      for (const auto& [name, value] : training->step(pairs))
        EXPECT_TRUE(std::isfinite(value)) << bits << " " << name;
      training->end_epoch();
    }
    (*made)->eval();
    for (const torch::Tensor& codes :
         {(*made)->encode_image(pairs.images), (*made)->encode_text(pairs.text)}) {
      EXPECT_EQ(codes.sizes(), torch::IntArrayRef({12, bits}));
      EXPECT_TRUE(codes.isfinite().all().item<bool>()) << bits;
    }
  }
}

TEST_P(EveryModel, PassesGradientsToInputsInEvalMode) {
  const auto model = toy_model(entry(), 1, solo_.get());
  model->eval();
  const TrainingBatch pairs = toy_pairs(4, 2);
  for (const Modality modality : {Modality::kImage, Modality::kText}) {
    const torch::Tensor inputs =
        (modality == Modality::kImage ? pairs.images : pairs.text).clone().requires_grad_();
    const torch::Tensor gradient =
        torch::autograd::grad({model->encode(modality, inputs).sum()}, {inputs}).front();
    EXPECT_GT(gradient.abs().max().item<double>(), 0);
    EXPECT_TRUE(gradient.isfinite().all().item<bool>());
  }
  for (const torch::Tensor& parameter : model->parameters()) EXPECT_FALSE(parameter.grad().defined());
}

TEST_P(EveryModel, TrainsToTheSameBytesFromTheSameSeed) {
  std::vector<double> first_totals;
  std::vector<double> second_totals;
  const auto first = trained(entry(), solo_.get(), &first_totals);
  const auto second = trained(entry(), solo_.get(), &second_totals);
  EXPECT_EQ(first_totals, second_totals);
  EXPECT_TRUE(same_state(*first, *second));
  EXPECT_FALSE(same_state(*first, *toy_model(entry(), 5, solo_.get())));
  // Whole epochs: one batch is not another.
  const double first_epoch = first_totals.at(0) + first_totals.at(1) + first_totals.at(2);
  const double last_epoch = first_totals.at(9) + first_totals.at(10) + first_totals.at(11);
  EXPECT_LT(last_epoch, first_epoch);
}

/// Items without a label are in the training set but in no batch.
TEST_P(EveryModel, TrainsBesideItemsWithoutLabels) {
  TrainingBatch pairs = toy_pairs(12, 3);
  pairs.labels.slice(0, 8, 12).zero_();
  const auto model = toy_model(entry(), 5, solo_.get());
  const auto training = toy_training(entry(), model, pairs, 4, solo_.get());
  for (int epoch = 0; epoch < 4; ++epoch) {
    for (const auto& [name, value] : training->step(rows_of(pairs, 0, 8)))
      EXPECT_TRUE(std::isfinite(value)) << name;
    training->end_epoch();
  }
  for (const torch::Tensor& parameter : model->parameters())
    EXPECT_TRUE(parameter.isfinite().all().item<bool>());
}

/// The smallest batch that training is ever given.
TEST_P(EveryModel, TrainsOnABatchOfTwo) {
  const TrainingBatch pairs = toy_pairs(2, 3);
  const auto model = toy_model(entry(), 5, solo_.get());
  const auto training = toy_training(entry(), model, pairs, 4, solo_.get());
  for (int epoch = 0; epoch < 4; ++epoch) {
    for (const auto& [name, value] : training->step(pairs)) EXPECT_TRUE(std::isfinite(value)) << name;
    training->end_epoch();
  }
}

TEST_P(EveryModel, ComesBackFromItsCheckpoint) {
  const std::filesystem::path path = std::filesystem::path(::testing::TempDir()) / "model.safetensors";
  const auto saved = toy_model(entry(), 1, solo_.get());
  ASSERT_TRUE(train::save_module(path, *saved));
  const auto loaded = toy_model(entry(), 2, solo_.get());
  EXPECT_FALSE(same_state(*saved, *loaded));
  ASSERT_TRUE(train::load_module(path, *loaded));
  EXPECT_TRUE(same_state(*saved, *loaded));
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryModel, ::testing::ValuesIn(trained_models()),
                         [](const auto& tested) { return std::string(tested.param->about.name); });

TEST(ModelShape, ComesBackFromJson) {
  const ModelShape shape{48, 0, 985, 26, 32};
  const ModelShape back = shape_from_json(to_json(shape)).value();
  EXPECT_EQ(to_json(back), to_json(shape));
  EXPECT_EQ(back.text_dim, 985);
  const auto refused = shape_from_json({{"image_px", 48}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(refused.error().message, ::testing::HasSubstr("'feature_dim'"));
}

TEST(ModelShape, SaysWhichInputsDoNotFitAModel) {
  const ModelShape model{48, 0, 985, 26, 32};
  EXPECT_TRUE(check_inputs(model, {48, 0, 985, 20, 16}, "it"));
  EXPECT_EQ(check_inputs(model, {48, 0, 300, 26, 32}, "the cpah model").error().message,
            "the cpah model was trained on texts of 985 values; those of this dataset have 300");
  EXPECT_EQ(check_inputs(model, {64, 0, 985, 26, 32}, "the cpah model").error().message,
            "the cpah model was trained on pictures of 48 px; those of this dataset have 64");
  EXPECT_EQ(check_inputs({0, 4096, 985, 26, 32}, {0, 2048, 985, 26, 32}, "the cpah model").error().message,
            "the cpah model was trained on image features of 4096 values; those of this dataset have 2048");
}

TEST(Cpah, RefusesABackboneThatTheDataDoesNotFit) {
  const auto solo = collective::make_solo_communicator();
  const ModelEntry& cpah = *model_registry().find("cpah").value();
  const auto features = cpah.make({{"backbone", "features"}}, toy_shape(), solo.get());
  ASSERT_FALSE(features);
  EXPECT_EQ(features.error().message,
            "cpah: backbone is features, but the dataset holds pictures; allowed: cnnf, alexnet, picto_cnn");
  const auto pictures =
      cpah.make({{"backbone", "picto_cnn"}},
                {.feature_dim = 10, .text_dim = 4, .n_labels = 2, .code_bits = 8}, solo.get());
  ASSERT_FALSE(pictures);
  EXPECT_EQ(pictures.error().message,
            "cpah: backbone is picto_cnn, but the dataset holds features; allowed: features");
  const auto tiny = cpah.make({{"backbone", "picto_cnn"}},
                              {.image_px = 4, .text_dim = 4, .n_labels = 2, .code_bits = 8}, solo.get());
  ASSERT_FALSE(tiny);
  EXPECT_EQ(tiny.error().message,
            "cpah: pictures of 4 px are too small for picto_cnn; allowed: at least 8 px");
}

}  // namespace
}  // namespace gauntlet::models
