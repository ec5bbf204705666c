#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

#include "core/data/captions.hpp"
#include "core/data/query_draw.hpp"
#include "core/sheets/detail/page.hpp"
#include "core/sheets/retrieval.hpp"

namespace gauntlet::sheets {
namespace {

using detail::kGap;
using detail::kMargin;

constexpr std::int64_t kThumbnail = 96;
constexpr std::int64_t kFrameLine = 4;
constexpr std::size_t kLabelLines = 2;
constexpr std::size_t kQueryLines = 7;
constexpr std::int64_t kBetween = 12;  ///< between two hits: room for their frames

/// The queries as the attack left them: [n, …] in the order of its rows.
struct Crafted {
  io::NpyArray inputs;
  std::vector<std::int64_t> rows;
};

Result<Crafted> read_crafted(const artifacts::Artifact& artifact) {
  Crafted crafted;
  GAUNTLET_TRY(crafted.inputs, io::read_npy(artifact.file("inputs.npy")));
  GAUNTLET_TRY(const io::NpyArray rows, io::read_npy(artifact.file("rows.npy")));
  GAUNTLET_TRY(const auto row, rows.as<std::int64_t>());
  crafted.rows.assign(row.begin(), row.end());
  if (crafted.inputs.shape.empty() || crafted.inputs.shape.front() != static_cast<std::int64_t>(row.size())) {
    return fail(ErrorCode::kCorrupt, "{} holds inputs of {} for {} rows", artifact.folder.string(),
                io::shape_text(crafted.inputs.shape), row.size());
  }
  return crafted;
}

class RetrievalPage {
 public:
  RetrievalPage(const RetrievalSubject& subject, const data::PreparedSet& set)
      : subject_(subject),
        set_(set),
        zoom_(detail::zoom_for(std::max(set.height(), set.width()), kThumbnail)),
        thumbnail_width_(set.width() * zoom_) {}

  Result<draw::Sheet> draw(std::string title, const draw::Lettering& lettering) {
    GAUNTLET_CHECK_OK(read());
    const auto n_shown = static_cast<std::int64_t>(kRetrieved);
    detail::Page page(lettering, hits_left() + n_shown * (thumbnail_width_ + kBetween) + kMargin - kBetween,
                      std::move(title));
    for (std::size_t query = 0; query < subject_.rows.size(); ++query) {
      GAUNTLET_CHECK_OK(add_query(query, page));
    }
    page.rule();
    page.paragraph(fmt::format(
        "Framed: shares a label with the query. The number is the Hamming distance; equal distances "
        "in the order of the retrieval set.{}",
        image_queries() ? " Texts are shown by the picture and the labels of their item." : ""));
    for (const std::string& note : subject_.notes) page.paragraph(note, 3);
    return page.finish();
  }

 private:
  [[nodiscard]] bool image_queries() const { return subject_.queries == Modality::kImage; }
  [[nodiscard]] std::int64_t hits_left() const {
    return kMargin + std::max<std::int64_t>(thumbnail_width_, 130) + 3 * kGap;
  }
  [[nodiscard]] io::RgbImage picture_of(std::int64_t row) const {
    const auto size = static_cast<std::size_t>(set_.height() * set_.width() * 3);
    return detail::image_of(set_.images().subspan(static_cast<std::size_t>(row) * size, size), set_.height(),
                            set_.width());
  }
  Status read();
  Status add_query(std::size_t query, detail::Page& page);
  Result<std::int64_t> add_asked(std::size_t query, const Retrieval& retrieval, detail::Page& page);
  [[nodiscard]] Result<std::string> words_of(std::int64_t row, bool is_attacked) const;
  [[nodiscard]] std::vector<std::string> labels_of(std::int64_t item, std::int64_t query) const;
  std::int64_t add_hits(std::int64_t query, const std::vector<Hit>& hits, detail::Page& page);

