// Cross-Modal Learning with Adversarial samples (Li et al., NeurIPS 2019): noise that breaks an input's
// similarity to the other modality and keeps that to its own.
#include "core/attacks/detail/item_draw.hpp"
#include "core/attacks/detail/learned_noise.hpp"
#include "core/attacks/detail/scheduled_descent.hpp"
#include "core/models/losses.hpp"

namespace gauntlet::attacks {
namespace {

constexpr std::string_view kName = "cmla";
constexpr std::uint64_t kPairsTag = 0x50414952;  // "PAIR"
constexpr double kGreyLevels = 255;

struct CmlaConfig {
  std::int64_t steps = 500;
  double epsilon_image = 10.0 / 255.0, lr_image = 0.5 / 255.0;
  double epsilon_text = 0.01, lr_text = 0.002;
  double beta1 = 0.9, beta2 = 0.999, adam_epsilon = 1e-8;
  double cross_weight = 1, own_weight = 1, size_weight = 1;
  std::string clip = "one_sided";
  std::string stored = "clipped";
  std::string adam = "torch";
  std::string pairs = "training";
  std::int64_t batch_pairs = 128;

  static void fields(auto& self, auto& visit) {
    limits(self, visit);
    optimiser(self, visit);
    visit("cross_weight", self.cross_weight,
          {.doc = "Weight of the term that parts the modalities.", .min = 0, .max = 1e6});
    visit("own_weight", self.own_weight,
          {.doc = "Weight of the term that keeps the own modality's similarity.", .min = 0, .max = 1e6});
    visit("size_weight", self.size_weight,
          {.doc = "Weight of the mean absolute change, in grey levels for pictures.", .min = 0, .max = 1e6});
    visit(
        "pairs", self.pairs,
        {.doc =
             "training: every input against all training pairs, the default, so that a result does not "
             "depend "
             "on the batch. batch: against batch_pairs pairs, the size of the released form, which compares "
             "the inputs of a batch with each other; they are training pairs drawn for each input, since an "
             "attack never sees the other half of a query pair.",
         .choices = {"training", "batch"}});
    visit("batch_pairs", self.batch_pairs,
          {.doc = "Pairs of pairs: batch; 128 as released.", .min = 1, .max = 1000000});
  }

 private:
  static void limits(auto& self, auto& visit) {
    visit("epsilon_image", self.epsilon_image,
          {.doc = "Greatest noise of a picture in [0,1] units; 10 grey levels as released.",
           .min = 0,
           .max = 1});
    visit("epsilon_text", self.epsilon_text,
          {.doc = "Greatest noise of a text vector, as released.", .min = 0, .max = 1});
    visit("clip", self.clip,
          {.doc = "one_sided: noise within [0, epsilon], as released; symmetric: within [-epsilon, epsilon].",
           .choices = {"one_sided", "symmetric"}});
    visit("stored", self.stored,
          {.doc = "The noise of the result; clipped: within its budget; unclipped: before the last step's "
                  "clip, as "
                  "released, up to lr beyond the budget.",
           .choices = {"clipped", "unclipped"}});
  }

  static void optimiser(auto& self, auto& visit) {
    visit("steps", self.steps,
          {.doc = "Adam steps; the paper reports 100, 200 and 500.", .min = 1, .max = 100000});
    visit("lr_image", self.lr_image,
          {.doc = "Adam's step of a picture in [0,1] units; half a grey level as released.",
           .min = 0,
           .max = 1});
    visit("lr_text", self.lr_text, {.doc = "Adam's step of a text vector.", .min = 0, .max = 1});
    visit("beta1", self.beta1, {.doc = "Adam's first decay.", .min = 0, .max = 0.9999});
    visit("beta2", self.beta2, {.doc = "Adam's second decay.", .min = 0, .max = 0.9999999});
    visit("adam_epsilon", self.adam_epsilon, {.doc = "Guard of Adam's division.", .min = 0, .max = 1});
    visit("adam", self.adam,
          {.doc = "torch: both moments corrected; tensorflow: the form of the released program, whose guard "
                  "weighs "
                  "more in the first steps.",
           .choices = {"torch", "tensorflow"}});
  }
};

class Cmla final : public Attack {
 public:
  Cmla(CmlaConfig config, AttackSurface surface, std::uint64_t seed)
      : config_(std::move(config)),
        surface_(std::move(surface)),
        seed_(seed),
        unit_(surface_.modality == Modality::kImage ? kGreyLevels : 1) {}

