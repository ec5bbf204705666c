// The built-in defense that draws: what its noise is, and that attacks have to average over it.
#include "core/base/random.hpp"
#include "core/defenses/defense.hpp"
#include "tests/robustness/support.hpp"

namespace gauntlet::attacks {
namespace {

using torch::Tensor;

/// The linear target, as a model that a defense stands before.
class Linear final : public models::HashingModel {
 public:
  explicit Linear(LinearHash hash) : hash_(std::move(hash)) {}
  Tensor encode_image(const Tensor& images) override { return hash_(images); }
  Tensor encode_text(const Tensor& text) override { return hash_(text); }

 private:
  LinearHash hash_;
};

std::unique_ptr<defenses::Pipeline> noisy(const LinearHash& hash, double sigma) {
  defenses::PipelineParts parts;
  parts.model = std::make_shared<Linear>(hash);
  parts.shape.image_px = 8;
  return defenses::defense_registry()
      .find("gaussian_noise")
      .value()
      ->make({{"sigma", sigma}}, std::move(parts))
      .value();
}

Tensor purified(defenses::Pipeline& pipeline, const Tensor& input, std::uint64_t draw) {
  pipeline.use_draw(draw);
  return pipeline.purified(Modality::kImage, input);
}

TEST(GaussianNoise, HasItsSigmaAndKeepsTheRange) {
  const auto pipeline = noisy({}, 0.1);
  const Tensor grey = torch::full({1, 3, 64, 64}, 0.5);
  const Tensor noise = purified(*pipeline, grey, 1) - grey;
  EXPECT_NEAR(noise.std().item<double>(), 0.1, 0.005);
  EXPECT_NEAR(noise.mean().item<double>(), 0, 0.005);
  const Tensor black = purified(*pipeline, torch::zeros({1, 3, 64, 64}), 1);
  EXPECT_EQ(black.min().item<double>(), 0);
  EXPECT_GT(black.max().item<double>(), 0.1);
}

TEST(GaussianNoise, IsTheDrawsAndNotTheBatchs) {
  const auto pipeline = noisy({}, 0.1);
  torch::manual_seed(7);
  const Tensor pictures = torch::rand({4, 3, 8, 8});
  const Tensor together = purified(*pipeline, pictures, 1);
  EXPECT_TRUE(purified(*pipeline, pictures, 1).equal(together));
  EXPECT_FALSE(purified(*pipeline, pictures, 2).equal(together));
  EXPECT_TRUE(purified(*pipeline, pictures.flip(0), 1).equal(together.flip(0)));
  EXPECT_TRUE(purified(*pipeline, pictures.slice(0, 2, 3), 1).equal(together.slice(0, 2, 3)));
}

TEST(GaussianNoise, IsDeclared) {
  const auto& declaration = defenses::defense_registry().find("gaussian_noise").value()->declaration;
  ASSERT_EQ(declaration.stages.size(), 1U);
  EXPECT_NE(declaration.stages[0].random, defenses::StageRandomness::kNo);
  EXPECT_FALSE(declaration.stages[0].seeding.empty());
}

TEST(GaussianNoise, TwentySamplesOfItsGradientBeatOne) {
  const Target target({3, 8, 8}, 8, 4, 10, 4, 0.03, /*seed=*/11);
  const auto pipeline = noisy(target.hash, 0.2);
  const auto encode = [&](const Tensor& input) { return pipeline->encode_query(Modality::kImage, input); };
  const auto reported = [&](const Tensor& inputs) {
    double sum = 0;
    for (std::uint64_t draw = 0; draw < 20; ++draw) {
      pipeline->use_draw(purpose_seed(1, "data", fmt::format("draws of the report/{}", draw)));
      sum += target.map(encode(inputs));
    }
    return sum / 20;
  };
  const auto attacked = [&](int samples) {
    AttackSurface surface = target.surface(encode);
    surface.use_draw = [&](std::uint64_t draw) { pipeline->use_draw(draw); };
    return reported(crafted("apgd", {{"steps", 20}, {"samples", samples}, {"epsilon_image", 0.06}}, surface,
                            target.queries)
                        .inputs);
  };
  const double clean = reported(target.queries.inputs), one = attacked(1), twenty = attacked(20);
  EXPECT_LT(one, clean);
  EXPECT_LT(twenty, one - 0.01);
}

}  // namespace
}  // namespace gauntlet::attacks
