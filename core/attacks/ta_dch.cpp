// TA-DCH, targeted attack on deep cross-modal hashing: a network learns what an item with given labels and
// text looks like to the target model (PrototypeNet); another one repaints a query so that the target takes
// it for such an item. No budget but the weight of the reconstruction error.
#include <chrono>
#include <functional>
#include <span>

#include "core/attacks/attack.hpp"
#include "core/attacks/detail/generator_layers.hpp"
#include "core/attacks/detail/in_precision.hpp"
#include "core/attacks/detail/projection.hpp"
#include "core/attacks/detail/ta_dch_training.hpp"
#include "core/base/random.hpp"
#include "core/models/epochs.hpp"
#include "core/models/weights.hpp"

namespace gauntlet::attacks {
namespace {

using torch::Tensor;

constexpr std::string_view kName = "ta_dch";
constexpr const char* kPrototype = "prototype.";
constexpr const char* kGenerator = "generator.";
constexpr std::int64_t kPublishedPx = 224;

constexpr std::uint64_t kPrototypeOrder = 0x74616463682d7031;  // "tadch-p1"
constexpr std::uint64_t kGeneratorOrder = 0x74616463682d6732;  // "tadch-g2"
constexpr std::uint64_t kTargetDraw = 0x74616463682d7467;      // "tadch-tg"

Status check_shape(const models::ModelShape& shape, Modality modality) {
  if (modality == Modality::kImage && shape.image_px == 0) {
    return fail(
        ErrorCode::kInvalid,
        "ta_dch repaints pictures, and this data set holds image features ({} each); allowed: a data set "
        "with pictures, or direction t2i",
        shape.feature_dim);
  }
  if (modality == Modality::kImage && shape.image_px % 16 != 0) {
    return fail(ErrorCode::kInvalid,
                "ta_dch has no picture generator for {0} x {0} pixels; allowed: multiples of 16",
                shape.image_px);
  }
  return {};
}

/// Side of the feature map. Texts have no canvas: theirs is as large as the pictures', or as the published
/// one.
std::int64_t side_of(const models::ModelShape& shape) {
  const bool has_pictures = shape.image_px >= 16;
  return ta_dch::feature_side(has_pictures ? shape.image_px : kPublishedPx);
}

struct Networks {
  std::shared_ptr<ta_dch::PrototypeNet> prototype;
  std::shared_ptr<ta_dch::Generator> generator;
};

Networks make_networks(const TaDchConfig& config, const AttackSurface& surface) {
  ta_dch::PrototypeLayout layout = ta_dch::prototype_layout(config.map_width);
  layout.n_labels = surface.shape.n_labels;
  layout.text_dim = surface.shape.text_dim;
  layout.code_bits = surface.code_bits;
  layout.side = side_of(surface.shape);
  layout.hidden = config.hidden;
  Networks made;
  made.prototype = std::make_shared<ta_dch::PrototypeNet>(layout);
  if (surface.modality == Modality::kImage) {
    made.generator =
        ta_dch::make_image_generator({.feature = layout.feature,
                                      .translator = {config.translator_width, config.translator_width / 4, 1},
                                      .width = config.width});
  } else {
    made.generator = ta_dch::make_text_generator({.text_dim = layout.text_dim,
                                                  .n_feature = layout.feature * layout.side * layout.side,
                                                  .map_hidden = config.text_map_hidden,
                                                  .hidden = config.text_hidden,
                                                  .is_binary = surface.input_low >= 0,
                                                  .starts_as_identity = config.text_start == "identity"});
  }
  return made;
}

std::shared_ptr<models::Discriminator> make_discriminator(const TaDchConfig& config,
                                                          const AttackSurface& surface) {
  const std::int64_t n_outputs = surface.shape.n_labels + 1;
  if (surface.modality == Modality::kText) {
    return models::make_text_discriminator(surface.shape.text_dim, config.text_disc_hidden,
                                           config.text_disc_middle, models::TextDiscriminator::kLeaky,
                                           n_outputs);
  }
  auto layout = models::image_discriminator_layout(surface.shape.image_px, config.disc_width);
  layout.n_outputs = n_outputs;
  layout.power_step_in_eval = true;
  return models::make_image_discriminator(layout);
}

/// Inputs as they cross interfaces ↔ the generator's domain: [-1,1] for pictures, unchanged for texts.
Tensor to_domain(Modality modality, const Tensor& input) {
  if (modality == Modality::kText) return input;
  return (input * 2 - 1).contiguous(torch::MemoryFormat::ChannelsLast);
}
Tensor from_domain(Modality modality, const Tensor& output) {
  return modality == Modality::kImage ? (output + 1) * 0.5 : output;
}

/// Largest change of an input value in its own units; 0 = none.
double bound_of(const TaDchConfig& config, Modality modality) {
  return modality == Modality::kImage ? config.bound_image : config.bound_text;
}

class TaDch final : public Attack {
 public:
  TaDch(const TaDchConfig& config, AttackSurface surface, Networks networks)
      : surface_(std::move(surface)),
        networks_(std::move(networks)),
        precision_(config.precision.value()),
        bound_(bound_of(config, surface_.modality)) {}

