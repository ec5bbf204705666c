#include "core/data/detail/picto_set.hpp"

#include <algorithm>

#include "core/base/hash.hpp"
#include "core/base/random.hpp"

namespace gauntlet::data::detail {
namespace {

constexpr std::uint64_t kFamilyOrderTag = 2;

/// Moves a boundary forward to the end of the family it would cut.
std::size_t end_of_family(const ConceptSet& set, const std::vector<std::uint32_t>& order,
                          std::size_t boundary) {
  while (boundary > 0 && boundary < order.size() &&
         set.concepts[order[boundary]].family == set.concepts[order[boundary - 1]].family) {
    ++boundary;
  }
  return boundary;
}

}  // namespace

Json describe_picto(const ConceptSet& set, const SourceHashes& hashes, std::string_view entry,
                    std::int64_t version, const std::string& name, const Json& choices) {
  return {{"name", name},
          {"entry", entry},
          {"version", version},
          {"label_names", label_names()},
          {"text_names", set.vocabulary},
          {"vocabulary", {{"size", set.vocabulary.size()}, {"sha256", vocabulary_hash(set)}}},
          {"choices", choices},
          {"sources", hashes.to_json()},
          {"source", hashes.content_id()},
          {"warnings", hashes.warnings()},
          {"licence", "Pictures: Noto Color Emoji, SIL Open Font License 1.1. Words: Unicode licence."}};
}

std::string vocabulary_hash(const ConceptSet& set) {
  std::string words;
  for (const std::string& word : set.vocabulary) words += word + "\n";
  return to_hex(sha256(words));
}

void mark_labels(LabelMask labels, std::span<std::uint8_t> row) {
  for (std::size_t label = 0; label < row.size(); ++label) row[label] = labels >> label & 1U;
}

void mark_words(std::span<const std::uint16_t> words, std::span<std::uint8_t> row) {
  for (const std::uint16_t word : words) row[word] = 1;
}

Result<PictoOrder> order_picto(const ConceptSet& set, std::uint64_t seed, std::int64_t n_query,
                               std::int64_t n_train) {
  const auto n_items = static_cast<std::int64_t>(set.concepts.size());
  if (n_query + n_train > n_items) {
    return fail(ErrorCode::kInvalid, "n_query {} and n_train {} are more than the {} emoji there are",
                n_query, n_train, n_items);
  }
  PictoOrder order;
  std::vector<std::uint64_t> keys(set.n_families);
  for (std::uint32_t family = 0; family < set.n_families; ++family) {
    keys[family] = RandomStream::of(seed, kFamilyOrderTag, family).state();
  }
  order.concept_ids.resize(set.concepts.size());
  for (std::uint32_t id = 0; id < order.concept_ids.size(); ++id) order.concept_ids[id] = id;
  std::ranges::stable_sort(order.concept_ids, {}, [&](std::uint32_t id) {
    return std::pair(keys[set.concepts[id].family], set.concepts[id].family);
  });
  const std::size_t query_end = end_of_family(set, order.concept_ids, static_cast<std::size_t>(n_query));
  const std::size_t train_end =
      end_of_family(set, order.concept_ids,
                    std::min(query_end + static_cast<std::size_t>(n_train), order.concept_ids.size()));
  order.n_query = static_cast<std::int64_t>(query_end);
  order.n_train = static_cast<std::int64_t>(train_end - query_end);
  return order;
}

std::span<const PublishedHash> published_hashes() {
  static constexpr PublishedHash kHashes[] = {
      {"picto_scenes", "labels", 0, 1000, "5dc33fb708ba4791f04d6d3bcf9bf2e0759f8f72c2a3af5e1bd7e7001eb683bb"},
      {"picto_scenes", "text", 0, 1000, "a9d6ad4793a9e49b2e897b55db0b57b59ad94b761b46de3b7657f5623fe88f00"},
      {"picto_scenes", "labels", 0, 6300, "d2a2ebba05f49e2701cfd9434ff32ac86d92fd6e35389ffa92ad29377ce40ae7"},
      {"picto_scenes", "text", 0, 6300, "4ef6affe8cf39fd56ba02406c79004f21c93ecb275ff015f5c65d9ae6e8e3575"},
      {"picto_scenes", "labels", 0, 20015,
       "321a090637694991210ef5b5e5e2f1a7f072c28f5fda6f86bc2cdad68de8d053"},
      {"picto_scenes", "text", 0, 20015, "e89194f4ef9bed12ef24f876bf0a92a0858242b1d5aac8590d8c49de0e3afb6b"},
      {"picto_scenes", "images", 64, 5, "82af71bdae1fe2f8245171632febe3dd16b4ee2ba69213feef677b5784d9985b"},
      {"picto_scenes", "images", 64, 1000,
       "3ce84170742fbdcda80c4527d87429914b50e82ee402661a9eb0892f84f7628e"},
      {"picto_scenes", "images", 48, 5, "9d370df3a637b1702c4a4004f39c6a2178f362b06fc99aa5608caf16a600df29"},
      {"picto_scenes", "images", 48, 1000,
       "d10b36a177dba823988211baeff3d9e4d324def2ad189a79e3b0c0529bfa570f"},
      {"picto", "labels", 0, 1870, "7afc4b93431b7c88c02eb932bb8572e9a264230ed6b7587ddc20c83da234f8bb"},
      {"picto", "images", 64, 5, "f59feb99959afc4ca6409d80e95f4b8a23643e0b612c8a29f113ab6dcd528141"},
  };
  return kHashes;
}

}  // namespace gauntlet::data::detail
