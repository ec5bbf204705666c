// A source of files that people pass around, understood: which rows there are, where their pictures, texts
// and labels come from, and which part of the split each file says it is.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/data/dataset.hpp"
#include "core/data/detail/array_roles.hpp"
#include "core/data/detail/axis_test.hpp"
#include "core/data/detail/source_files.hpp"

namespace gauntlet::data::detail {

/// How to look at a source.
struct CustomLook {
  std::string map;                 ///< what the user says of roles and axes
  std::filesystem::path pictures;  ///< where named picture files are; empty: beside the arrays
  std::string text = "auto";       ///< "auto", or "labels": the labels also as text, for sets without one
  std::size_t n_words = 2000;      ///< of the vocabulary made from captions
  std::filesystem::path scratch;
  std::int64_t n_most = -1;  ///< rows to be able to read per part; -1: all
  ProgressFn progress;
};

/// Rows that lie in the same arrays.
struct RowsPart {
  std::int64_t n_rows = 0;
  std::optional<ItemArray> images;                ///< [H, W, 3] or [F]
  std::vector<std::string> pictures;              ///< else paths of picture files
  std::optional<ItemArray> text;                  ///< [D]
  std::vector<std::vector<std::uint16_t>> words;  ///< else words of the vocabulary
  std::optional<ItemArray> labels;                ///< [C]
  std::string label_name;                         ///< the array's name, for messages
  std::string text_name;
  std::optional<std::uint8_t> split;    ///< of all rows, when the source keeps the sets apart
  std::vector<std::uint8_t> row_split;  ///< row by row, when it has an array of that
};

/// Move-only.
struct CustomSet {
  SourceFiles sources;
  Family family;
  std::vector<RowsPart> parts;
  std::filesystem::path picture_root;
  std::vector<std::string> vocabulary;  ///< of captions; empty otherwise
  bool holds_pictures = true;           ///< else features
  std::int64_t height = 0, width = 0;   ///< of pictures in arrays; 0 for picture files
  std::int64_t feature_dim = 0;
  std::int64_t text_dim = 0;
  std::int64_t n_labels = 0;
  bool text_is_labels = false;
  AxisTest axis_test;
  std::vector<std::string> warnings;

  [[nodiscard]] std::int64_t n_rows() const;
  /// The axes of each role as they are meant, e.g. {"images": {"array": "IAll", "axes": "whcn"}}.
  [[nodiscard]] Json roles_as_json() const;
};

/// Opens the source, finds the roles, turns pictures that lie on their sides. Errors: those of open_sources,
/// parse_map and detect_family; kInvalid: row counts or sizes that differ, axes given in the map that the
/// pictures contradict, no text.
[[nodiscard]] Result<CustomSet> open_custom(const std::filesystem::path& source, const CustomLook& look);

}  // namespace gauntlet::data::detail
