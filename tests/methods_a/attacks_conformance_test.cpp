// Every registered attack against the promises of its interface.

#include "core/attacks/attack.hpp"
#include "core/models/losses.hpp"
#include "tests/methods_a/toys.hpp"

namespace gauntlet::attacks {
namespace {

using namespace gauntlet::testing;

struct Toy {
  std::unique_ptr<collective::Communicator> solo = collective::make_solo_communicator();
  std::shared_ptr<models::HashingModel> model;
  models::TrainingBatch train, queries;
  std::vector<std::int64_t> rows;

  Toy() {
    model = toy_model(*models::model_registry().entries().front(), 1, solo.get());
    train = toy_pairs(40, 2);
    queries = toy_pairs(10, 3);
    for (std::int64_t row = 0; row < 10; ++row) rows.push_back(1000 + 7 * row);
    model->train();  // real running statistics, so that codes differ between inputs
    const torch::NoGradGuard no_grad;
    for (int pass = 0; pass < 30; ++pass) {
      model->encode_image(train.images);
      model->encode_text(train.text);
    }
    model->eval();
  }

  [[nodiscard]] torch::Tensor inputs(Modality modality) const {
    return modality == Modality::kImage ? queries.images : queries.text;
  }

  [[nodiscard]] torch::Tensor signs(Modality modality) const {
    const torch::NoGradGuard no_grad;
    const torch::Tensor codes =
        model->encode(modality, modality == Modality::kImage ? train.images : train.text);
    return torch::where(codes > 0, torch::ones_like(codes), -torch::ones_like(codes));
  }

  /// What an attack may see: nothing but shapes and labels when it is a black box.
  [[nodiscard]] AttackSurface surface_of(const AttackEntry& entry, Modality modality) const {
    AttackSurface surface{.modality = modality,
                          .shape = toy_shape(),
                          .encode = nullptr,
                          .train_codes_image = {},
                          .train_codes_text = {},
                          .train_labels = train.labels,
                          .code_bits = kToyBits};
    if (entry.about.capabilities.black_box) return surface;
    surface.encode = [model = model, modality](const torch::Tensor& input) {
      return model->encode(modality, input);
    };
    surface.train_codes_image = signs(Modality::kImage);
    surface.train_codes_text = signs(Modality::kText);
    return surface;
  }

  /// Ranks the training items of the other modality, and counts.
  struct Ranks final : RankedLists {
    explicit Ranks(const Toy& toy) : toy_(toy) {}
    torch::Tensor rank(Modality modality, const torch::Tensor& inputs) override {
      const torch::NoGradGuard no_grad;
      n_queries += inputs.size(0);
      const torch::Tensor distance =
          -toy_.model->encode(modality, inputs).sign().matmul(toy_.signs(other(modality)).t());
      return std::get<1>(distance.sort(/*stable=*/true, 1, /*descending=*/false));
    }
    [[nodiscard]] std::int64_t queries_used() const override { return n_queries; }
    std::int64_t n_queries = 0;
    const Toy& toy_;
  };

  [[nodiscard]] AttackTraining training_of(const AttackEntry& entry, Modality modality, Ranks& ranks) const {
    AttackTraining setup;
    setup.surface = surface_of(entry, modality);
    if (entry.about.capabilities.black_box) setup.ranked_lists = &ranks;
    setup.images = (train.images * 255).round().to(torch::kUInt8);
    setup.text = train.text.to(torch::kUInt8);
    setup.labels = train.labels;
    setup.seed = 3;
    setup.communicator = solo.get();
    return setup;
  }

  /// Trained weights are the same for every test of an attack: same pairs, same seed.
  [[nodiscard]] Weights trained(const AttackEntry& entry, Modality modality) const {
    static std::map<std::pair<std::string_view, Modality>, Weights> before;
    const auto [found, is_first] = before.try_emplace({entry.about.name, modality});
    if (!is_first) return found->second;
    Ranks ranks(*this);
    auto result = entry.train(toy_config(entry.about), training_of(entry, modality, ranks));
    EXPECT_TRUE(result) << (result ? "" : result.error().message);
    if (!result) return {};
    EXPECT_GT(result->n_parameters, 0);
    EXPECT_FALSE(result->curves.empty());
    EXPECT_EQ(ranks.n_queries > 0, entry.about.capabilities.black_box);
    return found->second = std::move(result->weights);
  }

