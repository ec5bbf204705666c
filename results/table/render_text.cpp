// Tables for people: Markdown and terminals.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

#include "results/query/text_table.hpp"
#include "results/table/render_parts.hpp"

namespace gauntlet::results {
namespace {

/// A text and how it is set off; the marks are added after the width is known.
struct Field {
  std::string text;
  Mark mark = Mark::kNone;
  bool right = false;
};

/// '&' begins an entity only before a name or number; '$' and '~' set mathematics and strike out where
/// Markdown is GitHub's.
std::string markdown_escaped(std::string_view text) {
  const std::string shown = printable(text);
  std::string escaped;
  for (std::size_t at = 0; at < shown.size(); ++at) {
    const bool is_entity =
        shown[at] == '&' && at + 1 < shown.size() &&
        (shown[at + 1] == '#' || std::isalpha(static_cast<unsigned char>(shown[at + 1])) != 0);
    if (is_entity || std::string_view("|\\*_<>`$~").find(shown[at]) != std::string_view::npos)
      escaped += '\\';
    escaped += shown[at];
  }
  return escaped;
}

// Labels of the row levels; those that repeat the row above are left empty.
std::vector<std::string> row_labels(const Table& table, std::size_t row, const Heading* above) {
  std::vector<std::string> labels = table.rows[row].labels;
  if (above == nullptr || above->reference != table.rows[row].reference) return labels;
  for (std::size_t level = 0; level + 1 < labels.size() && labels[level] == above->labels[level]; ++level) {
    labels[level].clear();
  }
  return labels;
}

std::vector<std::vector<Field>> body(const Table& table) {
  std::vector<std::vector<Field>> lines;
  const bool counts = shows_counts(table);
  const std::vector<ShownColumn> columns = shown_columns(table);
  const Heading* above = nullptr;
  for (const std::size_t row : shown_rows(table)) {
    std::vector<Field> line;
    for (std::string& label : row_labels(table, row, above))
      line.push_back({std::move(label), Mark::kNone, false});
    for (const ShownColumn& shown : columns) {
      const TableEntry& entry = table.entries[row][shown.column];
      const Mark mark = shown.part == Part::kValue ? entry.mark : Mark::kNone;
      line.push_back({part_text(table, entry, shown.part, counts), mark, true});
    }
    lines.push_back(std::move(line));
    above = &table.rows[row];
  }
  return lines;
}

std::vector<std::size_t> widths_of(const std::vector<std::vector<std::string>>& lines) {
  std::vector<std::size_t> widths;
  for (const auto& line : lines) {
    widths.resize(std::max(widths.size(), line.size()), 1);
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], display_width(line[i]));
  }
  return widths;
}

// Text is broken at spaces so that no line is longer than `width` columns, unless one word is.
std::string wrapped(std::string_view text, std::size_t width) {
  std::string lines;
  std::size_t used = 0;
  while (!text.empty()) {
    const std::size_t space = text.find(' ');
    const std::string_view word = text.substr(0, space);
    const std::size_t word_width = display_width(word);
    if (used > 0 && used + 1 + word_width > width) {
      lines += '\n';
      used = 0;
    } else if (used > 0) {
      lines += ' ';
      ++used;
    }
    lines += word;
    used += word_width;
    text = space == std::string_view::npos ? std::string_view() : text.substr(space + 1);
  }
  return lines + "\n";
}

