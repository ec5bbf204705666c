#include "core/data/captions.hpp"

namespace gauntlet::data {

std::vector<std::string> labels_of_item(const PreparedSet& set, std::int64_t row) {
  const std::vector<std::string> names = set.label_names();
  std::vector<std::string> present;
  for (std::size_t label = 0; label < names.size(); ++label) {
    if (set.labels()[static_cast<std::size_t>(row) * names.size() + label] != 0)
      present.push_back(names[label]);
  }
  return present;
}

std::vector<std::string> word_names(const PreparedSet& set) {
  const Json names = set.about().value("text_names", Json::array());
  if (!set.text_is_binary() || names.size() != static_cast<std::size_t>(set.text_dim())) return {};
  std::vector<std::string> words;
  for (std::size_t word = 0; word < names.size(); ++word)
    words.push_back(names[word].is_string() ? names[word].get<std::string>() : std::to_string(word));
  return words;
}

std::vector<std::string> words_of_item(const PreparedSet& set, std::int64_t row) {
  const std::vector<std::string> names = word_names(set);
  std::vector<std::string> words;
  for (std::size_t word = 0; word < names.size(); ++word) {
    if (set.text_u8()[static_cast<std::size_t>(row) * names.size() + word] != 0) words.push_back(names[word]);
  }
  return words;
}

}  // namespace gauntlet::data
