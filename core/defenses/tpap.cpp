// TPAP, test-time purification by an adversarial step (Tang and Zhang, CVPR 2024), moved from classifiers to
// hashing: the copy is over-fitted to one signed step on purpose, and a query takes one such step away from
// its own code.
#include "core/attacks/descent.hpp"
#include "core/attacks/mainstay_code.hpp"
#include "core/defenses/detail/robust_losses.hpp"
#include "core/defenses/detail/robust_pipeline.hpp"
#include "core/defenses/detail/robust_training.hpp"
#include "core/defenses/detail/tpap_purifier.hpp"
#include "core/models/weights.hpp"

namespace gauntlet::defenses {
namespace {

using attacks::Agreement;
using torch::Tensor;

constexpr std::string_view kName = "tpap";

struct TpapConfig {
  RobustConfig robust{.first_milestone = 0.75, .second_milestone = 0.9};
  std::string tpap_mode = "retrained";
  bool tpap_ben = true;
  std::string tpap_pre = "self";

  static void fields(auto& self, auto& visit) {
    RobustConfig::fields(self.robust, visit);
    visit(
        "tpap_mode", self.tpap_mode,
        {.doc =
             "retrained: the copy is trained on single-step examples. frozen: the target's weights as they "
             "are, "
             "a "
             "diagnostic only, because a step away from its code ruins a clean query of an ordinary network.",
         .choices = {"retrained", "frozen"}});
    visit("tpap_ben", self.tpap_ben,
          {.doc = "Loss on clean inputs beside the adversarial one; off: adversarial inputs only, as the "
                  "original."});
    visit("tpap_pre", self.tpap_pre,
          {.doc = "The code a query steps away from: its own signs (self), or the mainstay code of the "
                  "nearest training "
                  "item (nearest), closer to the original's predicted class and stored with the weights.",
           .choices = {"self", "nearest"}});
  }
};

class TpapMethod final : public RobustMethod {
 public:
  explicit TpapMethod(const TpapConfig& config) : config_(config) {}

  Result<LossTerms> losses(RobustTraining& training, const RobustBatch& batch, Modality modality) override {
    const Tensor& clean = batch.inputs(modality);
    const Tensor mainstay =
        attacks::mainstay_code(batch.labels, training.train_labels(), training.target_codes(other(modality)));
    const Tensor own_mainstay = batch.own_part(mainstay);
    const Tensor adversarial = training.perturbed(
        modality, batch, {.n_steps = 1, .step_share = 1, .random_start = false},
        [&](const Tensor& u) { return attacks::agreement_terms(u, own_mainstay, Agreement::kPlain).sum(1); });

    std::vector<Tensor> inputs = {adversarial};
    if (config_.tpap_ben) inputs.push_back(clean);
    const std::vector<Tensor> codes = training.encoded(modality, inputs);
    LossTerms terms;
    terms["adversarial"] = -attacks::mean_agreement(codes[0], mainstay, Agreement::kPlain);
    terms["total"] = terms["adversarial"];
    if (config_.tpap_ben) {
      training.remember(modality, batch, codes[1]);
      GAUNTLET_TRY(terms["benign"], training.benign(batch, {codes[1]}));
      terms["total"] = terms["total"] + terms["benign"];
    }
    return terms;
  }

 private:
  TpapConfig config_;
};

/// A query goes through one signed step before the copy encodes it. A step changes by jumps only, so its
/// derivative is the identity wherever it has one: gradients pass straight through the purification.
class Tpap final : public RobustPipeline {
 public:
  Tpap(std::shared_ptr<models::HashingModel> robust, const RobustConfig& config, double text_low,
       std::map<Modality, NearestCode> nearest)
      : RobustPipeline(std::move(robust)),
        config_(config),
        text_low_(text_low),
        nearest_(std::move(nearest)) {}

  Tensor purified(Modality modality, const Tensor& input) override {
    const attacks::Ball ball = ball_of(modality);
    const auto encode = [&](const Tensor& x) { return robust().encode(modality, x); };
    const auto found = nearest_.find(modality);
    const auto code = [&](const Tensor& u) {
      return found == nearest_.end() ? attacks::signs(u) : found->second.of(u);
    };
    const Tensor purified = purified_by_step(input.detach(), encode, code, ball);
    return straight_through(input, purified);
  }

  Tensor purified_through(Modality modality, const Tensor& input, Backward backward) override {
    if (backward != Backward::kUnrolled) return RobustPipeline::purified_through(modality, input, backward);
    const auto encode = [&](const Tensor& x) { return robust().encode(modality, x); };
    return straight_through(unrolled_step(input, encode, ball_of(modality)),
                            purified(modality, input.detach()));
  }

 private:
  [[nodiscard]] attacks::Ball ball_of(Modality modality) const {
    const bool image = modality == Modality::kImage;
    return {image ? config_.epsilon_image : config_.epsilon_text, image ? 0 : text_low_, 1};
  }

