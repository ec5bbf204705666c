#include "core/io/detail/char_rows.hpp"

#include "core/io/utf.hpp"

namespace gauntlet::io::detail {
namespace {

constexpr char32_t kHighSurrogate = 0xD800;
constexpr char32_t kLowSurrogate = 0xDC00;

/// Every `step`-th of `n` units from `at` on.
std::string row_text(std::span<const char32_t> units, std::size_t at, std::size_t step, std::size_t n) {
  std::string text;
  for (std::size_t letter = 0; letter < n; ++letter) {
    char32_t point = units[at + letter * step];
    if (point >= kHighSurrogate && point < kLowSurrogate && letter + 1 < n) {
      const char32_t low = units[at + (letter + 1) * step];
      if (low >= kLowSurrogate && low < 0xE000) {
        point = 0x10000 + ((point - kHighSurrogate) << 10) + (low - kLowSurrogate);
        ++letter;
      }
    }
    append_utf8(text, point);
  }
  return trimmed_end(std::move(text));
}

}  // namespace

std::string trimmed_end(std::string text) {
  const std::size_t last = text.find_last_not_of(std::string_view(" \t\r\n\0", 5));
  text.resize(last == std::string::npos ? 0 : last + 1);
  return text;
}

Result<Texts> strings_of_chars(std::span<const char32_t> units, std::span<const std::int64_t> size) {
  if (size.size() < 2 || size.size() > 3) {
    return fail(ErrorCode::kInvalid, "chars of size {} are not read; 2 or 3 sides are", shape_text(size));
  }
  // A few bytes may declare millions of empty strings.
  if (units.empty()) return fail(ErrorCode::kInvalid, "chars of size {} hold no text", shape_text(size));
  const auto n_items = static_cast<std::size_t>(size.front());
  const auto length = static_cast<std::size_t>(size.back());
  const std::size_t n_each = size.size() == 3 ? static_cast<std::size_t>(size[1]) : 1;
  if (static_cast<std::int64_t>(n_items * n_each) > kMaxTexts) {
    return fail(ErrorCode::kInvalid, "{} strings; at most {} are read", n_items * n_each, kMaxTexts);
  }
  Texts texts(n_items);
  for (std::size_t item = 0; item < n_items; ++item) {
    for (std::size_t which = 0; which < n_each; ++which)
      texts[item].push_back(row_text(units, item + n_items * which, n_items * n_each, length));
  }
  return texts;
}

}  // namespace gauntlet::io::detail
