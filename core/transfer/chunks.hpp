// Files of an artifact in chunks that fit a frame. A chunk is named by its place and a hash of its
// content (chunk_hash.hpp); it travels as it is, or as one zstd frame where a sample of it shrinks.
// Thread safety: free functions on plain values; any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "core/artifacts/manifest.hpp"
#include "core/base/result.hpp"
#include "schemas/protocol.pb.h"

namespace gauntlet::transfer {

inline constexpr std::uint64_t kChunkBytes = std::uint64_t{4} << 20;
/// Greatest text of a manifest that travels.
inline constexpr std::size_t kMaxManifestBytes = std::size_t{8} << 20;
/// Greatest artifact that travels: the list of its chunks has to fit a frame.
inline constexpr std::uint64_t kMaxArtifactBytes = std::uint64_t{1} << 40;

/// Chunks of a file of so many bytes; none of an empty one.
[[nodiscard]] constexpr std::uint64_t chunk_count(std::uint64_t file_bytes) {
  return (file_bytes + kChunkBytes - 1) / kChunkBytes;
}
/// Bytes of the content of chunk `index`, which the file has.
[[nodiscard]] constexpr std::uint64_t chunk_size(std::uint64_t file_bytes, std::uint64_t index) {
  const std::uint64_t left = file_bytes - index * kChunkBytes;
  return left < kChunkBytes ? left : kChunkBytes;
}

/// From now on this process keeps memory of the size of chunks when it is freed (up to 64 MiB for each of the
/// allocator's arenas) instead of giving it back: every chunk would otherwise cost as many page faults as it
/// has pages, more time than two copies of it. Further calls do nothing.
void keep_chunk_memory();

/// The manifest of an offer, checked. Errors: kInvalid (too long, too large an artifact), kCorrupt.
[[nodiscard]] Result<artifacts::Manifest> read_offer(const proto::ArtifactOffer& offer);
/// What names the artifact on the wire: the 32 bytes of the SHA-256 of the manifest's text.
[[nodiscard]] std::string name_of_manifest(std::string_view text);

/// Reads, hashes and packs one chunk; `manifest_sha256` is left empty. Errors: kCorrupt (the file has not the
/// size of the manifest), kNotFound, kIo.
[[nodiscard]] Result<proto::ArtifactChunk> pack_chunk(const std::filesystem::path& folder,
                                                      const artifacts::Manifest& manifest, std::uint32_t file,
                                                      std::uint64_t index);
/// The content of a chunk, taken out of the message; at most kChunkBytes, whatever the message says. Errors:
/// kInvalid (no such chunk, another length than its place has), kCorrupt (no zstd frame, another hash).
[[nodiscard]] Result<std::string> unpack_chunk(const artifacts::Manifest& manifest,
                                               proto::ArtifactChunk& chunk);

}  // namespace gauntlet::transfer
