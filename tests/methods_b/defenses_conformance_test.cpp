// What every registered defense promises, and what is special about the small ones.
#include <gmock/gmock.h>

#include "core/attacks/attack.hpp"
#include "tests/methods_b/support.hpp"

namespace gauntlet::defenses {
namespace {

using ::testing::HasSubstr;
using torch::Tensor;

struct Subject {
  const DefenseEntry* entry;
  Modality modality;
};

std::vector<Subject> subjects() {
  std::vector<Subject> all;
  for (const DefenseEntry* entry : defense_registry().entries()) {
    if (entry->about.capabilities.image) all.push_back({entry, Modality::kImage});
    if (entry->about.capabilities.text) all.push_back({entry, Modality::kText});
  }
  return all;
}

/// The settings for the smallest real data set, which every entry can train in seconds.
Json settings_of(const DefenseEntry& entry) {
  const Json per_dataset = describe(entry.about).at("dataset_defaults");
  return *complete_config(entry.about.fields(), per_dataset.value("picto_scenes", Json::object()),
                          entry.about.name);
}

class DefenseConformance : public ::testing::TestWithParam<Subject> {
 protected:
  static constexpr std::int64_t kRows = 24;

  void SetUp() override {
    solo_ = collective::make_solo_communicator();
    setup_ = tiny_training(GetParam().modality, kRows, solo_.get());
    inputs_ = setup_.inputs.to(torch::kFloat);
    if (is_image()) inputs_ = inputs_ / 255;
    inputs_ = inputs_.narrow(0, 0, 5);
    if (capabilities().joint) {
      // What a joint defense is given: both sides, and no side of its own.
      make_joint(setup_, kRows);
      setup_.inputs = Tensor();
    }
    for (const auto& [name, tensor] : models::state_of(*setup_.model)) before_[name] = tensor.clone();
    parts_ = {.model = setup_.model,
              .shape = kTinyShape,
              .modality = GetParam().modality,
              .weights = {},
              .target = setup_.target};
    const DefenseEntry& entry = *GetParam().entry;
    ASSERT_EQ(entry.train != nullptr, entry.about.capabilities.trains);
    if (entry.train != nullptr) {
      ASSERT_NO_FATAL_FAILURE(train_once());
    }
    auto made = entry.make(settings_of(entry), parts_);
    ASSERT_TRUE(made) << made.error().message;
    pipeline_ = std::move(*made);
  }

  /// Trained weights are the same for every test of a subject: same data, same seed.
  void train_once() {
    static std::map<std::pair<std::string_view, Modality>, Weights> trained_before;
    const DefenseEntry& entry = *GetParam().entry;
    const auto [found, is_first] = trained_before.try_emplace({entry.about.name, GetParam().modality});
    if (is_first) {
      auto trained = entry.train(settings_of(entry), setup_);
      ASSERT_TRUE(trained) << trained.error().message;
      EXPECT_GT(trained->n_parameters, 0);
      EXPECT_FALSE(trained->curves.empty());
      found->second = std::move(trained->weights);
    }
    parts_.weights = found->second;
  }

  [[nodiscard]] static const Capabilities& capabilities() { return GetParam().entry->about.capabilities; }
  [[nodiscard]] Result<TrainedDefense> train() const {
    return GetParam().entry->train(settings_of(*GetParam().entry), setup_);
  }
  void expect_model_as_before() const {
    EXPECT_FALSE(setup_.model->is_training());
    for (const auto& [name, tensor] : models::state_of(*setup_.model)) {
      EXPECT_TRUE(torch::equal(tensor, before_.at(name))) << name;
      EXPECT_FALSE(tensor.requires_grad()) << name;
      EXPECT_FALSE(tensor.grad().defined()) << name;
    }
  }
  [[nodiscard]] static bool is_image() { return GetParam().modality == Modality::kImage; }
  [[nodiscard]] Tensor query(const Tensor& input) {
    return pipeline_->encode_query(GetParam().modality, input);
  }

