#include "core/models/detail/dchuc.hpp"

#include "core/models/objectives.hpp"
#include "core/registry/dataset_defaults.hpp"

namespace gauntlet::models {

DchucLoss dchuc_loss(const torch::Tensor& u, const torch::Tensor& g, const DchucTargets& targets,
                     const DchucWeights& weights) {
  const auto n_bits = static_cast<double>(u.size(1));
  const torch::Tensor wanted = n_bits * targets.similar;
  const auto distance = [](const torch::Tensor& left, const torch::Tensor& right) {
    return (left - right).square().sum();
  };
  DchucLoss loss;
  loss.similarity =
      distance(u.matmul(targets.codes.t()), wanted) + distance(g.matmul(targets.codes.t()), wanted);
  loss.quantisation = distance(targets.codes.index_select(0, targets.rows), 0.5 * (u + g));
  loss.labels = distance(u.matmul(targets.label_map), targets.labels) +
                distance(g.matmul(targets.label_map), targets.labels);
  loss.pairs = distance(u.matmul(g.t()), n_bits * targets.similar_in_batch);
  loss.total = (loss.similarity + weights.gamma * loss.quantisation + weights.alpha * loss.labels +
                weights.mu * loss.pairs) /
               static_cast<double>(targets.codes.size(0) * u.size(0));
  return loss;
}

DchucTraining::DchucTraining(const DchucConfig& config, std::shared_ptr<PairNet> net,
                             const TrainingSetup& setup)
    : PairTraining(config.recipe, std::move(net), setup),
      weights_{config.gamma, config.alpha, config.mu, config.beta, config.eta},
      labels_(setup.labels.to(dtype())),
      similarity_(labels_) {
  codes =
      random_codes(n_items(), n_bits(), setup.seed, dtype()).to(labels_.device()) * similarity_.labelled();
  relaxed = {torch::zeros_like(codes), torch::zeros_like(codes)};
  label_map = dchuc_label_map(codes, relaxed, labels_, weights_);
}

LossTensors DchucTraining::losses(const PairForward& pass) {
  const torch::Tensor image = torch::tanh(pass.image);
  const torch::Tensor text = torch::tanh(pass.text);
  relaxed.image.index_copy_(0, pass.rows, image.detach());
  relaxed.text.index_copy_(0, pass.rows, text.detach());
  const torch::Tensor similar = similarity_.rows(pass.labels);
  const DchucTargets targets{.codes = codes,
                             .label_map = label_map,
                             .similar = similar,
                             .similar_in_batch = similar.index_select(1, pass.rows),
                             .labels = pass.labels,
                             .rows = pass.rows};
  const DchucLoss loss = dchuc_loss(image, text, targets, weights_);
  return {{"total", loss.total},
          {"similarity", loss.similarity},
          {"quantisation", loss.quantisation},
          {"labels", loss.labels},
          {"pairs", loss.pairs}};
}

void DchucTraining::end_epoch() {
  codes = dchuc_unified_codes(codes, relaxed, label_map, labels_, similarity_, weights_);
  label_map = dchuc_label_map(codes, relaxed, labels_, weights_);
  PairTraining::end_epoch();
}

void DchucTraining::visit_state(StateVisitor& visitor) {
  PairTraining::visit_state(visitor);
  visitor.tensor("relaxed_image", relaxed.image);
  visitor.tensor("relaxed_text", relaxed.text);
  visitor.tensor("codes", codes);
  visitor.tensor("label_map", label_map);
}

namespace {

constexpr std::string_view kName = DchucConfig::kName;
constexpr double kInitialBias = 0.01;

Result<std::shared_ptr<HashingModel>> make(const Json& config, const ModelShape& shape,
                                           collective::Communicator* communicator) {
  GAUNTLET_TRY(const DchucConfig read, read_config<DchucConfig>(config, kName));
  GAUNTLET_CHECK_OK(check_shape(shape, kName));
  GAUNTLET_TRY(std::shared_ptr<Backbone> trunk, make_backbone(read.backbone, shape, kName, communicator));
  const HashHead image(HashHeadLayout{.from = trunk->n_features(), .to = shape.code_bits});
  HashHead text(HashHeadLayout{
      .from = shape.text_dim, .hidden = read.hidden, .to = shape.code_bits, .dropout = read.dropout});
  for (const auto& layer : {text->hidden, text->out}) {
    torch::nn::init::xavier_uniform_(layer->weight);
    torch::nn::init::constant_(layer->bias, kInitialBias);
  }
  return std::make_shared<PairNet>(std::move(trunk), image, text);
}

constexpr auto kDatasetDefaults = emoji_defaults(R"({
    "backbone": "picto_cnn", "hidden": 256, "optimiser": "adam", "lr_image": 0.004, "lr_text": 0.004,
    "schedule": "poly", "warmup_steps": 50, "epochs": 10, "batch_size": 256, "augment_flip": true,
    "augment_shift": 0.125})");

}  // namespace

extern const ModelEntry dchuc_entry;
constinit const ModelEntry dchuc_entry{
    .about = {.name = kName,
              .version = 2,
              .summary = "Hashing functions and unified hash codes learned together",
              .reference = "Tu et al., IEEE TKDE 2022",
              .fields = &describe_fields<DchucConfig>,
              .dataset_defaults = kDatasetDefaults},
    .make = &make,
    .make_training = &make_pair_training<DchucConfig, DchucTraining>,
};

}  // namespace gauntlet::models
