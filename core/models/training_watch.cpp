#include "core/models/training_watch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace gauntlet::models {
namespace {

/// "epoch 3, step 17, at d_lr 0.0001 and lr 0.004".
std::string place_of(const TrainingWatch::Moment& moment) {
  std::string place = fmt::format("epoch {}", moment.epoch);
  if (moment.step > 0) place += fmt::format(", step {}", moment.step);
  const char* before = ", at ";
  for (const auto& [name, rate] : moment.rates) {
    place += fmt::format("{}{} {}", before, name, rate);
    before = " and ";
  }
  return place;
}

/// In one pass: extremes carry what is not a number.
bool is_finite(const torch::Tensor& tensor) {
  if (!tensor.is_floating_point() || tensor.numel() == 0) return true;
  const auto [least, greatest] = tensor.detach().aminmax();
  return std::isfinite(least.item<double>()) && std::isfinite(greatest.item<double>());
}

}  // namespace

Status TrainingWatch::check(const Losses& losses, const Moment& moment) {
  const auto broken =
      std::ranges::find_if(losses, [](const auto& loss) { return !std::isfinite(loss.second); });
  if (broken == losses.end()) return {};
  return fail(diverged(fmt::format("loss '{}' became {}", broken->first, broken->second), moment));
}

Status TrainingWatch::end_epoch(const Moment& moment) {
  const NamedTensors weights = run_.weights();
  const auto broken = std::ranges::find_if(weights, [](const auto& item) { return !is_finite(item.second); });
  if (broken != weights.end()) {
    return fail(diverged(fmt::format("weight '{}' is no longer finite", broken->first), moment));
  }
  if (!run_.keep) return {};
  last_good_epoch_ = moment.epoch;
  last_good_.clear();
  for (const auto& [name, tensor] : weights) {
    last_good_[name] = tensor.detach().cpu().clone(torch::MemoryFormat::Contiguous);
  }
  return {};
}

Result<Losses> TrainingWatch::end_epoch(const EpochLosses& sums, Moment moment) {
  Losses means = sums.means(*run_.communicator);
  const bool finite = std::ranges::all_of(means, [](const auto& loss) { return std::isfinite(loss.second); });
  // Ranks agree on the means, so all of them take part in finding the step.
  if (!finite) moment.step = sums.first_bad_step(*run_.communicator);
  GAUNTLET_CHECK_OK(check(means, moment));
  GAUNTLET_CHECK_OK(end_epoch(moment));
  return means;
}

Error TrainingWatch::diverged(const std::string& what, const Moment& moment) const {
  return {ErrorCode::kDiverged, fmt::format("{}: {} in {}; a smaller learning rate may help{}", run_.name,
                                            what, place_of(moment), whereabouts())};
}

std::string TrainingWatch::whereabouts() const {
  if (!run_.keep) return "";
  if (last_good_epoch_ == 0) return "; no epoch ended before, so there are no good weights to keep";
  const Result<std::filesystem::path> kept = run_.keep(last_good_);
  if (!kept) return fmt::format("; the good weights could not be kept: {}", kept.error().message);
  return fmt::format("; the weights after epoch {} are kept in {}", last_good_epoch_, kept->string());
}

}  // namespace gauntlet::models