  std::unique_ptr<collective::Communicator> solo_;
  DefenseTraining setup_;
  Tensor inputs_;
  std::map<std::string, Tensor> before_;
  PipelineParts parts_;
  std::unique_ptr<Pipeline> pipeline_;
};
INSTANTIATE_TEST_SUITE_P(All, DefenseConformance, ::testing::ValuesIn(subjects()), [](const auto& one) {
  return fmt::format("{}_{}", one.param.entry->about.name, name_of(one.param.modality));
});

TEST_P(DefenseConformance, GivesCodesOfTheModelsShapeAndRange) {
  const auto codes = query(inputs_);
  EXPECT_EQ(codes.sizes(), (torch::IntArrayRef{5, kTinyShape.code_bits}));
  EXPECT_LE(codes.abs().max().item<float>(), 1.0F);
}

TEST_P(DefenseConformance, GivesTheSameCodesAgainAndInBatchesOfOne) {
  const auto codes = query(inputs_);
  EXPECT_TRUE(torch::equal(codes, query(inputs_)));
  for (std::int64_t row = 0; row < inputs_.size(0); ++row) {
    const auto alone = query(inputs_.narrow(0, row, 1));
    EXPECT_TRUE(torch::allclose(alone, codes.narrow(0, row, 1), 1e-4, 1e-5)) << "row " << row;
  }
}

TEST_P(DefenseConformance, LetsTheGradientReachTheInput) {
  auto input = inputs_.clone().requires_grad_(true);
  query(input).square().sum().backward();
  ASSERT_TRUE(input.grad().defined());
  EXPECT_TRUE(input.grad().isfinite().all().item<bool>());
  EXPECT_GT(input.grad().abs().max().item<float>(), 0.0F);
}

TEST_P(DefenseConformance, QueriesLeaveTheModelAsItWas) {
  auto input = inputs_.clone().requires_grad_(true);
  query(input).sum().backward();
  static_cast<void>(pipeline_->encode_retrieval(GetParam().modality, inputs_));
  expect_model_as_before();
}

TEST_P(DefenseConformance, TrainingLeavesTheModelAndItsDataAsTheyWere) {
  if (!capabilities().trains) return;
  std::map<std::string, Tensor> given = {{"labels", setup_.labels},
                                         {"train_labels", setup_.train_labels},
                                         {"train_codes_image", setup_.train_codes_image},
                                         {"train_codes_text", setup_.train_codes_text},
                                         {"crafted", setup_.crafted}};
  if (capabilities().joint) {
    given["images"] = setup_.images;
    given["text"] = setup_.text;
  } else {
    given["inputs"] = setup_.inputs;
  }
  std::map<std::string, Tensor> copies;
  for (const auto& [name, tensor] : given) copies[name] = tensor.clone();
  const auto trained = train();
  ASSERT_TRUE(trained) << trained.error().message;
  expect_model_as_before();
  for (const auto& [name, tensor] : given) EXPECT_TRUE(torch::equal(tensor, copies.at(name))) << name;
}

TEST_P(DefenseConformance, TrainsToTheSameWeightsAgain) {
  if (!capabilities().trains) return;
  const auto trained = train();
  ASSERT_TRUE(trained) << trained.error().message;
  ASSERT_EQ(trained->weights.size(), parts_.weights.size());
  for (const auto& [name, tensor] : trained->weights) {
    EXPECT_TRUE(torch::equal(tensor, parts_.weights.at(name))) << name;
  }
}

TEST_P(DefenseConformance, OneTrainingServesBothSidesIfAndOnlyIfItSaysSo) {
  if (!capabilities().trains || !capabilities().image || !capabilities().text) return;
  PipelineParts parts = parts_;
  parts.modality = other(GetParam().modality);
  const auto made = GetParam().entry->make(settings_of(*GetParam().entry), parts);
  if (!capabilities().joint) {
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, ErrorCode::kCorrupt);
    return;
  }
  ASSERT_TRUE(made) << made.error().message;
  const Tensor input = is_image() ? torch::rand({2, 10}) : torch::rand({2, 3, 12, 12});
  EXPECT_EQ((*made)->encode_query(parts.modality, input).sizes(),
            (torch::IntArrayRef{2, kTinyShape.code_bits}));
}

TEST_P(DefenseConformance, SaysWhichLossDivergedWhenAndAtWhichRate) {
  if (!capabilities().trains) return;
  setup_.train_codes_image = setup_.train_codes_image * std::numeric_limits<float>::quiet_NaN();
  setup_.train_codes_text = setup_.train_codes_text * std::numeric_limits<float>::quiet_NaN();
  const auto trained = train();
  ASSERT_FALSE(trained);
  EXPECT_EQ(trained.error().code, ErrorCode::kDiverged);
  EXPECT_THAT(trained.error().message,
              ::testing::AllOf(HasSubstr(std::string(GetParam().entry->about.name)), HasSubstr("loss '"),
                               HasSubstr("became nan in epoch 1, step 1, at "), HasSubstr("lr 0.0"),
                               HasSubstr("a smaller learning rate may help")));
  expect_model_as_before();
}

TEST_P(DefenseConformance, RefusesImageFeaturesOrLeavesThemAlone) {
  setup_.shape.image_px = parts_.shape.image_px = 0;
  setup_.shape.feature_dim = parts_.shape.feature_dim = 16;
  const bool needs_pictures = capabilities().joint || (is_image() && GetParam().entry->about.name != "none");
  const auto made = GetParam().entry->make(settings_of(*GetParam().entry), parts_);
  if (!needs_pictures) {
    EXPECT_TRUE(made) << made.error().message;
    return;
  }
  std::string message = made ? "" : made.error().message;
  if (capabilities().trains) {
    const auto trained = train();
    ASSERT_FALSE(trained);
    EXPECT_EQ(trained.error().code, ErrorCode::kInvalid);
    message = trained.error().message;
  } else {
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, ErrorCode::kInvalid);
  }
  EXPECT_THAT(message, ::testing::AllOf(HasSubstr(std::string(GetParam().entry->about.name)),
                                        HasSubstr("image features"), HasSubstr("pictures")));
}

