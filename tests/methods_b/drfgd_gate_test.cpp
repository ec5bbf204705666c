// The gate of DRFGD: a query is regenerated only when the discriminator flags it.
#include <gmock/gmock.h>

#include "core/defenses/detail/drfgd_pairs.hpp"
#include "core/defenses/detail/drfgd_passes.hpp"
#include "tests/methods_b/support.hpp"

namespace gauntlet::defenses {
namespace {

using ::testing::HasSubstr;
using torch::Tensor;

bool is_of_gate(const std::string& name) { return name.starts_with("gate."); }

Weights without_gate(Weights weights) {
  std::erase_if(weights, [](const auto& item) { return is_of_gate(item.first); });
  return weights;
}

class DrfgdGate : public ::testing::TestWithParam<Modality> {
 protected:
  [[nodiscard]] static Tensor inputs() { return some_inputs(GetParam(), 5); }

  /// The checkpoint, and the one whose discriminator judges the other way round: between them every input is
  /// once flagged and once not.
  [[nodiscard]] std::vector<Weights> both_ways() const {
    Weights turned;
    for (const auto& [name, tensor] : trained_.weights) {
      const bool is_last = name.starts_with("gate.dischead.") || name.starts_with("gate.disc3.fc.");
      turned[name] = is_last ? -tensor : tensor;
    }
    return {trained_.weights, turned};
  }

  /// Which of the inputs the checkpoint's discriminator flags, worked out beside the pipeline.
  [[nodiscard]] static Tensor flagged(const Weights& weights) {
    const auto net = GetParam() == Modality::kImage
                         ? models::make_image_discriminator(models::image_discriminator_layout(12, 2))
                         : models::make_text_discriminator(10, 6, 4, models::TextDiscriminator::kLeaky);
    EXPECT_TRUE(models::restore(*net, models::with_prefix(weights, "gate.")));
    net->eval();
    return net->forward(to_domain(GetParam(), inputs())) < 0;
  }

  TrainedDefense trained_ = trained_with({{"gate", true}}, GetParam());
};
INSTANTIATE_TEST_SUITE_P(Sides, DrfgdGate, ::testing::ValuesIn(kModalities),
                         [](const auto& one) { return std::string(name_of(one.param)); });

TEST_P(DrfgdGate, IsKeptAndCountedAndChangesNoTraining) {
  const TrainedDefense plain = trained_with(Json::object(), GetParam());
  EXPECT_TRUE(equal(without_gate(trained_.weights), plain.weights));
  std::int64_t n_parameters = 0;
  for (const auto& [name, tensor] : trained_.weights) {
    const bool is_buffer = name.ends_with(".u") || name.ends_with(".v");
    if (is_of_gate(name) && !is_buffer) n_parameters += tensor.numel();
  }
  EXPECT_GT(n_parameters, 0);
  EXPECT_EQ(trained_.n_parameters, plain.n_parameters + n_parameters);
}

TEST_P(DrfgdGate, RegeneratesWhatIsFlaggedAndNothingElse) {
  const Tensor input = inputs();
  const Tensor regenerated =
      pipeline_of(Json::object(), GetParam(), without_gate(trained_.weights))->purified(GetParam(), input);
  for (const Weights& weights : both_ways()) {
    const Tensor is_flagged = flagged(weights);
    const Tensor out = pipeline_of({{"gate", true}}, GetParam(), weights)->purified(GetParam(), input);
    for (std::int64_t row = 0; row < input.size(0); ++row) {
      if (is_flagged[row].item<bool>()) {
        EXPECT_TRUE(torch::allclose(out[row], regenerated[row], 1e-5, 1e-6)) << row;
      } else {
        EXPECT_TRUE(torch::equal(out[row], input[row])) << row;
      }
      EXPECT_FALSE(torch::allclose(regenerated[row], input[row], 1e-5, 1e-6)) << "nothing to tell apart";
    }
  }
}

TEST_P(DrfgdGate, PassesTheGradientOfTheWayAnInputWent) {
  for (const Weights& weights : both_ways()) {
    const Tensor is_flagged = flagged(weights);
    Tensor input = inputs().requires_grad_();
    pipeline_of({{"gate", true}}, GetParam(), weights)->purified(GetParam(), input).sum().backward();
    EXPECT_TRUE(input.grad().isfinite().all().item<bool>());
    for (std::int64_t row = 0; row < input.size(0); ++row) {
      const bool is_untouched = torch::equal(input.grad()[row], torch::ones_like(input[row]));
      EXPECT_EQ(is_untouched, !is_flagged[row].item<bool>()) << row;
    }
  }
}

TEST_P(DrfgdGate, DecidesBatchesOfOneAlike) {
  const auto pipeline = pipeline_of({{"gate", true}}, GetParam(), trained_.weights);
  const Tensor input = inputs(), out = pipeline->purified(GetParam(), input);
  for (std::int64_t row = 0; row < input.size(0); ++row) {
    const Tensor alone = pipeline->purified(GetParam(), input.narrow(0, row, 1));
    EXPECT_TRUE(torch::allclose(alone[0], out[row], 1e-4, 1e-5)) << row;
  }
}

TEST(DrfgdGateConfig, FollowsTheGame) {
  const Tensor logits = torch::tensor({-2.0F, -0.1F, 0.1F, 3.0F});
  EXPECT_TRUE(torch::equal(looks_generated(logits, AdversarialGame::kBce),
                           torch::tensor({true, true, false, false})));
  EXPECT_TRUE(torch::equal(looks_generated(logits, AdversarialGame::kLeastSquares),
                           torch::tensor({false, false, true, true})));
}

TEST(DrfgdGateConfig, NeedsTheDiscriminatorAndItsWeights) {
  const auto solo = collective::make_solo_communicator();
  const auto refused = drfgd().train(with(tiny_drfgd(), {{"gate", true}, {"use_dis", false}}),
                                     tiny_training(Modality::kText, 12, solo.get()));
  ASSERT_FALSE(refused);
  EXPECT_EQ(
      refused.error().message,
      "drfgd: gate is on and use_dis is off, so there is no discriminator to decide; allowed: gate off, or "
      "use_dis on");
  const auto made = drfgd().make(with(tiny_drfgd(), {{"gate", true}}),
                                 {.model = tiny_training(Modality::kText, 1, solo.get()).model,
                                  .shape = kTinyShape,
                                  .modality = Modality::kText,
                                  .weights = trained_with(Json::object(), Modality::kText).weights});
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("the drfgd gate's checkpoint has no tensor 'disc1.fc.bias'"));
}

}  // namespace
}  // namespace gauntlet::defenses
