#include "core/attacks/detail/eqb2a_training.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/attacks/detail/in_precision.hpp"
#include "core/models/epochs.hpp"
#include "core/models/weights.hpp"

namespace gauntlet::attacks::eqb2a {
namespace {

using torch::Tensor;

constexpr std::string_view kName = "eqb2a";
constexpr std::int64_t kChunk = 256;                      // rows of a forward pass without gradient
constexpr std::uint64_t kAskImages = 0x6571623261617369;  // "eqb2aasi"
constexpr std::uint64_t kAskTexts = 0x6571623261617374;   // "eqb2aast"
constexpr std::uint64_t kOrder = 0x65716232616f7264;      // "eqb2aord"

enum Stage : std::uint8_t { kKnockoff, kPerturbation, kGenerator };

std::span<const std::int64_t> values_of(const Tensor& positions) {
  return {positions.const_data_ptr<std::int64_t>(), static_cast<std::size_t>(positions.numel())};
}

/// One stage's pass over its rows, repeated.
struct Schedule {
  Stage stage;
  std::string_view name;
  std::int64_t n_rows = 0;
  std::int64_t n_epochs = 0;
  models::Rates rates;
  std::function<void(models::StateVisitor&)> trainer;
  /// Positions [B] among the rows, and the step's number within the epoch.
  std::function<StepLosses(const Tensor& picked, std::int64_t step)> step;
};

class Training {
 public:
  Training(const Config& config, const AttackTraining& setup) : config_(config), setup_(setup) {
    const auto type = setup.images.is_floating_point() ? setup.images.scalar_type() : torch::kFloat;
    options_ = torch::TensorOptions(type);
  }

  Result<TrainedAttack> run();

 private:
  [[nodiscard]] Tensor inputs(Modality modality, const Tensor& positions) const {
    return models::rows_as_inputs(modality == Modality::kImage ? setup_.images : setup_.text,
                                  values_of(positions), options_);
  }
  [[nodiscard]] Tensor pictures(const Tensor& positions) const {
    return inputs(Modality::kImage, positions) * 2 - 1;
  }
  [[nodiscard]] std::int64_t n_items() const { return setup_.images.size(0); }

  RankedSample ask(Modality modality, Stage stage) const;
  /// Values [N, …] of `network` for all training items, without gradient.
  [[nodiscard]] Tensor of_all_items(Modality modality,
                                    const std::function<Tensor(const Tensor&)>& network) const;

  /// The weights this run leaves, sharing memory with the networks.
  [[nodiscard]] models::NamedTensors published_state() const;

  /// All networks of all stages, and what a stage leaves to the next.
  void visit_state(models::StateVisitor& visitor);

  Status make_knockoffs();
  Status run_schedule(const Schedule& schedule);
  Status train_knockoffs(const RankedSample& images, const RankedSample& texts);
  Status train_perturbation(const RankedSample& images);
  Status train_generator(const RankedSample& images);

