// The files of MS-COCO put together: items in order, their labels and captions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/data/detail/coco_words.hpp"

namespace gauntlet::data::detail {

/// Where the files are.
struct CocoSources {
  std::filesystem::path annotations;   ///< folder of the JSON files
  std::filesystem::path picture_root;  ///< folder of train<year>/ and val<year>/
  std::string year;                    ///< "2017" or "2014"
};

/// Looks below `source` for the files of 2017, then of 2014. Errors (kNotFound): what is missing, and
/// `layout`.
[[nodiscard]] Result<CocoSources> find_coco(const std::filesystem::path& source, std::string_view owner,
                                            std::string_view layout);
[[nodiscard]] Result<std::string> coco_identity(const CocoSources& sources);

/// Items: train by rising image id, then val by rising image id.
struct CocoItems {
  std::vector<std::string> pictures;               ///< "train2017/000000000009.jpg"
  std::vector<std::string> label_names;            ///< in column order
  std::vector<std::vector<std::uint16_t>> labels;  ///< rising columns per item
  CaptionWords words;                              ///< of every item's captions
  std::int64_t n_instances = 0;
  std::int64_t n_captions = 0;
};

/// Reads the four annotation files. Errors: those of read_coco_json, and kInvalid for an image id that is
/// given twice or is not among the images, a category that is not known, a file name that leaves its folder,
/// other categories in val than in train.
[[nodiscard]] Result<CocoItems> read_coco(const CocoSources& sources, bool labels_by_name);

}  // namespace gauntlet::data::detail
