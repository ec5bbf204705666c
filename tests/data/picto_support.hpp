// The emoji files of the machine, read once; golden tests run only on Debian 12's versions.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <span>
#include <string>

#include "core/base/hash.hpp"
#include "core/data/detail/emoji_concepts.hpp"
#include "core/data/detail/emoji_sources.hpp"
#include "core/data/detail/emoji_sprites.hpp"

namespace gauntlet::data::detail {

/// Why golden tests cannot run here; empty when they can.
inline const std::string& golden_obstacle() {
  static const std::string obstacle = [] {
    const auto hashes = hash_sources(EmojiSourceConfig{}.sources());
    if (!hashes) return hashes.error().message;
    return hashes->are_reference() ? std::string() : hashes->warnings().front();
  }();
  return obstacle;
}

inline const ConceptSet& debian_concepts() {
  static const ConceptSet set = read_concepts(EmojiSourceConfig{}.sources()).value();
  return set;
}

inline const SpriteSheet& debian_sprites() {
  static const SpriteSheet sheet = read_sprites(EmojiSourceConfig{}.font, debian_concepts().concepts).value();
  return sheet;
}

template <class T>
std::string hash_of(const T& elements) {
  return to_hex(sha256(std::as_bytes(std::span(elements))));
}

}  // namespace gauntlet::data::detail

/// Skips the test, saying why, unless the emoji files are those of the golden values.
#define GAUNTLET_NEEDS_DEBIAN_EMOJI()                       \
  if (!::gauntlet::data::detail::golden_obstacle().empty()) \
  GTEST_SKIP() << ::gauntlet::data::detail::golden_obstacle()
