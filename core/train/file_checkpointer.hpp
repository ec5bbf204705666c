// Checkpoints of a training job as one .safetensors file in a folder of its own, always the newest.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "core/collective/communicator.hpp"
#include "core/models/checkpointer.hpp"
#include "core/train/checkpoint.hpp"

namespace gauntlet::train {

/// Name of the file within the folder.
inline constexpr std::string_view kCheckpointFile = "checkpoint.safetensors";

struct CheckpointOptions {
  std::filesystem::path folder;                   ///< of this job alone; made when it is needed
  std::map<std::string, std::string> belongs_to;  ///< what a checkpoint must say of itself to be of use here
  double minutes = 5;                             ///< between two saves; 0: after every epoch
  collective::Communicator* communicator = nullptr;
  const std::atomic<bool>* stop = nullptr;  ///< set: save after the running epoch and stop there; may be null
  /// Told once when a checkpoint is put back: epochs done, of how many.
  std::function<void(std::int64_t epoch, std::int64_t n_epochs)> on_resume = {};
};

/// Rank 0 writes, every rank reads; all resume, or none does. A file that belongs to something else or is
/// damaged, and a disk that takes none, cost a line on stdout (the attempt's log) and nothing else.
/// Beside the run's state it holds torch's default generator of the CPU, and seconds of training so far.
class FileCheckpointer final : public models::Checkpointer {
 public:
  /// Reads the newest checkpoint, unless `ignores_old`.
  explicit FileCheckpointer(CheckpointOptions options, bool ignores_old = false);

  [[nodiscard]] Result<std::int64_t> resume(const models::Stage& stage) override;
  [[nodiscard]] Status end_epoch(const models::Stage& stage, std::int64_t epoch) override;

  /// Of training in earlier attempts that this one goes on from.
  [[nodiscard]] double seconds_before() const { return seconds_before_; }
  /// Whether a checkpoint was put back in part only, so that the run has to be made anew without it.
  [[nodiscard]] bool is_unfit() const { return is_unfit_; }
  /// The job is done: removes its folder (rank 0).
  void discard() const;

 private:
  [[nodiscard]] Status load();
  void agree_over_ranks();
  [[nodiscard]] Status save(const models::Stage& stage, std::int64_t epoch);
  [[nodiscard]] std::filesystem::path path() const { return options_.folder / kCheckpointFile; }
  [[nodiscard]] bool is_main_rank() const { return options_.communicator->rank() == 0; }
  [[nodiscard]] double seconds() const;

  CheckpointOptions options_;
  TensorFile loaded_;
  std::int64_t loaded_epoch_ = 0;  ///< 0: there is none, or it has been put back
  double seconds_before_ = 0;
  bool is_unfit_ = false;
  std::chrono::steady_clock::time_point started_;
  std::chrono::steady_clock::time_point saved_;
};

}  // namespace gauntlet::train