  Tensor perturb(const AttackBatch& batch) override {
    const torch::NoGradGuard no_grad;
    const Tensor clean = batch.inputs.detach();
    const auto target =
        ta_dch::prototype_of(*networks_.prototype, precision_, batch.target_labels.to(clean.options()),
                             batch.target_text.to(clean.options()));
    const Tensor output = in_precision(
        precision_, to_domain(surface_.modality, clean),
        [&](const Tensor& input) { return networks_.generator->forward(input, target.feature).output; });
    const Tensor changed = from_domain(surface_.modality, output);
    const Ball ball{bound_, surface_.input_low, surface_.input_high};
    const Tensor allowed = bound_ > 0 ? applied_within(clean, (changed - clean).clamp(-bound_, bound_), ball)
                                      : changed.clamp(ball.low, ball.high);
    return allowed.contiguous();
  }

 private:
  AttackSurface surface_;
  Networks networks_;
  models::Precision precision_;
  double bound_;
};

Status load(torch::nn::Module& network, const Weights& weights, const char* prefix) {
  const auto own = models::with_prefix(weights, prefix);
  if (!own.empty()) network.to(own.begin()->second.device(), own.begin()->second.scalar_type());
  GAUNTLET_CHECK_OK(models::restore(network, own, fmt::format("{} {}", kName, prefix)));
  to_channels_last(network);
  network.eval();
  for (auto& parameter : network.parameters()) parameter.set_requires_grad(false);
  return {};
}

Result<std::unique_ptr<Attack>> make(const Json& json, AttackSurface surface, std::uint64_t) {
  GAUNTLET_TRY(const TaDchConfig config, read_config<TaDchConfig>(json, kName));
  GAUNTLET_CHECK_OK(check_shape(surface.shape, surface.modality));
  Networks networks = make_networks(config, surface);
  GAUNTLET_CHECK_OK(load(*networks.prototype, surface.weights, kPrototype));
  GAUNTLET_CHECK_OK(load(*networks.generator, surface.weights, kGenerator));
  return std::make_unique<TaDch>(config, std::move(surface), std::move(networks));
}

/// The training set as both stages read it.
class TrainingItems {
 public:
  TrainingItems(const AttackTraining& setup, const torch::TensorOptions& options, std::int64_t n)
      : setup_(setup), options_(options), n_(n), labels_(setup.labels.narrow(0, 0, n).to(options)) {}

  [[nodiscard]] std::int64_t size() const { return n_; }
  [[nodiscard]] const Tensor& labels() const { return labels_; }
  [[nodiscard]] Tensor labels(std::span<const std::int64_t> rows) const {
    return labels_.index_select(
        0, torch::tensor(std::vector<std::int64_t>(rows.begin(), rows.end()), torch::kLong)
               .to(options_.device()));
  }
  [[nodiscard]] Tensor text(std::span<const std::int64_t> rows) const {
    return models::rows_as_inputs(setup_.text, rows, options_);
  }
  [[nodiscard]] Tensor attacked(std::span<const std::int64_t> rows) const {
    const Modality modality = setup_.surface.modality;
    const Tensor& stored = modality == Modality::kImage ? setup_.images : setup_.text;
    return to_domain(modality, models::rows_as_inputs(stored, rows, options_));
  }

