// COCO's annotation files, read as a stream: what is needed of images, annotations and categories; everything
// else (segmentations are most of the bytes) is passed over. Memory is bounded whatever the file's size.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace gauntlet::data::detail {

/// An element of "images".
struct CocoImage {
  std::int64_t id = 0;
  std::string file_name;
};

/// An element of "categories".
struct CocoCategory {
  std::int64_t id = 0;
  std::string name;
};

/// An element of "annotations": of instances files with a category, of captions files with a caption.
struct CocoAnnotation {
  std::int64_t image_id = 0;
  std::int64_t category_id = 0;
  std::string caption;
};

/// Told every element as it ends; what is empty is not read. An error ends the reading.
struct CocoHandler {
  std::function<Status(const CocoImage&)> image = {};
  std::function<Status(const CocoCategory&)> category = {};
  std::function<Status(const CocoAnnotation&)> instance = {};  ///< `caption` is not set
  std::function<Status(const CocoAnnotation&)> caption = {};   ///< `category_id` is not set
};

/// Reads a file. Errors: kNotFound, kIo; kCorrupt (no JSON, cut off, nested deeper than 64, a text above 1
/// MiB); kInvalid with the place, e.g. "annotations[17] has no image_id": `name` comes first in every
/// message.
[[nodiscard]] Status read_coco_json(const std::filesystem::path& path, const std::string& name,
                                    const CocoHandler& handler);

/// The same from memory.
[[nodiscard]] Status parse_coco_json(std::string_view text, const std::string& name,
                                     const CocoHandler& handler);

}  // namespace gauntlet::data::detail