  const RetrievalSubject& subject_;
  const data::PreparedSet& set_;
  std::int64_t zoom_;
  std::int64_t thumbnail_width_;
  std::optional<Crafted> crafted_;
  std::vector<std::int64_t> crafted_at_;                ///< of each shown query
  std::vector<std::vector<std::vector<Hit>>> nearest_;  ///< [retrieval][query]
};

Status RetrievalPage::read() {
  if (set_.height() == 0)
    return fail(ErrorCode::kInvalid, "the set holds image features, there is nothing to look at");
  for (const Retrieval& retrieval : subject_.retrievals) {
    GAUNTLET_TRY(auto hits, nearest(*retrieval.queries, *retrieval.items, set_, subject_.rows));
    nearest_.push_back(std::move(hits));
  }
  if (subject_.crafted == nullptr) return {};
  GAUNTLET_TRY(crafted_, read_crafted(*subject_.crafted));
  GAUNTLET_TRY(crafted_at_, data::positions_of(subject_.rows, crafted_->rows));
  return {};
}

/// The query's words; of an attacked one those that the attack changed, with their new values.
Result<std::string> RetrievalPage::words_of(std::int64_t row, bool is_attacked) const {
  const std::vector<std::string> names = data::word_names(set_);
  if (names.empty()) return std::string(is_attacked ? "text, attacked" : "text");
  if (!is_attacked) return fmt::format("{}", fmt::join(data::words_of_item(set_, row), ", "));
  GAUNTLET_TRY(const auto values, crafted_->inputs.as<float>());
  const auto query = std::ranges::find(crafted_->rows, row) - crafted_->rows.begin();
  struct Change {
    std::size_t word;
    float before, after;
  };
  std::vector<Change> changes;
  for (std::size_t word = 0; word < names.size(); ++word) {
    const float before = set_.text_u8()[static_cast<std::size_t>(row) * names.size() + word];
    const float after = values[static_cast<std::size_t>(query) * names.size() + word];
    if (after != before) changes.push_back({word, before, after});
  }
  std::ranges::stable_sort(changes, std::greater(),
                           [](const Change& each) { return std::abs(each.after - each.before); });
  std::string text = fmt::format("{} of {} words changed", changes.size(), names.size());
  for (std::size_t at = 0; at < std::min<std::size_t>(changes.size(), 5); ++at) {
    text += fmt::format("{} {}{} ({:.2g})", at == 0 ? ":" : ",",
                        changes[at].after > changes[at].before ? '+' : '-', names[changes[at].word],
                        changes[at].after);
  }
  return text;
}

/// What was asked with, at the left; its height.
Result<std::int64_t> RetrievalPage::add_asked(std::size_t query, const Retrieval& retrieval,
                                              detail::Page& page) {
  const std::int64_t row = subject_.rows[query];
  const bool is_attacked = retrieval.is_attacked && crafted_;
  const std::int64_t width = hits_left() - kMargin - 2 * kGap;
  if (!image_queries()) {
    GAUNTLET_TRY(const std::string words, words_of(row, is_attacked));
    return page.write(words.empty() ? "(no words)" : words, kMargin, page.y(), width, kQueryLines);
  }
  io::RgbImage image = picture_of(row);
  if (is_attacked) {
    GAUNTLET_TRY(const auto values, crafted_->inputs.as<float>());
    const auto size = static_cast<std::size_t>(set_.height() * set_.width() * 3);
    if (values.size() != crafted_->rows.size() * size)
      return fail(ErrorCode::kCorrupt, "crafted inputs of {} are no pictures of this set",
                  io::shape_text(crafted_->inputs.shape));
    image = detail::image_of(values.subspan(static_cast<std::size_t>(crafted_at_[query]) * size, size),
                             set_.height(), set_.width());
  }
  page.add(draw::Picture{kMargin, page.y(), zoom_, std::move(image),
                         fmt::format("query row {}{}", row, is_attacked ? ", attacked" : "")});
  return set_.height() * zoom_ +
         page.write(is_attacked ? "attacked query" : "clean query", kMargin,
                    page.y() + set_.height() * zoom_ + 4, width, 1) +
         4;
}

/// Those that the query has too come first, since few fit below a picture.
std::vector<std::string> RetrievalPage::labels_of(std::int64_t item, std::int64_t query) const {
  const std::vector<std::string> asked = data::labels_of_item(set_, query);
  std::vector<std::string> labels = data::labels_of_item(set_, item);
  std::stable_partition(labels.begin(), labels.end(), [&](const std::string& label) {
    return std::ranges::find(asked, label) != asked.end();
  });
  return labels;
}

/// Their height.
std::int64_t RetrievalPage::add_hits(std::int64_t query, const std::vector<Hit>& hits, detail::Page& page) {
  const std::int64_t height = set_.height() * zoom_;
  std::int64_t below = 0;
  for (std::size_t at = 0; at < hits.size(); ++at) {
    const Hit& hit = hits[at];
    const std::int64_t left = hits_left() + static_cast<std::int64_t>(at) * (thumbnail_width_ + kBetween);
    page.add(draw::Picture{
        left, page.y(), zoom_, picture_of(hit.row),
        fmt::format("row {}, distance {}{}", hit.row, hit.distance, hit.is_relevant ? ", relevant" : "")});
    if (hit.is_relevant) {
      page.add(draw::Box{left - kFrameLine, page.y() - kFrameLine, thumbnail_width_ + 2 * kFrameLine,
                         height + 2 * kFrameLine, kFrameLine, detail::kFrame});
    }
    below = std::max(
        below, page.write(fmt::format("{}: {}", hit.distance, fmt::join(labels_of(hit.row, query), ", ")),
                          left, page.y() + height + kFrameLine + 1, thumbnail_width_, kLabelLines));
  }
  return height + kFrameLine + 1 + below;
}

Status RetrievalPage::add_query(std::size_t query, detail::Page& page) {
  page.rule();
  const std::int64_t row = subject_.rows[query];
  page.paragraph(fmt::format("query row {} ({}): {}", row, name_of(subject_.queries),
                             fmt::join(data::labels_of_item(set_, row), ", ")));
  page.down(kGap);
  for (std::size_t at = 0; at < subject_.retrievals.size(); ++at) {
    const std::vector<Hit>& hits = nearest_[at][query];
    page.write(fmt::format("{}: {} of {} relevant", subject_.retrievals[at].heading,
                           std::ranges::count(hits, true, &Hit::is_relevant), hits.size()),
               hits_left(), page.y(), page.width() - hits_left() - kMargin, 1);
    page.down(page.line() + kFrameLine + 2);
    GAUNTLET_TRY(const std::int64_t asked, add_asked(query, subject_.retrievals[at], page));
    page.down(std::max(asked, add_hits(row, hits, page)) + kBetween);
  }
  return {};
}

}  // namespace

Result<draw::Sheet> retrieval_sheet(const RetrievalSubject& subject, const data::PreparedSet& set,
                                    std::string title, const draw::Lettering& lettering) {
  return RetrievalPage(subject, set).draw(std::move(title), lettering);
}

}  // namespace gauntlet::sheets
