#include "core/models/detail/dcph.hpp"

#include <cmath>
#include <limits>

#include "core/models/detail/daph_losses.hpp"
#include "core/models/objectives.hpp"
#include "core/models/weights.hpp"
#include "core/registry/dataset_defaults.hpp"

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
  const torch::Tensor unit = unit_rows(proxies);
  return class_separation(unit) + quantisation * binary_gap(unit) + balance * bit_imbalance(unit);
}

namespace {

/// γ (mean over own classes of u_i·p_c - σ), [B].
torch::Tensor own_exponent(const torch::Tensor& products, const torch::Tensor& labels,
                           const DcphWeights& weights) {
  const torch::Tensor mean = (products * labels).sum(1) / labels.sum(1);
  return weights.scale * (mean - weights.margin);
}

/// log(num + sum over other classes + |y|) per item, [B].
torch::Tensor log_denominator(const torch::Tensor& products, const torch::Tensor& labels,
                              const DcphWeights& weights) {
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
  torch::Tensor settled;
  std::int64_t n_unchanged = 0;
  for (std::int64_t step = 0; step < config.proxy_steps && n_unchanged < config.proxy_patience; ++step) {
    const torch::Tensor proxies = net->forward();
    const torch::Tensor now = signs(proxies.detach());
    n_unchanged = settled.defined() && now.equal(settled) ? n_unchanged + 1 : 0;
    settled = now;
    optimiser.zero_grad();
    class_proxy_loss(proxies, config.proxy_quantisation, config.proxy_balance).backward();
    optimiser.step();
  }
  return settled;
}

}  // namespace

DcphLoss dcph_loss(const torch::Tensor& h, const torch::Tensor& o, const torch::Tensor& labels,
                   const torch::Tensor& proxies, const torch::Tensor& codes, const DcphWeights& weights) {
  const torch::Tensor products = h.matmul(proxies.t());
  const torch::Tensor own = own_exponent(products, labels, weights);
  DcphLoss loss;
  loss.own = (log_denominator(products, labels, weights) - own).mean();
  loss.cross = (log_denominator(o.matmul(proxies.t()), labels, weights) - own).mean();
  loss.quantisation = (codes - h).square().sum(1).mean();
  loss.total = loss.own + weights.cross * loss.cross + weights.quantisation * loss.quantisation;
  return loss;
}

DcphTraining::DcphTraining(const DcphConfig& config, std::shared_ptr<PairNet> net, const TrainingSetup& setup)
    : PairTraining(config.recipe, std::move(net), setup), config_(config) {
  proxies =
      trained_proxies(config_, setup.labels.size(1), n_bits(), ranks()).to(setup.labels.device(), dtype());
  relaxed_image = torch::zeros({n_items(), n_bits()}, proxies.options());
  relaxed_text = torch::zeros_like(relaxed_image);
  codes = random_codes(n_items(), n_bits(), setup.seed, dtype()).to(setup.labels.device());
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
  const DcphLoss of_image = dcph_loss(image, signs(text.detach()), pass.labels, proxies, target, weights);
  const DcphLoss of_text = dcph_loss(text, signs(image.detach()), pass.labels, proxies, target, weights);
  return {{"total", of_image.total + of_text.total},
          {"image", of_image.total},
          {"text", of_text.total},
          {"own", of_image.own + of_text.own},
          {"cross", of_image.cross + of_text.cross},
          {"quantisation", of_image.quantisation + of_text.quantisation}};
}

void DcphTraining::end_epoch() {
  codes = codes_of_visited(relaxed_image, relaxed_text, codes);
  PairTraining::end_epoch();
}

void DcphTraining::visit_state(StateVisitor& visitor) {
  PairTraining::visit_state(visitor);
  visitor.tensor("proxies", proxies);
  visitor.tensor("relaxed_image", relaxed_image);
  visitor.tensor("relaxed_text", relaxed_text);
  visitor.tensor("codes", codes);
}

namespace {

constexpr std::string_view kName = DcphConfig::kName;
constexpr double kInitialDeviation = 0.01;
constexpr std::int64_t kMinLabels = 2;  // batch normalisation over the classes

Result<std::shared_ptr<HashingModel>> make(const Json& config, const ModelShape& shape,
                                           collective::Communicator* communicator) {
  GAUNTLET_TRY(const DcphConfig read, read_config<DcphConfig>(config, kName));
  GAUNTLET_CHECK_OK(check_shape(shape, kName));
  if (shape.n_labels < kMinLabels) {
    return fail(ErrorCode::kInvalid,
                "{}: class proxies of {} label cannot be told apart; allowed: at least {} labels", kName,
                shape.n_labels, kMinLabels);
  }
  GAUNTLET_TRY(std::shared_ptr<Backbone> trunk, make_backbone(read.backbone, shape, kName, communicator));
  const HashHead image(HashHeadLayout{.from = trunk->n_features(), .to = shape.code_bits});
  HashHead text(HashHeadLayout{.from = shape.text_dim, .hidden = read.hidden, .to = shape.code_bits});
  text->draw_normal(kInitialDeviation);
  return std::make_shared<PairNet>(std::move(trunk), image, text);
}

// A trunk that starts from nothing gets Adam and larger batches.
constexpr auto kDatasetDefaults = emoji_defaults(R"({
    "backbone": "picto_cnn", "hidden": 256, "proxy_hidden": 256, "optimiser": "adam", "lr_image": 0.004,
    "lr_text": 0.004, "schedule": "poly", "warmup_steps": 50, "epochs": 20, "batch_size": 256,
    "augment_flip": true, "augment_shift": 0.125})");

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
