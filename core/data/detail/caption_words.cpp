#include "core/data/detail/caption_words.hpp"

#include <algorithm>
#include <cctype>
#include <map>

namespace gauntlet::data::detail {
namespace {

constexpr std::string_view kEmptyCaption = "123456";

// Sorted: it is searched.
constexpr std::string_view kStopWords[] = {
    "about", "above", "after", "again",  "all",   "also",  "am",   "an",   "and",   "any",   "are",   "as",
    "at",    "be",    "been",  "before", "being", "below", "both", "but",  "by",    "can",   "did",   "do",
    "does",  "down",  "each",  "few",    "for",   "from",  "had",  "has",  "have",  "he",    "her",   "here",
    "him",   "his",   "how",   "if",     "in",    "into",  "is",   "it",   "its",   "just",  "me",    "more",
    "most",  "my",    "no",    "nor",    "not",   "now",   "of",   "off",  "on",    "one",   "only",  "or",
    "other", "our",   "out",   "over",   "own",   "same",  "she",  "so",   "some",  "such",  "than",  "that",
    "the",   "their", "them",  "then",   "there", "these", "they", "this", "those", "to",    "too",   "under",
    "until", "up",    "very",  "was",    "we",    "were",  "what", "when", "where", "which", "while", "who",
    "will",  "with",  "you",   "your"};

bool is_word_letter(unsigned char letter) {
  return letter < 0x80 && (std::isalnum(letter) != 0 || letter == '_');
}

}  // namespace

std::vector<std::string> words_of_text(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const auto end_word = [&] {
    if (word.size() >= 2 && !std::ranges::binary_search(kStopWords, word)) words.push_back(word);
    word.clear();
  };
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    if (is_word_letter(byte)) {
      word.push_back(static_cast<char>(std::tolower(byte)));
    } else {
      end_word();
    }
  }
  end_word();
  std::ranges::sort(words);
  words.erase(std::unique(words.begin(), words.end()), words.end());
  return words;
}

WordBag bag_words(std::span<const std::vector<std::string>> captions, std::size_t n_most) {
  std::map<std::string, std::uint32_t, std::less<>> ids;  // by first appearance
  std::vector<std::uint32_t> counts;
  WordBag bag;
  bag.rows.resize(captions.size());
  for (std::size_t item = 0; item < captions.size(); ++item) {
    std::string text;
    for (const std::string& caption : captions[item]) {
      if (caption != kEmptyCaption) text.append(caption).push_back(' ');
    }
    for (const std::string& word : words_of_text(text)) {
      const auto [found, is_new] = ids.try_emplace(word, static_cast<std::uint32_t>(counts.size()));
      if (is_new) counts.push_back(0);
      ++counts[found->second];
      bag.rows[item].push_back(found->second);
    }
  }
  std::vector<std::pair<std::string, std::uint32_t>> words(ids.begin(), ids.end());
  std::ranges::stable_sort(words,
                           [&](const auto& a, const auto& b) { return counts[a.second] > counts[b.second]; });
  if (words.size() > n_most) words.resize(n_most);
  std::vector<std::int64_t> place(counts.size(), -1);
  for (const auto& [word, id] : words) {
    place[id] = static_cast<std::int64_t>(bag.vocabulary.size());
    bag.vocabulary.push_back(word);
  }
  for (auto& row : bag.rows) {
    std::vector<std::uint32_t> kept;
    for (const std::uint32_t id : row) {
      if (place[id] >= 0) kept.push_back(static_cast<std::uint32_t>(place[id]));
    }
    std::ranges::sort(kept);
    row = std::move(kept);
  }
  return bag;
}

}  // namespace gauntlet::data::detail
