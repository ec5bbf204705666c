#include "core/data/detail/emoji_concepts.hpp"

#include <gmock/gmock.h>

#include <set>

#include "core/base/random.hpp"
#include "core/data/detail/picto_set.hpp"
#include "tests/data/picto_support.hpp"

namespace gauntlet::data::detail {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kList = R"(# comment
# group: Smileys & Emotion
# subgroup: face-smiling
1F600 ; fully-qualified     # 😀 E1.0 grinning face
263A  ; unqualified         # ☺ E0.6 smiling face
# subgroup: keycap
0023 FE0F 20E3 ; fully-qualified # #️⃣ E0.6 keycap: #
# subgroup: hand-fingers-open
1F44B 1F3FB ; fully-qualified # 👋🏻 E1.0 waving hand: light skin tone
# subgroup: person-role
1F468 200D 1F373 ; fully-qualified # 👨‍🍳 E4.0 man cook
1F9D1 200D 1F373 ; fully-qualified # 🧑‍🍳 E12.1 cook
1F469 200D 2695 FE0F ; fully-qualified # 👩‍⚕️ E4.0 woman health worker
)";
constexpr std::string_view kAnnotations = R"(
		<annotation cp="😀">face | grin &amp; smile</annotation>
		<annotation cp="😀" type="tts">spoken words</annotation>
		<annotation cp="👨‍🍳" draft="contributed">chef | cook | man</annotation>
)";
constexpr std::string_view kDerived = R"(
		<annotation cp="😀">a second definition loses</annotation>
		<annotation cp="#⃣">keycap</annotation> <!-- 0023 -->
		<annotation cp="👩‍⚕">doctor | cook</annotation>
)";

TEST(EmojiConcepts, TokensAreRunsOfAsciiLetters) {
  EXPECT_THAT(tokens_of("Keycap: 10 | e-mail, naïve café X"),
              ElementsAre("keycap", "mail", "na", "ve", "caf"));
  EXPECT_TRUE(tokens_of("").empty());
}

TEST(EmojiConcepts, ReadsTheListJoinsTheWordsAndDropsRareOnes) {
  const auto set = concepts_from(kList, kAnnotations, kDerived, "list");
  ASSERT_TRUE(set) << set.error().message;
  std::vector<std::string> names;
  std::vector<std::uint32_t> families;
  for (const Concept& entry : set->concepts) {
    names.push_back(entry.name);
    families.push_back(entry.family);
  }
  EXPECT_THAT(names, ElementsAre("grinning face", "keycap: #", "man cook", "cook", "woman health worker"));
  EXPECT_THAT(families, ElementsAre(0, 1, 2, 2, 3));
  // cook: 3 concepts; man, person, role... only what two concepts share is kept, ties in byte order.
  EXPECT_THAT(set->vocabulary, ElementsAre("cook", "person", "role"));
  EXPECT_THAT(set->word_counts, ElementsAre(3, 3, 3));
  EXPECT_THAT(set->concepts[4].words, ElementsAre(0, 1, 2)) << "found by its sequence without U+FE0F";
  EXPECT_EQ(set->n_annotations, 4U);
  EXPECT_EQ(set->n_without_annotation, 1U);
  EXPECT_EQ(set->concepts[0].labels, 1U << 1);
}

TEST(EmojiConcepts, WhatIsNotUnderstoodIsNamedWithItsLine) {
  const auto message = [](std::string_view list) {
    const auto set = concepts_from(list, "", "", "emoji.txt");
    return set ? std::string("read") : set.error().message;
  };
  EXPECT_EQ(message("# subgroup: face-melting\n1F600 ; fully-qualified # 😀 E1.0 x\n"),
            "emoji.txt:2: subgroup 'face-melting' has no labels; Picto knows those of Unicode 15.0");
  EXPECT_THAT(message("hello\n"), HasSubstr("emoji.txt:1: not a line of an emoji list"));
  EXPECT_THAT(message("1F6ZZ ; fully-qualified # 😀 E1.0 x\n"), HasSubstr("emoji.txt:1: code points or name"));
  EXPECT_THAT(message("1F600 ; fully-qualified # nothing\n"), HasSubstr("emoji.txt:1: code points or name"));
  EXPECT_THAT(message("# only comments\n"), HasSubstr("emoji.txt lists 0 emoji"));
}

TEST(EmojiConcepts, RandomChangesOfTheListNeverDoHarm) {
  RandomStream random = RandomStream::of(1, 9, 0);
  for (int round = 0; round < 2000; ++round) {
    std::string list(kList);
    std::string annotations(kAnnotations);
    for (int change = 0; change < 3; ++change) {
      list[random.below(static_cast<std::uint32_t>(list.size()))] = static_cast<char>(random.below(256));
      annotations.erase(random.below(static_cast<std::uint32_t>(annotations.size())), 1);
    }
    const auto set = concepts_from(list, annotations, kDerived, "list");
    EXPECT_TRUE(set || !set.error().message.empty());
  }
}

