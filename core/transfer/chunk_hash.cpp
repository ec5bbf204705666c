#include "core/transfer/chunk_hash.hpp"

#ifdef GAUNTLET_XXHASH_DISPATCHES
#define XXH_STATIC_LINKING_ONLY  // the state's type
#include <xxh_x86dispatch.h>     // AVX2 or AVX-512 where the processor has it: asked when the program runs
#else
#define XXH_INLINE_ALL
#include <xxhash.h>
#endif

namespace gauntlet::transfer {

namespace {

std::string canonical(const XXH128_hash_t& hash) {
  XXH128_canonical_t bytes;
  static_assert(sizeof bytes.digest == kChunkHashBytes);
  XXH128_canonicalFromHash(&bytes, hash);
  return {reinterpret_cast<const char*>(bytes.digest), sizeof bytes.digest};
}

}  // namespace

std::string chunk_hash(std::string_view content) {
  return canonical(XXH3_128bits(content.data(), content.size()));
}

struct ChunkHasher::State {
  XXH3_state_t xxh3;
};

ChunkHasher::ChunkHasher() : state_(std::make_unique<State>()) { XXH3_128bits_reset(&state_->xxh3); }
ChunkHasher::~ChunkHasher() = default;

void ChunkHasher::update(std::string_view piece) {
  XXH3_128bits_update(&state_->xxh3, piece.data(), piece.size());
}

std::string ChunkHasher::finish() const { return canonical(XXH3_128bits_digest(&state_->xxh3)); }

}  // namespace gauntlet::transfer
