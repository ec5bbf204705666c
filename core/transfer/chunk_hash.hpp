// What a chunk is named by, besides its place: XXH3, 128 bits (Collet), about ten times as fast as SHA-256.
// It finds what transport and disks do to a chunk; that the whole file is the manifest's is shown by its
// SHA-256, whoever sent what. Thread safety: any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace gauntlet::transfer {

inline constexpr std::size_t kChunkHashBytes = 16;

/// kChunkHashBytes bytes, high half first (the canonical form of XXH128).
[[nodiscard]] std::string chunk_hash(std::string_view content);

}  // namespace gauntlet::transfer
