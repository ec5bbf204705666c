#include "core/defenses/detail/robust_training.hpp"

#include <chrono>

#include "core/attacks/descent.hpp"
#include "core/base/check.hpp"
#include "core/base/random.hpp"
#include "core/defenses/detail/robust_losses.hpp"
#include "core/models/epochs.hpp"
#include "core/models/losses.hpp"
#include "core/models/training_watch.hpp"
#include "core/models/weights.hpp"

namespace gauntlet::defenses {
namespace {

using torch::Tensor;

constexpr std::uint64_t kOrderTag = 0x524F4255;  // "ROBU"
constexpr std::uint64_t kImageStartTag = 0x524F4249;
constexpr std::uint64_t kTextStartTag = 0x524F4254;
constexpr double kMilestoneFactor = 0.1;

Status check(std::string_view defense, const RobustConfig& config, const DefenseTraining& setup) {
  if (setup.shape.image_px == 0) {
    const std::string held = setup.shape.feature_dim > 0
                                 ? fmt::format("image features ({} each)", setup.shape.feature_dim)
                                 : "no images";
    return fail(
        ErrorCode::kInvalid,
        "{} trains on perturbed pictures, and this data set holds {}; allowed: a data set with pictures",
        defense, held);
  }
  if (setup.shape.text_dim == 0) {
    return fail(ErrorCode::kInvalid,
                "{} trains on pairs, and this data set holds no texts; allowed: a data set with pictures and "
                "texts",
                defense);
  }
  const std::int64_t n_ranks = setup.communicator->world_size();
  if (config.batch_size < n_ranks) {
    return fail(ErrorCode::kInvalid,
                "{}: a batch of {} pairs cannot be split over {} ranks; allowed: batch_size at least {}",
                defense, config.batch_size, n_ranks, n_ranks);
  }
  if (config.ben_loss == "target" && n_ranks > 1) {
    return fail(
        ErrorCode::kInvalid,
        "{}: ben_loss is 'target', whose own training cannot share its weights' gradients with this one over "
        "{} ranks; allowed: one rank, or ben_loss 'pairwise'",
        defense, n_ranks);
  }
  return {};
}

torch::TensorOptions options_of(const models::HashingModel& model, const DefenseTraining& setup) {
  const auto parameters = model.parameters();
  const auto device = parameters.empty() ? torch::Device(torch::kCPU) : parameters.front().device();
  const auto type = setup.images.is_floating_point() ? setup.images.scalar_type() : torch::kFloat;
  return torch::TensorOptions(device).dtype(type);
}

bool holds(const std::vector<Tensor>& tensors, const Tensor& wanted) {
  return std::ranges::any_of(tensors, [&](const Tensor& tensor) { return tensor.is_same(wanted); });
}

std::vector<Tensor> trainable(const models::HashingModel& model) {
  std::vector<Tensor> parameters;
  for (const Tensor& parameter : model.parameters()) {
    if (parameter.requires_grad()) parameters.push_back(parameter);
  }
  return parameters;
}

}  // namespace

std::unique_ptr<torch::optim::Optimizer> make_optimiser(models::HashingModel& model,
                                                        const RobustConfig& config) {
  const std::vector<Tensor> backbone = model.backbone_parameters();
  std::vector<Tensor> head, trunk;
  for (const Tensor& parameter : trainable(model))
    (holds(backbone, parameter) ? trunk : head).push_back(parameter);
  std::vector<torch::optim::OptimizerParamGroup> groups;
  const auto add = [&](std::vector<Tensor>& parameters, const auto& options) {
    using Options = std::decay_t<decltype(options)>;
    if (!parameters.empty()) groups.emplace_back(parameters, std::make_unique<Options>(options));
  };
  if (config.at_optimiser == "sgd") {
    const auto options = [&](double lr) {
      return torch::optim::SGDOptions(lr).momentum(config.at_momentum).weight_decay(config.at_weight_decay);
    };
    add(head, options(config.at_lr));
    add(trunk, options(config.at_lr_backbone));
    return std::make_unique<torch::optim::SGD>(groups, options(config.at_lr));
  }
  const auto options = [&](double lr) {
    return torch::optim::AdamOptions(lr)
        .betas({config.at_beta1, config.at_beta2})
        .weight_decay(config.at_weight_decay);
  };
  add(head, options(config.at_lr));
  add(trunk, options(config.at_lr_backbone));
  return std::make_unique<torch::optim::Adam>(groups, options(config.at_lr));
}

Result<std::unique_ptr<RobustTraining>> RobustTraining::open(std::string_view defense,
                                                             const RobustConfig& config,
                                                             const DefenseTraining& setup) {
  GAUNTLET_CHECK_OK(check(defense, config, setup));
  torch::manual_seed(setup.seed);
  GAUNTLET_TRY(std::shared_ptr<models::HashingModel> model, setup.target.copy());
  std::unique_ptr<RobustTraining> training(new RobustTraining(config, setup, std::move(model)));
  training->defense_ = defense;
  if (config.ben_loss == "target") GAUNTLET_CHECK_OK(training->open_own_training(defense));
  return training;
}

RobustTraining::RobustTraining(const RobustConfig& config, const DefenseTraining& setup,
                               std::shared_ptr<models::HashingModel> model)
    : config_(config),
      setup_(setup),
      model_(std::move(model)),
      n_pairs_(config.n_train > 0 ? std::min(config.n_train, setup.images.size(0)) : setup.images.size(0)),
      options_(options_of(*model_, setup)),
      train_labels_(setup.train_labels.to(options_)),
      image_codes_(setup.train_codes_image.to(options_)),
      text_codes_(setup.train_codes_text.to(options_)),
      image_buffer_(image_codes_.clone()),
      text_buffer_(text_codes_.clone()) {
  model_->to(options_.device(), c10::typeMetaToScalarType(options_.dtype()));
  // Whether the target learned its backbone or took it as it came: here the defense decides.
  for (Tensor& parameter : model_->backbone_parameters()) {
    parameter.set_requires_grad(!config_.freeze_backbone);
  }
  models::share_weights(*model_, ranks());
  model_->train();
  optimiser_ = make_optimiser(*model_, config_);
  for (const auto& group : optimiser_->param_groups()) rates_.push_back(group.options().get_lr());
  reducer_ = ranks().make_reducer(trainable(*model_));
}

Status RobustTraining::open_own_training(std::string_view defense) {
  const models::TrainingSetup own{
      .labels = train_labels_, .seed = setup_.seed, .communicator = setup_.communicator};
  auto made = setup_.target.own_training(model_, own);
  if (!made) {
    return fail(made.error().code, "{}: ben_loss is 'target', but {}; allowed: ben_loss 'pairwise'", defense,
                made.error().message);
  }
  own_training_ = std::move(*made);
  return {};
}

Tensor RobustTraining::perturbed(Modality modality, const RobustBatch& batch, const InnerAttack& attack,
                                 const std::function<Tensor(const Tensor&)>& loss) {
  const models::FrozenModule frozen(*model_);
  const bool image = modality == Modality::kImage;
  const Tensor& clean = batch.inputs(modality);
  const attacks::Ball ball{image ? config_.epsilon_image : config_.epsilon_text, image ? 0 : setup_.text_low,
                           1};
  Tensor start = torch::zeros_like(clean);
  if (attack.random_start) {
    const auto step_seed = RandomStream::of(setup_.seed, image ? kImageStartTag : kTextStartTag,
                                            static_cast<std::uint64_t>(batch.step))
                               .state();
    start = attacks::random_start(clean, batch.own_rows, step_seed, ball);
  }
  const Tensor delta = attacks::descend(
      clean, start, [&](const Tensor& input) { return loss(model_->encode(modality, input)); },
      {ball, attack.step_share * ball.epsilon, attack.n_steps});
  return attacks::applied(clean, delta, ball);
}

Tensor RobustTraining::codes_without_gradient(Modality modality, const Tensor& inputs) {
  const models::FrozenModule frozen(*model_);
  const torch::NoGradGuard no_grad;
  return model_->encode(modality, inputs);
}

std::vector<Tensor> RobustTraining::encoded(Modality modality, const std::vector<Tensor>& inputs) {
  const auto n_inputs = static_cast<std::int64_t>(inputs.size());
  const std::vector<Tensor> own = model_->encode(modality, torch::cat(inputs)).chunk(n_inputs);
  return ranks().gather_rows(torch::cat(own, 1)).chunk(n_inputs, 1);
}

void RobustTraining::remember(Modality modality, const RobustBatch& batch, const Tensor& codes) {
  (modality == Modality::kImage ? image_buffer_ : text_buffer_).index_copy_(0, batch.rows, codes.detach());
}

Tensor RobustTraining::similar(const RobustBatch& batch) const {
  return models::relevance_mask(batch.labels, train_labels_);
}

Result<Tensor> RobustTraining::benign(const RobustBatch& batch, const std::vector<Tensor>& clean_codes) {
  GAUNTLET_CHECK(!clean_codes.empty());
  if (own_training_ != nullptr) {
    const Tensor objective = own_training_->objective(batch.own);
    if (objective.defined()) return objective * config_.ben_weight;
    return fail(
        ErrorCode::kInvalid,
        "{}: ben_loss is 'target', but this target's networks learn by turns and have no common objective; "
        "allowed: ben_loss 'pairwise'",
        defense_);
  }
  Tensor sum;
  for (const Tensor& codes : clean_codes) {
    const Tensor loss = pairwise_regression(codes, buffers(), similar(batch));
    sum = sum.defined() ? sum + loss : loss;
  }
  return sum * (config_.ben_weight / static_cast<double>(clean_codes.size()));
}

double RobustTraining::rate_factor(double progress) const {
  return (progress >= config_.first_milestone ? kMilestoneFactor : 1) *
         (progress >= config_.second_milestone ? kMilestoneFactor : 1);
}

std::int64_t RobustTraining::n_batches() const {
  return std::max<std::int64_t>(1, n_pairs_ / config_.batch_size);
}

Tensor RobustTraining::inputs(Modality modality, std::span<const std::int64_t> rows) const {
  return models::rows_as_inputs(modality == Modality::kImage ? setup_.images : setup_.text, rows, options_);
}

RobustBatch RobustTraining::batch(std::span<const std::int64_t> order, std::int64_t index,
                                  std::int64_t step) const {
  const std::int64_t first = n_pairs_ * index / n_batches(), last = n_pairs_ * (index + 1) / n_batches();
  const models::RankShare share = models::share_of_rank(last - first, *setup_.communicator);
  const auto all = order.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(last - first));
  const auto own =
      all.subspan(static_cast<std::size_t>(share.first), static_cast<std::size_t>(share.last - share.first));
  RobustBatch batch;
  batch.own_rows.assign(own.begin(), own.end());
  batch.rows = torch::tensor(std::vector<std::int64_t>(all.begin(), all.end()), torch::kLong);
  batch.labels = setup_.labels.index_select(0, batch.rows).to(options_);
  batch.rows = batch.rows.to(options_.device());
  batch.step = step;
  batch.first_own = share.first;
  batch.own = {inputs(Modality::kImage, own), inputs(Modality::kText, own), batch.own_part(batch.labels),
               batch.own_part(batch.rows)};
  return batch;
}

