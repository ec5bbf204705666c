// Collections of drawings for the larger Picto: what is in their folders, its labels and words, and its
// pictures.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/data/detail/emoji_concepts.hpp"

namespace gauntlet::data::detail {

struct Clipart {
  std::filesystem::path picture;
  std::string stem;                ///< letters of the file's name: drawings of one stem are of one concept
  LabelMask labels = 0;            ///< of its folder; columns of xl_label_names
  std::vector<std::string> words;  ///< of its description, sorted, each once
};

/// Whether the folders are there. Errors: kNotFound naming the packages.
[[nodiscard]] Status check_openclipart(const std::filesystem::path& root);
[[nodiscard]] Status check_stamps(const std::filesystem::path& root);

/// Debian's openclipart-png and openclipart-svg: `root` holds png/ and svg/. Words: title, description and
/// keywords of the SVG twin, without the names of its author and of tools. Public domain. Folders without
/// labels and links are passed over; order is that of the paths. Errors: kNotFound with the packages; kIo.
[[nodiscard]] Result<std::vector<Clipart>> read_openclipart(const std::filesystem::path& root);

/// Debian's tuxpaint-stamps-default: PNG files with a .txt beside them, whose first line is the words. GPL-2.
/// Otherwise as read_openclipart; alphabets have no labels.
[[nodiscard]] Result<std::vector<Clipart>> read_stamps(const std::filesystem::path& root);

/// Words of the first line, of a stamp; of the metadata of an SVG file.
[[nodiscard]] std::vector<std::string> words_of_stamp(std::string_view text);
[[nodiscard]] std::vector<std::string> words_of_svg(std::string_view text);

/// Draws a picture centred on a white square of px x px, u8 [px, px, 3]: exact area averages of the colours
/// multiplied by alpha over a transparent square of its longer side, rounded once. Memory does not grow with
/// the picture. Errors: those of io::read_png_rows.
[[nodiscard]] Status draw_clipart(const std::filesystem::path& picture, int px, std::span<std::uint8_t> out);

}  // namespace gauntlet::data::detail
