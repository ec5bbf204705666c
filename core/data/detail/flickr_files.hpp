// The text files of MIRFLICKR-25K: common_tags.txt, one file of tags per photo, one list of photos per label.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace gauntlet::data::detail {

/// The 24 labels in alphabetical order, which is their column order, and how many of the 25,000 photos each
/// has.
struct FlickrLabel {
  std::string_view name;
  std::int64_t n_photos;
  bool has_relevant;  ///< a list <name>_r1.txt of the photos where it matters
};
[[nodiscard]] const std::array<FlickrLabel, 24>& flickr_labels();

/// The tags of doc/common_tags.txt, "<tag> <count>" per line; the counts are not used. Errors (kInvalid):
/// another form, a repeated tag, no tag, more than 65,535, with the line.
[[nodiscard]] Result<std::vector<std::string>> read_flickr_tag_list(const std::filesystem::path& path);

/// Photo ids of a list, one per line, in its order. Errors (kInvalid, with the line): not from 1 to
/// `n_items`.
[[nodiscard]] Result<std::vector<std::int64_t>> read_flickr_photo_list(const std::filesystem::path& path,
                                                                       const std::string& name,
                                                                       std::int64_t n_items);

struct FlickrTags {
  std::vector<std::string> names;                   ///< lines of doc/common_tags.txt, in order
  std::vector<std::vector<std::uint16_t>> of_item;  ///< rising tag indices of photo id - 1
  [[nodiscard]] std::int64_t n_items() const { return static_cast<std::int64_t>(of_item.size()); }
};

/// Reads doc/common_tags.txt ("<tag> <count>" per line) and meta/tags/tags<id>.txt (a tag per line; empty
/// files and tags outside the list are usual) for the ids 1 to the highest there is. Errors (kInvalid,
/// kNotFound): the place; a missing file of an id; a folder that holds tag files under other names.
[[nodiscard]] Result<FlickrTags> read_flickr_tags(const std::filesystem::path& root);

struct FlickrLabels {
  std::vector<std::string> names;
  std::vector<std::vector<std::uint16_t>> of_item;  ///< rising label indices of photo id - 1
};

/// Reads <label>.txt of all 24 (one photo id per line), with `relevant` also <label>_r1.txt, in alphabetical
/// order. Errors: kNotFound (a list is missing), kInvalid (not an id from 1 to n_items).
[[nodiscard]] Result<FlickrLabels> read_flickr_labels(const std::filesystem::path& folder,
                                                      std::int64_t n_items, bool relevant);

}  // namespace gauntlet::data::detail