// The heading's lines of a text table: one per column level, the upper ones only where their label changes.
std::vector<std::vector<std::string>> text_heading(const Table& table) {
  const std::vector<std::vector<std::string>> labels = column_labels(table, shown_columns(table));
  std::vector<std::vector<std::string>> lines;
  for (std::size_t level = 0; level < labels.size(); ++level) {
    const bool last = level + 1 == labels.size();
    std::vector<std::string> line;
    for (const std::string& title : table.row_titles) line.push_back(last ? title : "");
    for (std::size_t column = 0; column < labels[level].size(); ++column) {
      const bool repeats = !last && column > 0 && labels[level][column - 1] == labels[level][column];
      line.push_back(repeats ? "" : printable(labels[level][column]));
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

constexpr std::size_t kFooterWidth = 100;

}  // namespace

std::string render_markdown(const Table& table) {
  std::vector<std::vector<std::string>> lines;
  std::vector<std::string> heading;
  for (const std::string& title : table.row_titles) heading.push_back(markdown_escaped(title));
  const std::vector<std::vector<std::string>> levels = column_labels(table, shown_columns(table));
  for (std::size_t column = 0; !levels.empty() && column < levels.front().size(); ++column) {
    std::vector<std::string> labels;
    for (const auto& level : levels) {
      if (!level[column].empty()) labels.push_back(markdown_escaped(level[column]));
    }
    heading.push_back(fmt::format("{}", fmt::join(labels, ", ")));
  }
  lines.push_back(heading);
  for (const std::vector<Field>& fields : body(table)) {
    std::vector<std::string> line;
    for (const Field& field : fields) {
      const std::string text = field.right ? field.text : markdown_escaped(field.text);
      line.push_back(field.mark == Mark::kBest     ? "**" + text + "**"
                     : field.mark == Mark::kSecond ? "<u>" + text + "</u>"
                                                   : text);
    }
    lines.push_back(std::move(line));
  }
  const std::vector<std::size_t> widths = widths_of(lines);
  std::string text;
  if (!table.title.empty()) text += "**" + markdown_escaped(table.title) + "**\n\n";
  for (std::size_t line = 0; line < lines.size(); ++line) {
    for (std::size_t i = 0; i < widths.size(); ++i) {
      text += "| " + pad(lines[line][i], widths[i], i >= table.row_titles.size()) + " ";
    }
    text += "|\n";
    if (line > 0) continue;
    for (std::size_t i = 0; i < widths.size(); ++i) {
      text += i < table.row_titles.size() ? "|" + std::string(widths[i] + 2, '-')
                                          : "|" + std::string(widths[i] + 1, '-') + ":";
    }
    text += "|\n";
  }
  for (const std::string& sentence : footer(table, "bold", "underlined")) text += "\n" + sentence + "\n";
  return text;
}

std::string render_text(const Table& table, bool ansi) {
  const std::vector<std::vector<Field>> fields = body(table);
  std::vector<std::vector<std::string>> lines = text_heading(table);
  const std::size_t n_heading = lines.size();
  for (const std::vector<Field>& line : fields) {
    std::vector<std::string> texts;
    for (const Field& field : line) {
      const std::string_view mark = field.mark == Mark::kBest ? "*" : field.mark == Mark::kSecond ? "_" : "";
      texts.push_back((ansi ? "" : std::string(mark)) + printable(field.text));
    }
    lines.push_back(std::move(texts));
  }
  const std::vector<std::size_t> widths = widths_of(lines);
  std::string text = table.title.empty() ? "" : table.title + "\n\n";
  std::size_t total = 0;
  for (const std::size_t width : widths) total += width + 2;
  const std::string rule = [&] {
    std::string dashes;
    for (std::size_t i = 0; i + 2 < total; ++i) dashes += "─";
    return dashes + "\n";
  }();
  const std::vector<std::size_t> order = shown_rows(table);
  for (std::size_t line = 0; line < lines.size(); ++line) {
    const std::size_t row = line - n_heading;  // meaningful from the first row on
    if (line == n_heading) text += rule;
    if (line > n_heading && starts_block(table, order[row], &table.rows[order[row - 1]])) text += rule;
    std::string shown;
    for (std::size_t i = 0; i < widths.size(); ++i) {
      std::string field = pad(lines[line][i], widths[i], i >= table.row_titles.size());
      if (ansi && line >= n_heading && fields[row][i].mark != Mark::kNone) {
        // Only the text itself is set off, not the spaces before it.
        const std::size_t start = field.find_first_not_of(' ');
        field = field.substr(0, start) + (fields[row][i].mark == Mark::kBest ? "\x1b[1m" : "\x1b[4m") +
                field.substr(start) + "\x1b[0m";
      }
      shown += (i > 0 ? "  " : "") + field;
    }
    shown.erase(shown.find_last_not_of(' ') + 1);
    text += shown + "\n";
  }
  text += rule;
  for (const std::string& sentence : footer(table, ansi ? "bold" : "*", ansi ? "underlined" : "_")) {
    text += wrapped(sentence, kFooterWidth);
  }
  return text;
}

}  // namespace gauntlet::results
