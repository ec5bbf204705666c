// Text files that list pictures with their labels: "<path> <0/1> <0/1> …" per line.
#pragma once

#include <cstddef>
#include <string_view>

#include "core/io/container.hpp"

namespace gauntlet::io {

/// The largest list that is read, in bytes.
inline constexpr std::size_t kMaxListBytes = std::size_t{1} << 27;

/// Whether the text begins like such a list: a path and at least one 0 or 1 on its first line.
[[nodiscard]] bool looks_like_list(std::string_view text);

/// Arrays `path` (strings) and `labels` (u8 [n, C]). Errors (kCorrupt, kInvalid) name the line.
[[nodiscard]] Result<std::unique_ptr<Container>> open_list(const std::filesystem::path& path);

}  // namespace gauntlet::io