  [[nodiscard]] std::unique_ptr<Attack> make(const AttackEntry& entry, Modality modality,
                                             std::uint64_t seed) const {
    AttackSurface surface = surface_of(entry, modality);
    EXPECT_EQ(entry.train != nullptr, entry.about.capabilities.trains);
    if (entry.train != nullptr) surface.weights = trained(entry, modality);
    auto attack = entry.make(toy_config(entry.about), surface, seed);
    EXPECT_TRUE(attack) << (attack ? "" : attack.error().message);
    return std::move(*attack);
  }

  [[nodiscard]] torch::Tensor perturbed(const AttackEntry& entry, Modality modality, std::uint64_t seed = 9,
                                        std::int64_t begin = 0, std::int64_t end = 10) const {
    const auto span =
        std::span(rows).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
    AttackBatch batch{inputs(modality).slice(0, begin, end), queries.labels.slice(0, begin, end), span};
    if (entry.about.capabilities.targeted) {
      batch.target_labels = train.labels.slice(0, begin, end);
      batch.target_text = train.text.slice(0, begin, end);
    }
    return make(entry, modality, seed)->perturb(batch);
  }
};

std::vector<const AttackEntry*> crafting_entries() {
  std::vector<const AttackEntry*> entries;
  for (const AttackEntry* entry : attack_registry().entries()) {
    if (entry->make != nullptr) entries.push_back(entry);
  }
  return entries;
}

std::vector<Modality> modalities_of(const AttackEntry& entry) {
  std::vector<Modality> modalities;
  if (entry.about.capabilities.image) modalities.push_back(Modality::kImage);
  if (entry.about.capabilities.text) modalities.push_back(Modality::kText);
  return modalities;
}

/// The budget that the entry's own field promises, if it has one.
std::optional<double> budget_of(const AttackEntry& entry, Modality modality) {
  const Json config = complete_config(entry.about.fields(), toy_config(entry.about), "toy").value();
  const std::string field = modality == Modality::kImage ? "epsilon_image" : "epsilon_text";
  return config.contains(field) ? std::optional(config[field].get<double>()) : std::nullopt;
}

class EveryAttack : public ::testing::TestWithParam<const AttackEntry*> {
 protected:
  [[nodiscard]] const AttackEntry& entry() const { return *GetParam(); }
  Toy toy_;
};

TEST_P(EveryAttack, DescribesItselfTruthfully) {
  EXPECT_EQ(attack_registry().find(entry().about.name).value(), GetParam());
  EXPECT_FALSE(modalities_of(entry()).empty());
  const Json complete = complete_config(entry().about.fields(), Json::object(), "defaults").value();
  EXPECT_EQ(complete_config(entry().about.fields(), complete, "again").value(), complete);
  const auto refused = entry().make({{"no_such_option", 1}}, {}, 0);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, ::testing::HasSubstr("no_such_option"));
}

TEST_P(EveryAttack, StaysInTheBallAndInTheValidRange) {
  for (const Modality modality : modalities_of(entry())) {
    const torch::Tensor adversarial = toy_.perturbed(entry(), modality);
    const torch::Tensor clean = toy_.inputs(modality);
    ASSERT_EQ(adversarial.sizes(), clean.sizes());
    EXPECT_TRUE(adversarial.ge(0).logical_and(adversarial.le(1)).all().item<bool>());
    EXPECT_FALSE(adversarial.requires_grad());
    const double distance = (adversarial - clean).abs().max().item<double>();
    EXPECT_GT(distance, 0);
    if (const auto budget = budget_of(entry(), modality)) {
      EXPECT_LE(distance, *budget + 1e-6);  // the sum x + delta is rounded to float
    }
  }
}

TEST_P(EveryAttack, GivesTheSameBytesFromTheSameSeed) {
  for (const Modality modality : modalities_of(entry())) {
    EXPECT_TRUE(toy_.perturbed(entry(), modality, 9).equal(toy_.perturbed(entry(), modality, 9)));
  }
}

TEST_P(EveryAttack, DoesNotDependOnTheBatchAnInputIsIn) {
  for (const Modality modality : modalities_of(entry())) {
    const torch::Tensor together = toy_.perturbed(entry(), modality);
    const torch::Tensor one = toy_.perturbed(entry(), modality, 9, 3, 4);
    const torch::Tensor parts = torch::cat(
        {toy_.perturbed(entry(), modality, 9, 0, 3), one, toy_.perturbed(entry(), modality, 9, 4, 10)});
    // Sums of another order may turn the sign of a gradient that is zero but for rounding.
    const double differing = (together - parts).abs().gt(1e-6).to(torch::kFloat64).mean().item<double>();
    EXPECT_LE(differing, 1e-3);
  }
}

TEST_P(EveryAttack, LeavesTheModelAsItWas) {
  const auto untouched = Toy().model;
  for (const Modality modality : modalities_of(entry())) {
    static_cast<void>(toy_.perturbed(entry(), modality));
    EXPECT_FALSE(toy_.model->is_training());
    EXPECT_TRUE(same_state(*toy_.model, *untouched));
    for (const torch::Tensor& parameter : toy_.model->parameters()) {
      EXPECT_FALSE(parameter.grad().defined());
      EXPECT_TRUE(parameter.requires_grad());
    }
  }
}

TEST_P(EveryAttack, WorksWhileGradientsAreOff) {
  const torch::NoGradGuard no_grad;
  for (const Modality modality : modalities_of(entry())) {
    EXPECT_FALSE(toy_.perturbed(entry(), modality).equal(toy_.inputs(modality)));
  }
}

TEST_P(EveryAttack, SaysWhereItsTrainingDiverged) {
  const AttackEntry& entry = *GetParam();
  if (entry.train == nullptr) return;
  const Toy toy;
  for (const Modality modality : modalities_of(entry)) {
    Toy::Ranks ranks(toy);
    AttackTraining setup = toy.training_of(entry, modality, ranks);
    const double nothing = std::numeric_limits<double>::quiet_NaN();
    setup.images = torch::full(setup.images.sizes(), nothing, torch::kFloat32);
    setup.text = torch::full(setup.text.sizes(), nothing, torch::kFloat32);
    for (torch::Tensor* codes : {&setup.surface.train_codes_image, &setup.surface.train_codes_text}) {
      if (codes->defined()) *codes = torch::full_like(*codes, nothing);
    }
    const auto result = entry.train(toy_config(entry.about), std::move(setup));
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::kDiverged);
    EXPECT_THAT(
        result.error().message,
        ::testing::MatchesRegex(std::string(entry.about.name) +
                                ".*: loss '[a-z_]+' became -?nan in epoch 1, step 1, at [a-z_]+ .*; a "
                                "smaller learning rate may help"));
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryAttack, ::testing::ValuesIn(crafting_entries()),
                         [](const auto& tested) { return std::string(tested.param->about.name); });

TEST(AttackRegistry, HasNoneAsTheOneThatIsNeverCrafted) {
  EXPECT_EQ(attack_registry().find("none").value()->make, nullptr);
  EXPECT_EQ(crafting_entries().size() + 1, attack_registry().entries().size());
  const auto unknown = attack_registry().find("pdg");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(unknown.error().message, ::testing::HasSubstr("pgd"));
}

double mean_loss(const Toy& toy, Modality modality, const torch::Tensor& inputs) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor relevant = models::relevance_mask(toy.queries.labels, toy.train.labels);
  return models::repel_attract_loss(toy.model->encode(modality, inputs),
                                    toy.signs(Modality::kImage) + toy.signs(Modality::kText),
                                    relevant.logical_not(), relevant, 0.05)
      .mean()
      .item<double>();
}

