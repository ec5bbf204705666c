// State dicts that Python's torch.save wrote, without Python: torch::pickle_load drops ordered dicts, which
// state dicts are.
#pragma once

#include <filesystem>

#include "core/base/result.hpp"
#include "core/models/weights.hpp"

namespace gauntlet::models {

/// The float32 tensors of a dict from texts to tensors, in the zip format of PyTorch 1.6 and later. Only what
/// state dicts are made of is understood; nothing in the file can run code. Errors (kInvalid, kNotFound, kIo)
/// name the file.
[[nodiscard]] Result<NamedTensors> read_state_dict(const std::filesystem::path& path);

}  // namespace gauntlet::models