  torch::Tensor perturb(const AttackBatch& batch) override {
    const torch::Tensor clean = batch.inputs.detach() * unit_;
    const NoisePairs pairs = pairs_of(batch);
    const NoiseWeights weights{config_.cross_weight, config_.own_weight, config_.size_weight};
    const auto loss = [&](const torch::Tensor& data, const torch::Tensor& change) {
      // A sum, not a mean: no input's gradient depends on how many others there are.
      return total(noise_loss(surface_.encode(data / unit_), pairs, change), weights).sum();
    };
    const LearnedNoise noise = learn_noise(clean, search(), loss);
    const Ball ball = ball_of(surface_, config_.epsilon_image, config_.epsilon_text);
    if (config_.stored == "unclipped") return applied(batch.inputs.detach(), noise.unclipped / unit_, ball);
    return applied_within(batch.inputs.detach(), noise.clipped / unit_, ball);
  }

 private:
  /// In grey levels for pictures, as the release, where the size term weighs 255 times more than on [0,1].
  [[nodiscard]] NoiseSearch search() const {
    const bool image = surface_.modality == Modality::kImage;
    const double epsilon = (image ? config_.epsilon_image : config_.epsilon_text) * unit_;
    return {.n_steps = config_.steps,
            .lr = (image ? config_.lr_image : config_.lr_text) * unit_,
            .beta1 = config_.beta1,
            .beta2 = config_.beta2,
            .adam_epsilon = config_.adam_epsilon,
            .adam = config_.adam == "torch" ? AdamForm::kTorch : AdamForm::kTensorFlow,
            .noise_low = config_.clip == "one_sided" ? 0 : -epsilon,
            .noise_high = epsilon,
            .data_low = surface_.input_low * unit_,
            .data_high = surface_.input_high * unit_};
  }

  [[nodiscard]] NoisePairs pairs_of(const AttackBatch& batch) const {
    const bool image = surface_.modality == Modality::kImage;
    const auto type = batch.inputs.scalar_type();
    const std::int64_t n_inputs = batch.inputs.size(0), n_pairs = surface_.train_labels.size(0);
    NoisePairs pairs;
    pairs.codes_other = (image ? surface_.train_codes_text : surface_.train_codes_image).to(type);
    pairs.codes_own = (image ? surface_.train_codes_image : surface_.train_codes_text).to(type);
    pairs.similar = models::relevance_mask(batch.labels, surface_.train_labels).to(type);
    pairs.weights = torch::zeros({n_inputs, n_pairs}, batch.inputs.options());
    if (config_.pairs == "training") pairs.weights.fill_(1.0 / static_cast<double>(n_pairs));
    if (config_.pairs == "batch") {
      for (std::int64_t input = 0; input < n_inputs; ++input) {
        const torch::Tensor items =
            drawn_pairs(n_pairs, batch.rows[static_cast<std::size_t>(input)]).to(batch.inputs.device());
        pairs.weights[input].index_fill_(0, items, 1.0 / static_cast<double>(items.numel()));
      }
    }
    return pairs;
  }

  /// `batch_pairs` of n positions (all, where there are fewer) by the stream of this input's row.
  [[nodiscard]] torch::Tensor drawn_pairs(std::int64_t n, std::int64_t row) const {
    return drawn_items(torch::arange(n), config_.batch_pairs,
                       RandomStream::of(seed_, kPairsTag, static_cast<std::uint64_t>(row)));
  }

  CmlaConfig config_;
  AttackSurface surface_;
  std::uint64_t seed_;
  double unit_;  ///< grey levels per unit of an input
};

Result<std::unique_ptr<Attack>> make(const Json& config, AttackSurface surface, std::uint64_t seed) {
  GAUNTLET_TRY(CmlaConfig read, read_config<CmlaConfig>(config, kName));
  return std::make_unique<Cmla>(std::move(read), std::move(surface), seed);
}

}  // namespace

extern const AttackEntry cmla_entry;
constinit const AttackEntry cmla_entry{
    .about = {.name = kName,
              .version = 2,
              .summary = "Learned noise that parts an input from the other modality and keeps it in its own",
              .reference = "Li et al., Cross-Modal Learning with Adversarial Samples, NeurIPS 2019",
              .capabilities = {.adaptive = true},
              .fields = &describe_fields<CmlaConfig>,
              .dataset_defaults = R"({"picto": {"steps": 50}, "picto_scenes": {"steps": 50}})"},
    .make = &make,
};

}  // namespace gauntlet::attacks
