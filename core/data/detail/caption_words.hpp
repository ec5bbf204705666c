// Captions as a bag of words.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gauntlet::data::detail {

/// Words of a text: lower case, runs of two or more ASCII letters, digits or underscores, without English
/// stop words. Each once, sorted.
[[nodiscard]] std::vector<std::string> words_of_text(std::string_view text);

struct WordBag {
  std::vector<std::string> vocabulary;           ///< most frequent first, ties alphabetical
  std::vector<std::vector<std::uint32_t>> rows;  ///< indices into it, per item
};

/// The `n_most` words that most items have. An item's text is its strings together; "123456", which some
/// builders wrote for an empty caption, is no word.
[[nodiscard]] WordBag bag_words(std::span<const std::vector<std::string>> captions, std::size_t n_most);

}  // namespace gauntlet::data::detail
