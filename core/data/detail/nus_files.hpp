// The text files of NUS-WIDE: image list, 81 ground-truth columns, the 1,000-tag matrix.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/result.hpp"

namespace gauntlet::data::detail {

/// A sparse 0/1 column or row set: the indices that are 1, rising.
using Ones = std::vector<std::uint32_t>;

/// Lines of ImageList/<file>: "<folder>\<picture>", returned with '/'. Errors (kInvalid, with the line): a
/// path that leaves its folder, an empty list.
[[nodiscard]] Result<std::vector<std::string>> read_nus_images(const std::filesystem::path& path,
                                                               const std::string& name);

/// A column of the ground truth.
struct NusColumn {
  Ones ones;                          ///< lines above 0
  std::vector<std::string> oddities;  ///< lines that are neither 0 nor 1, for the warnings; at most 10
};

/// Reads Labels_<concept>.txt of `n_lines` lines; above 0 counts as 1, anything else that is a number as 0
/// (one file holds a large negative number). Errors (kInvalid): not a number, with the line; another number
/// of lines.
[[nodiscard]] Result<NusColumn> read_nus_column(const std::filesystem::path& path, const std::string& name,
                                                std::int64_t n_lines);

/// Labels of every image, concept by concept: from Groundtruth/AllLabels, or else from TrainTestLabels by way
/// of ImageList/{Train,Test}Imagelist.txt.
struct NusLabels {
  std::vector<std::string> concepts;  ///< Concepts81.txt, in order
  std::vector<Ones> columns;          ///< images of each concept
  std::vector<std::string> warnings;
};
[[nodiscard]] Result<NusLabels> read_nus_labels(const std::filesystem::path& root,
                                                const std::vector<std::string>& images);

/// The `n` concepts with most images (ties: the earlier), in the order of the list.
[[nodiscard]] std::vector<std::size_t> largest_concepts(const NusLabels& labels, std::size_t n);

/// Rows of AllTags1k.txt for the images in `wanted` (rising); the file is streamed. `n_ones` counts all rows.
struct NusTags {
  std::vector<std::vector<std::uint16_t>> rows;
  std::int64_t n_ones = 0;
};
/// Errors (kInvalid, with the line): not 0 or 1, another number of values than `n_tags`, another number of
/// lines than `n_images`.
[[nodiscard]] Result<NusTags> read_nus_tags(const std::filesystem::path& path, const std::string& name,
                                            std::int64_t n_images, std::size_t n_tags, const Ones& wanted);

}  // namespace gauntlet::data::detail
