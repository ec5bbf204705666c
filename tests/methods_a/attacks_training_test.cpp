// Every registered attack that trains, against the promises of its interface: what it learns, from what, and
// what it leaves behind.

#include <ATen/autocast_mode.h>

#include "core/models/trained_models.hpp"
#include "tests/methods_a/attack_toy.hpp"

namespace gauntlet::attacks {
namespace {

using namespace gauntlet::testing;
using torch::Tensor;

bool same(const Weights& left, const Weights& right) {
  return std::ranges::equal(left, right, [](const auto& one, const auto& another) {
    return one.first == another.first && one.second.equal(another.second);
  });
}

std::vector<const AttackEntry*> training_entries() {
  std::vector<const AttackEntry*> entries;
  for (const AttackEntry* entry : crafting_entries()) {
    if (entry->train != nullptr) entries.push_back(entry);
  }
  return entries;
}

/// Those whose networks are large enough to have a choice of arithmetic.
std::vector<const AttackEntry*> generator_entries() {
  std::vector<const AttackEntry*> entries;
  for (const AttackEntry* entry : training_entries()) {
    if (has_field(*entry, "precision")) entries.push_back(entry);
  }
  return entries;
}

class EveryTrainedAttack : public EveryAttack {
 protected:
  /// A training run that must succeed.
  TrainedAttack train(Modality modality, const Json& changes = Json::object(), std::uint64_t seed = 3) {
    AttackToy::Ranks ranks(toy_);
    auto trained = toy_.train_attack(entry(), modality, ranks, changes, seed);
    EXPECT_TRUE(trained) << (trained ? "" : trained.error().message);
    return trained ? std::move(*trained) : TrainedAttack{};
  }
};

class EveryGenerator : public EveryTrainedAttack {};

TEST_P(EveryTrainedAttack, LearnsTheSameBytesFromTheSameSeed) {
  for (const Modality modality : modalities_of(entry())) {
    const Weights first = train(modality).weights;
    EXPECT_FALSE(first.empty());
    EXPECT_TRUE(same(first, train(modality).weights));
    EXPECT_FALSE(same(first, train(modality, Json::object(), 4).weights));
  }
}

TEST_P(EveryTrainedAttack, SaysWhereItDiverged) {
  for (const Modality modality : modalities_of(entry())) {
    AttackToy::Ranks ranks(toy_);
    AttackTraining setup = toy_.training_of(entry(), modality, ranks);
    const double nothing = std::numeric_limits<double>::quiet_NaN();
    setup.images = torch::full(setup.images.sizes(), nothing, torch::kFloat32);
    setup.text = torch::full(setup.text.sizes(), nothing, torch::kFloat32);
    for (Tensor* codes : {&setup.surface.train_codes_image, &setup.surface.train_codes_text}) {
      if (codes->defined()) *codes = torch::full_like(*codes, nothing);
    }
    const auto result = entry().train(toy_config(entry().about), std::move(setup));
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::kDiverged);
    EXPECT_THAT(result.error().message,
                ::testing::MatchesRegex(std::string(entry().about.name) +
                                        ".*: loss '[a-z_]+' became -?nan in epoch 1, step 1, at [a-z_]+ "
                                        ".*; a smaller learning rate may help"));
  }
}

TEST_P(EveryTrainedAttack, LeavesEveryTargetModelAsItWas) {
  for (const models::ModelEntry* target : models::trained_models()) {
    SCOPED_TRACE(target->about.name);
    const AttackToy toy(*target);
    const auto untouched = AttackToy(*target).model;
    for (const Modality modality : modalities_of(entry())) {
      AttackToy::Ranks ranks(toy);
      const auto trained = toy.train_attack(entry(), modality, ranks);
      ASSERT_TRUE(trained) << trained.error().message;
      EXPECT_TRUE(same_state(*toy.model, *untouched));
      for (const auto& module : toy.model->modules()) EXPECT_FALSE(module->is_training());
      for (const Tensor& parameter : toy.model->parameters()) {
        EXPECT_FALSE(parameter.grad().defined());
        EXPECT_TRUE(parameter.requires_grad());
      }
    }
  }
}

/// The lists that a black box gave once.
class Replay final : public RankedLists {
 public:
  explicit Replay(std::vector<Tensor> answers) : answers_(std::move(answers)) {}
  Tensor rank(Modality, const Tensor& inputs) override {
    n_queries_ += inputs.size(0);
    return answers_.at(n_asked_++);
  }
  [[nodiscard]] std::int64_t queries_used() const override { return n_queries_; }