TEST(EmojiSources, AMissingFileNamesThePackageAndTheAptLine) {
  EmojiSources sources = EmojiSourceConfig{}.sources();
  sources.font = "/nowhere/font.ttf";
  const auto hashes = hash_sources(sources);
  ASSERT_FALSE(hashes);
  EXPECT_EQ(hashes.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(hashes.error().message,
            "/nowhere/font.ttf is missing; it comes with the Debian package fonts-noto-color-emoji: "
            "apt-get install fonts-noto-color-emoji unicode-data unicode-cldr-core");
}

TEST(EmojiSources, AnotherVersionIsAWarningAndAnotherContentId) {
  SourceHashes hashes;
  for (std::size_t at = 0; at < kNumSources; ++at) hashes.hex[at] = source_files()[at].sha256;
  EXPECT_TRUE(hashes.are_reference());
  const std::string content_id = hashes.content_id();
  hashes.hex[1] = std::string(64, '0');
  EXPECT_THAT(hashes.warnings(), ElementsAre(HasSubstr("emoji-test.txt is not Debian 12's version")));
  EXPECT_NE(hashes.content_id(), content_id);
}

TEST(EmojiGolden, ConceptList) {
  GAUNTLET_NEEDS_DEBIAN_EMOJI();
  const ConceptSet& set = debian_concepts();
  ASSERT_EQ(set.concepts.size(), 1870U);
  EXPECT_EQ(set.n_families, 1698U);
  std::string list;
  for (const Concept& entry : set.concepts) {
    for (std::size_t at = 0; at < entry.code_points.size(); ++at) {
      list += fmt::format("{}{:X}", at == 0 ? "" : " ", static_cast<std::uint32_t>(entry.code_points[at]));
    }
    list += "\n";
  }
  EXPECT_EQ(hash_of(list), "1ce10c866b1a598d81beeb3193caf3f788a837c10e6fc26f78ef24057504d887");
  EXPECT_EQ(set.concepts[577].name, "rat");
  EXPECT_EQ(set.concepts[1869].name, "flag: Wales");
}

std::vector<std::string> words_of(const ConceptSet& set, std::size_t id) {
  std::vector<std::string> words;
  for (const std::uint16_t word : set.concepts[id].words) words.push_back(set.vocabulary[word]);
  std::ranges::sort(words);
  return words;
}

TEST(EmojiGolden, Words) {
  GAUNTLET_NEEDS_DEBIAN_EMOJI();
  const ConceptSet& set = debian_concepts();
  EXPECT_EQ(vocabulary_hash(set), "e4c7f7ff0c17db9c3734b6a49cf7f26b39a278fac95a645b13c2c761fd610175");
  EXPECT_EQ(set.vocabulary.size(), 985U);
  EXPECT_EQ(set.n_words, 2705U);
  EXPECT_EQ(set.n_annotations, 4003U);
  EXPECT_EQ(set.n_without_annotation, 21U);
  EXPECT_EQ(set.vocabulary.back(), "zzz");
  const std::vector<std::pair<std::string, std::uint32_t>> first = {
      {"flag", 274}, {"person", 265}, {"country", 258}, {"face", 163},     {"animal", 124},
      {"food", 107}, {"woman", 104},  {"man", 101},     {"transport", 85}, {"role", 82}};
  for (std::size_t at = 0; at < first.size(); ++at) {
    EXPECT_EQ(std::pair(set.vocabulary[at], set.word_counts[at]), first[at]);
  }
  std::size_t n_words = 0;
  for (const Concept& entry : set.concepts) {
    EXPECT_FALSE(entry.words.empty()) << entry.name;
    n_words += entry.words.size();
  }
  EXPECT_NEAR(static_cast<double>(n_words) / 1870, 3.79, 0.005);
  // Woozy face has four words more that no other concept has, rat one.
  EXPECT_THAT(words_of(set, 63), ElementsAre("dizzy", "eyes", "face", "mouth", "unwell", "wavy"));
  EXPECT_THAT(words_of(set, 577), ElementsAre("animal", "mammal"));
}

TEST(EmojiGolden, Labels) {
  GAUNTLET_NEEDS_DEBIAN_EMOJI();
  const ConceptSet& set = debian_concepts();
  const std::array<int, kNumLabels> expected = {302, 127, 61,  136, 78, 21, 37, 64, 126, 36, 20,  72, 68,
                                                47,  31,  100, 29,  47, 93, 61, 72, 262, 61, 269, 21, 32};
  std::array<int, kNumLabels> found = {};
  std::set<LabelMask> distinct;
  for (const Concept& entry : set.concepts) {
    EXPECT_NE(entry.labels, 0U) << entry.name;
    distinct.insert(entry.labels);
    for (std::size_t label = 0; label < kNumLabels; ++label)
      found[label] += static_cast<int>(entry.labels >> label & 1U);
  }
  EXPECT_EQ(found, expected);
  EXPECT_EQ(distinct.size(), 30U);
  EXPECT_EQ(label_names().front(), "people");
  EXPECT_EQ(label_names().back(), "religion_zodiac");
}

TEST(EmojiGolden, Matrices) {
  GAUNTLET_NEEDS_DEBIAN_EMOJI();
  const ConceptSet& set = debian_concepts();
  std::vector<std::uint8_t> labels(set.concepts.size() * kNumLabels);
  std::vector<std::uint8_t> text(set.concepts.size() * set.vocabulary.size());
  for (std::size_t id = 0; id < set.concepts.size(); ++id) {
    mark_labels(set.concepts[id].labels, std::span(labels).subspan(id * kNumLabels, kNumLabels));
    mark_words(set.concepts[id].words,
               std::span(text).subspan(id * set.vocabulary.size(), set.vocabulary.size()));
  }
  EXPECT_EQ(hash_of(labels), "daa782edab3f3245c73d31897971ac910179d81770e4fb6f9d39e5235ad15fdd");
  EXPECT_EQ(hash_of(text), "cdaf680f3530b807f69b3aa971ab1314ebd75764c48b5eed8682a17e957c1f2b");
}

}  // namespace
}  // namespace gauntlet::data::detail
