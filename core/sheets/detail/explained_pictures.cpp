#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "core/sheets/detail/explained.hpp"

namespace gauntlet::sheets::detail {
namespace {

constexpr std::int64_t kPictureSide = 144;
constexpr float kDifferenceGain = 20;  ///< the paper's
constexpr double kMapShare = 0.65;     ///< of the colour; the rest is the picture, in grey
constexpr double kTopShare = 0.2;      ///< what the overlap is measured on

/// A heat map [H, W] as wide and high as the enlarged picture, bilinear.
class LargeMap {
 public:
  LargeMap(std::span<const float> map, std::int64_t height, std::int64_t width, std::int64_t zoom)
      : map_(map), height_(height), width_(width), zoom_(zoom) {
    std::vector<std::size_t> order(map.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return map[a] > map[b]; });
    const auto n = static_cast<std::size_t>(std::ceil(kTopShare * static_cast<double>(map.size()) - 1e-9));
    const bool is_flat = map.empty() || map[order.front()] == map[order.back()];
    is_top_.assign(map.size(), false);
    for (std::size_t at = 0; at < n && !is_flat; ++at) is_top_[order[at]] = map[order[at]] > 0;
  }

  [[nodiscard]] double at(std::int64_t y, std::int64_t x) const {
    const double from_y = place(y, height_), from_x = place(x, width_);
    const auto top = static_cast<std::int64_t>(from_y), left = static_cast<std::int64_t>(from_x);
    const double down = from_y - static_cast<double>(top), right = from_x - static_cast<double>(left);
    const auto value = [&](std::int64_t row, std::int64_t column) {
      return static_cast<double>(map_[index(std::min(row, height_ - 1), std::min(column, width_ - 1))]);
    };
    return (value(top, left) * (1 - right) + value(top, left + 1) * right) * (1 - down) +
           (value(top + 1, left) * (1 - right) + value(top + 1, left + 1) * right) * down;
  }

  /// Whether the enlarged pixel lies on the border of the top share, just inside.
  [[nodiscard]] bool is_border(std::int64_t y, std::int64_t x) const {
    if (!is_top(y, x)) return false;
    return !is_top(y - 1, x) || !is_top(y + 1, x) || !is_top(y, x - 1) || !is_top(y, x + 1);
  }

 private:
  [[nodiscard]] std::size_t index(std::int64_t y, std::int64_t x) const {
    return static_cast<std::size_t>(y * width_ + x);
  }
  [[nodiscard]] double place(std::int64_t large, std::int64_t side) const {
    const double at = (static_cast<double>(large) + 0.5) / static_cast<double>(zoom_) - 0.5;
    return std::clamp(at, 0.0, static_cast<double>(side - 1));
  }
  [[nodiscard]] bool is_top(std::int64_t y, std::int64_t x) const {
    if (y < 0 || x < 0 || y >= height_ * zoom_ || x >= width_ * zoom_) return false;
    return is_top_[index(y / zoom_, x / zoom_)];
  }

  std::span<const float> map_;
  std::int64_t height_, width_, zoom_;
  std::vector<bool> is_top_;
};

/// The map's colours over the grey picture, the top share outlined in white.
io::RgbImage overlay(std::span<const float> map, const io::RgbImage& picture, std::int64_t zoom) {
  const LargeMap large(map, picture.height, picture.width, zoom);
  io::RgbImage image{.width = picture.width * zoom, .height = picture.height * zoom, .pixels = {}};
  for (std::int64_t y = 0; y < image.height; ++y) {
    for (std::int64_t x = 0; x < image.width; ++x) {
      if (large.is_border(y, x)) {
        image.pixels.insert(image.pixels.end(), 3, std::uint8_t{255});
        continue;
      }
      const std::uint8_t* const pixel =
          &picture.pixels[static_cast<std::size_t>((y / zoom * picture.width + x / zoom) * 3)];
      const double grey = 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
      const draw::Colour heat = draw::heat_colour(large.at(y, x));
      for (const std::uint8_t part : {heat.red, heat.green, heat.blue}) {
        image.pixels.push_back(
            static_cast<std::uint8_t>(std::lround(kMapShare * part + (1 - kMapShare) * grey)));
      }
    }
  }
  return image;
}

/// One picture of every query.
struct Column {
  std::string heading;
  std::function<draw::Picture(std::size_t query)> picture;
  std::function<std::vector<std::string>(std::size_t query)> numbers;  ///< a line each
};

class PicturesSheet {
 public:
  PicturesSheet(const Explained& explained, const data::PreparedSet& set)
      : explained_(explained),
        set_(set),
        zoom_(zoom_for(std::max(explained.height, explained.width), kPictureSide)) {}

  draw::Sheet draw(std::string title, const draw::Lettering& lettering) {
    add_columns();
    const std::int64_t cell = explained_.width * zoom_ + kGap;
    Page page(lettering, 2 * kMargin + static_cast<std::int64_t>(columns_.size()) * cell - kGap,
              std::move(title));
    std::int64_t heading = 0;
    for (std::size_t at = 0; at < columns_.size(); ++at)
      heading = std::max(heading, page.write(columns_[at].heading, left_of(at), page.y(), cell - kGap, 2));
    page.down(heading + kGap);
    for (std::size_t query = 0; query < explained_.rows.size(); ++query) add_query(query, page);
    if (!explained_.maps.empty()) add_scale(page);
    write_footer(explained_, page);
    return page.finish();
  }