TEST(Pgd, LowersTheAttackLoss) {
  const Toy toy;
  const AttackEntry& pgd = *attack_registry().find("pgd").value();
  for (const Modality modality : {Modality::kImage, Modality::kText}) {
    EXPECT_LT(mean_loss(toy, modality, toy.perturbed(pgd, modality)),
              mean_loss(toy, modality, toy.inputs(modality)) - 0.01);
  }
}

TEST(Pgd, LeavesInputsWithoutRelevantOrIrrelevantItemsClean) {
  Toy toy;
  toy.train.labels.select(1, 3).zero_();
  toy.train.labels.select(1, 0).fill_(1);
  toy.queries.labels.zero_();
  toy.queries.labels[0][3] = 1;  // shares no label with anything
  toy.queries.labels[1][0] = 1;  // shares one with everything
  for (std::int64_t row = 2; row < 10; ++row) toy.queries.labels[row][1] = 1;
  const AttackEntry& pgd = *attack_registry().find("pgd").value();
  for (const Modality modality : {Modality::kImage, Modality::kText}) {
    const torch::Tensor adversarial = toy.perturbed(pgd, modality);
    for (const std::int64_t row : {0, 1})
      EXPECT_TRUE(adversarial[row].equal(toy.inputs(modality)[row])) << row;
    EXPECT_FALSE(adversarial[2].equal(toy.inputs(modality)[2]));
  }
}

}  // namespace
}  // namespace gauntlet::attacks
