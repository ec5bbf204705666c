// Chunks between memory and disk. Whole chunks are written past the page cache (O_DIRECT) where the file
// system can: an artifact is flushed before it counts, so the cache would only be filled, at the cost of a
// copy and of pages that others use. They are read from the cache while they are in it, and past it
// otherwise. Thread safety: any thread; each keeps one aligned buffer of kChunkBytes once it has needed it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "core/transfer/chunk_hash.hpp"

namespace gauntlet::transfer {

/// Writes a chunk (at most kChunkBytes) at its offset into a file that exists. Errors: kNoSpace, kIo.
[[nodiscard]] Status write_chunk(const std::filesystem::path& path, std::string_view bytes,
                                 std::uint64_t offset);

/// Reads `n_bytes` (at most kChunkBytes) from `offset`, a multiple of kChunkBytes. `hash`, where it is given,
/// gets them piece by piece. Errors: kNotFound, kIo, kCorrupt (the file ends before).
[[nodiscard]] Result<std::string> read_chunk(const std::filesystem::path& path, std::uint64_t offset,
                                             std::size_t n_bytes, ChunkHasher* hash = nullptr);

}  // namespace gauntlet::transfer
