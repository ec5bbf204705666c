#include "core/data/detail/flickr_files.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <unordered_map>

#include "core/base/files.hpp"
#include "core/data/detail/line_file.hpp"
#include "core/io/utf.hpp"

namespace gauntlet::data::detail {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMaxItems = 1'000'000;
constexpr std::size_t kMaxTags = 65535;

std::optional<std::int64_t> number_from(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// Number of photos: the ids of the tag files must be 1 to n.
Result<std::int64_t> count_tag_files(const fs::path& folder) {
  std::int64_t n_files = 0;
  std::int64_t highest = 0;
  std::error_code error;
  for (fs::directory_iterator files(folder, error), end; !error && files != end; files.increment(error)) {
    const std::string name = files->path().filename().string();
    if (!name.starts_with("tags") || !name.ends_with(".txt")) continue;
    const auto id = number_from(std::string_view(name).substr(4, name.size() - 8));
    if (!id || *id < 1 || *id > kMaxItems) {
      return fail(ErrorCode::kInvalid, "meta/tags holds {}; tags<id>.txt with ids from 1 to {} is read",
                  printable_name(files->path().filename()), kMaxItems);
    }
    ++n_files;
    highest = std::max(highest, *id);
  }
  if (error) return fail(system_error(error.value(), "read", folder));
  if (n_files == 0)
    return fail(ErrorCode::kNotFound, "{} holds no tag files (tags1.txt, ...)", folder.string());
  for (std::int64_t id = 1; n_files < highest && id <= highest; ++id) {
    std::error_code ignored;
    if (fs::exists(folder / fmt::format("tags{}.txt", id), ignored)) continue;
    return fail(ErrorCode::kNotFound,
                "meta/tags/tags{}.txt is missing: there are {} tag files, the highest is of photo {}", id,
                n_files, highest);
  }
  return highest;
}

}  // namespace

const std::array<FlickrLabel, 24>& flickr_labels() {
  static constexpr std::array<FlickrLabel, 24> kLabels = {{
      {"animals", 3216, false},   {"baby", 259, true},         {"bird", 742, true},
      {"car", 1177, true},        {"clouds", 3700, true},      {"dog", 684, true},
      {"female", 6184, true},     {"flower", 1823, true},      {"food", 990, false},
      {"indoor", 8313, false},    {"lake", 791, false},        {"male", 6081, true},
      {"night", 2711, true},      {"people", 10373, true},     {"plant_life", 8763, false},
      {"portrait", 3931, true},   {"river", 894, true},        {"sea", 1322, true},
      {"sky", 7912, false},       {"structures", 9992, false}, {"sunset", 2135, false},
      {"transport", 2895, false}, {"tree", 4683, true},        {"water", 3331, false},
  }};
  return kLabels;
}

Result<std::vector<std::string>> read_flickr_tag_list(const fs::path& path) {
  GAUNTLET_TRY(LineFile lines, LineFile::open(path, "doc/common_tags.txt", 4096));
  std::vector<std::string> names;
  std::unordered_map<std::string, std::int64_t> seen;
  while (true) {
    GAUNTLET_TRY(const auto line, lines.next());
    if (!line) break;
    const std::string_view text = trimmed(*line);
    if (text.empty()) continue;
    const std::size_t blank = text.find_last_of(" \t");
    const std::string tag(blank == std::string_view::npos ? text : trimmed(text.substr(0, blank)));
    if (blank == std::string_view::npos || !number_from(text.substr(blank + 1))) {
      return fail(ErrorCode::kInvalid, "{} is not '<tag> <count>'", lines.place());
    }
    if (!io::is_utf8(tag)) return fail(ErrorCode::kInvalid, "{} is not UTF-8", lines.place());
    const auto [at, is_new] = seen.emplace(tag, lines.line());
    if (!is_new)
      return fail(ErrorCode::kInvalid, "{} repeats the tag '{}' of line {}", lines.place(), tag, at->second);
    names.push_back(tag);
    if (names.size() > kMaxTags)
      return fail(ErrorCode::kInvalid, "{}: at most {} tags are read", lines.place(), kMaxTags);
  }
  if (names.empty()) return fail(ErrorCode::kInvalid, "doc/common_tags.txt holds no tags");
  return names;
}

Result<FlickrTags> read_flickr_tags(const fs::path& root) {
  FlickrTags tags;
  GAUNTLET_TRY(tags.names, read_flickr_tag_list(root / "doc" / "common_tags.txt"));
  std::unordered_map<std::string_view, std::uint16_t> index;
  for (std::size_t at = 0; at < tags.names.size(); ++at)
    index.emplace(tags.names[at], static_cast<std::uint16_t>(at));
  const fs::path folder = root / "meta" / "tags";
  GAUNTLET_TRY(const std::int64_t n_items, count_tag_files(folder));
  tags.of_item.resize(static_cast<std::size_t>(n_items));
  for (std::int64_t id = 1; id <= n_items; ++id) {
    const std::string name = fmt::format("tags{}.txt", id);
    GAUNTLET_TRY(LineFile lines, LineFile::open(folder / name, "meta/tags/" + name));
    auto& own = tags.of_item[static_cast<std::size_t>(id - 1)];
    while (true) {
      GAUNTLET_TRY(const auto line, lines.next());
      if (!line) break;
      if (const auto known = index.find(trimmed(*line)); known != index.end()) own.push_back(known->second);
    }
    std::ranges::sort(own);
    own.erase(std::unique(own.begin(), own.end()), own.end());
  }
  return tags;
}

Result<std::vector<std::int64_t>> read_flickr_photo_list(const fs::path& path, const std::string& name,
                                                         std::int64_t n_items) {
  GAUNTLET_TRY(LineFile lines, LineFile::open(path, name, 4096));
  std::vector<std::int64_t> ids;
  while (true) {
    GAUNTLET_TRY(const auto line, lines.next());
    if (!line) return ids;
    const std::string_view text = trimmed(*line);
    if (text.empty()) continue;
    const auto id = number_from(text);
    if (!id || *id < 1 || *id > n_items) {
      return fail(ErrorCode::kInvalid, "{} is '{}'; allowed: the number of a photo, 1 to {}", lines.place(),
                  printable_name(std::string(text.substr(0, 40))), n_items);
    }
    ids.push_back(*id);
  }
}

Result<FlickrLabels> read_flickr_labels(const fs::path& folder, std::int64_t n_items, bool relevant) {
  FlickrLabels labels;
  for (const FlickrLabel& label : flickr_labels()) {
    labels.names.emplace_back(label.name);
    if (relevant && label.has_relevant) labels.names.push_back(fmt::format("{}_r1", label.name));
  }
  labels.of_item.resize(static_cast<std::size_t>(n_items));
  for (std::size_t column = 0; column < labels.names.size(); ++column) {
    const std::string name = labels.names[column] + ".txt";
    GAUNTLET_TRY(const auto ids, read_flickr_photo_list(folder / name, name, n_items));
    for (const std::int64_t id : ids) {
      auto& own = labels.of_item[static_cast<std::size_t>(id - 1)];
      if (own.empty() || own.back() != column) own.push_back(static_cast<std::uint16_t>(column));
    }
  }
  return labels;
}

}  // namespace gauntlet::data::detail
