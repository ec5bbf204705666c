// Contact sheets.
#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <optional>

#include "core/data/captions.hpp"
#include "core/data/detail/custom_set.hpp"
#include "core/data/inspect.hpp"
#include "core/draw/text_painter.hpp"
#include "core/io/npy.hpp"
#include "core/io/picture.hpp"
#include "core/io/png.hpp"

namespace gauntlet::data {
namespace {

constexpr std::int64_t kMargin = 8;
constexpr int kLetterPx = 13;
constexpr std::size_t kCaptionLines = 4;
constexpr std::size_t kMaxWords = 12;

/// The pictures a sheet is made from, whatever they are stored as.
struct Pictures {
  std::int64_t n_items = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::function<std::uint8_t(std::int64_t row, std::int64_t y, std::int64_t x, std::int64_t channel)> value;
  std::function<std::string(std::int64_t row)> caption;
};

/// Where everything goes.
struct Layout {
  std::int64_t zoom = 1;
  std::int64_t n_columns = 1;
  std::int64_t cell_width = 0;
  std::int64_t cell_height = 0;
};

Result<io::RgbImage> blank_sheet(const Layout& layout, std::size_t n_pictures) {
  const std::int64_t n_rows =
      (static_cast<std::int64_t>(n_pictures) + layout.n_columns - 1) / layout.n_columns;
  io::RgbImage sheet;
  sheet.width = layout.n_columns * layout.cell_width + kMargin;
  sheet.height = n_rows * layout.cell_height + kMargin;
  if (sheet.width > io::kMaxPngPixels / sheet.height) {
    return fail(ErrorCode::kInvalid, "a sheet of {} x {} pixels is too large; show fewer pictures",
                sheet.width, sheet.height);
  }
  sheet.pixels.assign(static_cast<std::size_t>(sheet.width * sheet.height * 3), 255);
  return sheet;
}

void draw_picture(io::RgbImage& sheet, const Pictures& pictures, std::int64_t row, std::int64_t zoom,
                  std::int64_t left, std::int64_t top) {
  for (std::int64_t y = 0; y < pictures.height * zoom; ++y) {
    for (std::int64_t x = 0; x < pictures.width * zoom; ++x) {
      for (std::int64_t channel = 0; channel < 3; ++channel) {
        sheet.pixels[static_cast<std::size_t>(((top + y) * sheet.width + left + x) * 3 + channel)] =
            pictures.value(row, y / zoom, x / zoom, channel);
      }
    }
  }
}

Status draw_sheet(const Pictures& pictures, std::span<const std::int64_t> rows,
                  const std::filesystem::path& path, const SheetOptions& options) {
  if (rows.empty() || options.n_columns < 1)
    return fail(ErrorCode::kInvalid, "a sheet needs at least one row and one column");
  for (const std::int64_t row : rows) {
    if (row < 0 || row >= pictures.n_items) {
      return fail(ErrorCode::kInvalid, "there is no row {}; allowed: 0 to {}", row, pictures.n_items - 1);
    }
  }
  const auto painter = options.captions ? draw::TextPainter::open(kLetterPx) : std::nullopt;
  const std::int64_t side = std::max(pictures.height, pictures.width);
  Layout layout;
  layout.zoom = std::clamp<std::int64_t>((options.cell_px + side - 1) / side, 1, 64);
  layout.n_columns = std::min(options.n_columns, static_cast<std::int64_t>(rows.size()));
  layout.cell_width = pictures.width * layout.zoom + kMargin;
  layout.cell_height = pictures.height * layout.zoom + kMargin +
                       (painter ? painter->line_height() * static_cast<std::int64_t>(kCaptionLines) : 0);
  GAUNTLET_TRY(io::RgbImage sheet, blank_sheet(layout, rows.size()));
  for (std::size_t at = 0; at < rows.size(); ++at) {
    const auto cell = static_cast<std::int64_t>(at);
    const std::int64_t left = kMargin + cell % layout.n_columns * layout.cell_width;
    const std::int64_t top = kMargin + cell / layout.n_columns * layout.cell_height;
    draw_picture(sheet, pictures, rows[at], layout.zoom, left, top);
    if (!painter) continue;
    std::int64_t y = top + pictures.height * layout.zoom;
    for (const std::string& line :
         painter->wrap(pictures.caption(rows[at]), layout.cell_width - kMargin, kCaptionLines)) {
      painter->draw(sheet, line, left, y);
      y += painter->line_height();
    }
  }
  return io::write_png(path, sheet);
}

std::uint8_t to_byte(float value) {
  if (std::isnan(value)) return 0;
  return static_cast<std::uint8_t>(std::lround(std::clamp(value, 0.0F, 1.0F) * 255.0F));
}

/// u8 [n, H, W, 3]
Pictures pictures_of(std::span<const std::uint8_t> values, const std::vector<std::int64_t>& shape) {
  Pictures pictures{.n_items = shape[0], .height = shape[1], .width = shape[2], .value = {}, .caption = {}};
  pictures.value = [values, shape](std::int64_t row, std::int64_t y, std::int64_t x, std::int64_t channel) {
    return values[static_cast<std::size_t>(((row * shape[1] + y) * shape[2] + x) * 3 + channel)];
  };
  return pictures;
}

/// f32 [n, 3, H, W] in [0,1]
Pictures planar_pictures_of(std::span<const float> values, const std::vector<std::int64_t>& shape) {
  Pictures pictures{.n_items = shape[0], .height = shape[2], .width = shape[3], .value = {}, .caption = {}};
  pictures.value = [values, shape](std::int64_t row, std::int64_t y, std::int64_t x, std::int64_t channel) {
    return to_byte(values[static_cast<std::size_t>(((row * 3 + channel) * shape[2] + y) * shape[3] + x)]);
  };
  return pictures;
}

/// " | cat, mat": the words of a row whose names are known.
std::string words_of_row(const PreparedSet& set, std::int64_t row) {
  if (word_names(set).empty()) return "";
  std::vector<std::string> words = words_of_item(set, row);
  words.resize(std::min(words.size(), kMaxWords));
  return fmt::format(" | {}", fmt::join(words, ", "));
}

/// The labels and words of a row of a source, by number where there is no name.
Result<std::string> caption_of(const detail::CustomSet& set, std::int64_t row) {
  const detail::RowsPart& part = set.parts.front();
  std::vector<std::string> labels;
  std::vector<float> values(static_cast<std::size_t>(set.n_labels));
  GAUNTLET_CHECK_OK(part.labels->read(row, std::span(values)));
  for (std::size_t label = 0; label < values.size(); ++label) {
    if (values[label] > 0) labels.push_back(fmt::format("{}", label));
  }
  std::vector<std::string> words;
  if (part.text) {
    values.resize(static_cast<std::size_t>(set.text_dim));
    GAUNTLET_CHECK_OK(part.text->read(row, std::span(values)));
    for (std::size_t word = 0; word < values.size() && words.size() < kMaxWords; ++word) {
      if (values[word] != 0) words.push_back(fmt::format("{}", word));
    }
  } else if (!part.words.empty()) {
    for (const std::uint16_t word : part.words[static_cast<std::size_t>(row)]) {
      if (words.size() < kMaxWords) words.push_back(set.vocabulary[word]);
    }
  }
  return fmt::format("{}: labels {} | words {}", row, fmt::join(labels, ", "), fmt::join(words, ", "));
}

}  // namespace

Status sheet_of_source(const std::filesystem::path& source, const std::string& map,
                       std::span<const std::int64_t> rows, const std::filesystem::path& path,
                       const SheetOptions& options) {
  if (rows.empty()) return fail(ErrorCode::kInvalid, "a sheet needs at least one row and one column");
  const std::int64_t n_most = std::max<std::int64_t>(detail::kAxisTestPictures, std::ranges::max(rows) + 1);
  GAUNTLET_TRY(const detail::CustomSet set, detail::open_custom(source, {.map = map,
                                                                         .pictures = {},
                                                                         .text = "labels",
                                                                         .n_words = 2000,
                                                                         .scratch = {},
                                                                         .n_most = n_most,
                                                                         .progress = {}}));
  if (!set.holds_pictures)
    return fail(ErrorCode::kInvalid, "{} holds image features, there is nothing to look at", source.string());
  const detail::RowsPart& part = set.parts.front();
  Pictures pictures;
  pictures.n_items = part.n_rows;
  pictures.height = part.images ? set.height : options.cell_px;
  pictures.width = part.images ? set.width : options.cell_px;
  std::map<std::int64_t, std::vector<std::uint8_t>> pixels;
  std::map<std::int64_t, std::string> captions;
  for (const std::int64_t row : rows) {
    if (row < 0 || row >= part.n_rows) continue;  // named below
    auto& picture = pixels[row];
    picture.resize(static_cast<std::size_t>(pictures.height * pictures.width * 3));
    if (part.images) {
      GAUNTLET_CHECK_OK(part.images->read(row, std::span(picture)));
    } else {
      const io::PictureShape shape{
          .height = pictures.height, .width = pictures.width, .fit = io::Fit::kStretch};
      GAUNTLET_CHECK_OK(
          io::read_picture(set.picture_root / part.pictures[static_cast<std::size_t>(row)], shape, picture));
    }
    GAUNTLET_TRY(captions[row], caption_of(set, row));
  }
  pictures.value = [&](std::int64_t row, std::int64_t y, std::int64_t x, std::int64_t channel) {
    return pixels.at(row)[static_cast<std::size_t>((y * pictures.width + x) * 3 + channel)];
  };
  pictures.caption = [&](std::int64_t row) { return captions.at(row); };
  return draw_sheet(pictures, rows, path, options);
}

Status write_sheet(const PreparedSet& set, std::span<const std::int64_t> rows,
                   const std::filesystem::path& path, const SheetOptions& options) {
  if (set.height() == 0)
    return fail(ErrorCode::kInvalid, "the set holds image features, there is nothing to look at");
  Pictures pictures = pictures_of(set.images(), {set.n_items(), set.height(), set.width(), 3});
  pictures.caption = [&](std::int64_t row) {
    return fmt::format("{}: {}{}", row, fmt::join(labels_of_item(set, row), ", "), words_of_row(set, row));
  };
  return draw_sheet(pictures, rows, path, options);
}

Status sheet_of_npy(const std::filesystem::path& npy, std::span<const std::int64_t> rows,
                    const std::filesystem::path& path, const SheetOptions& options) {
  GAUNTLET_TRY(const io::NpyArray array, io::read_npy(npy));
  const auto& shape = array.shape;
  const bool has_pictures = shape.size() == 4 && array.n_elements() > 0;
  Pictures pictures;
  if (has_pictures && array.dtype == io::DType::kF32 && shape[1] == 3) {
    GAUNTLET_TRY(const auto values, array.as<float>());
    pictures = planar_pictures_of(values, shape);
  } else if (has_pictures && array.dtype == io::DType::kU8 && shape[3] == 3) {
    GAUNTLET_TRY(const auto values, array.as<std::uint8_t>());
    pictures = pictures_of(values, shape);
  } else {
    return fail(ErrorCode::kInvalid, "{} is {} {}; a sheet is made from f32 [n, 3, H, W] or u8 [n, H, W, 3]",
                npy.string(), io::name_of(array.dtype), io::shape_text(shape));
  }
  pictures.caption = [](std::int64_t row) { return fmt::format("{}", row); };
  return draw_sheet(pictures, rows, path, options);
}

}  // namespace gauntlet::data
