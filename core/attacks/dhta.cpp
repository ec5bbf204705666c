// The deep hashing targeted attack (Bai et al., ECCV 2020): codes of items that have the target's labels vote
// on an anchor code, and the input is moved towards it. With one item it is the point-to-point attack P2P.
#include "core/attacks/detail/code_losses.hpp"
#include "core/attacks/detail/item_draw.hpp"
#include "core/attacks/detail/scheduled_descent.hpp"
#include "core/attacks/detail/sharpening.hpp"

namespace gauntlet::attacks {
namespace {

constexpr std::string_view kName = "dhta";
constexpr std::uint64_t kAnchorTag = 0x414e4348;  // "ANCH"

struct DhtaConfig {
  std::int64_t anchors = 9;
  std::string targets = "frequent";
  std::int64_t target_min_items = 10;
  std::int64_t steps = 2000;
  std::string step_form = "sign";
  double epsilon_image = 8.0 / 255.0, step_image = 1.0 / 255.0;
  double epsilon_text = 0.05, step_text = 0.006;

  static void fields(auto& self, auto& visit) {
    visit(
        "anchors", self.anchors,
        {.doc =
             "Training items with exactly the target's labels whose codes, of the other modality, vote: 9 is "
             "DHTA, 1 is P2P.",
         .min = 1,
         .max = 10000});
    visit("targets", self.targets,
          {.doc = "How target label vectors are drawn; frequent: one that is not the query's own and that "
                  "target_min_items training items have, as the method asks. With the others an input whose "
                  "target no training item has exactly stays clean.",
           .choices = {"frequent", "uniform", "distinct", "disjoint"}});
    visit("target_min_items", self.target_min_items,
          {.doc = "Training items with a frequent target's labels; more than anchors, as the method asks.",
           .min = 1});
    visit("steps", self.steps, {.doc = "Gradient steps, 2000 as released.", .min = 1, .max = 100000});
    visit(
        "step_form", self.step_form,
        {.doc =
             "What a step follows: sign of the gradient (SAAT's release, bounded, the default), the gradient "
             "divided by its L2 norm per input (DHTA's), the raw gradient (ProS-GAN's).",
         .choices = {"sign", "normalized", "raw"}});
    visit("epsilon_image", self.epsilon_image,
          {.doc =
               "L-infinity budget of a picture in [0,1] units; 8/255 as SAAT and ProS-GAN, DHTA has 0.032 on "
               "normalised inputs.",
           .min = 0,
           .max = 1});
    visit("step_image", self.step_image,
          {.doc = "Step of a picture; [0,1] units with sign, a factor otherwise.", .min = 0, .max = 1e9});
    visit("epsilon_text", self.epsilon_text,
          {.doc = "L-infinity budget of a text vector; the method is for pictures, 0.05 is pgd's.",
           .min = 0,
           .max = 1});
    visit("step_text", self.step_text, {.doc = "Step of a text vector, as pgd's.", .min = 0, .max = 1e9});
  }
};

StepRule step_rule(const DhtaConfig& config, Modality modality) {
  const double size = modality == Modality::kImage ? config.step_image : config.step_text;
  if (config.step_form == "normalized") return normalized_steps(size);
  if (config.step_form == "raw") return momentum_steps(size, /*momentum=*/0);
  return signed_steps(size);
}

class Dhta final : public Attack {
 public:
  Dhta(DhtaConfig config, AttackSurface surface, std::uint64_t seed)
      : config_(std::move(config)),
        surface_(std::move(surface)),
        seed_(seed),
        ball_(ball_of(surface_, config_.epsilon_image, config_.epsilon_text)) {}

  torch::Tensor perturb(const AttackBatch& batch) override {
    const torch::Tensor clean = batch.inputs.detach();
    const torch::Tensor anchors = anchors_of(batch).to(clean.scalar_type());
    const auto loss = [&](const torch::Tensor& inputs, std::int64_t step) {
      return -code_agreement(sharpened(surface_.encode(inputs), sharpness(step, config_.steps)), anchors);
    };
    return descend_scheduled(clean, config_.steps, ball_, loss, step_rule(config_, surface_.modality));
  }

 private:
  /// [B, K] ±1; 0 for an input whose target no training item has, which gives it no gradient.
  [[nodiscard]] torch::Tensor anchors_of(const AttackBatch& batch) const {
    const torch::Tensor& codes =
        surface_.modality == Modality::kImage ? surface_.train_codes_text : surface_.train_codes_image;
    torch::Tensor anchors = torch::zeros({batch.inputs.size(0), codes.size(1)}, codes.options());
    for (std::int64_t input = 0; input < anchors.size(0); ++input) {
      const torch::Tensor same = surface_.train_labels.eq(batch.target_labels[input]).all(1);
      const torch::Tensor items = same.nonzero().view(-1);
      if (items.numel() == 0) continue;
      const auto row = static_cast<std::uint64_t>(batch.rows[static_cast<std::size_t>(input)]);
      const torch::Tensor voters =
          drawn_items(items, config_.anchors, RandomStream::of(seed_, kAnchorTag, row));
      anchors[input] = majority_code(codes.index_select(0, voters));
    }
    return anchors;
  }

  DhtaConfig config_;
  AttackSurface surface_;
  std::uint64_t seed_;
  Ball ball_;
};

Result<std::unique_ptr<Attack>> make(const Json& config, AttackSurface surface, std::uint64_t seed) {
  GAUNTLET_TRY(DhtaConfig read, read_config<DhtaConfig>(config, kName));
  if (read.targets == "frequent" && read.target_min_items <= read.anchors) {
    return fail(ErrorCode::kInvalid,
                "dhta: target_min_items is {} with {} anchors, so a target may have too few items; allowed: "
                "target_min_items at least {}",
                read.target_min_items, read.anchors, read.anchors + 1);
  }
  return std::make_unique<Dhta>(std::move(read), std::move(surface), seed);
}

}  // namespace

extern const AttackEntry dhta_entry;
constinit const AttackEntry dhta_entry{
    .about = {.name = kName,
              .version = 2,
              .summary = "Moves a query's code to the anchor that items of the target's labels vote for",
              .reference = "Bai et al., Targeted Attack for Deep Hashing Based Retrieval, ECCV 2020",
              .capabilities = {.targeted = true, .adaptive = true},
              .fields = &describe_fields<DhtaConfig>,
              .dataset_defaults = R"({"picto": {"steps": 100}, "picto_scenes": {"steps": 100}})"},
    .make = &make,
};

}  // namespace gauntlet::attacks
