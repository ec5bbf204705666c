#include "core/models/critic_rows.hpp"
#include "core/models/detail/dadh.hpp"
#include "core/models/rank_means.hpp"
#include "core/models/weights.hpp"

namespace gauntlet::models {
namespace {

// Purposes of random draws. Dropout takes one more number per layer.
constexpr std::uint64_t kFeatureMixTag = 0x4D495846;  // "MIXF"
constexpr std::uint64_t kCodeMixTag = 0x4D495848;     // "MIXH"
constexpr std::uint64_t kImageDropTag = 0x44564900;   // "DVI"
constexpr std::uint64_t kTextDropTag = 0x44545800;    // "DTX"
constexpr std::uint64_t kSecondDropTag = 0x44325400;  // "D2T"
constexpr RateDrops kDrops{.first = 1, .every = 100, .factor = 0.8};

}  // namespace

DadhTraining::DadhTraining(const DadhConfig& config, std::shared_ptr<DadhNet> net, const TrainingSetup& setup)
    : critics(config, net->code_bits()), config_(config), net_(std::move(net)), setup_(setup) {
  const torch::Dtype dtype = net_->parameters().front().scalar_type();
  critics->to(setup.labels.device(), dtype);
  setup_.labels = setup.labels.to(dtype);
  share_weights(*net_, *setup_.communicator);
  share_weights(*critics, *setup_.communicator);

  relaxed_image = torch::zeros({setup_.labels.size(0), net_->code_bits()}, setup_.labels.options());
  relaxed_text = torch::zeros_like(relaxed_image);
  codes =
      random_codes(setup_.labels.size(0), net_->code_bits(), setup_.seed, dtype).to(setup_.labels.device());

  const auto learner = [&](const AdamConfig& adam, const std::vector<torch::Tensor>& parameters) {
    return std::make_unique<collective::ShardedOptimiser>(adam.make(parameters), *setup_.communicator);
  };
  generator_ = learner(config_.adam, trainable_parameters(*net_));
  feature_critic_ = learner(config_.d_adam, critics->D_f->parameters());
  code_critic_ = learner(config_.d_adam, critics->D_h->parameters());
}

std::pair<DadhForward, DadhCriticLosses> DadhTraining::forward_and_critic_steps(const TrainingBatch& batch) {
  DadhForward pass = forward(augmented(batch, augmentation_of(config_), setup_.seed, clock_.step));
  const RowDraws draws{setup_.seed, clock_.step, pass.rows};
  const auto mix = [&](std::uint64_t tag, const torch::Tensor& like) {
    return draws.uniform(tag, like.size(1)).to(like.scalar_type());
  };
  DadhCriticLosses losses;
  losses.feature = feature_critic_step(pass, mix(kFeatureMixTag, pass.feature_v));
  losses.code = code_critic_step(pass, mix(kCodeMixTag, pass.code_v));
  return {std::move(pass), std::move(losses)};
}

torch::Tensor DadhTraining::objective(const TrainingBatch& batch) {
  const DadhForward pass = forward_and_critic_steps(batch).first;
  ++clock_.step;
  return with_value_of_all(*setup_.communicator, generator_loss(pass).total);
}

Losses DadhTraining::step(const TrainingBatch& batch) {
  const auto [pass, critic] = forward_and_critic_steps(batch);
  const DadhLoss loss = generator_step(pass);
  ++clock_.step;
  const std::vector<double> means = means_over_ranks(
      *setup_.communicator,
      {loss.total, loss.image_to_text + loss.text_to_image, loss.quantisation, loss.feature_adversarial,
       loss.code_adversarial, critic.feature.total(), critic.code.total()});
  return {{"total", means[0]},
          {"triplet", means[1]},
          {"quantisation", means[2]},
          {"feature_adversarial", means[3]},
          {"code_adversarial", means[4]},
          {"feature_discriminator", means[5]},
          {"code_discriminator", means[6]}};
}

torch::Tensor DadhTraining::share_of_mean(const torch::Tensor& terms, std::int64_t n_rows) const {
  return terms.sum() / n_rows * setup_.communicator->world_size();
}

DadhForward DadhTraining::forward(const TrainingBatch& batch) {
  collective::Communicator& ranks = *setup_.communicator;
  const RowDraws draws{setup_.seed, clock_.step, batch.rows};
  const torch::Tensor image = net_->features(Modality::kImage, batch.images, &draws, kImageDropTag);
  const torch::Tensor text = net_->features(Modality::kText, batch.text, &draws, kTextDropTag);
  // Side by side in memory, as products' results depend on how their factors lie: results stay those of
  // versions that exchanged both here.
  const std::vector<torch::Tensor> both = torch::cat({image, text}, 1).chunk(2, 1);
  DadhForward pass;
  pass.feature_v = both[0];
  pass.feature_t = both[1];
  pass.code_v = pass.all_code_v = net_->hash(Modality::kImage, pass.feature_v);
  pass.code_t = pass.all_code_t = net_->hash(Modality::kText, pass.feature_t);
  pass.labels = pass.all_labels = batch.labels.to(pass.code_v.scalar_type());
  pass.rows = batch.rows;
  if (ranks.world_size() > 1) {  // one exchange of all three
    const std::int64_t n_bits = pass.code_v.size(1);
    const torch::Tensor own = torch::cat({pass.code_v, pass.code_t, pass.labels}, 1);
    const std::vector<torch::Tensor> all =
        ranks.gather_rows(own).split_with_sizes({n_bits, n_bits, batch.labels.size(1)}, 1);
    pass.all_code_v = all[0];
    pass.all_code_t = all[1];
    pass.all_labels = all[2].detach();
  }
  const torch::Tensor all_rows = ranks.gather_rows(batch.rows);
  relaxed_image.index_copy_(0, all_rows, pass.all_code_v.detach());
  relaxed_text.index_copy_(0, all_rows, pass.all_code_t.detach());
  // In train mode as the first, so the running statistics move twice per batch.
  torch::Tensor second;
  {
    const torch::NoGradGuard no_grad;
    second = net_->features(Modality::kText, batch.text, &draws, kSecondDropTag);
  }
  pass.second_code_t = net_->hash(Modality::kText, second);
  return pass;
}

CriticLoss DadhTraining::critic_share(Perceptron& critic, const torch::Tensor& real,
                                      const torch::Tensor& fake, const torch::Tensor& mix,
                                      std::int64_t n_rows) const {
  const CriticRows rows =
      critic_rows([&critic](const torch::Tensor& input) { return critic(input); }, real, fake, mix);
  return {config_.gamma * share_of_mean(rows.real, n_rows), config_.gamma * share_of_mean(rows.fake, n_rows),
          config_.penalty_weight * share_of_mean(rows.penalty, n_rows)};
}

CriticLoss DadhTraining::feature_critic_loss(const DadhForward& pass, const torch::Tensor& mix) {
  return critic_share(critics->D_f, pass.feature_v, pass.feature_t, mix, pass.all_labels.size(0));
}

CriticLoss DadhTraining::code_critic_loss(const DadhForward& pass, const torch::Tensor& mix) {
  return critic_share(critics->D_h, pass.code_v, pass.code_t, mix, pass.all_labels.size(0));
}

CriticLoss DadhTraining::feature_critic_step(const DadhForward& pass, const torch::Tensor& mix) {
  CriticLoss loss = feature_critic_loss(pass, mix);
  feature_critic_->step(loss.total());
  return loss;
}

CriticLoss DadhTraining::code_critic_step(const DadhForward& pass, const torch::Tensor& mix) {
  CriticLoss loss = code_critic_loss(pass, mix);
  code_critic_->step(loss.total());
  return loss;
}

DadhLoss DadhTraining::generator_loss(const DadhForward& pass) {
  const std::int64_t n_rows = pass.all_labels.size(0), n_ranks = setup_.communicator->world_size();
  // Of the B^3 triplets, most of a step, those whose anchors are own rows.
  const LabelOverlap overlap(pass.labels, pass.all_labels);
  const auto triplets = [&](const torch::Tensor& anchors, const torch::Tensor& targets) {
    return n_ranks * (config_.triplet_factor * weighted_triplets(anchors, targets, overlap, config_.margin));
  };
  DadhLoss loss;
  loss.image_to_text = triplets(pass.code_v, pass.all_code_t);
  loss.text_to_image = triplets(pass.code_t, pass.all_code_v);
  loss.quantisation = n_ranks * quantisation_loss(codes.index_select(0, pass.rows), pass.code_v, pass.code_t);
  loss.feature_adversarial = share_of_mean(log1p_exp(-critics->D_f(pass.feature_t)), n_rows);
  loss.code_adversarial = share_of_mean(log1p_exp(-critics->D_h(pass.second_code_t)), n_rows);
  loss.total = config_.alpha * (loss.image_to_text + loss.text_to_image) + config_.beta * loss.quantisation +
               config_.gamma * (loss.feature_adversarial + loss.code_adversarial);
  return loss;
}

DadhLoss DadhTraining::generator_step(const DadhForward& pass) {
  const FrozenModule frozen(*critics, /*eval=*/false);
  DadhLoss loss = generator_loss(pass);
  set_learning_rate(generator_->optimiser(), learning_rate(config_.rate, config_.adam.lr, clock_, kDrops));
  generator_->step(loss.total);
  return loss;
}

void DadhTraining::end_epoch() {
  codes =
      update_codes(setup_.labels, codes, relaxed_image, relaxed_text, config_.code_ridge, config_.code_weight)
          .codes;
  ++clock_.epoch;
}

void DadhTraining::visit_state(StateVisitor& visitor) {
  visitor.module("model", *net_);
  visitor.module("critics", *critics);
  visitor.optimiser("generator", generator_->optimiser());
  visitor.optimiser("feature_critic", feature_critic_->optimiser());
  visitor.optimiser("code_critic", code_critic_->optimiser());
  visitor.tensor("relaxed_image", relaxed_image);
  visitor.tensor("relaxed_text", relaxed_text);
  visitor.tensor("codes", codes);
  visitor.part("clock", clock_);
}

}  // namespace gauntlet::models
