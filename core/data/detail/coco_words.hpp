// Captions as a 0/1 bag of words: tokens, stop words, the most frequent words as vocabulary.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace gauntlet::data::detail {

/// Calls `take` with each token: maximal runs of at least two ASCII letters, digits or underscores, in lower
/// case; every other byte separates. Stop words are left out.
void for_each_token(std::string_view text, const std::function<void(const std::string&)>& take);

/// Whether a lower-case word is on the fixed list (articles, pronouns, prepositions, auxiliaries: 127 words).
[[nodiscard]] bool is_stop_word(std::string_view word);

/// Collects captions of items and turns them into rows.
class CaptionWords {
 public:
  /// Adds the tokens of a caption to an item's.
  void add(std::uint32_t item, std::string_view caption);

  /// The words of the vocabulary, and per item the rising indices of those it has. The vocabulary is the
  /// `n_words` words found in most items of `is_kept`, ties in byte order. Uses this object up.
  struct Bag {
    std::vector<std::string> vocabulary;
    std::vector<std::vector<std::uint16_t>> of_item;
  };
  [[nodiscard]] Bag finish(std::size_t n_words, const std::vector<bool>& is_kept) &&;

 private:
  std::unordered_map<std::string, std::uint32_t> ids_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> pairs_;  ///< (item, word), with repetitions
  std::size_t compact_at_ = std::size_t{1} << 22;
};

}  // namespace gauntlet::data::detail
