#include "core/data/detail/emoji_concepts.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "core/base/files.hpp"
#include "core/data/detail/emoji_labels.hpp"

namespace gauntlet::data::detail {
namespace {

constexpr char32_t kEmojiPresentation = 0xFE0F;
constexpr char32_t kJoiner = 0x200D;
constexpr char32_t kFemaleSign = 0x2640;
constexpr char32_t kMaleSign = 0x2642;
constexpr char32_t kMan = 0x1F468;
constexpr char32_t kWoman = 0x1F469;
constexpr char32_t kAdult = 0x1F9D1;

constexpr bool is_skin_tone(char32_t point) { return point >= 0x1F3FB && point <= 0x1F3FF; }

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

/// Calls `use(line, number)` for every line; stops at the first error.
template <class Use>
Status for_each_line(std::string_view text, Use use) {
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    GAUNTLET_CHECK_OK(use(text.substr(0, end), number));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return {};
}

void append_utf8(std::string& text, char32_t point) {
  const auto byte = [&](char32_t value) { text.push_back(static_cast<char>(value)); };
  if (point < 0x80) {
    byte(point);
  } else if (point < 0x800) {
    byte(0xC0 | point >> 6);
    byte(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    byte(0xE0 | point >> 12);
    byte(0x80 | (point >> 6 & 0x3F));
    byte(0x80 | (point & 0x3F));
  } else {
    byte(0xF0 | point >> 18);
    byte(0x80 | (point >> 12 & 0x3F));
    byte(0x80 | (point >> 6 & 0x3F));
    byte(0x80 | (point & 0x3F));
  }
}

/// The key under which CLDR annotates a sequence: UTF-8 without the presentation selector.
std::string annotation_key(const std::u32string& points) {
  std::string key;
  for (const char32_t point : points) {
    if (point != kEmojiPresentation) append_utf8(key, point);
  }
  return key;
}

/// The sequence with gender and presentation taken out.
std::u32string family_key(const std::u32string& points) {
  std::u32string key;
  for (const char32_t point : points) {
    if (point == kEmojiPresentation || point == kJoiner || point == kFemaleSign || point == kMaleSign)
      continue;
    key.push_back(point == kMan || point == kWoman ? kAdult : point);
  }
  return key;
}

std::optional<std::u32string> read_points(std::string_view text) {
  std::u32string points;
  for (text = trimmed(text); !text.empty(); text = trimmed(text)) {
    std::uint32_t point = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), point, 16);
    if (error != std::errc{} || point > 0x10FFFF) return std::nullopt;
    points.push_back(point);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (!text.empty() && text.front() != ' ') return std::nullopt;
  }
  return points.empty() ? std::nullopt : std::optional(points);
}

/// "<emoji> E<version> <name>" to the name.
std::optional<std::string_view> read_name(std::string_view comment) {
  const std::string_view text = trimmed(comment);
  const std::size_t version = text.find(" E");
  if (version == std::string_view::npos) return std::nullopt;
  const std::size_t name = text.find(' ', version + 1);
  if (name == std::string_view::npos) return std::nullopt;
  return text.substr(name + 1);
}

/// The concepts of emoji-test.txt, without words.
Result<std::vector<Concept>> read_list(std::string_view text, std::string_view file) {
  constexpr std::string_view kSubgroup = "# subgroup: ";
  std::vector<Concept> concepts;
  std::string subgroup;
  GAUNTLET_CHECK_OK(for_each_line(text, [&](std::string_view line, std::size_t number) -> Status {
    line = trimmed(line);
    if (line.starts_with(kSubgroup)) subgroup = line.substr(kSubgroup.size());
    if (line.empty() || line.front() == '#') return {};
    const std::size_t hash = line.find('#');
    const std::size_t semicolon = line.find(';');
    if (hash == std::string_view::npos || semicolon > hash) {
      return fail(ErrorCode::kInvalid,
                  "{}:{}: not a line of an emoji list (code points ; status # emoji version name)", file,
                  number);
    }
    if (trimmed(line.substr(semicolon + 1, hash - semicolon - 1)) != "fully-qualified") return {};
    const auto points = read_points(line.substr(0, semicolon));
    const auto name = read_name(line.substr(hash + 1));
    if (!points || !name)
      return fail(ErrorCode::kInvalid, "{}:{}: code points or name cannot be read", file, number);
    if (std::ranges::any_of(*points, is_skin_tone)) return {};
    const auto labels = labels_of_subgroup(subgroup);
    if (!labels) {
      return fail(ErrorCode::kInvalid,
                  "{}:{}: subgroup '{}' has no labels; Picto knows those of Unicode 15.0", file, number,
                  subgroup);
    }
    Concept found;
    found.code_points = *points;
    found.name = *name;
    found.subgroup = subgroup;
    found.labels = *labels;
    concepts.push_back(std::move(found));
    return {};
  }));
  return concepts;
}

std::string decode_entities(std::string_view text) {
  static constexpr std::pair<std::string_view, char> kEntities[] = {
      {"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
  std::string plain;
  while (!text.empty()) {
    const auto entity =
        std::ranges::find_if(kEntities, [&](const auto& each) { return text.starts_with(each.first); });
    const bool found = entity != std::end(kEntities);
    plain.push_back(found ? entity->second : text.front());
    text.remove_prefix(found ? entity->first.size() : 1);
  }
  return plain;
}

using Annotations = std::unordered_map<std::string, std::string>;

/// Adds the annotations without a `type`; a key that is known already keeps its first value.
Status read_annotations(std::string_view text, Annotations& annotations) {
  constexpr std::string_view kOpen = "<annotation cp=\"";
  constexpr std::string_view kClose = "</annotation>";
  return for_each_line(text, [&](std::string_view line, std::size_t) -> Status {
    line = trimmed(line);
    const std::size_t close = line.find(kClose);  // a comment may follow
    if (!line.starts_with(kOpen) || close == std::string_view::npos) return {};
    line = line.substr(kOpen.size(), close - kOpen.size());
    const std::size_t quote = line.find('"');
    const std::size_t end = line.find('>', std::min(quote, line.size()));
    if (end == std::string_view::npos) return {};
    if (line.substr(quote, end - quote).find(" type=") != std::string_view::npos) return {};
    annotations.emplace(decode_entities(line.substr(0, quote)), decode_entities(line.substr(end + 1)));
    return {};
  });
}

bool is_stop_word(const std::string& word) {
  static const std::set<std::string> kStopWords = {"an", "and", "at", "for", "from", "in", "is",
                                                   "it", "of",  "on", "or",  "the",  "to", "with"};
  return kStopWords.contains(word);
}

std::set<std::string> words_of(const Concept& entry, const std::string& keywords) {
  std::set<std::string> words;
  for (const std::string_view text :
       {std::string_view(entry.name), std::string_view(keywords), std::string_view(entry.subgroup)}) {
    for (std::string& word : tokens_of(text)) {
      if (!is_stop_word(word)) words.insert(std::move(word));
    }
  }
  return words;
}

void assign_families(ConceptSet& set) {
  std::map<std::u32string, std::uint32_t> families;
  for (Concept& entry : set.concepts) {
    const auto next = static_cast<std::uint32_t>(families.size());
    entry.family = families.emplace(family_key(entry.code_points), next).first->second;
  }
  set.n_families = static_cast<std::uint32_t>(families.size());
}

void build_vocabulary(ConceptSet& set, const std::vector<std::set<std::string>>& words) {
  std::map<std::string, std::uint32_t> counts;
  for (const auto& each : words) {
    for (const std::string& word : each) ++counts[word];
  }
  set.n_words = counts.size();
  std::vector<std::pair<std::string, std::uint32_t>> kept;
  for (const auto& entry : counts) {
    if (entry.second >= 2) kept.push_back(entry);
  }
  std::ranges::stable_sort(kept, std::ranges::greater{}, &std::pair<std::string, std::uint32_t>::second);
  std::unordered_map<std::string, std::uint16_t> index;
  for (auto& [word, count] : kept) {
    index.emplace(word, static_cast<std::uint16_t>(index.size()));
    set.vocabulary.push_back(word);
    set.word_counts.push_back(count);
  }
  for (std::size_t id = 0; id < words.size(); ++id) {
    for (const std::string& word : words[id]) {
      if (const auto found = index.find(word); found != index.end())
        set.concepts[id].words.push_back(found->second);
    }
    std::ranges::sort(set.concepts[id].words);
  }
}

}  // namespace

std::vector<std::string> tokens_of(std::string_view text) {
  std::vector<std::string> tokens;
  std::string run;
  const auto end_run = [&] {
    if (run.size() >= 2) tokens.push_back(run);
    run.clear();
  };
  for (const char letter : text) {
    const char lower = letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
    if (lower >= 'a' && lower <= 'z') {
      run.push_back(lower);
    } else {
      end_run();
    }
  }
  end_run();
  return tokens;
}

Result<ConceptSet> concepts_from(std::string_view emoji_test, std::string_view annotations,
                                 std::string_view derived_annotations, std::string_view emoji_test_name) {
  ConceptSet set;
  GAUNTLET_TRY(set.concepts, read_list(emoji_test, emoji_test_name));
  if (set.concepts.empty() || set.concepts.size() > 0xFFFF) {
    return fail(ErrorCode::kInvalid, "{} lists {} emoji; 1 to 65535 are expected", emoji_test_name,
                set.concepts.size());
  }
  Annotations keywords;
  GAUNTLET_CHECK_OK(read_annotations(annotations, keywords));
  GAUNTLET_CHECK_OK(read_annotations(derived_annotations, keywords));
  set.n_annotations = keywords.size();
  assign_families(set);
  std::vector<std::set<std::string>> words;
  for (const Concept& entry : set.concepts) {
    const auto found = keywords.find(annotation_key(entry.code_points));
    if (found == keywords.end()) ++set.n_without_annotation;
    words.push_back(words_of(entry, found == keywords.end() ? std::string() : found->second));
  }
  build_vocabulary(set, words);
  if (set.vocabulary.size() > 0xFFFF) {
    return fail(ErrorCode::kInvalid, "{} words; at most 65535 are expected", set.vocabulary.size());
  }
  return set;
}

Result<ConceptSet> read_concepts(const EmojiSources& sources) {
  GAUNTLET_TRY(const std::string list, read_file(sources.emoji_test));
  GAUNTLET_TRY(const std::string annotations, read_file(sources.annotations()));
  GAUNTLET_TRY(const std::string derived, read_file(sources.derived_annotations()));
  return concepts_from(list, annotations, derived, sources.emoji_test.string());
}

}  // namespace gauntlet::data::detail
