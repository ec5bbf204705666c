// Every registered attack against the promises of its interface: what it makes of a batch.

#include "core/models/losses.hpp"
#include "core/models/trained_models.hpp"
#include "tests/methods_a/attack_toy.hpp"

namespace gauntlet::attacks {
namespace {

using namespace gauntlet::testing;
using torch::Tensor;

/// The budget that the entry's own field promises, if it has one that limits anything.
std::optional<double> budget_of(const AttackEntry& entry, Modality modality, const Json& changes) {
  const Json given = AttackToy::config_of(entry, changes);
  const Json config = complete_config(entry.about.fields(), given, "toy").value();
  for (const std::string field : {"epsilon_", "bound_"}) {
    const auto found = config.find(field + std::string(name_of(modality)));
    if (found != config.end() && found->get<double>() > 0) return found->get<double>();
  }
  return std::nullopt;
}

/// The entry's settings, and where it has an optional budget the same with one.
std::vector<Json> budgets_of(const AttackEntry& entry) {
  std::vector<Json> changes = {Json::object()};
  if (has_field(entry, "bound_image")) changes.push_back({{"bound_image", 0.03}, {"bound_text", 0.03}});
  return changes;
}

/// Greatest |adversarial - clean|, exactly: the difference of two floats is a double.
double distance_between(const Tensor& adversarial, const Tensor& clean) {
  return (adversarial.to(torch::kFloat64) - clean.to(torch::kFloat64)).abs().max().item<double>();
}

bool in_range(const Tensor& values, double low, double high) {
  return values.ge(low).logical_and(values.le(high)).all().item<bool>();
}

TEST_P(EveryAttack, DescribesItselfTruthfully) {
  EXPECT_EQ(attack_registry().find(entry().about.name).value(), GetParam());
  EXPECT_GE(entry().about.version, 1);
  EXPECT_FALSE(entry().about.summary.empty());
  EXPECT_FALSE(modalities_of(entry()).empty());
  const Capabilities& can = entry().about.capabilities;
  EXPECT_EQ(entry().train != nullptr, can.trains);
  EXPECT_FALSE(can.black_box && can.adaptive);  // gradients are what a black box does not give
  EXPECT_EQ(has_field(entry(), "targets"), can.targeted);
}

TEST_P(EveryAttack, ReadsBackTheConfigItWrites) {
  const Json complete = complete_config(entry().about.fields(), Json::object(), "defaults").value();
  EXPECT_EQ(complete_config(entry().about.fields(), complete, "again").value(), complete);
  for (const auto& [dataset, options] : describe(entry().about)["dataset_defaults"].items()) {
    const auto of_dataset = complete_config(entry().about.fields(), options, dataset);
    EXPECT_TRUE(of_dataset) << dataset << (of_dataset ? "" : of_dataset.error().message);
  }
  const Json given = AttackToy::config_of(entry(), Json::object());
  const Json effective = complete_config(entry().about.fields(), given, "toy").value();
  for (const Modality modality : modalities_of(entry())) {
    AttackSurface surface = toy_.surface_of(entry(), modality);
    if (entry().train != nullptr) surface.weights = toy_.trained(entry(), modality, Json::object());
    const auto written_out = entry().make(effective, surface, 9);
    ASSERT_TRUE(written_out) << written_out.error().message;
    EXPECT_TRUE(
        (*written_out)->perturb(toy_.batch(entry(), modality)).equal(toy_.perturbed(entry(), modality)));
  }
  const auto refused = entry().make({{"no_such_option", 1}}, {}, 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(refused.error().message, ::testing::HasSubstr("no_such_option"));
}

TEST_P(EveryAttack, StaysInTheBallAndInTheValidRange) {
  for (const Modality modality : modalities_of(entry())) {
    for (const Json& changes : budgets_of(entry())) {
      SCOPED_TRACE(changes.dump());
      const Tensor clean = toy_.inputs(modality);
      const Tensor adversarial =
          toy_.make(entry(), modality, 9, changes)->perturb(toy_.batch(entry(), modality));
      ASSERT_EQ(adversarial.sizes(), clean.sizes());
      EXPECT_EQ(adversarial.scalar_type(), torch::kFloat32);
      EXPECT_TRUE(in_range(adversarial, 0, 1));
      EXPECT_FALSE(adversarial.requires_grad());
      EXPECT_GT(distance_between(adversarial, clean), 0);
      if (const auto budget = budget_of(entry(), modality, changes)) {
        EXPECT_LE(distance_between(adversarial, clean), *budget);  // no tolerance: budgets hold exactly
      }
    }
  }
}

/// Data sets whose texts are features have texts in [-1,1].
TEST_P(EveryAttack, StaysInTheRangeOfRealTexts) {
  if (!entry().about.capabilities.text) return;
  AttackSurface surface = toy_.surface_of(entry(), Modality::kText);
  surface.input_low = -1;
  if (entry().train != nullptr) surface.weights = toy_.trained(entry(), Modality::kText, Json::object());
  const auto attack = entry().make(AttackToy::config_of(entry(), Json::object()), surface, 9);
  if (!attack) {  // words can be changed only where there are words
    EXPECT_FALSE(has_field(entry(), "epsilon_text"));
    EXPECT_EQ(attack.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(attack.error().message, ::testing::HasSubstr("allowed: "));
    return;
  }
  AttackBatch batch = toy_.batch(entry(), Modality::kText);
  batch.inputs =
      torch::rand({AttackToy::kQueries, kToyTextDim}, at::make_generator<at::CPUGeneratorImpl>(4)) * 2.2 -
      1.1;
  batch.inputs.clamp_(-1, 1);  // some values lie on the bounds
  const Tensor adversarial = (*attack)->perturb(batch);
  EXPECT_TRUE(in_range(adversarial, -1, 1));
  EXPECT_LT(adversarial.min().item<float>(), 0);
  if (const auto budget = budget_of(entry(), Modality::kText, Json::object())) {
    EXPECT_LE(distance_between(adversarial, batch.inputs), *budget);
  }
}

TEST_P(EveryAttack, GivesTheSameBytesFromTheSameSeed) {
  for (const Modality modality : modalities_of(entry())) {
    const auto attack = toy_.make(entry(), modality);
    const Tensor first = attack->perturb(toy_.batch(entry(), modality));
    EXPECT_TRUE(attack->perturb(toy_.batch(entry(), modality)).equal(first));  // it keeps nothing
    EXPECT_TRUE(toy_.perturbed(entry(), modality).equal(first));
  }
}

TEST_P(EveryAttack, DoesNotDependOnTheBatchAnInputIsIn) {
  for (const Modality modality : modalities_of(entry())) {
    const Tensor together = toy_.perturbed(entry(), modality);
    const Tensor one = toy_.perturbed(entry(), modality, 9, 3, 4);
    const Tensor parts = torch::cat(
        {toy_.perturbed(entry(), modality, 9, 0, 3), one, toy_.perturbed(entry(), modality, 9, 4, 10)});
    // Sums of another order may turn the sign of a gradient that is zero but for rounding.
    const double differing = (together - parts).abs().gt(1e-6).to(torch::kFloat64).mean().item<double>();
    EXPECT_LE(differing, 1e-3);
  }
}

/// Weights, batch statistics, the vectors of spectral norms, train flags and gradients of every target model.
TEST_P(EveryAttack, LeavesEveryTargetModelAsItWas) {
  for (const models::ModelEntry* target : models::trained_models()) {
    SCOPED_TRACE(target->about.name);
    const AttackToy toy(*target);
    const auto untouched = AttackToy(*target).model;
    for (const Modality modality : modalities_of(entry())) {
      static_cast<void>(toy.perturbed(entry(), modality));
      EXPECT_TRUE(same_state(*toy.model, *untouched));
      for (const auto& module : toy.model->modules()) EXPECT_FALSE(module->is_training());
      for (const Tensor& parameter : toy.model->parameters()) {
        EXPECT_FALSE(parameter.grad().defined());
        EXPECT_TRUE(parameter.requires_grad());
      }
    }
  }
}

TEST_P(EveryAttack, WorksWhileGradientsAreOff) {
  const torch::NoGradGuard no_grad;
  for (const Modality modality : modalities_of(entry())) {
    EXPECT_FALSE(toy_.perturbed(entry(), modality).equal(toy_.inputs(modality)));
    EXPECT_FALSE(torch::GradMode::is_enabled());
  }
}

TEST_P(EveryAttack, AimsAtTheTargetOnlyIfItSaysSo) {
  for (const Modality modality : modalities_of(entry())) {
    const auto attack = toy_.make(entry(), modality);
    AttackBatch batch = toy_.batch(entry(), modality);
    const Tensor before = attack->perturb(batch);
    batch.target_labels = toy_.train.labels.slice(0, 20, 30);
    batch.target_text = toy_.train.text.slice(0, 20, 30);
    EXPECT_EQ(attack->perturb(batch).equal(before), !entry().about.capabilities.targeted);
  }
}

TEST_P(EveryAttack, TakesQueriesWithoutLabels) {
  for (const Modality modality : modalities_of(entry())) {
    AttackBatch batch = toy_.batch(entry(), modality);
    batch.labels = torch::zeros_like(batch.labels);
    const Tensor adversarial = toy_.make(entry(), modality)->perturb(batch);
    EXPECT_TRUE(adversarial.isfinite().all().item<bool>());
    EXPECT_TRUE(in_range(adversarial, 0, 1));
  }
}

/// A data set of image features has no pictures. Its texts are attacked like any others; its "images" either
/// are, or are refused with a reason.
TEST_P(EveryAttack, WorksOnFeaturesOrSaysWhyNot) {
  constexpr std::int64_t kFeatures = 20;
  for (const Modality modality : modalities_of(entry())) {
    const bool image = modality == Modality::kImage;
    AttackSurface surface = toy_.surface_of(entry(), modality);
    surface.shape.image_px = 0;
    surface.shape.feature_dim = kFeatures;
    const auto random = [](at::IntArrayRef sizes, std::uint64_t seed) {
      return torch::rand(sizes, at::make_generator<at::CPUGeneratorImpl>(seed));
    };
    const Tensor planes = random({image ? kFeatures : kToyTextDim, kToyBits}, 1) - 0.5;
    if (surface.encode) {
      surface.encode = [planes](const Tensor& inputs) { return torch::tanh(inputs.matmul(planes)); };
    }
    AttackBatch batch = toy_.batch(entry(), modality);
    if (image) batch.inputs = random({AttackToy::kQueries, kFeatures}, 2);
    std::optional<Error> refusal;
    if (entry().train != nullptr) {
      AttackToy::Ranks ranks(toy_);
      AttackTraining setup{.surface = surface,
                           .ranked_lists = entry().about.capabilities.black_box ? &ranks : nullptr,
                           .images = random({AttackToy::kTrain, kFeatures}, 3),
                           .text = toy_.train.text,
                           .labels = toy_.train.labels,
                           .seed = 3,
                           .communicator = toy_.solo.get(),
                           .on_epoch = {}};
      auto trained = entry().train(toy_config(entry().about), std::move(setup));
      if (trained) surface.weights = std::move(trained->weights);
      if (!trained) refusal = trained.error();
    }
    if (!refusal) {
      // A term that keeps changes small may keep them at nothing on so few values.
      const Json changes = has_field(entry(), "size_weight") ? Json{{"size_weight", 0}} : Json::object();
      const auto attack = entry().make(AttackToy::config_of(entry(), changes), surface, 9);
      if (!attack) refusal = attack.error();
      if (attack) {
        const Tensor adversarial = (*attack)->perturb(batch);
        EXPECT_EQ(adversarial.sizes(), batch.inputs.sizes());
        EXPECT_FALSE(adversarial.equal(batch.inputs));
      }
    }
    if (!refusal) continue;
    EXPECT_TRUE(image) << refusal->message;
    EXPECT_EQ(refusal->code, ErrorCode::kInvalid);
    EXPECT_THAT(refusal->message,
                ::testing::AllOf(::testing::HasSubstr("features"), ::testing::HasSubstr("allowed: ")));
  }
}

TEST_P(EveryAttack, RefusesTheModalityItDoesNotClaim) {
  for (const Modality modality : {Modality::kImage, Modality::kText}) {
    const auto claimed = modalities_of(entry());
    if (std::ranges::find(claimed, modality) != claimed.end()) continue;
    const AttackSurface surface = toy_.surface_of(entry(), modality);
    const auto refused = entry().make(AttackToy::config_of(entry(), Json::object()), surface, 9);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
    EXPECT_THAT(refused.error().message, ::testing::HasSubstr("allowed: "));
    if (entry().train == nullptr) continue;
    AttackToy::Ranks ranks(toy_);
    EXPECT_FALSE(toy_.train_attack(entry(), modality, ranks));
    EXPECT_EQ(ranks.n_queries, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryAttack, ::testing::ValuesIn(crafting_entries()), name_of_attack);

TEST(AttackRegistry, HasNoneAsTheOneThatIsNeverCrafted) {
  EXPECT_EQ(attack_registry().find("none").value()->make, nullptr);
  EXPECT_EQ(crafting_entries().size() + 1, attack_registry().entries().size());
  const auto unknown = attack_registry().find("pdg");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(unknown.error().message, ::testing::HasSubstr("pgd"));
}

double mean_loss(const AttackToy& toy, Modality modality, const Tensor& inputs) {
  const torch::NoGradGuard no_grad;
  const Tensor relevant = models::relevance_mask(toy.queries.labels, toy.train.labels);
  return models::repel_attract_loss(toy.model->encode(modality, inputs),
                                    toy.codes(Modality::kImage) + toy.codes(Modality::kText),
                                    relevant.logical_not(), relevant, 0.05)
      .mean()
      .item<double>();
}

TEST(Pgd, LowersTheAttackLoss) {
  const AttackToy toy;
  const AttackEntry& pgd = *attack_registry().find("pgd").value();
  for (const Modality modality : {Modality::kImage, Modality::kText}) {
    EXPECT_LT(mean_loss(toy, modality, toy.perturbed(pgd, modality)),
              mean_loss(toy, modality, toy.inputs(modality)) - 0.01);
  }
}

TEST(Pgd, LeavesInputsWithoutRelevantOrIrrelevantItemsClean) {
  AttackToy toy;
  toy.train.labels.select(1, 3).zero_();
  toy.train.labels.select(1, 0).fill_(1);
  toy.queries.labels.zero_();
  toy.queries.labels[0][3] = 1;  // shares no label with anything
  toy.queries.labels[1][0] = 1;  // shares one with everything
  for (std::int64_t row = 2; row < 10; ++row) toy.queries.labels[row][1] = 1;
  const AttackEntry& pgd = *attack_registry().find("pgd").value();
  for (const Modality modality : {Modality::kImage, Modality::kText}) {
    const Tensor adversarial = toy.perturbed(pgd, modality);
    for (const std::int64_t row : {0, 1})
      EXPECT_TRUE(adversarial[row].equal(toy.inputs(modality)[row])) << row;
    EXPECT_FALSE(adversarial[2].equal(toy.inputs(modality)[2]));
  }
}

}  // namespace
}  // namespace gauntlet::attacks
