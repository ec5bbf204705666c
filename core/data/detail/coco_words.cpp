#include "core/data/detail/coco_words.hpp"

#include <algorithm>
#include <array>

namespace gauntlet::data::detail {
namespace {

constexpr std::array<std::string_view, 127> kStopWords = {
    "about",   "above",  "after",   "again",  "against", "all",   "also",   "am",      "an",      "and",
    "another", "any",    "are",     "around", "as",      "at",    "be",     "because", "been",    "before",
    "being",   "below",  "between", "both",   "but",     "by",    "can",    "could",   "did",     "do",
    "does",    "doing",  "down",    "during", "each",    "few",   "for",    "from",    "further", "had",
    "has",     "have",   "having",  "he",     "her",     "here",  "hers",   "him",     "his",     "how",
    "if",      "in",     "into",    "is",     "it",      "its",   "itself", "just",    "many",    "me",
    "more",    "most",   "my",      "near",   "no",      "nor",   "not",    "now",     "of",      "off",
    "on",      "once",   "only",    "onto",   "or",      "other", "our",    "ours",    "out",     "over",
    "own",     "same",   "she",     "should", "so",      "some",  "such",   "than",    "that",    "the",
    "their",   "theirs", "them",    "then",   "there",   "these", "they",   "this",    "those",   "through",
    "to",      "too",    "under",   "until",  "up",      "upon",  "us",     "very",    "was",     "we",
    "were",    "what",   "when",    "where",  "which",   "while", "who",    "whom",    "why",     "will",
    "with",    "within", "without", "would",  "you",     "your",  "yours"};

bool is_word_byte(char each) {
  return (each >= 'a' && each <= 'z') || (each >= 'A' && each <= 'Z') || (each >= '0' && each <= '9') ||
         each == '_';
}

}  // namespace

bool is_stop_word(std::string_view word) { return std::ranges::binary_search(kStopWords, word); }

void for_each_token(std::string_view text, const std::function<void(const std::string&)>& take) {
  std::string token;
  for (std::size_t at = 0; at <= text.size(); ++at) {
    if (at < text.size() && is_word_byte(text[at])) {
      token.push_back(text[at] >= 'A' && text[at] <= 'Z' ? static_cast<char>(text[at] + 32) : text[at]);
      continue;
    }
    if (token.size() >= 2 && !is_stop_word(token)) take(token);
    token.clear();
  }
}

void CaptionWords::add(std::uint32_t item, std::string_view caption) {
  for_each_token(caption, [&](const std::string& token) {
    const auto id = ids_.emplace(token, static_cast<std::uint32_t>(ids_.size())).first->second;
    pairs_.emplace_back(item, id);
  });
  if (pairs_.size() < compact_at_) return;
  std::ranges::sort(pairs_);
  pairs_.erase(std::unique(pairs_.begin(), pairs_.end()), pairs_.end());
  compact_at_ = std::max(compact_at_, pairs_.size() * 3 / 2);
}

CaptionWords::Bag CaptionWords::finish(std::size_t n_words, const std::vector<bool>& is_kept) && {
  std::ranges::sort(pairs_);
  pairs_.erase(std::unique(pairs_.begin(), pairs_.end()), pairs_.end());
  std::vector<std::int64_t> n_items(ids_.size(), 0);
  for (const auto& [item, word] : pairs_) n_items[word] += is_kept[item] ? 1 : 0;
  std::vector<std::pair<std::string_view, std::uint32_t>> ranked;
  for (const auto& [word, id] : ids_) {
    if (n_items[id] > 0) ranked.emplace_back(word, id);
  }
  std::ranges::sort(ranked, [&](const auto& a, const auto& b) {
    return n_items[a.second] != n_items[b.second] ? n_items[a.second] > n_items[b.second] : a.first < b.first;
  });
  ranked.resize(std::min(ranked.size(), n_words));
  Bag bag;
  constexpr std::uint32_t kNone = UINT32_MAX;
  std::vector<std::uint32_t> column(ids_.size(), kNone);
  for (const auto& [word, id] : ranked) {
    column[id] = static_cast<std::uint32_t>(bag.vocabulary.size());
    bag.vocabulary.emplace_back(word);
  }
  bag.of_item.resize(is_kept.size());
  for (const auto& [item, word] : pairs_) {
    if (column[word] != kNone) bag.of_item[item].push_back(static_cast<std::uint16_t>(column[word]));
  }
  for (auto& words : bag.of_item) std::ranges::sort(words);
  return bag;
}

}  // namespace gauntlet::data::detail
