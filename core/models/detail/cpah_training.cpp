#include "core/models/critic_rows.hpp"
#include "core/models/detail/cpah.hpp"
#include "core/models/rank_means.hpp"
#include "core/models/weights.hpp"

namespace gauntlet::models {
namespace {

constexpr std::uint64_t kMixTag = 0x4D495820;  // "MIX "
constexpr RateDrops kDrops{.first = 30, .every = 30, .factor = 0.2};

// Classes of the consistency classifier.
constexpr std::int64_t kImageOwn = 0;
constexpr std::int64_t kCommon = 1;
constexpr std::int64_t kTextOwn = 2;

}  // namespace

CpahTraining::CpahTraining(const CpahConfig& config, std::shared_ptr<CpahNet> net, const TrainingSetup& setup)
    : critics(config, setup.labels.size(1)), config_(config), net_(std::move(net)), setup_(setup) {
  const torch::Dtype dtype = net_->parameters().front().scalar_type();
  critics->to(setup_.labels.device(), dtype);
  share_weights(*net_, *setup_.communicator);
  share_weights(*critics, *setup_.communicator);

  const std::int64_t n_bits = net_->named_parameters()["hash_v.fc.bias"].size(0);
  relaxed_image = torch::zeros({setup_.labels.size(0), n_bits}, setup_.labels.options().dtype(dtype));
  relaxed_text = torch::zeros_like(relaxed_image);
  codes = random_codes(setup_.labels.size(0), n_bits, setup_.seed, dtype).to(setup_.labels.device());

  std::vector<torch::Tensor> generator = trainable_parameters(*net_);
  for (const torch::nn::Module* part : {static_cast<torch::nn::Module*>(critics->Cns.get()),
                                        static_cast<torch::nn::Module*>(critics->cls_v.get()),
                                        static_cast<torch::nn::Module*>(critics->cls_t.get())}) {
    const std::vector<torch::Tensor> more = part->parameters();
    generator.insert(generator.end(), more.begin(), more.end());
  }
  generator_ =
      std::make_unique<collective::ShardedOptimiser>(config_.adam.make(generator), *setup_.communicator);
  critic_ = std::make_unique<collective::ShardedOptimiser>(config_.d_adam.make(critics->D->parameters()),
                                                           *setup_.communicator);
}

std::pair<CpahForward, CriticLoss> CpahTraining::forward_and_critic_step(const TrainingBatch& batch) {
  CpahForward pass = forward(augmented(batch, augmentation_of(config_), setup_.seed, clock_.step));
  const RowDraws draws{setup_.seed, clock_.step, pass.rows};
  CriticLoss critic = critic_step(pass, draws.uniform(kMixTag, config_.hidden).to(codes.scalar_type()));
  return {std::move(pass), std::move(critic)};
}

torch::Tensor CpahTraining::objective(const TrainingBatch& batch) {
  const CpahForward pass = forward_and_critic_step(batch).first;
  ++clock_.step;
  const torch::Tensor own = generator_loss(pass).total;
  return with_value_of_all(*setup_.communicator, own);
}

Losses CpahTraining::step(const TrainingBatch& batch) {
  const auto [pass, critic] = forward_and_critic_step(batch);
  const GeneratorLoss generator = generator_step(pass);
  ++clock_.step;
  const std::vector<double> means =
      means_over_ranks(*setup_.communicator, {generator.total, generator.adversarial, generator.consistency,
                                              generator.classification, generator.pairwise,
                                              generator.quantisation, critic.total()});
  return {{"total", means[0]},          {"adversarial", means[1]}, {"consistency", means[2]},
          {"classification", means[3]}, {"pairwise", means[4]},    {"quantisation", means[5]},
          {"discriminator", means[6]}};
}

torch::Tensor CpahTraining::share_of_mean(const torch::Tensor& terms, std::int64_t n_rows) const {
  return terms.sum() / n_rows * setup_.communicator->world_size();
}

CpahForward CpahTraining::forward(const TrainingBatch& batch) {
  collective::Communicator& ranks = *setup_.communicator;
  const torch::Tensor image = net_->features(Modality::kImage, batch.images);
  const torch::Tensor text = net_->features(Modality::kText, batch.text);
  // Side by side in memory, as products' results depend on how their factors lie: results stay those of
  // versions that exchanged both here.
  const std::vector<torch::Tensor> both = torch::cat({image, text}, 1).chunk(2, 1);
  CpahForward pass{.image = net_->parts(Modality::kImage, both[0]),
                   .text = net_->parts(Modality::kText, both[1]),
                   .labels = batch.labels,
                   .rows = batch.rows,
                   .all_text_codes = {},
                   .all_labels = batch.labels};
  torch::Tensor all_image_codes = pass.image.code.detach();
  pass.all_text_codes = pass.text.code;
  if (ranks.world_size() > 1) {  // one exchange of all three
    const torch::Tensor own =
        torch::cat({pass.text.code, all_image_codes, batch.labels.to(all_image_codes.scalar_type())}, 1);
    const std::int64_t n_bits = codes.size(1);
    const std::vector<torch::Tensor> all =
        ranks.gather_rows(own).split_with_sizes({n_bits, n_bits, batch.labels.size(1)}, 1);
    pass.all_text_codes = all[0];
    all_image_codes = all[1].detach();
    pass.all_labels = all[2].detach();
  }
  const torch::Tensor all_rows = ranks.gather_rows(batch.rows);
  relaxed_image.index_copy_(0, all_rows, all_image_codes);
  relaxed_text.index_copy_(0, all_rows, pass.all_text_codes.detach());
  return pass;
}

CriticLoss CpahTraining::critic_loss(const CpahForward& pass, const torch::Tensor& mix) {
  const CriticRows rows = critic_rows([this](const torch::Tensor& input) { return critics->D(input); },
                                      pass.image.common, pass.text.common, mix);
  const std::int64_t n = pass.all_labels.size(0);
  return {share_of_mean(rows.real, n), share_of_mean(rows.fake, n),
          config_.penalty_weight * share_of_mean(rows.penalty, n)};
}

CriticLoss CpahTraining::critic_step(const CpahForward& pass, const torch::Tensor& mix) {
  CriticLoss loss = critic_loss(pass, mix);
  critic_->step(loss.total());
  return loss;
}

torch::Tensor CpahTraining::consistency_loss(const CpahForward& pass) {
  const torch::Tensor features =
      torch::cat({pass.image.common, pass.text.common, pass.image.own, pass.text.own});
  const std::int64_t batch = pass.labels.size(0);
  const torch::Tensor classes = torch::cat({torch::full({2 * batch}, kCommon, pass.rows.options()),
                                            torch::full({batch}, kImageOwn, pass.rows.options()),
                                            torch::full({batch}, kTextOwn, pass.rows.options())});
  const torch::Tensor logits = config_.consistency == "released" ? features : critics->Cns(features);
  return torch::cross_entropy_loss(logits, classes, {}, at::Reduction::Sum);
}

GeneratorLoss CpahTraining::generator_loss(const CpahForward& pass) {
  const std::int64_t n_ranks = setup_.communicator->world_size();  // sums over own rows become shares by it
  const torch::Tensor similar = pass.labels.matmul(pass.all_labels.t()).gt(0.5).to(pass.labels.scalar_type());
  const torch::Tensor target = codes.index_select(0, pass.rows);
  const auto classification = [&](Head& head, const CpahParts& parts) {
    return torch::binary_cross_entropy_with_logits(head(parts.common), pass.labels, {}, {},
                                                   at::Reduction::Sum);
  };
  GeneratorLoss loss;
  loss.adversarial = share_of_mean(log1p_exp(-critics->D(pass.text.common)), pass.all_labels.size(0));
  loss.consistency = n_ranks * consistency_loss(pass);
  loss.classification =
      n_ranks * (classification(critics->cls_v, pass.image) + classification(critics->cls_t, pass.text));
  loss.pairwise =
      n_ranks * pairwise_likelihood(0.5 * pass.image.code.matmul(pass.all_text_codes.t()), similar);
  loss.quantisation = n_ranks * quantisation_loss(target, pass.image.code, pass.text.code);
  loss.total = config_.adversarial_weight * loss.adversarial +
               config_.alpha * (loss.consistency + loss.classification) + loss.pairwise +
               config_.beta * loss.quantisation;
  return loss;
}

GeneratorLoss CpahTraining::generator_step(const CpahForward& pass) {
  const FrozenModule frozen(*critics->D, /*eval=*/false);
  GeneratorLoss loss = generator_loss(pass);
  set_learning_rate(generator_->optimiser(), learning_rate(config_.rate, config_.adam.lr, clock_, kDrops));
  generator_->step(loss.total);
  return loss;
}

void CpahTraining::end_epoch() {
  codes = codes_of_visited(relaxed_image, relaxed_text, codes);
  ++clock_.epoch;
}

void CpahTraining::visit_state(StateVisitor& visitor) {
  visitor.module("model", *net_);
  visitor.module("critics", *critics);
  visitor.optimiser("generator_optimiser", generator_->optimiser());
  visitor.optimiser("critic_optimiser", critic_->optimiser());
  visitor.tensor("relaxed_image", relaxed_image);
  visitor.tensor("relaxed_text", relaxed_text);
  visitor.tensor("codes", codes);
  visitor.part("clock", clock_);
}

}  // namespace gauntlet::models
