#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/data/captions.hpp"
#include "core/sheets/detail/explained.hpp"

namespace gauntlet::sheets::detail {
namespace {

constexpr std::int64_t kThumbnail = 96;
constexpr std::size_t kMostWords = 12;
constexpr std::int64_t kWordWidth = 150, kValueWidth = 130, kBarWidth = 110, kBarHeight = 10;
constexpr std::int64_t kNumberWidth = 34;  ///< beside a bar

/// "0 -> 0.05"
std::string value_text(float value) {
  if (value == 0 || value == 1) return value == 0 ? "0" : "1";
  return fmt::format("{:.2f}", value);
}

class WordsSheet {
 public:
  WordsSheet(const Explained& explained, const data::PreparedSet& set)
      : explained_(explained), set_(set), names_(data::word_names(set)) {}

  draw::Sheet draw(std::string title, const draw::Lettering& lettering) {
    Page page(lettering, width(), std::move(title));
    for (std::size_t query = 0; query < explained_.rows.size(); ++query) add_query(query, page);
    page.rule();
    page.paragraph(
        fmt::format(
            "The {} words with the largest changes and map values; the picture is the item's own, which "
            "the attack does not touch. Maps: gradient x input, scaled to 0 to 1.",
            kMostWords),
        3);
    write_footer(explained_, page);
    return page.finish();
  }

 private:
  [[nodiscard]] bool has_pictures() const { return set_.height() > 0; }
  [[nodiscard]] std::int64_t table_left() const {
    return kMargin + (has_pictures() ? set_.width() * thumbnail_zoom() + 2 * kGap : 0);
  }
  [[nodiscard]] std::int64_t thumbnail_zoom() const {
    return zoom_for(std::max(set_.height(), set_.width()), kThumbnail);
  }
  [[nodiscard]] std::int64_t n_values() const { return explained_.find("purified") != nullptr ? 3 : 2; }
  [[nodiscard]] std::int64_t width() const {
    const auto n_maps = std::max<std::int64_t>(static_cast<std::int64_t>(explained_.maps.size()), 1);
    return table_left() + kWordWidth + kValueWidth + (kBarWidth + kNumberWidth + kGap) * n_maps + kMargin;
  }
  [[nodiscard]] std::string word(std::size_t place) const {
    return place < names_.size() ? names_[place] : fmt::format("word {}", place);
  }
  [[nodiscard]] std::vector<std::size_t> shown_words(std::size_t query) const;
  void add_query(std::size_t query, Page& page);
  void add_row(std::size_t query, std::size_t place, std::int64_t y, Page& page) const;
  void add_table(std::size_t query, Page& page);