 private:
  std::vector<Tensor> answers_;
  std::size_t n_asked_ = 0;
  std::int64_t n_queries_ = 0;
};

TEST_P(EveryTrainedAttack, LearnsFromRanksAloneWhenItIsABlackBox) {
  for (const Modality modality : modalities_of(entry())) {
    AttackToy::Ranks ranks(toy_);
    const auto trained = toy_.train_attack(entry(), modality, ranks);
    ASSERT_TRUE(trained) << trained.error().message;
    EXPECT_EQ(ranks.n_queries > 0, entry().about.capabilities.black_box);
    if (!entry().about.capabilities.black_box) continue;
    // Another target whose lists are the same teaches the same.
    AttackToy elsewhere;
    elsewhere.model = nullptr;
    Replay replay(ranks.answers);
    const auto again = elsewhere.train_attack(entry(), modality, replay);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_TRUE(same(trained->weights, again->weights));
    EXPECT_EQ(replay.queries_used(), ranks.n_queries);
    for (Tensor& answer : ranks.answers) answer = answer.flip(1);
    Replay reversed(ranks.answers);
    const auto misled = elsewhere.train_attack(entry(), modality, reversed);
    ASSERT_TRUE(misled) << misled.error().message;
    EXPECT_FALSE(same(trained->weights, misled->weights));
  }
}

TEST_P(EveryGenerator, OffersLowerPrecisionForItsOwnNetworksOnly) {
  for (const Modality modality : modalities_of(entry())) {
    const Weights plain = train(modality).weights;
    EXPECT_TRUE(same(plain, train(modality, {{"precision", "fp32"}}).weights));
    EXPECT_TRUE(same(plain, train(modality, {{"precision", "tf32"}}).weights));  // on a CPU
    const TrainedAttack low = train(modality, {{"precision", "bf16"}});
    EXPECT_FALSE(same(plain, low.weights));
    EXPECT_FALSE(at::autocast::is_autocast_enabled(torch::kCPU));
    for (const auto& [name, tensor] : low.weights) {
      EXPECT_NE(tensor.scalar_type(), torch::kBFloat16) << name;
      EXPECT_TRUE(tensor.isfinite().all().item<bool>()) << name;
    }
    for (const auto& [name, values] : low.curves) {
      for (const float value : values) EXPECT_TRUE(std::isfinite(value)) << name;
    }
    const auto perturbed = [&](const char* precision) {
      AttackSurface surface = toy_.surface_of(entry(), modality);
      surface.weights = low.weights;
      const auto attack = entry().make(AttackToy::config_of(entry(), {{"precision", precision}}), surface, 9);
      EXPECT_TRUE(attack) << (attack ? "" : attack.error().message);
      return (*attack)->perturb(toy_.batch(entry(), modality));
    };
    const Tensor exact = perturbed("fp32"), coarse = perturbed("bf16");
    EXPECT_EQ(coarse.scalar_type(), torch::kFloat32);
    EXPECT_FALSE(coarse.equal(exact));
    EXPECT_LT((coarse - exact).abs().mean().item<double>(), 0.02);  // bfloat16 keeps 8 bits
  }
}

TEST_P(EveryGenerator, AsksTheTargetInFullPrecision) {
  for (const Modality modality : modalities_of(entry())) {
    AttackSurface surface = toy_.surface_of(entry(), modality);
    std::int64_t n_asked = 0;
    if (surface.encode) {
      surface.encode = [&, encode = surface.encode](const Tensor& input) {
        ++n_asked;
        EXPECT_EQ(input.scalar_type(), torch::kFloat32);
        EXPECT_FALSE(at::autocast::is_autocast_enabled(torch::kCPU));
        return encode(input);
      };
    }
    /// The black box is asked outside any autocast too.
    struct Watching final : RankedLists {
      explicit Watching(const AttackToy& toy) : ranks(toy) {}
      Tensor rank(Modality side, const Tensor& inputs) override {
        EXPECT_EQ(inputs.scalar_type(), torch::kFloat32);
        EXPECT_FALSE(at::autocast::is_autocast_enabled(torch::kCPU));
        return ranks.rank(side, inputs);
      }
      [[nodiscard]] std::int64_t queries_used() const override { return ranks.n_queries; }
      AttackToy::Ranks ranks;
    } watching(toy_);
    const bool black_box = entry().about.capabilities.black_box;
    AttackTraining setup{.surface = surface,
                         .ranked_lists = black_box ? &watching : nullptr,
                         .images = toy_.train.images,
                         .text = toy_.train.text,
                         .labels = toy_.train.labels,
                         .seed = 3,
                         .communicator = toy_.solo.get(),
                         .on_epoch = {}};
    const auto trained =
        entry().train(AttackToy::config_of(entry(), {{"precision", "bf16"}}), std::move(setup));
    ASSERT_TRUE(trained) << trained.error().message;
    EXPECT_GT(black_box ? watching.queries_used() : n_asked, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryTrainedAttack, ::testing::ValuesIn(training_entries()),
                         name_of_attack);
INSTANTIATE_TEST_SUITE_P(Registry, EveryGenerator, ::testing::ValuesIn(generator_entries()), name_of_attack);

}  // namespace
}  // namespace gauntlet::attacks
