#include "core/transfer/chunks.hpp"

#include <malloc.h>
#include <zstd.h>

#include <algorithm>

#include "core/base/hash.hpp"
#include "core/transfer/chunk_hash.hpp"
#include "core/transfer/disk.hpp"

namespace gauntlet::transfer {
namespace {

namespace fs = std::filesystem;

/// Of a chunk, compressed first to see whether the rest is worth it.
constexpr std::size_t kSampleBytes = std::size_t{64} << 10;
/// The fastest level that is no toy: a link of 1 Gbit/s is slower than it.
constexpr int kLevel = 1;
/// A sample must shrink to this share, else the chunk travels as it is.
constexpr double kWorthwhile = 0.9;

/// The zstd frame; "" when it would not be worth it.
std::string compressed(std::string_view bytes) {
  std::string frame;
  const auto compress = [&frame](std::string_view part) {
    frame.resize(ZSTD_compressBound(part.size()));
    const std::size_t n_bytes = ZSTD_compress(frame.data(), frame.size(), part.data(), part.size(), kLevel);
    frame.resize(ZSTD_isError(n_bytes) != 0 ? 0 : n_bytes);
    return static_cast<double>(n_bytes) < kWorthwhile * static_cast<double>(part.size()) && !frame.empty();
  };
  // From the middle: files begin with headers, which shrink, whatever follows.
  const std::size_t sample = std::min(kSampleBytes, bytes.size());
  if (!compress(bytes.substr((bytes.size() - sample) / 2, sample)) || !compress(bytes)) frame.clear();
  return frame;
}

}  // namespace

void keep_chunk_memory() {
  static const bool once = [] {
    ::mallopt(M_MMAP_THRESHOLD, static_cast<int>(2 * kChunkBytes));
    ::mallopt(M_TRIM_THRESHOLD, static_cast<int>(16 * kChunkBytes));
    return true;
  }();
  static_cast<void>(once);
}

std::string name_of_manifest(std::string_view text) {
  const Digest digest = sha256(text);
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

Result<artifacts::Manifest> read_offer(const proto::ArtifactOffer& offer) {
  if (offer.manifest().size() > kMaxManifestBytes) {
    return fail(ErrorCode::kInvalid, "a manifest of {} bytes is too long to travel; at most {} are allowed",
                offer.manifest().size(), kMaxManifestBytes);
  }
  GAUNTLET_TRY(artifacts::Manifest manifest, artifacts::read_manifest(offer.manifest()));
  std::uint64_t n_bytes = 0;
  for (const artifacts::ManifestFile& file : manifest.files) {
    if (file.bytes > kMaxArtifactBytes - n_bytes) {
      return fail(ErrorCode::kInvalid,
                  "the {} artifact {} has more than {} bytes, which is the most that travels",
                  spec::name_of(manifest.job.kind), manifest.key.brief(), kMaxArtifactBytes);
    }
    n_bytes += file.bytes;
    if (file.name == artifacts::kManifestName || !digest_from_hex(file.sha256))
      return fail(ErrorCode::kCorrupt, "the manifest lists '{}' with the hash '{}', which cannot be",
                  file.name, file.sha256);
  }
  return manifest;
}

Result<proto::ArtifactChunk> pack_chunk(const fs::path& folder, const artifacts::Manifest& manifest,
                                        std::uint32_t file, std::uint64_t index) {
  if (file >= manifest.files.size() || index >= chunk_count(manifest.files[file].bytes))
    return fail(ErrorCode::kInvalid, "artifact {} has no chunk {} of file {}", manifest.key.brief(), index,
                file);
  const artifacts::ManifestFile& about = manifest.files[file];
  const auto n_bytes = static_cast<std::size_t>(chunk_size(about.bytes, index));
  ChunkHasher hash;
  GAUNTLET_TRY(std::string bytes, read_chunk(folder / about.name, index * kChunkBytes, n_bytes, &hash));
  proto::ArtifactChunk chunk;
  chunk.mutable_chunk()->set_file(file);
  chunk.mutable_chunk()->set_index(index);
  chunk.mutable_chunk()->set_xxh3(hash.finish());
  chunk.set_raw_bytes(static_cast<std::uint32_t>(bytes.size()));
  std::string frame = compressed(bytes);
  chunk.set_zstd(!frame.empty());
  *chunk.mutable_data() = frame.empty() ? std::move(bytes) : std::move(frame);
  return chunk;
}

Result<std::string> unpack_chunk(const artifacts::Manifest& manifest, proto::ArtifactChunk& chunk) {
  const std::uint32_t file = chunk.chunk().file();
  const std::uint64_t index = chunk.chunk().index();
  if (file >= manifest.files.size() || index >= chunk_count(manifest.files[file].bytes)) {
    return fail(ErrorCode::kInvalid, "chunk {} of file {} is none of artifact {}, which has {} files", index,
                file, manifest.key.brief(), manifest.files.size());
  }
  const std::string& name = manifest.files[file].name;
  const std::uint64_t expected = chunk_size(manifest.files[file].bytes, index);
  if (chunk.raw_bytes() != expected || (!chunk.zstd() && chunk.data().size() != expected)) {
    return fail(ErrorCode::kInvalid, "chunk {} of {} came with {} bytes; {} were announced", index, name,
                chunk.zstd() ? chunk.raw_bytes() : chunk.data().size(), expected);
  }
  std::string bytes;
  if (chunk.zstd()) {
    bytes.resize(expected);
    const std::size_t n_bytes =
        ZSTD_decompress(bytes.data(), bytes.size(), chunk.data().data(), chunk.data().size());
    if (ZSTD_isError(n_bytes) != 0 || n_bytes != expected)
      return fail(ErrorCode::kCorrupt, "chunk {} of {} is no zstd frame of {} bytes", index, name, expected);
  } else {
    bytes = std::move(*chunk.mutable_data());
  }
  if (chunk_hash(bytes) != chunk.chunk().xxh3())
    return fail(ErrorCode::kCorrupt, "chunk {} of {} does not match its hash", index, name);
  return bytes;
}

}  // namespace gauntlet::transfer