  Config config_;
  const AttackTraining& setup_;
  torch::TensorOptions options_;
  // Every rank trains on the same rows, so none needs to hear of another.
  std::unique_ptr<collective::Communicator> solo_ = collective::make_solo_communicator();
  Knockoffs knockoffs_;
  Generators generators_;
  std::shared_ptr<PerturbationSupervisor> supervisor_;
  Tensor text_codes_;  // [N, K]
  models::TrainingWatch watch_{{.name = std::string(kName),
                                .weights = [this] { return published_state(); },
                                .keep = setup_.keep_weights,
                                .communicator = solo_.get()}};
  std::int64_t n_epochs_before_ = 0;  // of the schedules so far
  TrainedAttack trained_;
};

RankedSample Training::ask(Modality modality, Stage stage) const {
  std::vector<std::int64_t> order = models::shuffled_rows(
      n_items(), setup_.seed, modality == Modality::kImage ? kAskImages : kAskTexts, stage);
  order.resize(static_cast<std::size_t>(std::min(n_items(), config_.n_queries)));
  const Tensor queries = torch::tensor(order, torch::kLong);
  std::vector<Tensor> near, spread;
  for (const Tensor& chunk : queries.split(kChunk)) {
    const Tensor lists = setup_.ranked_lists->rank(modality, inputs(modality, chunk));
    RankedSample sample = sample_of(chunk, lists, config_.near, config_.spread);
    near.push_back(std::move(sample.near));
    spread.push_back(std::move(sample.spread));
  }
  return {.query = queries, .near = torch::cat(near), .spread = torch::cat(spread)};
}

Tensor Training::of_all_items(Modality modality, const std::function<Tensor(const Tensor&)>& network) const {
  const torch::NoGradGuard no_grad;
  std::vector<Tensor> values;
  for (const Tensor& chunk : torch::arange(n_items(), torch::kLong).split(kChunk)) {
    values.push_back(in_precision(config_.precision.value(), inputs(modality, chunk), network));
  }
  return torch::cat(values);
}

Status Training::run_schedule(const Schedule& schedule) {
  const std::int64_t n_epochs_all =
      config_.epochs_knockoff + config_.epochs_perturbation + config_.epochs_generator;
  const models::Stage stage{.n_before = n_epochs_before_,
                            .n_epochs = schedule.n_epochs,
                            .n_in_all = n_epochs_all,
                            .state = [&](models::StateVisitor& visitor) {
                              schedule.trainer(visitor);
                              visit_state(visitor);
                            }};
  n_epochs_before_ += schedule.n_epochs;
  GAUNTLET_TRY(const std::int64_t n_done, models::resume(setup_.checkpointer, stage, watch_));
  for (std::int64_t epoch = n_done + 1; epoch <= schedule.n_epochs; ++epoch) {
    const auto start = std::chrono::steady_clock::now();
    const Tensor order = torch::tensor(
        models::shuffled_rows(schedule.n_rows, setup_.seed, kOrder + schedule.stage, epoch), torch::kLong);
    models::EpochLosses sums;
    std::int64_t step = 0;
    for (const Tensor& picked : order.split(config_.batch_size)) sums.add(schedule.step(picked, step++));
    const std::int64_t n_epochs_done = stage.n_before + epoch;
    GAUNTLET_TRY(const models::Losses means,
                 watch_.end_epoch(sums, {.epoch = n_epochs_done, .rates = schedule.rates}));
    models::Losses named;
    for (const auto& [name, value] : means) named[fmt::format("{}_{}", schedule.name, name)] = value;
    models::add_to_curves(trained_.curves, named);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    if (setup_.on_epoch) {
      setup_.on_epoch(n_epochs_done, n_epochs_all, named,
                      static_cast<double>(schedule.n_rows) / elapsed.count());
    }
    GAUNTLET_CHECK_OK(models::end_epoch(setup_.checkpointer, stage, epoch));
  }
  return {};
}

models::NamedTensors Training::published_state() const {
  models::NamedTensors state;
  models::add_with_prefix(state, "pg.", models::state_of(*generators_.perturbation));
  models::add_with_prefix(state, "ig.", models::state_of(*generators_.image));
  return state;
}

void Training::visit_state(models::StateVisitor& visitor) {
  visitor.module("image_knockoff", *knockoffs_.image);
  visitor.module("text_knockoff", *knockoffs_.text);
  visitor.module("perturbation", *generators_.perturbation);
  visitor.module("supervisor", *supervisor_);
  visitor.module("generator", *generators_.image);
  if (text_codes_.defined()) visitor.shared("text_codes", text_codes_);  // not yet in the first stage
  visitor.curves("curves", trained_.curves);
}

Status Training::make_knockoffs() {
  const models::ModelShape& shape = setup_.surface.shape;
  const std::int64_t bits = setup_.surface.code_bits;
  GAUNTLET_TRY(auto backbone, models::make_backbone(config_.backbone, shape, kName, solo_.get()));
  knockoffs_ = {
      .image = std::make_shared<ImageKnockoff>(std::move(backbone), config_.hidden, bits, config_.dropout),
      .text = std::make_shared<TextKnockoff>(shape.text_dim, config_.hidden, bits, config_.dropout)};
  return {};
}

Status Training::train_knockoffs(const RankedSample& images, const RankedSample& texts) {
  models::Backbone& backbone = knockoffs_.image->backbone();
  for (auto& parameter : backbone.parameters()) parameter.set_requires_grad(!config_.backbone.is_frozen());
  knockoffs_.image->train();
  knockoffs_.text->train();
  Tensor features;
  if (has_constant_features(backbone, config_)) {
    backbone.eval();
    features = of_all_items(Modality::kImage, [&](const Tensor& pixels) { return backbone.forward(pixels); });
  }
  const auto items = [&](Modality modality, const Tensor& positions) {
    if (modality == Modality::kImage && features.defined()) return features.index_select(0, positions);
    return inputs(modality, positions);
  };
  KnockoffTrainer trainer(config_, knockoffs_, items);
  const Tensor text_tuples = rank_tuples(texts), image_tuples = rank_tuples(images);
  GAUNTLET_CHECK_OK(run_schedule({.stage = kKnockoff,
                                  .name = "knockoff",
                                  .n_rows = text_tuples.size(0),
                                  .n_epochs = config_.epochs_knockoff,
                                  .rates = {{"lr_text", config_.lr_text}, {"lr_image", config_.lr_image}},
                                  .trainer = [&](auto& visitor) { visitor.part("trainer", trainer); },
                                  .step =
                                      [&](const Tensor& picked, std::int64_t) {
                                        return trainer.step(text_tuples.index_select(0, picked),
                                                            image_tuples.index_select(0, picked));
                                      }}));
  knockoffs_.image->eval();
  knockoffs_.text->eval();
  text_codes_ =
      of_all_items(Modality::kText, [&](const Tensor& text) { return knockoffs_.text->forward(text); });
  return {};
}

Status Training::train_perturbation(const RankedSample& images) {
  generators_.perturbation->train();
  supervisor_->train();
  PerturbationTrainer trainer(config_, generators_.perturbation, supervisor_, text_codes_);
  const Tensor rows = perturbation_rows(images);
  GAUNTLET_CHECK_OK(run_schedule({.stage = kPerturbation,
                                  .name = "perturbation",
                                  .n_rows = rows.size(0),
                                  .n_epochs = config_.epochs_perturbation,
                                  .rates = {{"lr_perturbation", config_.lr_perturbation}},
                                  .trainer = [&](auto& visitor) { visitor.part("trainer", trainer); },
                                  .step =
                                      [&](const Tensor& picked, std::int64_t) {
                                        const Tensor batch = rows.index_select(0, picked);
                                        return trainer.step(pictures(batch.select(1, 0).contiguous()), batch);
                                      }}));
  return {};
}

Status Training::train_generator(const RankedSample& images) {
  auto layout = models::image_discriminator_layout(setup_.surface.shape.image_px, config_.disc_width);
  layout.power_step_in_eval = true;
  const auto discriminator = models::make_image_discriminator(layout);
  discriminator->to(options_.dtype().toScalarType());
  discriminator->train();
  generators_.image->train();
  const models::FrozenModule fixed_knockoff(*knockoffs_.image);
  const models::FrozenModule fixed_perturbation(*generators_.perturbation);
  const models::FrozenModule fixed_supervisor(*supervisor_);
  GeneratorTrainer trainer(config_, {.generator = generators_.image,
                                     .discriminator = discriminator,
                                     .perturbation = generators_.perturbation,
                                     .supervisor = supervisor_,
                                     .image_knockoff = knockoffs_.image,
                                     .text_codes = text_codes_});
  return run_schedule({.stage = kGenerator,
                       .name = "generator",
                       .n_rows = images.query.size(0),
                       .n_epochs = config_.epochs_generator,
                       .rates = {{"lr_generator", config_.lr_generator}},
                       .trainer = [&](auto& visitor) { visitor.part("trainer", trainer); },
                       .step =
                           [&](const Tensor& picked, std::int64_t step) {
                             return trainer.step(pictures(images.query.index_select(0, picked)),
                                                 images.near.index_select(0, picked), step);
                           }});
}

Result<TrainedAttack> Training::run() {
  torch::manual_seed(setup_.seed);
  GAUNTLET_CHECK_OK(make_knockoffs());
  GAUNTLET_TRY(generators_, make_generators(config_, setup_.surface.shape));
  supervisor_ = std::make_shared<PerturbationSupervisor>(
      SupervisorLayout{.image_px = setup_.surface.shape.image_px,
                       .code_bits = setup_.surface.code_bits,
                       .full = {config_.ps_fc1, config_.ps_fc2, config_.ps_fc3}});
  for (torch::nn::Module* network : std::initializer_list<torch::nn::Module*>{
           knockoffs_.image.get(), knockoffs_.text.get(), supervisor_.get(), generators_.perturbation.get(),
           generators_.image.get()}) {
    network->to(options_.dtype().toScalarType());
    models::share_weights(*network, *setup_.communicator);
  }
  RankedSample images = ask(Modality::kImage, kKnockoff);
  GAUNTLET_CHECK_OK(train_knockoffs(images, ask(Modality::kText, kKnockoff)));
  if (config_.redraw) images = ask(Modality::kImage, kPerturbation);
  GAUNTLET_CHECK_OK(train_perturbation(images));
  if (config_.redraw) images = ask(Modality::kImage, kGenerator);
  GAUNTLET_CHECK_OK(train_generator(images));

  for (const auto& [name, tensor] : published_state()) trained_.weights[name] = tensor.cpu().contiguous();
  trained_.n_parameters =
      models::n_parameters(*generators_.perturbation) + models::n_parameters(*generators_.image);
  return std::move(trained_);
}

Status check(const Config& config, const AttackTraining& setup) {
  const std::int64_t n = setup.images.size(0);
  const std::int64_t most = std::max(config.near, config.spread);
  if (n < most) {
    return fail(ErrorCode::kInvalid,
                "{}: near is {} and spread is {}, but a ranked list has {} items; allowed: at most {}", kName,
                config.near, config.spread, n, n);
  }
  return {};
}

}  // namespace

Result<Generators> make_generators(const Config& config, const models::ModelShape& shape) {
  if (shape.image_px == 0) {
    return fail(
        ErrorCode::kInvalid,
        "{} perturbs pictures, and this data set holds image features ({} each); allowed: a data set with "
        "pictures",
        kName, shape.feature_dim);
  }
  if (shape.image_px < 8 || shape.image_px % 4 != 0) {
    return fail(ErrorCode::kInvalid,
                "{0} has no network for {1} x {1} pixels; allowed: a multiple of 4 px of at least 8", kName,
                shape.image_px);
  }
  const std::int64_t width = config.pg_width;
  return Generators{
      .perturbation = std::make_shared<PerturbationGenerator>(std::array{width, 2 * width, 4 * width}),
      .image = std::make_shared<ImageGenerator>(config.width)};
}

Result<TrainedAttack> train(const Config& config, const AttackTraining& setup) {
  GAUNTLET_CHECK_OK(check(config, setup));
  return Training(config, setup).run();
}

}  // namespace gauntlet::attacks::eqb2a
