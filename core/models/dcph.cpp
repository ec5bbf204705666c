#include "core/models/detail/dcph.hpp"

#include <cmath>
#include <limits>

#include "core/models/weights.hpp"

namespace gauntlet::models {

ClassProxyNetImpl::ClassProxyNetImpl(std::int64_t n_labels, std::int64_t hidden, std::int64_t n_bits)
    : fc1_(register_module("fc1", torch::nn::Linear(n_labels, hidden))),
      fc2_(register_module("fc2", torch::nn::Linear(hidden, n_bits))),
      bn_(register_module("bn", torch::nn::BatchNorm1d(hidden))) {}

torch::Tensor ClassProxyNetImpl::forward() {
  // One-hot rows pick columns of the weight: the first layer needs no product.
  const torch::Tensor units = bn_(torch::relu(fc1_->weight.t() + fc1_->bias));
  return torch::tanh(fc2_(units));
}

torch::Tensor class_proxy_loss(const torch::Tensor& proxies, double quantisation, double balance) {
  const torch::Tensor unit = torch::nn::functional::normalize(proxies);
  const torch::Tensor same = torch::eye(unit.size(0), unit.options());
  const torch::Tensor separation = (unit.matmul(unit.t()) - same).clamp_min(0).square().sum();
  const torch::Tensor binary = unit.abs().sum(1) / std::sqrt(static_cast<double>(unit.size(1)));
  return separation + quantisation * (binary - 1).square().sum() + balance * unit.sum(0).square().sum();
}

namespace {

/// γ (mean over own classes of u_i·p_c - σ), [B].
torch::Tensor own_exponent(const torch::Tensor& products, const torch::Tensor& labels, const DcphWeights& weights) {
  const torch::Tensor mean = (products * labels).sum(1) / labels.sum(1);
  return weights.scale * (mean - weights.margin);
}

/// log(num + sum over other classes + |y|) per item, [B].
torch::Tensor log_denominator(const torch::Tensor& products, const torch::Tensor& labels, const DcphWeights& weights) {
  const torch::Tensor others =
      (weights.scale * products).masked_fill(labels.gt(0.5), -std::numeric_limits<double>::infinity());
  const torch::Tensor own = own_exponent(products, labels, weights).unsqueeze(1);
  return torch::cat({own, others, labels.sum(1, true).log()}, 1).logsumexp(1);
}

torch::Tensor trained_proxies(const DcphConfig& config, std::int64_t n_labels, std::int64_t n_bits,
                              collective::Communicator& ranks) {
  ClassProxyNet net(n_labels, config.proxy_hidden, n_bits);
  share_weights(*net, ranks);  // from here on every rank does the same: there is nothing to split
  torch::optim::Adam optimiser(net->parameters(), torch::optim::AdamOptions(config.proxy_lr));
  for (std::int64_t step = 0; step < config.proxy_steps; ++step) {
    optimiser.zero_grad();
    class_proxy_loss(net->forward(), config.proxy_quantisation, config.proxy_balance).backward();
    optimiser.step();
  }
  const torch::NoGradGuard no_grad;
  return sign_codes(net->forward());
}

}  // namespace

DcphLoss dcph_loss(const torch::Tensor& h, const torch::Tensor& o, const torch::Tensor& labels,
                   const torch::Tensor& proxies, const torch::Tensor& codes, const DcphWeights& weights) {
  const torch::Tensor products = h.matmul(proxies.t());
  const torch::Tensor own = own_exponent(products, labels, weights);
  const torch::Tensor with_code = codes.ne(0).any(1).to(h.scalar_type());
  DcphLoss loss;
  loss.own = (log_denominator(products, labels, weights) - own).mean();
  loss.cross = (log_denominator(o.matmul(proxies.t()), labels, weights) - own).mean();
  loss.quantisation = ((codes - h).square().sum(1) * with_code).mean();
  loss.total = loss.own + weights.cross * loss.cross + weights.quantisation * loss.quantisation;
  return loss;
}

DcphTraining::DcphTraining(const DcphConfig& config, std::shared_ptr<PairNet> net, const TrainingSetup& setup)
    : PairTraining(config.recipe, std::move(net), setup), config_(config) {
  proxies = trained_proxies(config_, setup.labels.size(1), n_bits(), ranks()).to(dtype());
  relaxed_image = torch::zeros({n_items(), n_bits()}, dtype());
  relaxed_text = torch::zeros_like(relaxed_image);
  codes = torch::zeros_like(relaxed_image);
}

LossTensors DcphTraining::losses(const PairForward& pass) {
  const torch::Tensor image = torch::tanh(pass.image);
  const torch::Tensor text = torch::tanh(pass.text);
  relaxed_image.index_copy_(0, pass.rows, image.detach());
  relaxed_text.index_copy_(0, pass.rows, text.detach());
  const torch::Tensor target = codes.index_select(0, pass.rows);
  const DcphWeights weights{.scale = config_.scale,
                            .margin = config_.margin * static_cast<double>(n_bits()),
                            .cross = config_.cross_weight,
                            .quantisation = config_.quantisation_weight};
  const DcphLoss of_image = dcph_loss(image, sign_codes(text.detach()), pass.labels, proxies, target, weights);
  const DcphLoss of_text = dcph_loss(text, sign_codes(image.detach()), pass.labels, proxies, target, weights);
  return {{"total", of_image.total + of_text.total},
          {"image", of_image.total},
          {"text", of_text.total},
          {"own", of_image.own + of_text.own},
          {"cross", of_image.cross + of_text.cross},
          {"quantisation", of_image.quantisation + of_text.quantisation}};
}

void DcphTraining::end_epoch() {
  const torch::Tensor visited = relaxed_image.ne(0).any(1, true);
  codes = torch::where(visited, sign_codes(relaxed_image + relaxed_text), codes);
  PairTraining::end_epoch();
}

namespace {

constexpr std::string_view kName = DcphConfig::kName;
constexpr double kInitialDeviation = 0.01;
constexpr std::int64_t kMinLabels = 2;  // batch normalisation over the classes

Result<std::shared_ptr<HashingModel>> make(const Json& config, const ModelShape& shape,
                                           collective::Communicator* communicator) {
  GAUNTLET_TRY(const DcphConfig read, read_config<DcphConfig>(config, kName));
  if (shape.n_labels < kMinLabels) {
    return fail(ErrorCode::kInvalid, "{}: class proxies of {} label cannot be told apart; allowed: at least {} labels",
                kName, shape.n_labels, kMinLabels);
  }
  GAUNTLET_TRY(std::shared_ptr<Backbone> trunk, make_backbone(read.backbone, shape, kName, communicator));
  const HashHead image(HashHeadLayout{.from = trunk->n_features(), .to = shape.code_bits});
  HashHead text(HashHeadLayout{.from = shape.text_dim, .hidden = read.hidden, .to = shape.code_bits});
  text->draw_normal(kInitialDeviation);
  return std::make_shared<PairNet>(std::move(trunk), read.backbone.is_frozen(), image, text);
}

// A trunk that starts from nothing gets Adam and larger batches; see the published optimiser in the fields' defaults.
constexpr std::string_view kDatasetDefaults = R"({
  "picto": {"backbone": "picto_cnn", "hidden": 256, "optimiser": "adam", "lr_image": 0.004, "lr_text": 0.004,
            "schedule": "poly", "warmup_steps": 50, "epochs": 10, "batch_size": 256, "augment_flip": true,
            "augment_shift": 0.125},
  "picto_scenes": {"backbone": "picto_cnn", "hidden": 256, "optimiser": "adam", "lr_image": 0.004, "lr_text": 0.004,
                   "schedule": "poly", "warmup_steps": 50, "epochs": 10, "batch_size": 256, "augment_flip": true,
                   "augment_shift": 0.125}
})";

}  // namespace

extern const ModelEntry dcph_entry;
constinit const ModelEntry dcph_entry{
    .about = {.name = kName,
              .summary = "Deep cross-modal proxy hashing",
              .reference = "Tu et al., IEEE TKDE 2023",
              .fields = &describe_fields<DcphConfig>,
              .dataset_defaults = kDatasetDefaults},
    .make = &make,
    .make_training = &make_pair_training<DcphConfig, DcphTraining>,
};

}  // namespace gauntlet::models
