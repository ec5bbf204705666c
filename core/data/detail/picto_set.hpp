// What the two Picto sets have in common: their sources' facts for dataset.json, and the row order of single
// objects.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "core/data/detail/emoji_concepts.hpp"
#include "core/data/detail/emoji_sources.hpp"

namespace gauntlet::data::detail {

/// dataset.json of a Picto set but for what the writer adds.
[[nodiscard]] Json describe_picto(const ConceptSet& set, const SourceHashes& hashes, std::string_view entry,
                                  std::int64_t version, const std::string& name, const Json& choices);

/// SHA-256 of the vocabulary, words joined and ended by "\n".
[[nodiscard]] std::string vocabulary_hash(const ConceptSet& set);

/// Sets one byte per label and per word.
void mark_labels(LabelMask labels, std::span<std::uint8_t> row);
void mark_words(std::span<const std::uint16_t> words, std::span<std::uint8_t> row);

/// Row order of `picto`: families shuffled by seed, their concepts kept together.
struct PictoOrder {
  std::vector<std::uint32_t> concept_ids;
  std::int64_t n_query = 0;
  std::int64_t n_train = 0;
};
/// The boundaries asked for are moved forward to the end of a family. Errors (kInvalid): they do not fit the
/// set.
[[nodiscard]] Result<PictoOrder> order_picto(const ConceptSet& set, std::uint64_t seed, std::int64_t n_query,
                                             std::int64_t n_train);

/// A published hash over the first `n_rows` rows of an array.
struct PublishedHash {
  std::string_view entry;
  std::string_view array;  ///< "images", "text" or "labels"
  std::int64_t image_px;   ///< 0 when it does not matter
  std::int64_t n_rows;
  std::string_view sha256;
};
/// For seed 1, default choices and Debian 12's source files.
[[nodiscard]] std::span<const PublishedHash> published_hashes();

}  // namespace gauntlet::data::detail
