// A small target with its training set, as any registered attack meets it.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/attacks/attack.hpp"
#include "tests/methods_a/toys.hpp"

namespace gauntlet::attacks {

inline torch::Tensor signs_of(const torch::Tensor& codes) {
  return torch::where(codes > 0, torch::ones_like(codes), -torch::ones_like(codes));
}

struct AttackToy {
  static constexpr std::int64_t kTrain = 40, kQueries = 10;

  std::unique_ptr<collective::Communicator> solo = collective::make_solo_communicator();
  std::shared_ptr<models::HashingModel> model;
  models::TrainingBatch train, queries;
  std::vector<std::int64_t> rows;

  explicit AttackToy(const models::ModelEntry& target = *models::model_registry().entries().front()) {
    model = testing::toy_model(target, 1, solo.get());
    train = testing::toy_pairs(kTrain, 2);
    queries = testing::toy_pairs(kQueries, 3);
    for (std::int64_t row = 0; row < kQueries; ++row) rows.push_back(1000 + 7 * row);
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

  [[nodiscard]] torch::Tensor codes(Modality modality) const {
    const torch::NoGradGuard no_grad;
    return signs_of(model->encode(modality, modality == Modality::kImage ? train.images : train.text));
  }

  /// What an attack may see: nothing but shapes and labels when it is a black box.
  [[nodiscard]] AttackSurface surface_of(const AttackEntry& entry, Modality modality) const {
    AttackSurface surface{.modality = modality,
                          .shape = testing::toy_shape(),
                          .encode = nullptr,
                          .train_codes_image = {},
                          .train_codes_text = {},
                          .train_labels = train.labels,
                          .code_bits = testing::kToyBits};
    if (entry.about.capabilities.black_box) return surface;
    surface.encode = [model = model, modality](const torch::Tensor& input) {
      return model->encode(modality, input);
    };
    surface.train_codes_image = codes(Modality::kImage);
    surface.train_codes_text = codes(Modality::kText);
    surface.database = [data = Database{codes(other(modality)), train.labels}]() -> Result<Database> {
      return data;
    };
    return surface;
  }

  /// Ranks the training items of the other modality, counts and remembers.
  struct Ranks final : RankedLists {
    explicit Ranks(const AttackToy& asked) : toy(asked) {}
    torch::Tensor rank(Modality modality, const torch::Tensor& inputs) override {
      const torch::NoGradGuard no_grad;
      n_queries += inputs.size(0);
      const torch::Tensor distance =
          -toy.model->encode(modality, inputs).sign().matmul(toy.codes(other(modality)).t());
      answers.push_back(std::get<1>(distance.sort(/*stable=*/true, 1, /*descending=*/false)));
      return answers.back();
    }
    [[nodiscard]] std::int64_t queries_used() const override { return n_queries; }
    std::int64_t n_queries = 0;
    std::vector<torch::Tensor> answers;
    const AttackToy& toy;
  };

  [[nodiscard]] AttackTraining training_of(const AttackEntry& entry, Modality modality,
                                           RankedLists& ranks) const {
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

  /// The training run of an attack that has one; `ranks` goes to black-box attacks only.
  [[nodiscard]] Result<TrainedAttack> train_attack(const AttackEntry& entry, Modality modality,
                                                   RankedLists& ranks, const Json& changes = Json::object(),
                                                   std::uint64_t seed = 3) const {
    AttackTraining setup = training_of(entry, modality, ranks);
    setup.seed = seed;
    return entry.train(config_of(entry, changes), std::move(setup));
  }

  [[nodiscard]] static Json config_of(const AttackEntry& entry, const Json& changes) {
    Json config = testing::toy_config(entry.about);
    for (const FieldInfo& field : entry.about.fields()) {
      if (field.name == "iterations") config[field.name] = 6;
      if (field.name == "feedback") config[field.name] = "soft";  // no bit of a code turns in so few
    }
    config.update(changes);
    return config;
  }

  /// Trained weights are the same for every test of an attack: same target, pairs, settings and seed.
  [[nodiscard]] Weights trained(const AttackEntry& entry, Modality modality, const Json& changes) const {
    static std::map<std::tuple<std::string_view, Modality, std::string>, Weights> before;
    const auto [found, is_first] = before.try_emplace({entry.about.name, modality, changes.dump()});
    if (!is_first) return found->second;
    Ranks ranks(*this);
    auto result = train_attack(entry, modality, ranks, changes);
    EXPECT_TRUE(result) << (result ? "" : result.error().message);
    if (!result) return {};
    EXPECT_GT(result->n_parameters, 0);
    EXPECT_FALSE(result->curves.empty());
    EXPECT_EQ(ranks.n_queries > 0, entry.about.capabilities.black_box);
    return found->second = std::move(result->weights);
  }

  [[nodiscard]] std::unique_ptr<Attack> make(const AttackEntry& entry, Modality modality,
                                             std::uint64_t seed = 9,
                                             const Json& changes = Json::object()) const {
    AttackSurface surface = surface_of(entry, modality);
    EXPECT_EQ(entry.train != nullptr, entry.about.capabilities.trains);
    if (entry.train != nullptr) surface.weights = trained(entry, modality, changes);
    auto attack = entry.make(config_of(entry, changes), surface, seed);
    EXPECT_TRUE(attack) << (attack ? "" : attack.error().message);
    return std::move(*attack);
  }

  /// Queries [begin, end), aimed at the training items of the same positions where the attack aims.
  [[nodiscard]] AttackBatch batch(const AttackEntry& entry, Modality modality, std::int64_t begin = 0,
                                  std::int64_t end = kQueries) const {
    const auto span =
        std::span(rows).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
    AttackBatch made{inputs(modality).slice(0, begin, end), queries.labels.slice(0, begin, end), span};
    if (entry.about.capabilities.targeted) {
      made.target_labels = train.labels.slice(0, begin, end);
      made.target_text = train.text.slice(0, begin, end);
    }
    return made;
  }

  [[nodiscard]] torch::Tensor perturbed(const AttackEntry& entry, Modality modality, std::uint64_t seed = 9,
                                        std::int64_t begin = 0, std::int64_t end = kQueries) const {
    return make(entry, modality, seed)->perturb(batch(entry, modality, begin, end));
  }
};

inline std::vector<const AttackEntry*> crafting_entries() {
  std::vector<const AttackEntry*> entries;
  for (const AttackEntry* entry : attack_registry().entries()) {
    if (entry->make != nullptr) entries.push_back(entry);
  }
  return entries;
}

inline std::vector<Modality> modalities_of(const AttackEntry& entry) {
  std::vector<Modality> modalities;
  if (entry.about.capabilities.image) modalities.push_back(Modality::kImage);
  if (entry.about.capabilities.text) modalities.push_back(Modality::kText);
  return modalities;
}

inline bool has_field(const AttackEntry& entry, std::string_view name) {
  const auto fields = entry.about.fields();
  return std::ranges::any_of(fields, [&](const FieldInfo& field) { return field.name == name; });
}

class EveryAttack : public ::testing::TestWithParam<const AttackEntry*> {
 protected:
  [[nodiscard]] const AttackEntry& entry() const { return *GetParam(); }
  AttackToy toy_;
};

inline std::string name_of_attack(const ::testing::TestParamInfo<const AttackEntry*>& tested) {
  return std::string(tested.param->about.name);
}

}  // namespace gauntlet::attacks
