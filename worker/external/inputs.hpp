// The folder of inputs of one run of an external entry: arrays as .npy, checkpoints as they are, job.json.
// docs/external.md lists the files. Thread safety: pure functions; one run per folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/artifacts/artifact_store.hpp"
#include "core/spec/external.hpp"

namespace gauntlet::external {

/// What the outputs are checked against and published with. Kept in memory: a program may write into its own
/// folder of inputs.
struct Given {
  std::vector<std::int64_t> rows;   ///< [n], items of the dataset
  std::vector<std::int64_t> shape;  ///< of the inputs, [n, …]; empty when there are none
  std::vector<float> values;        ///< the inputs as they were before an attack or a defense
  double low = 0, high = 1;         ///< range of valid inputs
  bool is_binary = false;           ///< texts of 0 and 1
  bool is_image = true;
  std::int64_t bits = 0;                    ///< length of codes
  std::vector<std::uint8_t> target_labels;  ///< row-major [n, C], of targeted attacks
  std::vector<std::int64_t> target_items;   ///< [n]
  std::int64_t n_labels = 0;
};

/// Fills `folder`, which is there and empty. `seed` is what the entry draws from. Errors: those of opening
/// the job's inputs; kCorrupt for inputs that do not fit together; kNoSpace, kIo.
[[nodiscard]] Result<Given> write_inputs(const spec::ExternalEntry& entry, spec::ExternalTask task,
                                         const spec::JobSpec& job, const artifacts::ArtifactStore& store,
                                         const std::filesystem::path& folder);

}  // namespace gauntlet::external
