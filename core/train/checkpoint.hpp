// Modules and named tensors to .safetensors files and back.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "core/base/result.hpp"
#include "core/models/weights.hpp"
#include "core/torch.hpp"

namespace gauntlet::train {

using models::NamedTensors;
using models::restore;
using models::state_of;

/// Writes the tensors (moved to the CPU) so that the file appears complete or not at all; equal content gives
/// equal bytes. Errors: kNoSpace, kIo; kInvalid for a type the format lacks.
[[nodiscard]] Status save_tensors(const std::filesystem::path& path, const NamedTensors& tensors,
                                  const std::map<std::string, std::string>& metadata = {});

/// A whole file, in memory of its own.
struct TensorFile {
  NamedTensors tensors;
  std::map<std::string, std::string> metadata;
};
/// Errors: kNotFound, kIo, kCorrupt.
[[nodiscard]] Result<TensorFile> load_tensor_file(const std::filesystem::path& path);
[[nodiscard]] Result<NamedTensors> load_tensors(const std::filesystem::path& path);  ///< without metadata

[[nodiscard]] Status save_module(const std::filesystem::path& path, const torch::nn::Module& module);
[[nodiscard]] Status load_module(const std::filesystem::path& path, torch::nn::Module& module);

}  // namespace gauntlet::train
