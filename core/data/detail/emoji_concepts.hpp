// The Picto concepts: every emoji of Unicode's list with its words, its family and its labels.
// Sources: emoji-test.txt (Unicode 15.0, package unicode-data) and the English annotations of CLDR 41
// (package unicode-cldr-core). Integer arithmetic and byte order only: the same files give the same result
// anywhere.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace gauntlet::data::detail {

inline constexpr std::size_t kNumLabels = 26;

/// Names in column order: people, face, hand_body, ...
[[nodiscard]] const std::array<std::string_view, kNumLabels>& label_names();

/// A set of labels: bit l is column l.
using LabelMask = std::uint32_t;

struct Concept {
  std::u32string code_points;  ///< the full sequence, U+FE0F included
  std::string name;            ///< "woozy face"
  std::string subgroup;        ///< "face-unwell"
  std::uint32_t family = 0;    ///< near copies (gender, presentation) share one
  LabelMask labels = 0;
  std::vector<std::uint16_t> words;  ///< vocabulary indices, rising
};

struct ConceptSet {
  std::vector<Concept> concepts;  ///< in file order: position is the concept's id
  std::uint32_t n_families = 0;
  std::vector<std::string> vocabulary;  ///< words of at least two concepts, by falling count, ties by bytes
  std::vector<std::uint32_t> word_counts;  ///< concepts per vocabulary word
  std::size_t n_words = 0;                 ///< distinct words before the rare ones were dropped
  std::size_t n_annotations = 0;           ///< keys of the annotation files
  std::size_t n_without_annotation = 0;    ///< concepts without one
};

/// Where the four files are.
struct EmojiSources {
  std::filesystem::path font;
  std::filesystem::path emoji_test;
  std::filesystem::path cldr_dir;

  [[nodiscard]] std::filesystem::path annotations() const { return cldr_dir / "annotations" / "en.xml"; }
  [[nodiscard]] std::filesystem::path derived_annotations() const {
    return cldr_dir / "annotationsDerived" / "en.xml";
  }
};

/// Reads and joins the text files. Errors: kNotFound, kIo; kInvalid for a line or subgroup that is not
/// understood.
[[nodiscard]] Result<ConceptSet> read_concepts(const EmojiSources& sources);

/// The joining itself, on the files' contents; `emoji_test_name` is for messages.
[[nodiscard]] Result<ConceptSet> concepts_from(std::string_view emoji_test, std::string_view annotations,
                                               std::string_view derived_annotations,
                                               std::string_view emoji_test_name);

/// Maximal runs of at least two ASCII letters, lower-cased, in order of appearance.
[[nodiscard]] std::vector<std::string> tokens_of(std::string_view text);

}  // namespace gauntlet::data::detail
