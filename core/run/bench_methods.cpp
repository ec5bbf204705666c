#include "core/run/bench_methods.hpp"

#include <chrono>

#include "core/attacks/attack.hpp"
#include "core/defenses/defense.hpp"
#include "core/models/trained_models.hpp"
#include "core/models/weights.hpp"
#include "core/run/jobs.hpp"
#include "core/run/noise_pairs.hpp"
#include "core/run/plain_loops.hpp"
#include "core/train/seeding.hpp"

namespace gauntlet::run {
namespace {

constexpr std::int64_t kBits = kNoiseShape.code_bits;
constexpr std::int64_t kPairs = kNoisePairs;
constexpr double kSecondsPerFigure = 2;

std::vector<Modality> modalities_of(const Capabilities& can) {
  std::vector<Modality> modalities;
  if (can.image) modalities.push_back(Modality::kImage);
  if (can.text) modalities.push_back(Modality::kText);
  return modalities;
}

class Bench {
 public:
  explicit Bench(const MethodsBench& options)
      : options_(options), seconds_(options.quick ? kSecondsPerFigure / 5 : kSecondsPerFigure) {}

  Result<Json> run() {
    GAUNTLET_CHECK_OK(build_target());
    for (const models::ModelEntry* entry : models::trained_models()) {
      GAUNTLET_CHECK_OK(measure_model(*entry));
    }
    for (const attacks::AttackEntry* entry : attacks::attack_registry().entries()) {
      if (entry->make != nullptr) GAUNTLET_CHECK_OK(measure_attack(*entry));
    }
    for (const defenses::DefenseEntry* entry : defenses::defense_registry().entries()) {
      GAUNTLET_CHECK_OK(measure_defense(*entry));
    }
    return std::move(figures_);
  }

 private:
  /// Rows per second of a call that handles `n_rows`.
  double rate_of(std::int64_t n_rows, const std::function<void()>& call) const {
    call();
    const auto started = std::chrono::steady_clock::now();
    std::int64_t n_calls = 0;
    std::chrono::duration<double> elapsed{};
    do {
      call();
      ++n_calls;
      elapsed = std::chrono::steady_clock::now() - started;
    } while (elapsed.count() < seconds_);
    return static_cast<double>(n_rows * n_calls) / elapsed.count();
  }

  double add(const std::string& name, std::int64_t n_rows, const std::function<void()>& call) {
    if (options_.on_figure) options_.on_figure(name);
    const double rate = rate_of(n_rows, call);
    figures_[name + "_per_s"] = rate;
    return rate;
  }

  /// The mean rate that a training run reports of its own epochs.
  template <class Setup>
  void watch(const std::string& name, Setup& setup) {
    if (options_.on_figure) options_.on_figure(name);
    setup.on_epoch = [this, name, n = std::int64_t{0}, sum = 0.0](auto, auto, const auto&,
                                                                  double rate) mutable {
      sum += rate;
      figures_[name + "_per_s"] = sum / static_cast<double>(++n);
    };
  }

  Status build_target() {
    train::seed_weights(1);
    GAUNTLET_TRY(const models::ModelEntry* entry, models::model_registry().find("cpah"));
    target_entry_ = entry;
    GAUNTLET_TRY(plain_.model, entry->make(settings_of(entry->about), kShape, solo_.get()));
    GAUNTLET_TRY(model_, entry->make(settings_of(entry->about), kShape, solo_.get()));
    GAUNTLET_CHECK_OK(models::restore(*model_, models::state_of(*plain_.model)));
    plain_.model->eval();
    model_->eval();
    for (torch::Tensor& parameter : model_->parameters()) parameter.requires_grad_(false);
    plain_.train_codes_image = torch::randint(0, 2, {kPairs, kBits}).to(torch::kFloat32) * 2 - 1;
    plain_.train_codes_text = torch::randint(0, 2, {kPairs, kBits}).to(torch::kFloat32) * 2 - 1;
    plain_.train_labels = pairs_.labels;
    return {};
  }

