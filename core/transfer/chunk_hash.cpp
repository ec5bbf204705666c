#include "core/transfer/chunk_hash.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace gauntlet::transfer {

std::string chunk_hash(std::string_view content) {
  XXH128_canonical_t canonical;
  static_assert(sizeof canonical.digest == kChunkHashBytes);
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(content.data(), content.size()));
  return {reinterpret_cast<const char*>(canonical.digest), sizeof canonical.digest};
}

}  // namespace gauntlet::transfer
