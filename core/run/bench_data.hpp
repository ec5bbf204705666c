// `gauntlet bench data`: whether reading batches from mapped files keeps up with the loops that take them.
#pragma once

#include <filesystem>
#include <functional>

#include "core/base/json.hpp"
#include "core/base/result.hpp"

namespace gauntlet::run {

struct DataBench {
  bool quick = false;            ///< a fifth of the time per figure
  int n_threads = 1;             ///< of the loop; reading has a thread of its own
  std::filesystem::path folder;  ///< empty; gets a set of 1,024 pictures of 224 px, 154 MB
  /// Told before each figure: what is measured now.
  std::function<void(const std::string&)> on_figure;
};

/// Two loops over batches of 32 pictures of 224 px, each once with shuffled batches from the mapped files and
/// once with one batch that stays in memory, in turns: CNN-F forward (what feature extraction does) and
/// AlexNet forward and backward (what fine-tuning does). {"read_images_per_s": of reading alone,
/// "<loop>_images_per_s", "<loop>_fixed_images_per_s", "<loop>_prefetch_ratio": the first over the second;
/// "prefetch_ratio": the smaller of the two ratios}. Errors: the folder cannot be written.
[[nodiscard]] Result<Json> bench_data(const DataBench& bench);

}  // namespace gauntlet::run