  Status measure_model(const models::ModelEntry& entry) {
    const Json config = settings_of(entry.about);
    train::seed_weights(1);
    GAUNTLET_TRY(const auto model, entry.make(config, kShape, solo_.get()));
    GAUNTLET_TRY(const auto training,
                 entry.make_training(config, model,
                                     {.labels = pairs_.labels, .seed = 1, .communicator = solo_.get()}));
    training->begin(1'000'000);
    const std::int64_t size = std::min(training->batch_size(), kPairs);
    const models::TrainingBatch batch{pairs_.images.slice(0, 0, size), pairs_.text.slice(0, 0, size),
                                      pairs_.labels.slice(0, 0, size), torch::arange(size)};
    add(fmt::format("train_model_{}_pairs", entry.about.name), size, [&] { training->step(batch); });
    model->eval();
    for (const Modality modality : {Modality::kImage, Modality::kText}) {
      const std::string name = fmt::format("encode_{}_{}", entry.about.name, name_of(modality));
      const double rate = add(name, kPairs, [&] {
        const torch::NoGradGuard no_grad;
        for (std::int64_t begin = 0; begin < kPairs; begin += kInputsPerBatch) {
          static_cast<void>(
              model->encode(modality, pairs_.inputs(modality).slice(0, begin, begin + kInputsPerBatch)));
        }
      });
      figures_[name + "_ratio"] =
          rate / rate_of(kPairs,
                         [&] { static_cast<void>(plain_encode(*model, modality, pairs_.inputs(modality))); });
    }
    return {};
  }

  [[nodiscard]] attacks::AttackSurface surface_of(const attacks::AttackEntry& entry,
                                                  Modality modality) const {
    attacks::AttackSurface surface;
    surface.modality = modality;
    surface.shape = kShape;
    surface.train_labels = pairs_.labels;
    surface.code_bits = kBits;
    if (entry.about.capabilities.black_box) return surface;
    surface.encode = [model = model_, modality](const torch::Tensor& input) {
      return model->encode(modality, input);
    };
    surface.train_codes_image = plain_.train_codes_image;
    surface.train_codes_text = plain_.train_codes_text;
    const torch::Tensor& retrieved =
        modality == Modality::kImage ? surface.train_codes_text : surface.train_codes_image;
    surface.database = [data = attacks::Database{retrieved, pairs_.labels}]() -> Result<attacks::Database> {
      return data;
    };
    return surface;
  }

  /// Lists in a fixed order: what an answer costs is the target's matter.
  class FixedLists final : public attacks::RankedLists {
   public:
    torch::Tensor rank(Modality, const torch::Tensor& inputs) override {
      n_queries_ += inputs.size(0);
      return torch::arange(kPairs).expand({inputs.size(0), kPairs});
    }
    [[nodiscard]] std::int64_t queries_used() const override { return n_queries_; }

   private:
    std::int64_t n_queries_ = 0;
  };

  Status measure_attack(const attacks::AttackEntry& entry) {
    const Json config = short_settings_of(entry.about);
    for (const Modality modality : modalities_of(entry.about.capabilities)) {
      const std::string what = fmt::format("{}_{}", entry.about.name, name_of(modality));
      attacks::AttackSurface surface = surface_of(entry, modality);
      if (entry.train != nullptr) {
        FixedLists lists;
        attacks::AttackTraining setup;
        setup.surface = surface;
        if (entry.about.capabilities.black_box) setup.ranked_lists = &lists;
        setup.images = pairs_.pictures;
        setup.text = pairs_.texts;
        setup.labels = pairs_.labels;
        setup.seed = 1;
        setup.communicator = solo_.get();
        watch("train_attack_" + what + "_rows", setup);
        GAUNTLET_TRY(const attacks::TrainedAttack trained, entry.train(config, std::move(setup)));
        surface.weights = trained.weights;
      }
      GAUNTLET_TRY(const auto attack, entry.make(config, surface, 1));
      const std::string name = "craft_" + what;
      const double rate =
          add(name, kCrafted, [&] { static_cast<void>(attack->perturb(batch_of(modality))); });
      if (entry.about.name == "pgd") figures_[name + "_ratio"] = rate / plain_pgd_rate(config, modality);
    }
    return {};
  }

  [[nodiscard]] attacks::AttackBatch batch_of(Modality modality) const {
    return {.inputs = pairs_.inputs(modality).slice(0, 0, kCrafted),
            .labels = pairs_.labels.slice(0, 0, kCrafted),
            .rows = std::span(pairs_.rows).first(kCrafted),
            .target_labels = pairs_.labels.slice(0, kCrafted, 2 * kCrafted),
            .target_text = pairs_.text.slice(0, kCrafted, 2 * kCrafted)};
  }