TEST_P(DefenseConformance, WorksOnOneSideAloneOrSaysThatItNeedsBoth) {
  models::ModelShape shape = kTinyShape;
  if (is_image()) {
    shape.text_dim = 0;
  } else {
    shape.image_px = 0;
  }
  setup_.shape = parts_.shape = shape;
  if (!capabilities().trains) {
    EXPECT_TRUE(GetParam().entry->make(settings_of(*GetParam().entry), parts_));
    return;
  }
  const auto trained = train();
  if (!capabilities().joint) {
    EXPECT_TRUE(trained) << trained.error().message;
    return;
  }
  ASSERT_FALSE(trained);
  EXPECT_EQ(trained.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(trained.error().message,
              ::testing::AllOf(HasSubstr(std::string(GetParam().entry->about.name)),
                               HasSubstr(is_image() ? "holds no texts" : "holds no images")));
}

TEST_P(DefenseConformance, EncodesTheRetrievalSetWithTheBareModelUnlessItReplacesIt) {
  for (const auto& [modality, input] : {std::pair{Modality::kImage, torch::rand({3, 3, 12, 12})},
                                        std::pair{Modality::kText, torch::rand({3, 10})}}) {
    const Tensor codes = pipeline_->encode_retrieval(modality, input);
    EXPECT_EQ(codes.sizes(), (torch::IntArrayRef{3, kTinyShape.code_bits}));
    EXPECT_EQ(torch::equal(codes, setup_.model->encode(modality, input)), !capabilities().replaces_model);
    for (std::int64_t row = 0; row < input.size(0); ++row) {
      const Tensor alone = pipeline_->encode_retrieval(modality, input.narrow(0, row, 1));
      EXPECT_TRUE(torch::allclose(alone, codes.narrow(0, row, 1), 1e-4, 1e-5)) << "row " << row;
    }
  }
}

TEST_P(DefenseConformance, AnswersWhileGradientsAreOff) {
  const auto codes = query(inputs_);
  const torch::NoGradGuard no_grad;
  EXPECT_TRUE(torch::equal(query(inputs_), codes));
}

TEST_P(DefenseConformance, PurifiesToInputsOfTheSameKind) {
  const auto clean = pipeline_->purified(GetParam().modality, inputs_);
  EXPECT_EQ(clean.sizes(), inputs_.sizes());
  EXPECT_TRUE(clean.isfinite().all().item<bool>());
  if (!is_image()) return;
  EXPECT_GE(clean.min().item<float>(), 0.0F);
  EXPECT_LE(clean.max().item<float>(), 1.0F);
}

TEST_P(DefenseConformance, ReadsBackTheConfigItWrites) {
  const EntryInfo& about = GetParam().entry->about;
  const Json settings = settings_of(*GetParam().entry);
  EXPECT_EQ(*complete_config(about.fields(), settings, about.name), settings);
  Json wrong = settings;
  wrong["no_such_option"] = 1;
  const auto made = GetParam().entry->make(wrong, parts_);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(made.error().message,
              ::testing::AllOf(HasSubstr(std::string(about.name)), HasSubstr("no_such_option")));
}

TEST(DefenseRegistry, DescribesEveryEntry) {
  for (const DefenseEntry* entry : defense_registry().entries()) {
    SCOPED_TRACE(entry->about.name);
    EXPECT_FALSE(entry->about.summary.empty());
    EXPECT_GE(entry->about.version, 1);
    for (const auto& [dataset, defaults] : describe(entry->about).at("dataset_defaults").items()) {
      const auto complete = complete_config(entry->about.fields(), defaults, entry->about.name);
      EXPECT_TRUE(complete) << dataset << ": " << complete.error().message;
    }
  }
}

TEST(DefenseRegistry, CraftFieldsAreThoseOfTheAttackThatCrafts) {
  for (const DefenseEntry* entry : defense_registry().entries()) {
    if (entry->about.capabilities.crafts_with.empty()) continue;
    const auto attack = attacks::attack_registry().find(entry->about.capabilities.crafts_with);
    ASSERT_TRUE(attack) << attack.error().message;
    std::vector<FieldInfo> of_attack = (*attack)->about.fields(), of_defense;
    for (FieldInfo field : entry->about.fields()) {
      if (!field.name.starts_with("craft_")) continue;
      field.name = field.name.substr(6);
      of_defense.push_back(field);
    }
    const auto facts = [](const std::vector<FieldInfo>& fields) {
      std::map<std::string, std::pair<FieldType, Json>> all;
      for (const auto& field : fields) all[field.name] = {field.type, field.default_value};
      return all;
    };
    EXPECT_EQ(facts(of_defense), facts(of_attack));
  }
}

std::unique_ptr<Pipeline> make(std::string_view name, const Json& config, Modality modality) {
  const auto solo = collective::make_solo_communicator();
  const auto model = tiny_training(modality, 1, solo.get()).model;
  return std::move(*(*defense_registry().find(name))->make(config, {model, kTinyShape, modality, {}}));
}

TEST(None, IsTheModel) {
  const auto input = torch::rand({2, 10});
  EXPECT_TRUE(
      torch::equal(make("none", Json::object(), Modality::kText)->purified(Modality::kText, input), input));
}

TEST(BoxBlur, AveragesNinePixelsAndRepeatsTheEdge) {
  const auto picture = torch::arange(9, torch::kDouble).view({1, 1, 3, 3}) / 8;
  const auto blurred =
      make("box_blur", Json::object(), Modality::kImage)->purified(Modality::kImage, picture) * 8;
  EXPECT_NEAR(blurred[0][0][1][1].item<double>(), 4.0, 1e-12);
  EXPECT_NEAR(blurred[0][0][0][0].item<double>(), (4 * 0 + 2 * 1 + 2 * 3 + 4) / 9.0, 1e-12);
  EXPECT_NEAR(blurred[0][0][1][2].item<double>(), (1 + 2 * 2 + 4 + 2 * 5 + 7 + 2 * 8) / 9.0, 1e-12);
  const auto flat = torch::full({1, 3, 8, 8}, 0.3, torch::kDouble);
  const auto wide = make("box_blur", {{"radius", 3}}, Modality::kImage)->purified(Modality::kImage, flat);
  EXPECT_TRUE(torch::allclose(wide, flat));
}

TEST(RoundText, RoundsAndPassesTheGradientStraightThroughWithinTheRange) {
  auto text =
      torch::tensor({{-0.2F, 0.0F, 0.05F, 0.5F, 0.51F, 0.95F, 1.0F, 1.3F, 0.4F, 0.6F}}).requires_grad_(true);
  const auto rounded = make("round_text", Json::object(), Modality::kText)->purified(Modality::kText, text);
  EXPECT_TRUE(torch::equal(rounded, torch::tensor({{0.F, 0.F, 0.F, 0.F, 1.F, 1.F, 1.F, 1.F, 0.F, 1.F}})));
  (rounded * torch::arange(1, 11)).sum().backward();
  EXPECT_TRUE(
      torch::equal(text.grad(), torch::tensor({{0.F, 2.F, 3.F, 4.F, 5.F, 6.F, 7.F, 0.F, 9.F, 10.F}})));
}

TEST(DefenseRegistry, RefusesTheSideThatAnEntryDoesNotWorkOn) {
  const auto solo = collective::make_solo_communicator();
  for (const DefenseEntry* entry : defense_registry().entries()) {
    for (const Modality modality : {Modality::kImage, Modality::kText}) {
      const Capabilities& can = entry->about.capabilities;
      if (modality == Modality::kImage ? can.image : can.text) continue;
      const auto model = tiny_training(modality, 1, solo.get()).model;
      const auto made = entry->make(Json::object(), {model, kTinyShape, modality, {}});
      ASSERT_FALSE(made) << entry->about.name;
      EXPECT_EQ(made.error().code, ErrorCode::kInvalid);
      EXPECT_THAT(made.error().message, ::testing::AllOf(HasSubstr(std::string(entry->about.name)),
                                                         HasSubstr(std::string(name_of(modality)))));
    }
  }
}

TEST(Purifiers, RefuseTheSideTheyAreNotFor) {
  const auto solo = collective::make_solo_communicator();
  const auto model = tiny_training(Modality::kText, 1, solo.get()).model;
  const auto refused = [&](std::string_view name, Modality modality) {
    const auto made =
        (*defense_registry().find(name))->make(Json::object(), {model, kTinyShape, modality, {}});
    EXPECT_FALSE(made);
    return made.error().message;
  };
  EXPECT_EQ(refused("box_blur", Modality::kText),
            "box_blur purifies image queries and was asked for text queries; allowed: image");
  EXPECT_EQ(refused("round_text", Modality::kImage),
            "round_text purifies text queries and was asked for image queries; allowed: text");
}

}  // namespace
}  // namespace gauntlet::defenses
