#include "core/defenses/detail/drfgd_pairs.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/attacks/attack.hpp"
#include "core/base/random.hpp"
#include "core/models/epochs.hpp"

namespace gauntlet::defenses {
namespace {

using torch::Tensor;

constexpr std::uint64_t kTwinsTag = 0x64726667642d6165;  // "drfgd-ae"
constexpr std::int64_t kTwinsPerBatch = 64;
constexpr double kInt8Steps = 127;

/// The crafting attack's own options: the defense's fields craft_<name>.
Json craft_options(const DrfgdConfig& config) {
  FieldWriter writer;
  DrfgdConfig::fields(config, writer);
  Json options = Json::object();
  for (const auto& [name, value] : writer.config.items()) {
    if (name.starts_with("craft_")) options[name.substr(6)] = value;
  }
  return options;
}

attacks::AttackSurface surface_of(const DefenseTraining& setup, double low,
                                  const torch::TensorOptions& options) {
  return {.modality = setup.modality,
          .shape = setup.shape,
          .encode = [model = setup.model, modality = setup.modality](
                        const Tensor& input) { return model->encode(modality, input); },
          .train_codes_image = setup.train_codes_image.to(options),
          .train_codes_text = setup.train_codes_text.to(options),
          .train_labels = setup.train_labels.to(options),
          .input_low = low,
          .code_bits = setup.shape.code_bits};
}

Tensor index_of(std::span<const std::int64_t> rows) {
  return torch::tensor(std::vector<std::int64_t>(rows.begin(), rows.end()), torch::kLong);
}

}  // namespace

Tensor to_domain(Modality modality, const Tensor& input) {
  return modality == Modality::kImage ? (input * 2 - 1).contiguous(torch::MemoryFormat::ChannelsLast) : input;
}

Tensor from_domain(Modality modality, const Tensor& output) {
  return modality == Modality::kImage ? (output + 1) * 0.5 : output;
}

TrainingPairs::TrainingPairs(const DefenseTraining& setup, const DrfgdConfig& config,
                             const torch::TensorOptions& options)
    : setup_(setup),
      config_(config),
      options_(options),
      size_(config.n_train > 0 ? std::min(setup.inputs.size(0), config.n_train) : setup.inputs.size(0)),
      low_(setup.modality == Modality::kText ? setup.text_low : 0),
      crafted_(setup.crafted),
      crafted_scale_(setup.crafted_scale) {}

Tensor TrainingPairs::clean(std::span<const std::int64_t> rows) const {
  return models::rows_as_inputs(setup_.inputs, rows, options_);
}

DrfgdBatch TrainingPairs::batch(std::span<const std::int64_t> rows, std::int64_t global_size) const {
  const Tensor clean = this->clean(rows), index = index_of(rows);
  const Tensor perturbation = crafted_.index_select(0, index).to(options_) * crafted_scale_;
  // Stored steps are rounded, so a sum may leave the valid range by half a step.
  const Tensor adversarial = (clean + perturbation).clamp(low_, 1);
  return {.clean = to_domain(setup_.modality, clean),
          .adversarial = to_domain(setup_.modality, adversarial),
          .labels = setup_.labels.index_select(0, index).to(options_),
          .global_size = global_size};
}

Status TrainingPairs::refresh(std::int64_t number) {
  GAUNTLET_TRY(const attacks::AttackEntry* entry, attacks::attack_registry().find(kDrfgdCrafter));
  const std::uint64_t seed =
      RandomStream::of(setup_.seed, kTwinsTag, static_cast<std::uint64_t>(number)).state();
  GAUNTLET_TRY(const auto attack,
               entry->make(craft_options(config_), surface_of(setup_, low_, options_), seed));

  const models::RankShare share = models::share_of_rank(size_, *setup_.communicator);
  std::vector<Tensor> made;
  for (std::int64_t begin = share.first; begin < share.last; begin += kTwinsPerBatch) {
    std::vector<std::int64_t> rows(static_cast<std::size_t>(std::min(kTwinsPerBatch, share.last - begin)));
    std::iota(rows.begin(), rows.end(), begin);
    const Tensor inputs = clean(rows);
    const Tensor labels = setup_.labels.index_select(0, index_of(rows)).to(options_);
    made.push_back(attack->perturb({.inputs = inputs, .labels = labels, .rows = rows}) - inputs);
  }
  const Tensor steps = torch::cat(made).cpu().contiguous();
  const Tensor largest = steps.abs().max().to(torch::kDouble).view({1});
  const double linf = setup_.communicator->gather_rows(largest).max().item<double>();
  crafted_scale_ = linf > 0 ? linf / kInt8Steps : 1;
  crafted_ = setup_.communicator->gather_rows((steps / crafted_scale_).round().to(torch::kChar));
  return {};
}

}  // namespace gauntlet::defenses