  double plain_pgd_rate(const Json& config, Modality modality) const {
    const bool image = modality == Modality::kImage;
    const double epsilon = config.at(image ? "epsilon_image" : "epsilon_text").get<double>();
    return rate_of(kCrafted, [&] {
      static_cast<void>(plain_pgd(plain_, modality, pairs_.inputs(modality).slice(0, 0, kCrafted),
                                  pairs_.labels.slice(0, 0, kCrafted), config.at("steps").get<std::int64_t>(),
                                  epsilon, epsilon * 3 / 8));
    });
  }

  [[nodiscard]] defenses::TargetCopies copies() const {
    defenses::TargetCopies copies;
    copies.copy = [this]() -> Result<std::shared_ptr<models::HashingModel>> {
      GAUNTLET_TRY(std::shared_ptr<models::HashingModel> copy,
                   target_entry_->make(settings_of(target_entry_->about), kShape, solo_.get()));
      GAUNTLET_CHECK_OK(models::restore(*copy, models::state_of(*model_)));
      copy->eval();
      return copy;
    };
    copies.own_training = [this](std::shared_ptr<models::HashingModel> copy,
                                 const models::TrainingSetup& setup) {
      return target_entry_->make_training(settings_of(target_entry_->about), std::move(copy), setup);
    };
    return copies;
  }

  Status measure_defense(const defenses::DefenseEntry& entry) {
    const Capabilities& can = entry.about.capabilities;
    const Json config = short_settings_of(entry.about);
    defenses::Weights joint_weights;
    for (const Modality modality : modalities_of(can)) {
      const std::string what = can.joint ? std::string(entry.about.name)
                                         : fmt::format("{}_{}", entry.about.name, name_of(modality));
      defenses::PipelineParts parts{.model = model_,
                                    .shape = kShape,
                                    .modality = modality,
                                    .weights = joint_weights,
                                    .target = copies()};
      if (entry.train != nullptr && joint_weights.empty()) {
        defenses::DefenseTraining setup = training_of(entry, modality);
        watch("train_defense_" + what + "_pairs", setup);
        GAUNTLET_TRY(const defenses::TrainedDefense trained, entry.train(config, std::move(setup)));
        parts.weights = trained.weights;
        if (can.joint) joint_weights = trained.weights;
      }
      GAUNTLET_TRY(const auto pipeline, entry.make(config, std::move(parts)));
      add(fmt::format("query_{}_{}", entry.about.name, name_of(modality)), kCrafted, [&] {
        const torch::NoGradGuard no_grad;
        static_cast<void>(pipeline->encode_query(modality, pairs_.inputs(modality).slice(0, 0, kCrafted)));
      });
    }
    return {};
  }

  [[nodiscard]] defenses::DefenseTraining training_of(const defenses::DefenseEntry& entry,
                                                      Modality modality) const {
    defenses::DefenseTraining setup;
    setup.modality = modality;
    setup.model = model_;
    setup.shape = kShape;
    setup.target = copies();
    if (entry.about.capabilities.joint) {
      setup.images = pairs_.pictures;
      setup.text = pairs_.texts;
    } else {
      setup.inputs = modality == Modality::kImage ? pairs_.pictures : pairs_.texts;
      setup.crafted = torch::randint(-127, 128, setup.inputs.sizes(), torch::kChar);
      setup.crafted_scale = 8.0 / 255 / 127;
    }
    setup.labels = setup.train_labels = pairs_.labels;
    setup.train_codes_image = plain_.train_codes_image;
    setup.train_codes_text = plain_.train_codes_text;
    setup.seed = 1;
    setup.communicator = solo_.get();
    return setup;
  }

  static constexpr std::int64_t kCrafted = kInputsPerBatch;
  static constexpr models::ModelShape kShape = kNoiseShape;

  const MethodsBench& options_;
  double seconds_;
  Json figures_ = Json::object();
  NoisePairs pairs_;
  std::unique_ptr<collective::Communicator> solo_ = collective::make_solo_communicator();
  const models::ModelEntry* target_entry_ = nullptr;
  std::shared_ptr<models::HashingModel> model_;  ///< frozen
  PlainTarget plain_;
};

}  // namespace

Result<Json> bench_methods(const MethodsBench& bench) {
  train::set_threads(bench.n_threads);
  return Bench(bench).run();
}

}  // namespace gauntlet::run