  RobustConfig config_;
  double text_low_;
  std::map<Modality, NearestCode> nearest_;
};

constexpr std::string_view kModelPrefix = "model.";

std::string nearest_prefix(Modality modality) { return fmt::format("nearest_{}.", name_of(modality)); }

/// Codes of the clean training pairs by the trained copy, and the mainstay codes that go with them.
void add_nearest_codes(RobustTraining& training, Weights& weights) {
  constexpr std::int64_t kBatch = 256;
  std::vector<std::int64_t> rows(static_cast<std::size_t>(training.n_pairs()));
  std::iota(rows.begin(), rows.end(), 0);
  const Tensor labels =
      training.setup().labels.narrow(0, 0, training.n_pairs()).to(training.train_labels().options());
  for (const Modality modality : {Modality::kImage, Modality::kText}) {
    std::vector<Tensor> codes;
    for (std::int64_t first = 0; first < training.n_pairs(); first += kBatch) {
      const auto size = static_cast<std::size_t>(std::min(kBatch, training.n_pairs() - first));
      const Tensor inputs =
          training.inputs(modality, std::span(rows).subspan(static_cast<std::size_t>(first), size));
      codes.push_back(attacks::signs(training.codes_without_gradient(modality, inputs)));
    }
    const Tensor mainstay =
        attacks::mainstay_code(labels, training.train_labels(), training.target_codes(other(modality)));
    models::add_with_prefix(weights, nearest_prefix(modality),
                            {{"codes", torch::cat(codes).cpu()}, {"mainstay", mainstay.cpu()}});
  }
}

Result<std::unique_ptr<Pipeline>> make(const Json& json, PipelineParts parts) {
  GAUNTLET_TRY(const TpapConfig config, read_config<TpapConfig>(json, kName));
  GAUNTLET_TRY(auto robust, robust_copy(parts, models::with_prefix(parts.weights, kModelPrefix), kName));
  std::map<Modality, NearestCode> nearest;
  if (config.tpap_pre == "nearest") {
    for (const Modality modality : {Modality::kImage, Modality::kText}) {
      const auto stored = models::with_prefix(parts.weights, nearest_prefix(modality));
      if (!stored.contains("codes") || !stored.contains("mainstay")) {
        return fail(ErrorCode::kCorrupt,
                    "the tpap checkpoint has no codes of the training set, which tpap_pre 'nearest' needs");
      }
      nearest.emplace(modality, NearestCode{stored.at("codes"), stored.at("mainstay")});
    }
  }
  return std::make_unique<Tpap>(std::move(robust), config.robust, parts.text_low, std::move(nearest));
}

Result<TrainedDefense> train(const Json& json, DefenseTraining setup) {
  GAUNTLET_TRY(const TpapConfig config, read_config<TpapConfig>(json, kName));
  GAUNTLET_TRY(const auto training, RobustTraining::open(kName, config.robust, setup));
  TrainedDefense trained;
  if (config.tpap_mode == "retrained") {
    TpapMethod method(config);
    GAUNTLET_TRY(trained, train_robust(*training, method, kName, config.robust));
  } else {
    trained.weights = models::weights_of(training->model());  // nothing trained, so no parameters
  }
  Weights weights;
  models::add_with_prefix(weights, kModelPrefix, trained.weights);
  if (config.tpap_pre == "nearest") add_nearest_codes(*training, weights);
  trained.weights = std::move(weights);
  return trained;
}

// Few passes over all scenes, many over the 1,000 single emoji. The budget on pictures is half of the other
// defenses' 8/255: every query takes a step of its whole size, and on 48 px one of 8/255 lowered MAP on clean
// and on attacked pictures.
constexpr std::string_view kDatasetDefaults = R"({
  "picto": {"epsilon_image": "4/255", "at_epochs": 12, "batch_size": 64, "at_lr": 0.001, "at_lr_backbone": 0.001},
  "picto_scenes": {"epsilon_image": "4/255", "at_epochs": 3, "batch_size": 64, "at_lr": 0.001, "at_lr_backbone": 0.001}
})";

constexpr Stage kStages[] = {{.name = "signed_step",
                              .gradient = StageGradient::kSurrogate,
                              .surrogate = "identity",
                              .input_range = "[0, 1]; features [-1, 1]",
                              .output_range = "that of the input",
                              .test_time_steps = 1,
                              .objective = "disagreement with the query's own code"}};

}  // namespace

extern const DefenseEntry tpap_entry;
constinit const DefenseEntry tpap_entry{
    .about = {.name = kName,
              .version = 2,
              .summary = "A copy over-fitted to single-step attacks, and one such step on every query.",
              .reference = "TPAP, CVPR 2024, moved to hashing",
              .capabilities = {.trains = true, .joint = true, .replaces_model = true},
              .fields = &describe_fields<TpapConfig>,
              .dataset_defaults = kDatasetDefaults},
    .make = &make,
    .train = &train,
    .declaration = {.stages = kStages,
                    .trained_on = "one signed step away from mainstay codes within epsilon_image and "
                                  "epsilon_text, both sides",
                    .forward_passes = 4},
};

}  // namespace gauntlet::defenses