void RobustTraining::begin(std::int64_t n_steps) {
  if (own_training_ != nullptr) own_training_->begin(n_steps);
}

void RobustTraining::end_epoch() {
  if (own_training_ != nullptr) own_training_->end_epoch();
}

void RobustTraining::visit_state(models::StateVisitor& visitor) {
  if (own_training_ != nullptr) {
    visitor.part("own_training", *own_training_);  // the copy's weights are among its own
  } else {
    visitor.module("model", *model_);
  }
  visitor.optimiser("optimiser", *optimiser_);
  visitor.tensor("image_buffer", image_buffer_);
  visitor.tensor("text_buffer", text_buffer_);
}

void RobustTraining::descend(const Tensor& loss, double progress) {
  for (std::size_t group = 0; group < rates_.size(); ++group) {
    optimiser_->param_groups()[group].options().set_lr(rates_[group] * rate_factor(progress));
  }
  optimiser_->zero_grad();
  reducer_->backward(loss);
  optimiser_->step();
}

namespace {

/// Errors (kDiverged): the loss named `total` is not finite; names the first of the others that is not.
Status check_step(const LossTerms& losses, const std::string& total, models::TrainingWatch& watch,
                  const models::TrainingWatch::Moment& moment) {
  if (losses.at(total).isfinite().all().item<bool>()) return {};
  const auto broken = std::ranges::find_if(losses, [&](const auto& loss) {
    return loss.first != total && !loss.second.isfinite().all().template item<bool>();
  });
  const auto& [name, value] = broken == losses.end() ? *losses.find(total) : *broken;
  return watch.check({{name, value.mean().item<double>()}}, moment);
}

/// A run and where it is.
struct Run {
  RobustTraining& training;
  RobustMethod& method;
  const RobustConfig& config;
  models::TrainingWatch& watch;
  std::int64_t step = 0;  ///< of the whole run, from 0
  models::TrainingWatch::Moment at = {};
};

/// One pass over the pairs; sums get its losses under `prefix` + name.
Status run_pass(Run& run, Modality modality, const std::string& prefix, std::span<const std::int64_t> order,
                models::EpochLosses& sums) {
  const std::int64_t n_batches = run.training.n_batches();
  for (std::int64_t index = 0; index < n_batches; ++index, ++run.step) {
    RobustBatch batch = run.training.batch(order, index, run.step);
    batch.progress = static_cast<double>((run.at.epoch - 1) * n_batches + index) /
                     static_cast<double>(run.config.at_epochs * n_batches);
    ++run.at.step;
    run.at.rates = {{"at_lr", run.config.at_lr * run.training.rate_factor(batch.progress)}};
    GAUNTLET_TRY(const LossTerms terms, run.method.losses(run.training, batch, modality));
    LossTerms named;
    for (const auto& [name, value] : terms) named[prefix + name] = value;
    GAUNTLET_CHECK_OK(check_step(named, prefix + "total", run.watch, run.at));
    run.training.descend(terms.at("total"), batch.progress);
    sums.add(named);
  }
  return {};
}

}  // namespace

