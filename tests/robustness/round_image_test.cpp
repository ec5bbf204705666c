// The control that rounds pictures: its values, and the two gradients an attack may take.
#include <cmath>

#include "core/defenses/defense.hpp"
#include "tests/robustness/support.hpp"

namespace gauntlet::attacks {
namespace {

using defenses::Backward;
using torch::Tensor;

class Nothing final : public models::HashingModel {
 public:
  Tensor encode_image(const Tensor& images) override { return images.flatten(1).tanh(); }
  Tensor encode_text(const Tensor& text) override { return text.tanh(); }
};

std::unique_ptr<defenses::Pipeline> rounding(std::int64_t bits) {
  defenses::PipelineParts parts;
  parts.model = std::make_shared<Nothing>();
  parts.shape.image_px = 4;
  return defenses::defense_registry()
      .find("round_image")
      .value()
      ->make({{"bits", bits}}, std::move(parts))
      .value();
}

Tensor pictures() {
  torch::manual_seed(3);
  return torch::rand({2, 3, 4, 4}, torch::kFloat64);
}

Tensor gradient_of(defenses::Pipeline& pipeline, const Tensor& picture, Backward backward) {
  const Tensor input = picture.clone().requires_grad_();
  const Tensor value = pipeline.purified_through(Modality::kImage, input, backward);
  EXPECT_TRUE(value.detach().equal(pipeline.purified(Modality::kImage, picture)));
  return torch::autograd::grad({value.sum()}, {input})[0];
}

TEST(RoundImage, KeepsSixteenLevelsOfFourBitsAndSavedPicturesOfEight) {
  const Tensor picture = pictures();
  const Tensor four = rounding(4)->purified(Modality::kImage, picture);
  EXPECT_TRUE((15 * four).round().div(15).allclose(four, 0, 1e-12));
  EXPECT_LE((four - picture).abs().max().item<double>(), 0.5 / 15 + 1e-12);
  EXPECT_GT((four - picture).abs().max().item<double>(), 0.25 / 15);
  const Tensor saved = (255 * picture).round() / 255;
  EXPECT_TRUE(rounding(8)->purified(Modality::kImage, saved).allclose(saved, 0, 1e-12));
}

TEST(RoundImage, PassesGradientsStraightThroughOrAlongSigmoids) {
  const Tensor picture = pictures();
  for (const int bits : {1, 4, 8}) {
    const auto pipeline = rounding(bits);
    EXPECT_TRUE(gradient_of(*pipeline, picture, Backward::kDeclared).eq(1).all().item<bool>());
    const int n_levels = 1 << bits;
    const double steepness = 4.0 * n_levels;
    Tensor wanted = torch::zeros_like(picture);
    for (int threshold = 0; threshold < n_levels - 1; ++threshold) {
      const Tensor sigmoid = torch::sigmoid(steepness * (picture - (threshold + 0.5) / (n_levels - 1)));
      wanted += steepness * sigmoid * (1 - sigmoid) / (n_levels - 1);
    }
    EXPECT_TRUE(gradient_of(*pipeline, picture, Backward::kSmooth).allclose(wanted, 1e-5, 1e-6)) << bits;
  }
}

TEST(RoundImage, IsForPicturesAlone) {
  defenses::PipelineParts parts;
  parts.model = std::make_shared<Nothing>();
  parts.modality = Modality::kText;
  const auto made =
      defenses::defense_registry().find("round_image").value()->make(Json::object(), std::move(parts));
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, ::testing::HasSubstr("round_image purifies image queries"));
}

}  // namespace
}  // namespace gauntlet::attacks
