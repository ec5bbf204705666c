#include <algorithm>
#include <cmath>

#include "core/base/check.hpp"
#include "core/base/random.hpp"
#include "core/models/detail/augment.hpp"
#include "core/models/detail/cpah.hpp"
#include "core/models/detail/objectives.hpp"
#include "core/models/weights.hpp"

namespace gauntlet::models {
namespace {

constexpr std::uint64_t kCodesTag = 0x434F4445;  // "CODE"
constexpr std::uint64_t kMixTag = 0x4D495820;    // "MIX "
constexpr std::int64_t kEpochsPerStage = 30;
constexpr double kStageFactor = 0.2;
constexpr double kLeastRate = 1e-6;
constexpr double kPolyPower = 0.9;

// Classes of the consistency classifier.
constexpr std::int64_t kImageOwn = 0;
constexpr std::int64_t kCommon = 1;
constexpr std::int64_t kTextOwn = 2;

torch::Tensor random_codes(std::int64_t n_rows, std::int64_t n_bits, std::uint64_t seed, torch::Dtype dtype) {
  torch::Tensor codes = torch::empty({n_rows, n_bits}, torch::kFloat32);
  float* out = codes.mutable_data_ptr<float>();
  for (std::int64_t row = 0; row < n_rows; ++row) {
    RandomStream stream = RandomStream::of(seed, kCodesTag, static_cast<std::uint64_t>(row));
    for (std::int64_t bit = 0; bit < n_bits; ++bit) *out++ = stream.uniform() < 0.5 ? -1.0F : 1.0F;
  }
  return codes.to(dtype);
}

}  // namespace

CpahTraining::CpahTraining(const CpahConfig& config, std::shared_ptr<CpahNet> net, const TrainingSetup& setup)
    : critics(config.hidden, setup.labels.size(1)), config_(config), net_(std::move(net)), setup_(setup) {
  const torch::Dtype dtype = net_->parameters().front().scalar_type();
  critics->to(dtype);
  share_weights(*net_, *setup_.communicator);
  share_weights(*critics, *setup_.communicator);

  const std::int64_t n_bits = net_->named_parameters()["hash_v.fc.bias"].size(0);
  relaxed_image = torch::zeros({setup_.labels.size(0), n_bits}, dtype);
  relaxed_text = torch::zeros_like(relaxed_image);
  codes = random_codes(setup_.labels.size(0), n_bits, setup_.seed, dtype);

  std::vector<torch::Tensor> generator = net_->parameters();
  for (const torch::nn::Module* part : {static_cast<torch::nn::Module*>(critics->Cns.get()),
                                        static_cast<torch::nn::Module*>(critics->cls_v.get()),
                                        static_cast<torch::nn::Module*>(critics->cls_t.get())}) {
    const std::vector<torch::Tensor> more = part->parameters();
    generator.insert(generator.end(), more.begin(), more.end());
  }
  generator_reducer_ = setup_.communicator->make_reducer(generator);
  critic_reducer_ = setup_.communicator->make_reducer(critics->D->parameters());
  generator_optimiser_ = std::make_unique<torch::optim::Adam>(
      generator, torch::optim::AdamOptions(config_.lr).weight_decay(config_.weight_decay));
  critic_optimiser_ = std::make_unique<torch::optim::Adam>(
      critics->D->parameters(),
      torch::optim::AdamOptions(config_.d_lr).betas({0.5, 0.9}).weight_decay(config_.d_weight_decay));
}

TrainingBatch CpahTraining::prepared(const TrainingBatch& batch) const {
  TrainingBatch seen = batch;
  const Augmentation augmentation{config_.augment_flip, config_.augment_shift};
  if (batch.images.dim() == 4 && (augmentation.flip || augmentation.max_shift > 0)) {
    seen.images = augmented(batch.images, batch.rows, augmentation, setup_.seed, step_);
  }
  return seen;
}

torch::Tensor CpahTraining::objective(const TrainingBatch& batch) {
  const CpahForward pass = forward(prepared(batch));
  critic_step(pass, draw_mix(pass.rows));
  ++step_;
  return generator_loss(pass).total;
}

Losses CpahTraining::step(const TrainingBatch& batch) {
  const CpahForward pass = forward(prepared(batch));
  const CriticLoss critic = critic_step(pass, draw_mix(pass.rows));
  const GeneratorLoss generator = generator_step(pass);
  ++step_;
  return {{"total", generator.total.item<double>()},
          {"adversarial", generator.adversarial.item<double>()},
          {"consistency", generator.consistency.item<double>()},
          {"classification", generator.classification.item<double>()},
          {"pairwise", generator.pairwise.item<double>()},
          {"quantisation", generator.quantisation.item<double>()},
          {"discriminator", critic.total().item<double>()}};
}

CpahForward CpahTraining::forward(const TrainingBatch& batch) {
  collective::Communicator& ranks = *setup_.communicator;
  const torch::Tensor image = net_->features(Modality::kImage, batch.images);
  const torch::Tensor text = net_->features(Modality::kText, batch.text);
  const std::vector<torch::Tensor> both = ranks.gather_rows(torch::cat({image, text}, 1)).chunk(2, 1);
  CpahForward pass{net_->parts(Modality::kImage, both[0]), net_->parts(Modality::kText, both[1]),
                   ranks.gather_rows(batch.labels), ranks.gather_rows(batch.rows)};
  relaxed_image.index_copy_(0, pass.rows, pass.image.code.detach());
  relaxed_text.index_copy_(0, pass.rows, pass.text.code.detach());
  return pass;
}

CriticLoss CpahTraining::critic_loss(const CpahForward& pass, const torch::Tensor& mix) {
  const torch::Tensor real = pass.image.common.detach();
  const torch::Tensor fake = pass.text.common.detach();
  const auto critic = [this](const torch::Tensor& input) { return critics->D(input); };
  return {log1p_exp(-critic(real)).mean(), log1p_exp(critic(fake)).mean(),
          config_.penalty_weight * gradient_penalty(critic, real, fake, mix)};
}

CriticLoss CpahTraining::critic_step(const CpahForward& pass, const torch::Tensor& mix) {
  CriticLoss loss = critic_loss(pass, mix);
  critic_optimiser_->zero_grad();
  critic_reducer_->backward(loss.total());
  critic_optimiser_->step();
  return loss;
}

torch::Tensor CpahTraining::consistency_loss(const CpahForward& pass) {
  const torch::Tensor features =
      torch::cat({pass.image.common, pass.text.common, pass.image.own, pass.text.own});
  const std::int64_t batch = pass.labels.size(0);
  const torch::Tensor classes = torch::cat({torch::full({2 * batch}, kCommon, torch::kInt64),
                                            torch::full({batch}, kImageOwn, torch::kInt64),
                                            torch::full({batch}, kTextOwn, torch::kInt64)});
  const torch::Tensor logits = config_.consistency == "released" ? features : critics->Cns(features);
  return torch::cross_entropy_loss(logits, classes, {}, at::Reduction::Sum);
}

GeneratorLoss CpahTraining::generator_loss(const CpahForward& pass) {
  const torch::Tensor similar = pass.labels.matmul(pass.labels.t()).gt(0.5).to(pass.labels.scalar_type());
  const torch::Tensor target = codes.index_select(0, pass.rows);
  const auto classification = [&](Head& head, const CpahParts& parts) {
    return torch::binary_cross_entropy_with_logits(head(parts.common), pass.labels, {}, {},
                                                   at::Reduction::Sum);
  };
  GeneratorLoss loss;
  loss.adversarial = log1p_exp(-critics->D(pass.text.common)).mean();
  loss.consistency = consistency_loss(pass);
  loss.classification =
      classification(critics->cls_v, pass.image) + classification(critics->cls_t, pass.text);
  loss.pairwise = pairwise_likelihood(0.5 * pass.image.code.matmul(pass.text.code.t()), similar);
  loss.quantisation = (target - pass.image.code).square().sum() + (target - pass.text.code).square().sum();
  loss.total = config_.adversarial_weight * loss.adversarial +
               config_.alpha * (loss.consistency + loss.classification) + loss.pairwise +
               config_.beta * loss.quantisation;
  return loss;
}

GeneratorLoss CpahTraining::generator_step(const CpahForward& pass) {
  const FrozenModule frozen(*critics->D, /*eval=*/false);
  GeneratorLoss loss = generator_loss(pass);
  static_cast<torch::optim::AdamOptions&>(generator_optimiser_->param_groups().front().options())
      .lr(learning_rate());
  generator_optimiser_->zero_grad();
  generator_reducer_->backward(loss.total);
  generator_optimiser_->step();
  return loss;
}

void CpahTraining::end_epoch() {
  const torch::Tensor sum = relaxed_image + relaxed_text;
  const torch::Tensor visited = relaxed_image.ne(0).any(1, true);
  codes = torch::where(visited, torch::where(sum > 0, torch::ones_like(sum), -torch::ones_like(sum)), codes);
  ++epoch_;
}

torch::Tensor CpahTraining::draw_mix(const torch::Tensor& rows) const {
  const std::int64_t width = config_.hidden;
  torch::Tensor mix = torch::empty({rows.size(0), width}, torch::kFloat32);
  const std::int64_t* row = rows.const_data_ptr<std::int64_t>();
  float* out = mix.mutable_data_ptr<float>();
  for (std::int64_t item = 0; item < rows.size(0); ++item) {
    const auto index = (static_cast<std::uint64_t>(step_) << 32U) | static_cast<std::uint64_t>(row[item]);
    RandomStream stream = RandomStream::of(setup_.seed, kMixTag, index);
    for (std::int64_t column = 0; column < width; ++column) *out++ = static_cast<float>(stream.uniform());
  }
  return mix.to(codes.scalar_type());
}

double CpahTraining::learning_rate() const {
  double rate = config_.lr;
  if (config_.schedule == "poly") {
    GAUNTLET_CHECK(step_ < n_steps_);
    rate *= std::pow(1 - static_cast<double>(step_) / static_cast<double>(n_steps_), kPolyPower);
  } else if (epoch_ >= kEpochsPerStage) {
    rate = std::max(rate * std::pow(kStageFactor, static_cast<double>(epoch_ / kEpochsPerStage)), kLeastRate);
  }
  if (step_ < config_.warmup_steps) {
    rate *= static_cast<double>(step_ + 1) / static_cast<double>(config_.warmup_steps);
  }
  return rate;
}

}  // namespace gauntlet::models
