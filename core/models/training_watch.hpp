// What guards the training run of a model, a defense or an attack: losses and weights must stay finite, and
// when they do not, the weights from before are kept where a person finds them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "core/collective/communicator.hpp"
#include "core/models/epochs.hpp"
#include "core/models/hashing_model.hpp"
#include "core/models/weights.hpp"
#include "core/torch.hpp"

namespace gauntlet::models {

/// Stores the last good weights of a run that diverged, and says where. They are never the job's artifact.
using KeepWeights = std::function<Result<std::filesystem::path>(const NamedTensors& weights)>;

struct WatchedRun {
  std::string name;  ///< in messages: "cpah", "drfgd, image network"
  /// What the run would leave if it ended now; may share memory with the networks.
  std::function<NamedTensors()> weights;
  KeepWeights keep = {};  ///< empty: nothing is kept (no log, or a rank other than 0)
  collective::Communicator* communicator = nullptr;
};

/// Every rank has one and asks it the same; all see the same answer, since the losses they ask about are
/// those of the global batch, or means over ranks.
class TrainingWatch {
 public:
  explicit TrainingWatch(WatchedRun run) : run_(std::move(run)) {}

  /// Where a run is when it asks.
  struct Moment {
    std::int64_t epoch = 0;  ///< from 1
    std::int64_t step = 0;   ///< within the epoch, from 1; 0: unknown
    Rates rates = {};
  };

  /// Errors (kDiverged): a loss that is not finite, in one sentence with the run, the loss, epoch and step,
  /// the learning rates, and where the last good weights are.
  [[nodiscard]] Status check(const Losses& losses, const Moment& moment);

  /// The end of an epoch whose losses were checked: remembers the weights. Errors (kDiverged): a weight that
  /// is not finite.
  [[nodiscard]] Status end_epoch(const Moment& moment);

  /// The same for losses that are only summed up during an epoch; their means over steps and ranks.
  [[nodiscard]] Result<Losses> end_epoch(const EpochLosses& sums, Moment moment);

 private:
  [[nodiscard]] Error diverged(const std::string& what, const Moment& moment) const;
  [[nodiscard]] std::string whereabouts() const;

  WatchedRun run_;
  NamedTensors last_good_;
  std::int64_t last_good_epoch_ = 0;
};

}  // namespace gauntlet::models