 private:
  const AttackTraining& setup_;
  torch::TensorOptions options_;
  std::int64_t n_;
  Tensor labels_;
};

/// Tells the run about its epochs, over both stages.
class EpochReport {
 public:
  EpochReport(const AttackTraining& setup, std::int64_t n_epochs, std::int64_t n_rows,
              std::function<models::NamedTensors()> weights)
      : setup_(setup),
        n_epochs_(n_epochs),
        n_rows_(static_cast<double>(n_rows)),
        watch_({.name = fmt::format("{}, {} query", kName, name_of(setup.surface.modality)),
                .weights = std::move(weights),
                .keep = setup.keep_weights,
                .communicator = setup.communicator}) {}

  /// The next stage of the run, of so many epochs; `networks` names what it trains and what it needs. Gives
  /// the number of its epochs that are done already.
  Result<std::int64_t> begin_stage(std::int64_t n_epochs,
                                   std::function<void(models::StateVisitor&)> networks) {
    stage_ = {.n_before = stage_.n_before + stage_.n_epochs,
              .n_epochs = n_epochs,
              .n_in_all = n_epochs_,
              .state = [this, networks = std::move(networks)](models::StateVisitor& visitor) {
                networks(visitor);
                visitor.curves("curves", curves);
              }};
    GAUNTLET_TRY(const std::int64_t n_done, models::resume(setup_.checkpointer, stage_, watch_));
    n_done_ = stage_.n_before + n_done;
    return n_done;
  }

  /// One epoch: mean losses of what `steps` adds, checked and kept as curves under `prefix` + name.
  Status run(const char* prefix, double lr, const std::function<void(models::EpochLosses&)>& steps) {
    const auto start = std::chrono::steady_clock::now();
    models::EpochLosses sums;
    steps(sums);
    ++n_done_;
    GAUNTLET_TRY(const models::Losses plain,
                 watch_.end_epoch(sums, {.epoch = n_done_, .rates = {{fmt::format("{}lr", prefix), lr}}}));
    models::Losses means;
    for (const auto& [name, mean] : plain) means[prefix + name] = mean;
    models::add_to_curves(curves, means);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    if (setup_.on_epoch) setup_.on_epoch(n_done_, n_epochs_, means, n_rows_ / elapsed.count());
    return models::end_epoch(setup_.checkpointer, stage_, n_done_ - stage_.n_before);
  }

  models::Curves curves;

