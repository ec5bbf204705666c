// Lower precision inside DRFGD's networks: what changes, by how much, and what never does.
#include <ATen/autocast_mode.h>
#include <gmock/gmock.h>

#include "core/defenses/detail/drfgd_pairs.hpp"
#include "core/defenses/detail/drfgd_passes.hpp"
#include "core/defenses/detail/drfgd_trainer.hpp"
#include "tests/methods_b/support.hpp"

namespace gauntlet::defenses {
namespace {

using models::Precision;
using torch::Tensor;

bool autocasts() { return at::autocast::is_autocast_enabled(torch::kCPU); }

std::shared_ptr<Generator> small_generator(Modality modality, collective::Communicator* communicator) {
  torch::manual_seed(17);
  if (modality == Modality::kImage)
    return make_image_generator({.layout = *image_layout(12), .width = 4, .n_labels = 4}, communicator);
  return make_text_generator({.text_dim = 10, .n_labels = 4, .hidden = 8, .bottleneck = 6, .branch = 12});
}

std::shared_ptr<models::Discriminator> small_discriminator(Modality modality) {
  torch::manual_seed(19);
  if (modality == Modality::kImage)
    return models::make_image_discriminator(models::image_discriminator_layout(12, 4));
  return models::make_text_discriminator(10, 6, 4, models::TextDiscriminator::kLeaky);
}

/// Six inputs in the domain of the networks.
Tensor own_inputs(Modality modality) { return to_domain(modality, some_inputs(modality, 6)); }

double distance(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

TEST(PrecisionScope, PutsBackWhatItFound) {
  ASSERT_FALSE(autocasts());
  const auto type = at::autocast::get_autocast_dtype(torch::kCPU);
  {
    const models::PrecisionScope outer(Precision::kBf16, torch::kCPU);
    EXPECT_TRUE(autocasts());
    {
      const models::PrecisionScope inner(Precision::kFp32, torch::kCPU);
      EXPECT_FALSE(autocasts());
    }
    EXPECT_TRUE(autocasts());
    EXPECT_EQ(at::autocast::get_autocast_dtype(torch::kCPU), torch::kBFloat16);
  }
  EXPECT_FALSE(autocasts());
  EXPECT_EQ(at::autocast::get_autocast_dtype(torch::kCPU), type);
}

TEST(DrfgdPrecision, Bf16PassesAreNearFp32OnesAndOfTheInputsType) {
  const auto solo = collective::make_solo_communicator();
  for (const Modality modality : kModalities) {
    SCOPED_TRACE(name_of(modality));
    const auto net = small_generator(modality, solo.get());
    net->eval();
    const Tensor input = own_inputs(modality);
    const Generated full = generate(*net, input, Pass::kEverything, Precision::kFp32);
    const Generated low = generate(*net, input, Pass::kEverything, Precision::kBf16);
    EXPECT_TRUE(torch::equal(full.output, net->forward(input, Pass::kEverything).output));
    const std::pair<Tensor, Tensor> parts[] = {{full.f, low.f},
                                               {full.z_arf, low.z_arf},
                                               {full.z_avf, low.z_avf},
                                               {full.logits_arf, low.logits_arf},
                                               {full.logits_avf, low.logits_avf},
                                               {full.p, low.p},
                                               {full.output, low.output}};
    for (const auto& [exact, rounded] : parts) {
      EXPECT_EQ(rounded.scalar_type(), torch::kFloat);
      // Eight bits a product, a few products deep.
      EXPECT_LT(distance(exact, rounded), 0.03 * std::max(1.0, exact.abs().max().item<double>()));
    }
    EXPECT_GT(distance(full.output, low.output), 0);
    EXPECT_TRUE(torch::equal(full.output, generate(*net, input, Pass::kEverything, Precision::kTf32).output))
        << "tf32 is of GPUs";
  }
}

TEST(DrfgdPrecision, DiscriminatorsNormaliseTheirWeightsInFull) {
  for (const Modality modality : kModalities) {
    const auto full = small_discriminator(modality), low = small_discriminator(modality);
    const Tensor input = own_inputs(modality);
    const Tensor exact = judge(*full, input, Precision::kFp32),
                 rounded = judge(*low, input, Precision::kBf16);
    EXPECT_EQ(rounded.scalar_type(), torch::kFloat);
    EXPECT_LT(distance(exact, rounded), 0.03);
    EXPECT_GT(distance(exact, rounded), 0);
    const auto state = models::state_of(*full);
    for (const auto& [name, tensor] : models::state_of(*low))
      EXPECT_TRUE(torch::equal(tensor, state.at(name))) << name << " after a power step under bf16";
  }
}

TEST(DrfgdPrecision, TargetAndLossesStayInFull) {
  const auto solo = collective::make_solo_communicator();
  for (const Modality modality : kModalities) {
    DrfgdConfig config;
    config.precision.precision = "bf16";
    const Tensor hash = torch::randn({own_inputs(modality).flatten(1).size(1), 8});
    int n_encoded = 0;
    DrfgdTrainer trainer(config, {.generator = small_generator(modality, solo.get()),
                                  .discriminator = small_discriminator(modality),
                                  .encode =
                                      [&](const Tensor& output) {
                                        ++n_encoded;
                                        EXPECT_FALSE(autocasts());
                                        EXPECT_EQ(output.scalar_type(), torch::kFloat);
                                        return torch::tanh(output.flatten(1).matmul(hash) * 0.1);
                                      },
                                  .code_sum = torch::randint(-1, 2, {20, 8}).to(torch::kFloat) * 2,
                                  .train_labels = torch::randint(0, 2, {20, 4}).to(torch::kFloat),
                                  .communicator = solo.get()});
    const Tensor clean = own_inputs(modality);
    const auto losses =
        trainer.step({clean, clean, torch::randint(0, 2, {6, 4}).to(torch::kFloat), clean.size(0)});
    EXPECT_EQ(n_encoded, 1);
    EXPECT_FALSE(autocasts());
    for (const auto& [name, loss] : losses) EXPECT_EQ(loss.scalar_type(), torch::kFloat) << name;
  }
}

TEST(DrfgdPrecision, Bf16TrainsAsFp32DoesAndTf32IsFp32OnACpu) {
  const auto solo = collective::make_solo_communicator();
  for (const Modality modality : kModalities) {
    SCOPED_TRACE(name_of(modality));
    const auto trained = [&](const char* precision) {
      const Json options = with(
          tiny_drfgd(), {{"precision", precision}, {"epochs_image", 4}, {"epochs_text", 4}, {"lr", 0.01}});
      return *drfgd().train(options, tiny_training(modality, 24, solo.get()));
    };
    const TrainedDefense full = trained("fp32"), low = trained("bf16"), tf32 = trained("tf32");
    for (const auto& [name, tensor] : full.weights) {
      EXPECT_TRUE(torch::equal(tensor, tf32.weights.at(name))) << name;
      EXPECT_EQ(low.weights.at(name).scalar_type(), torch::kFloat) << name;
    }
    const auto& exact = full.curves.at("rec");
    const auto& rounded = low.curves.at("rec");
    EXPECT_LT(rounded.back(), rounded.front());
    EXPECT_NEAR(rounded.back(), exact.back(), 0.1 * exact.back());
    EXPECT_NE(rounded.back(), exact.back());
  }
}

TEST(DrfgdPrecision, PipelineUsesIt) {
  for (const Modality modality : kModalities) {
    const Weights weights = trained_with(Json::object(), modality).weights;
    const Tensor input = some_inputs(modality, 3);
    const auto purified = [&](const char* precision) {
      const Tensor out =
          pipeline_of({{"precision", precision}}, modality, weights)->purified(modality, input);
      EXPECT_EQ(out.scalar_type(), torch::kFloat);
      return out;
    };
    const Tensor full = purified("fp32"), low = purified("bf16");
    EXPECT_GT(distance(full, low), 0);
    EXPECT_LT(distance(full, low), 0.03);
    EXPECT_TRUE(torch::equal(full, purified("tf32")));
  }
}

}  // namespace
}  // namespace gauntlet::defenses
