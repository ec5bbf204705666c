// Which torch type an array in a file has, and back; one table for .npy and .safetensors.
#pragma once

#include <optional>

#include "core/io/dtype.hpp"
#include "core/torch.hpp"

namespace gauntlet::train {

/// Nothing for types that torch, or the files, do not have.
[[nodiscard]] std::optional<torch::ScalarType> torch_type_of(io::DType dtype);
[[nodiscard]] std::optional<io::DType> file_type_of(torch::ScalarType type);

}  // namespace gauntlet::train
