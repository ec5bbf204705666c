// What a chunk is named by, besides its place: XXH3, 128 bits (Collet), about ten times as fast as SHA-256.
// It finds what transport and disks do to a chunk; that the whole file is the manifest's is shown by its
// SHA-256, whoever sent what. Thread safety: any thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace gauntlet::transfer {

inline constexpr std::size_t kChunkHashBytes = 16;

/// kChunkHashBytes bytes, high half first (the canonical form of XXH128).
[[nodiscard]] std::string chunk_hash(std::string_view content);

/// The same, fed piece by piece: cheaper where the pieces are in the processor's cache and the whole is not.
class ChunkHasher {
 public:
  ChunkHasher();
  ~ChunkHasher();
  ChunkHasher(const ChunkHasher&) = delete;
  ChunkHasher& operator=(const ChunkHasher&) = delete;
  void update(std::string_view piece);
  /// Of all pieces so far.
  [[nodiscard]] std::string finish() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gauntlet::transfer
