// .npy and .safetensors files as containers: their own readers check the headers, the numbers are then read
// from the file in parts.
#pragma once

#include "core/io/container.hpp"

namespace gauntlet::io::detail {

/// One array, named after the file without its ending.
[[nodiscard]] Result<std::unique_ptr<Container>> open_npy_container(const std::filesystem::path& path);
[[nodiscard]] Result<std::unique_ptr<Container>> open_safetensors_container(
    const std::filesystem::path& path);

}  // namespace gauntlet::io::detail