 private:
  const AttackTraining& setup_;
  std::int64_t n_epochs_;
  double n_rows_;
  models::TrainingWatch watch_;
  models::Stage stage_;
  std::int64_t n_done_ = 0;
};

/// Stage 1. Batch norm needs whole batches and this stage is short, so every rank does the same.
Status train_prototype(const TaDchConfig& config, const AttackTraining& setup, const TrainingItems& items,
                       const std::shared_ptr<ta_dch::PrototypeNet>& net, EpochReport& report) {
  const AttackSurface& surface = setup.surface;
  const Tensor& codes =
      surface.modality == Modality::kImage ? surface.train_codes_image : surface.train_codes_text;
  const std::int64_t n = items.size(), size = config.prototype_batch_size;
  const std::int64_t n_batches = n / size + (n % size > 1 ? 1 : 0);  // batch norm makes nothing of one row
  ta_dch::PrototypeTrainer trainer(config, net, codes.narrow(0, 0, n).to(items.labels().options()),
                                   items.labels(), config.prototype_epochs * n_batches);
  GAUNTLET_TRY(const std::int64_t n_done,
               report.begin_stage(config.prototype_epochs, [&trainer](models::StateVisitor& visitor) {
                 visitor.part("prototype_trainer", trainer);
               }));
  for (std::int64_t epoch = n_done + 1; epoch <= config.prototype_epochs; ++epoch) {
    const auto order = models::shuffled_rows(n, setup.seed, kPrototypeOrder, epoch);
    const double lr = trainer.learning_rate();
    GAUNTLET_CHECK_OK(report.run("prototype_", lr, [&](models::EpochLosses& sums) {
      for (std::int64_t batch = 0; batch < n_batches; ++batch) {
        const std::int64_t first = batch * size;
        const auto rows = std::span(order).subspan(static_cast<std::size_t>(first),
                                                   static_cast<std::size_t>(std::min(size, n - first)));
        sums.add(trainer.step(items.labels(rows), items.text(rows)));
      }
    }));
  }
  models::share_weights(*net, *setup.communicator);
  return {};
}

/// One target per row, drawn from the training set by (epoch, row).
std::vector<std::int64_t> drawn_targets(std::span<const std::int64_t> rows, std::int64_t n,
                                        std::uint64_t seed, std::int64_t epoch) {
  std::vector<std::int64_t> targets;
  for (const std::int64_t row : rows) {
    auto random = RandomStream::of(seed, kTargetDraw, static_cast<std::uint64_t>(epoch * n + row));
    targets.push_back(random.below(static_cast<std::uint32_t>(n)));
  }
  return targets;
}

/// This rank's rows of a global batch, and what they count. A rank without any takes the first row and counts
/// it 0 times, so that every rank takes the same part in every exchange.
struct CountedRows {
  std::span<const std::int64_t> rows;
  double share;
};
CountedRows own_rows(std::span<const std::int64_t> batch, const collective::Communicator& communicator) {
  const auto n = static_cast<std::int64_t>(batch.size());
  const models::RankShare own = models::share_of_rank(n, communicator);
  const std::int64_t n_own = own.last - own.first;
  const double share = static_cast<double>(communicator.world_size() * n_own) / static_cast<double>(n);
  if (n_own == 0) return {batch.first(1), 0};
  return {batch.subspan(static_cast<std::size_t>(own.first), static_cast<std::size_t>(n_own)), share};
}

/// Stage 2, split over ranks.
Status train_generator(const TaDchConfig& config, const AttackTraining& setup, const TrainingItems& items,
                       ta_dch::PrototypeNet& prototype, ta_dch::Players players, EpochReport& report) {
  const models::FrozenModule frozen(prototype);
  ta_dch::GeneratorTrainer trainer(config, std::move(players));
  const std::int64_t n = items.size();
  const auto make_batch = [&](const CountedRows& own, std::int64_t epoch) {
    const torch::NoGradGuard no_grad;
    const auto targets = drawn_targets(own.rows, n, setup.seed, epoch);
    const Tensor target_labels = items.labels(targets);
    const ta_dch::Prototype made =
        ta_dch::prototype_of(prototype, config.precision.value(), target_labels, items.text(targets));
    return ta_dch::GeneratorBatch{.inputs = items.attacked(own.rows),
                                  .labels = items.labels(own.rows),
                                  .feature = made.feature,
                                  .code = made.code,
                                  .target_labels = target_labels,
                                  .share = own.share};
  };
  const std::int64_t epochs =
      setup.surface.modality == Modality::kImage ? config.epochs_image : config.epochs_text;
  GAUNTLET_TRY(const std::int64_t n_done, report.begin_stage(epochs, [&](models::StateVisitor& visitor) {
    visitor.module("prototype", prototype);
    visitor.part("generator_trainer", trainer);
  }));
  for (std::int64_t epoch = n_done + 1; epoch <= epochs; ++epoch) {
    const auto order = models::shuffled_rows(n, setup.seed, kGeneratorOrder, epoch);
    GAUNTLET_CHECK_OK(report.run("", config.lr, [&](models::EpochLosses& sums) {
      for (std::int64_t first = 0, step = 0; first < n; first += config.batch_size, ++step) {
        const auto size = static_cast<std::size_t>(std::min(config.batch_size, n - first));
        const auto batch = std::span(order).subspan(static_cast<std::size_t>(first), size);
        sums.add(trainer.step(make_batch(own_rows(batch, *setup.communicator), epoch), step));
      }
    }));
  }
  return {};
}

void prepare(torch::nn::Module& module, const torch::TensorOptions& options,
             collective::Communicator& communicator) {
  module.to(options.device(), c10::typeMetaToScalarType(options.dtype()));
  models::share_weights(module, communicator);
  to_channels_last(module);
  module.train();
}

Result<TrainedAttack> train(const Json& json, AttackTraining setup) {
  GAUNTLET_TRY(const TaDchConfig config, read_config<TaDchConfig>(json, kName));
  const AttackSurface& surface = setup.surface;
  GAUNTLET_CHECK_OK(check_shape(surface.shape, surface.modality));
  const std::int64_t n_given = setup.labels.size(0);
  const std::int64_t n = config.n_train > 0 ? std::min(config.n_train, n_given) : n_given;
  if (n < 2) {
    return fail(ErrorCode::kInvalid, "ta_dch cannot train on {} pair{}; allowed: 2 training pairs or more", n,
                n == 1 ? "" : "s");
  }
  torch::manual_seed(setup.seed);
  const Networks networks = make_networks(config, surface);
  const auto discriminator = make_discriminator(config, surface);
  const Tensor& stored = surface.modality == Modality::kImage ? setup.images : setup.text;
  const auto type = stored.is_floating_point() ? stored.scalar_type() : torch::kFloat;
  const auto options = torch::TensorOptions(surface.train_codes_image.device()).dtype(type);
  prepare(*networks.prototype, options, *setup.communicator);
  prepare(*networks.generator, options, *setup.communicator);
  prepare(*discriminator, options, *setup.communicator);

  const TrainingItems items(setup, options, n);
  const bool image = surface.modality == Modality::kImage;
  const auto weights = [&networks] {
    models::NamedTensors all;
    models::add_with_prefix(all, kPrototype, models::state_of(*networks.prototype));
    models::add_with_prefix(all, kGenerator, models::state_of(*networks.generator));
    return all;
  };
  EpochReport report(setup, config.prototype_epochs + (image ? config.epochs_image : config.epochs_text), n,
                     weights);
  GAUNTLET_CHECK_OK(train_prototype(config, setup, items, networks.prototype, report));
  ta_dch::Players players{
      .generator = networks.generator,
      .discriminator = discriminator,
      .encode =
          [&surface](const Tensor& input) { return surface.encode(from_domain(surface.modality, input)); },
      .communicator = setup.communicator,
      .bound = bound_of(config, surface.modality) * (image ? 2 : 1)};
  GAUNTLET_CHECK_OK(train_generator(config, setup, items, *networks.prototype, std::move(players), report));

  TrainedAttack trained;
  models::add_with_prefix(trained.weights, kPrototype, models::weights_of(*networks.prototype));
  models::add_with_prefix(trained.weights, kGenerator, models::weights_of(*networks.generator));
  trained.n_parameters =
      models::n_parameters(*networks.prototype) + models::n_parameters(*networks.generator);
  trained.curves = std::move(report.curves);
  return trained;
}

constexpr std::string_view kDatasetDefaults = R"({
  "picto": {"hidden": 128, "map_width": 8, "width": 12, "translator_width": 16, "disc_width": 12,
            "text_map_hidden": 128, "text_hidden": 256, "text_start": "identity", "text_disc_hidden": 128,
            "text_disc_middle": 32, "n_train": 1500, "prototype_epochs": 10, "prototype_lr": 0.001, "epochs_image": 8,
            "epochs_text": 8, "lr": 0.001, "rec_weight": 50, "rec_weight_text": 150},
  "picto_scenes": {"hidden": 128, "map_width": 8, "width": 12, "translator_width": 16, "disc_width": 12,
                   "text_map_hidden": 128, "text_hidden": 256, "text_start": "identity", "text_disc_hidden": 128,
                   "text_disc_middle": 32, "n_train": 1500, "prototype_epochs": 10, "prototype_lr": 0.001,
                   "epochs_image": 8, "epochs_text": 8, "lr": 0.001, "rec_weight": 50, "rec_weight_text": 150}
})";

}  // namespace

extern const AttackEntry ta_dch_entry;
constinit const AttackEntry ta_dch_entry{
    .about = {.name = kName,
              .version = 2,
              .summary =
                  "Repaints a query so that the target model takes it for a chosen item of the retrieval set",
              .reference = "TA-DCH, as released: pictures; texts by an extension of ours (own generator and "
                           "discriminator, same losses)",
              .capabilities = {.image = true, .text = true, .trains = true, .targeted = true},
              .fields = &describe_fields<TaDchConfig>,
              .dataset_defaults = kDatasetDefaults},
    .make = &make,
    .train = &train,
};

}  // namespace gauntlet::attacks
