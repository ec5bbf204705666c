#include "core/models/detail/dgcpn.hpp"

#include "core/models/objectives.hpp"
#include "core/registry/dataset_defaults.hpp"

namespace gauntlet::models {

DgcpnLoss dgcpn_loss(const torch::Tensor& image, const torch::Tensor& text, const torch::Tensor& similarity,
                     double pair_target) {
  const torch::Tensor v = torch::nn::functional::normalize(image);
  const torch::Tensor t = torch::nn::functional::normalize(text);
  const torch::Tensor vt = v.matmul(t.t()), vv = v.matmul(v.t()), tt = t.matmul(t.t());
  const torch::Tensor apart = 1 - torch::eye(v.size(0), v.options());
  const auto distance = [](const torch::Tensor& left, const torch::Tensor& right) {
    return (left - right).square().mean();
  };
  const auto fitted = [&](const torch::Tensor& products) {
    return distance(apart * products, apart * similarity);
  };
  DgcpnLoss loss;
  loss.pairs = (vt.diagonal() - pair_target).square().mean();
  loss.similarity = fitted(vv) + fitted(vt) + fitted(tt);
  loss.coherence = distance(vt, vv) + distance(vt, tt) + distance(vv, tt) + distance(vt, vt.t());
  loss.total = loss.pairs + loss.similarity + loss.coherence;
  return loss;
}

namespace {

constexpr std::string_view kName = DgcpnConfig::kName;
constexpr double kTextDeviation = 0.3;
constexpr std::int64_t kPixelGrid = 8;

}  // namespace

DgcpnTraining::DgcpnTraining(const DgcpnConfig& config, std::shared_ptr<PairNet> net,
                             const TrainingSetup& setup)
    : PairTraining(config.recipe, std::move(net), setup),
      config_(config),
      graph_{config.text_share, config.neighbour_share, config.neighbour_weight, config.neighbour_factor} {}

torch::Tensor DgcpnTraining::image_features_of(const torch::Tensor& images) {
  if (config_.backbone.backbone != "picto_cnn") return through_backbone(*net().trunk, images);
  return torch::adaptive_avg_pool2d(2 * images - 1, {kPixelGrid, kPixelGrid}).flatten(1);
}

void DgcpnTraining::look_at(const TrainingBatch& batch) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor rows = ranks().gather_rows(batch.rows);
  if (whole_ != nullptr) {
    similarity_ = whole_->among(rows);
    return;
  }
  const auto collected = [&](const torch::Tensor& local, double share, torch::Tensor& all) {
    if (share == 0) return torch::Tensor();
    torch::Tensor features = ranks().gather_rows(local);
    if (!all.defined()) all = torch::zeros({n_items(), features.size(1)}, features.options());
    all.index_copy_(0, rows, features);
    return features;
  };
  const double image_share = 1 - graph_.text_share;
  const torch::Tensor text = collected(batch.text, graph_.text_share, text_features);
  const torch::Tensor image = image_share > 0
                                  ? collected(image_features_of(batch.images), image_share, image_features)
                                  : torch::Tensor();
  similarity_ = DgcpnSimilarity(image, text, graph_).among(torch::arange(rows.size(0), rows.options()));
}

LossTensors DgcpnTraining::losses(const PairForward& pass) {
  const torch::Tensor image = torch::tanh(pass.image), text = torch::tanh(pass.text);
  const auto loss = [&](const torch::Tensor& v, const torch::Tensor& t) {
    return dgcpn_loss(v, t, similarity_, config_.pair_target).total;
  };
  const torch::Tensor joint = loss(image, text);
  const torch::Tensor of_image = loss(image, signs(pass.text.detach()));
  const torch::Tensor of_text = loss(signs(pass.image.detach()), text);
  return {{"total", joint + of_image + of_text}, {"joint", joint}, {"image", of_image}, {"text", of_text}};
}

torch::Tensor DgcpnTraining::objective(const TrainingBatch& batch) {
  look_at(batch);
  return PairTraining::objective(batch);
}

Losses DgcpnTraining::step(const TrainingBatch& batch) {
  look_at(batch);
  const TrainingBatch seen = augmented_batch(batch);
  const auto descended = [&](const torch::Tensor& v, const torch::Tensor& t) {
    const DgcpnLoss loss = dgcpn_loss(v, t, similarity_, config_.pair_target);
    descend(loss.total);
    return loss.total.item<double>();
  };
  const auto encoded = [&](Modality modality) {
    return torch::tanh(ranks().gather_rows(outputs(modality, seen)));
  };
  const torch::Tensor text = encoded(Modality::kText);
  const double joint = descended(encoded(Modality::kImage), text);
  const torch::Tensor image = encoded(Modality::kImage);
  const double of_image = descended(image, signs(text.detach()));
  const double of_text = descended(signs(image.detach()), encoded(Modality::kText));
  finish_step();
  return {{"total", joint + of_image + of_text}, {"joint", joint}, {"image", of_image}, {"text", of_text}};
}

void DgcpnTraining::end_epoch() {
  if (whole_ == nullptr) whole_ = std::make_unique<DgcpnSimilarity>(image_features, text_features, graph_);
  PairTraining::end_epoch();
}

void DgcpnTraining::visit_state(StateVisitor& visitor) {
  PairTraining::visit_state(visitor);
  visitor.tensor("image_features", image_features);
  visitor.tensor("text_features", text_features);
  std::int64_t has_whole = whole_ != nullptr ? 1 : 0;
  visitor.number("has_whole", has_whole);
  // It follows from the features, and takes the square of their number.
  if (has_whole == 1 && whole_ == nullptr) {
    whole_ = std::make_unique<DgcpnSimilarity>(image_features, text_features, graph_);
  }
}

namespace {

Result<std::shared_ptr<HashingModel>> make(const Json& config, const ModelShape& shape,
                                           collective::Communicator* communicator) {
  GAUNTLET_TRY(const DgcpnConfig read, read_config<DgcpnConfig>(config, kName));
  GAUNTLET_CHECK_OK(check_shape(shape, kName));
  GAUNTLET_TRY(std::shared_ptr<Backbone> trunk, make_backbone(read.backbone, shape, kName, communicator));
  const auto head = [&](std::int64_t from) {
    return HashHead(
        HashHeadLayout{.from = from, .hidden = read.hidden, .to = shape.code_bits, .dropout = read.dropout});
  };
  const HashHead image = head(trunk->n_features());
  const HashHead text = head(shape.text_dim);
  torch::nn::init::normal_(text->out->weight, 0, kTextDeviation);
  return std::make_shared<PairNet>(std::move(trunk), image, text);
}

// No trunk with weights from elsewhere: the target similarity follows from the texts alone.
constexpr auto kDatasetDefaults = emoji_defaults(R"({
    "backbone": "picto_cnn", "text_share": 1, "hidden": 256, "optimiser": "adam", "lr_image": 0.004,
    "lr_text": 0.004, "schedule": "poly", "warmup_steps": 50, "epochs": 10, "batch_size": 256,
    "augment_flip": true, "augment_shift": 0.125})");

}  // namespace

extern const ModelEntry dgcpn_entry;
constinit const ModelEntry dgcpn_entry{
    .about = {.name = kName,
              .version = 2,
              .summary = "Deep graph-neighbour coherence preserving network, unsupervised",
              .reference = "Yu et al., AAAI 2021",
              .fields = &describe_fields<DgcpnConfig>,
              .dataset_defaults = kDatasetDefaults},
    .make = &make,
    .make_training = &make_pair_training<DgcpnConfig, DgcpnTraining>,
};

}  // namespace gauntlet::models