Result<TrainedDefense> train_robust(RobustTraining& training, RobustMethod& method, std::string_view defense,
                                    const RobustConfig& config) {
  const DefenseTraining& setup = training.setup();
  const std::int64_t n_passes = method.by_turns() ? 2 : 1;
  training.begin(config.at_epochs * n_passes * training.n_batches());
  models::TrainingWatch watch({.name = std::string(defense),
                               .weights = [&] { return models::state_of(training.model()); },
                               .keep = setup.keep_weights,
                               .communicator = setup.communicator});
  TrainedDefense trained;
  Run run{training, method, config, watch};
  const models::Stage stage{.n_epochs = config.at_epochs,
                            .n_in_all = config.at_epochs,
                            .state = [&](models::StateVisitor& visitor) {
                              visitor.part("training", training);
                              visitor.part("method", method);
                              visitor.number("step", run.step);
                              visitor.curves("curves", trained.curves);
                            }};
  GAUNTLET_TRY(const std::int64_t n_done, models::resume(setup.checkpointer, stage, watch));
  for (std::int64_t epoch = n_done + 1; epoch <= config.at_epochs; ++epoch) {
    run.at.epoch = epoch;
    run.at.step = 0;
    const auto start = std::chrono::steady_clock::now();
    models::EpochLosses sums;
    const auto order = models::shuffled_rows(training.n_pairs(), setup.seed, kOrderTag, epoch);
    if (method.by_turns()) {
      for (const Modality modality : {Modality::kImage, Modality::kText}) {
        const std::string prefix = fmt::format("{} ", name_of(modality));
        GAUNTLET_CHECK_OK(run_pass(run, modality, prefix, order, sums));
      }
    } else {
      GAUNTLET_CHECK_OK(run_pass(run, Modality::kImage, "", order, sums));
    }
    training.end_epoch();
    GAUNTLET_TRY(const models::Losses means, watch.end_epoch(sums, run.at));
    models::add_to_curves(trained.curves, means);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    const auto n_seen = static_cast<double>(training.n_pairs());
    if (setup.on_epoch) setup.on_epoch(epoch, config.at_epochs, means, n_seen / elapsed.count());
    GAUNTLET_CHECK_OK(models::end_epoch(setup.checkpointer, stage, epoch));
  }
  trained.weights = models::weights_of(training.model());
  for (const Tensor& parameter : trainable(training.model())) trained.n_parameters += parameter.numel();
  return trained;
}

}  // namespace gauntlet::defenses