 private:
  [[nodiscard]] std::int64_t left_of(std::size_t column) const {
    return kMargin + static_cast<std::int64_t>(column) * (explained_.width * zoom_ + kGap);
  }
  [[nodiscard]] io::RgbImage image(const std::string& array, std::size_t query) const {
    return image_of(explained_.arrays.at(array).of(query), explained_.height, explained_.width);
  }

  void add_array(std::string heading, const std::string& array, const std::string& number) {
    columns_.push_back(
        {std::move(heading),
         [this, array](std::size_t query) {
           return draw::Picture{0, 0, zoom_, image(array, query), array};
         },
         [this, number](std::size_t query) { return std::vector{flips_text(explained_, number, query)}; }});
  }
  void add_columns();
  void add_map(const std::string& name);
  [[nodiscard]] std::vector<std::string> numbers_of(const std::string& map, std::size_t query) const;
  void add_query(std::size_t query, Page& page);
  static void add_scale(Page& page);

  const Explained& explained_;
  const data::PreparedSet& set_;
  std::int64_t zoom_;
  std::vector<Column> columns_;
};

void PicturesSheet::add_columns() {
  add_array("clean query", "clean", "");
  add_array("adversarial query", "adversarial", "bits_flipped");
  const auto difference = [this](std::size_t query) {
    std::vector<float> values;
    for (const float value : explained_.arrays.at("difference").of(query))
      values.push_back(std::abs(value) * kDifferenceGain);
    return draw::Picture{0, 0, zoom_, image_of(values, explained_.height, explained_.width), "difference"};
  };
  const auto largest = [this](std::size_t query) {
    float most = 0;
    for (const float value : explained_.arrays.at("difference").of(query))
      most = std::max(most, std::abs(value));
    return std::vector{fmt::format("max {:.1f} grey levels", most * 255)};
  };
  columns_.push_back({"|difference| x 20", difference, largest});
  if (explained_.find("purified") != nullptr)
    add_array(fmt::format("after {}", explained_.defense), "purified", "bits_flipped_defended");
  for (const std::string& map : explained_.maps) add_map(map);
}

void PicturesSheet::add_map(const std::string& name) {
  columns_.push_back({fmt::format("{} map of the adversarial query", upper(name)),
                      [this, name](std::size_t query) {
                        return draw::Picture{
                            0, 0, 1,
                            overlay(explained_.arrays.at(name).of(query), image("adversarial", query), zoom_),
                            name + " map"};
                      },
                      [this, name](std::size_t query) { return numbers_of(name, query); }});
}

std::vector<std::string> PicturesSheet::numbers_of(const std::string& map, std::size_t query) const {
  std::vector<std::string> lines;
  const auto add = [&](const std::string& name, std::string_view format) {
    const auto value = explained_.number(name, query);
    if (value) lines.push_back(fmt::format(fmt::runtime(format), *value));
  };
  add("heat_cosine_" + map, "cosine to clean: {:.2f}");
  if (map == "avf") {
    add("heat_avf_on_change", "on change: {:.2f}");
    add("heat_iou", "IoU with ARF: {:.2f}");
  }
  if (explained_.is_absolute(map, query)) lines.emplace_back("magnitudes");
  return lines;
}

void PicturesSheet::add_query(std::size_t query, Page& page) {
  page.rule();
  page.paragraph(heading_of(set_, explained_.rows[query]), 2);
  page.down(2);
  const std::int64_t below = page.y() + explained_.height * zoom_ + 2;
  std::int64_t numbers = 0;
  for (std::size_t at = 0; at < columns_.size(); ++at) {
    draw::Picture picture = columns_[at].picture(query);
    picture.x = left_of(at);
    picture.y = page.y();
    picture.about = fmt::format("row {}: {}", explained_.rows[query], picture.about);
    page.add(std::move(picture));
    std::int64_t height = 0;
    for (const std::string& line : columns_[at].numbers(query))
      height += page.write(line, left_of(at), below + height, explained_.width * zoom_, 2);
    numbers = std::max(numbers, height);
  }
  page.down(explained_.height * zoom_ + 2 + numbers + kGap);
}

void PicturesSheet::add_scale(Page& page) {
  page.rule();
  constexpr std::int64_t kWidth = 160, kHeight = 12;
  const std::int64_t left = kMargin + 16;
  page.write("0", kMargin, page.y(), 16, 1);
  page.add(draw::Picture{left, page.y() + 1, 1, draw::heat_scale(kWidth, kHeight), "scale of the heat maps"});
  page.write("1", left + kWidth + 6, page.y(), 16, 1);
  const std::int64_t text = left + kWidth + 28;
  const std::int64_t height = page.write(
      "heat maps, each scaled to 0 to 1, laid over the picture in grey; outlined: the highest 20 %", text,
      page.y(), page.width() - kMargin - text, 3);
  page.down(std::max(height, kHeight + 2) + kGap);
}

}  // namespace

draw::Sheet pictures_sheet(const Explained& explained, const data::PreparedSet& set, std::string title,
                           const draw::Lettering& lettering) {
  return PicturesSheet(explained, set).draw(std::move(title), lettering);
}

}  // namespace gauntlet::sheets::detail