  const Explained& explained_;
  const data::PreparedSet& set_;
  std::vector<std::string> names_;
};

/// Those with the largest sum of change and map values, in the order of the vocabulary.
std::vector<std::size_t> WordsSheet::shown_words(std::size_t query) const {
  std::vector<float> weight(static_cast<std::size_t>(explained_.arrays.at("clean").n_per_query), 0);
  const auto raise = [&](const std::string& array, float gain) {
    const std::span<const float> values = explained_.arrays.at(array).of(query);
    for (std::size_t place = 0; place < weight.size(); ++place)
      weight[place] += std::abs(values[place]) * gain;
  };
  const auto change = explained_.arrays.at("difference").of(query);
  const float most = std::abs(*std::ranges::max_element(change, {}, [](float v) { return std::abs(v); }));
  raise("difference", most > 0 ? 1 / most : 0);
  for (const std::string& map : explained_.maps) raise(map, 1);
  raise("clean", 0.01F);  // present words before absent ones
  std::vector<std::size_t> order(weight.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return weight[a] > weight[b]; });
  order.resize(std::min(order.size(), kMostWords));
  std::erase_if(order, [&](std::size_t place) { return weight[place] == 0; });
  std::ranges::sort(order);
  return order;
}

void WordsSheet::add_row(std::size_t query, std::size_t place, std::int64_t y, Page& page) const {
  const float before = explained_.arrays.at("clean").of(query)[place];
  const float after = explained_.arrays.at("adversarial").of(query)[place];
  const char* const mark = after > before ? "+ " : after < before ? "- " : "  ";
  page.write(mark + word(place), table_left(), y, kWordWidth - kGap, 1);
  std::string values = value_text(before);
  if (after != before) values += " -> " + value_text(after);
  if (const Values* purified = explained_.find("purified"))
    values += fmt::format(" ({})", value_text(purified->of(query)[place]));
  page.write(values, table_left() + kWordWidth, y, kValueWidth - kGap, 1);
  std::int64_t left = table_left() + kWordWidth + kValueWidth;
  for (const std::string& map : explained_.maps) {
    const float value = explained_.arrays.at(map).of(query)[place];
    const auto length = static_cast<std::int64_t>(std::lround(std::clamp(value, 0.0F, 1.0F) * kBarWidth));
    const std::int64_t top = y + (page.line() - kBarHeight) / 2;
    if (length > 0) page.add(draw::Box{left, top, length, kBarHeight, 0, draw::heat_colour(value)});
    page.add(draw::Box{left, top, kBarWidth, kBarHeight, 1, kFaint});
    page.write(fmt::format("{:.2f}", value), left + kBarWidth + 4, y, kNumberWidth, 1);
    left += kBarWidth + kNumberWidth + kGap;
  }
}

void WordsSheet::add_table(std::size_t query, Page& page) {
  const std::int64_t line = page.line();
  page.write("word", table_left(), page.y(), kWordWidth, 1);
  page.write(n_values() == 3 ? "clean -> attacked (defended)" : "clean -> attacked",
             table_left() + kWordWidth, page.y(), kValueWidth - kGap, 2);
  std::int64_t left = table_left() + kWordWidth + kValueWidth;
  for (const std::string& map : explained_.maps) {
    const auto cosine = explained_.number("heat_cosine_" + map, query);
    page.write(upper(map) + (cosine ? fmt::format(", cosine to clean {:.2f}", *cosine) : ""), left, page.y(),
               kBarWidth + kNumberWidth, 2);
    left += kBarWidth + kNumberWidth + kGap;
  }
  page.down(2 * line);
  for (const std::size_t place : shown_words(query)) {
    add_row(query, place, page.y(), page);
    page.down(line + 2);
  }
}

void WordsSheet::add_query(std::size_t query, Page& page) {
  page.rule();
  const std::int64_t row = explained_.rows[query];
  std::string heading = heading_of(set_, row);
  for (const auto& [number, after] :
       {std::pair("bits_flipped", ""), std::pair("bits_flipped_defended", " after the defense")}) {
    const std::string flips = flips_text(explained_, number, query);
    if (!flips.empty()) heading += fmt::format(" | {}{}", flips, after);
  }
  page.paragraph(heading, 2);
  const std::vector<std::string> own = data::words_of_item(set_, row);
  if (!own.empty()) page.paragraph(fmt::format("words: {}", fmt::join(own, ", ")), 2);
  page.down(4);
  const std::int64_t top = page.y();
  if (has_pictures()) {
    const auto size = static_cast<std::size_t>(set_.height() * set_.width() * 3);
    page.add(draw::Picture{kMargin, top, thumbnail_zoom(),
                           image_of(set_.images().subspan(static_cast<std::size_t>(row) * size, size),
                                    set_.height(), set_.width()),
                           fmt::format("row {}: its picture", row)});
  }
  add_table(query, page);
  const std::int64_t picture_end = top + (has_pictures() ? set_.height() * thumbnail_zoom() : 0);
  page.down(std::max<std::int64_t>(picture_end - page.y(), 0) + kGap);
}

}  // namespace

draw::Sheet words_sheet(const Explained& explained, const data::PreparedSet& set, std::string title,
                        const draw::Lettering& lettering) {
  return WordsSheet(explained, set).draw(std::move(title), lettering);
}

}  // namespace gauntlet::sheets::detail
