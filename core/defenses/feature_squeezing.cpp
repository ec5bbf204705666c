// Feature squeezing (Xu, Evans, Qi, NDSS 2018): a picture is refused whose code changes when detail that no
// honest query depends on is squeezed out of it. The queries that are answered are encoded as they are.
#include "core/base/check.hpp"
#include "core/defenses/detail/purifier.hpp"
#include "core/defenses/refusing.hpp"

namespace gauntlet::defenses {
namespace {

struct FeatureSqueezingConfig {
  double threshold = 0.1;
  std::int64_t bits = 4;
  std::int64_t radius = 1;
  static void fields(auto& self, auto& visit) {
    visit("threshold", self.threshold,
          {.doc = "A query is refused whose relaxed code is farther than this from that of the squeezed "
                  "picture: the mean over bits of half their difference, 0 for the same code, 1 for the "
                  "opposite one. Choose it on validation items (`select`).",
           .min = 0,
           .max = 1});
    visit("bits", self.bits,
          {.doc = "Bits of a value of the first squeezed picture, which is rounded to so many.",
           .min = 1,
           .max = 8});
    visit("radius", self.radius,
          {.doc = "Half width in pixels of the box that smooths the second squeezed picture.",
           .min = 1,
           .max = 16});
  }
};

class FeatureSqueezing final : public Pipeline, public Refusing {
 public:
  FeatureSqueezing(std::shared_ptr<models::HashingModel> model, const FeatureSqueezingConfig& config)
      : model_(std::move(model)),
        threshold_(config.threshold),
        steps_(static_cast<double>((std::int64_t{1} << config.bits) - 1)),
        radius_(config.radius) {}

  torch::Tensor encode_query(Modality modality, const torch::Tensor& input) override {
    return model_->encode(modality, input);
  }
  torch::Tensor encode_purified(Modality modality, const torch::Tensor& purified) override {
    return model_->encode(modality, purified);
  }
  torch::Tensor encode_retrieval(Modality modality, const torch::Tensor& input) override {
    return model_->encode(modality, input);
  }

  /// The larger of the two distances, less the threshold. Gradients pass the rounding straight through.
  torch::Tensor refusal_score(Modality modality, const torch::Tensor& input) override {
    GAUNTLET_CHECK(modality == Modality::kImage);
    const torch::Tensor code = model_->encode(modality, input);
    const auto distance = [&](const torch::Tensor& squeezed) {
      return (code - model_->encode(modality, squeezed)).abs().mean(1) / 2;
    };
    return torch::maximum(distance(rounded(input)), distance(smoothed(input))) - threshold_;
  }

 private:
  [[nodiscard]] torch::Tensor rounded(const torch::Tensor& input) const {
    const torch::Tensor value = (input.detach() * steps_).round() / steps_;
    return input.requires_grad() ? straight_through(input, value, 0, 1) : value;
  }
  [[nodiscard]] torch::Tensor smoothed(const torch::Tensor& input) const {
    const torch::Tensor padded = torch::replication_pad2d(input, {radius_, radius_, radius_, radius_});
    const std::int64_t side = 2 * radius_ + 1;
    return torch::avg_pool2d(padded, {side, side}, /*stride=*/{1, 1});
  }

  std::shared_ptr<models::HashingModel> model_;
  double threshold_;
  double steps_;  ///< between the levels
  std::int64_t radius_;
};

Result<std::unique_ptr<Pipeline>> make(const Json& config, PipelineParts parts) {
  GAUNTLET_TRY(const auto settings, read_config<FeatureSqueezingConfig>(config, "feature_squeezing"));
  GAUNTLET_CHECK_OK(require_modality("feature_squeezing", Modality::kImage, parts.modality));
  GAUNTLET_CHECK_OK(require_pictures("feature_squeezing", parts.shape));
  return std::make_unique<FeatureSqueezing>(std::move(parts.model), settings);
}

constexpr Stage kStages[] = {{.name = "detector",
                              .gradient = StageGradient::kSurrogate,
                              .surrogate = "identity inside the range, 0 outside, for the rounding",
                              .input_range = "[0, 1]",
                              .output_range = "[-threshold, 1 - threshold]; refused above 0"}};

}  // namespace

extern const DefenseEntry feature_squeezing_entry;
constinit const DefenseEntry feature_squeezing_entry{
    .about = {.name = "feature_squeezing",
              .version = 1,
              .summary = "Refuses pictures whose code changes when they are rounded or smoothed.",
              .reference = "Xu, Evans and Qi, NDSS 2018",
              .capabilities = {.image = true, .text = false},
              .fields = &describe_fields<FeatureSqueezingConfig>},
    .make = &make,
    .train = nullptr,
    .declaration = {.stages = kStages, .forward_passes = 3, .refuses = true},
};

}  // namespace gauntlet::defenses
