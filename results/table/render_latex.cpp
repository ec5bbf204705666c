// Tables for papers: LaTeX with booktabs and multirow, never wider than the page.
#include <fmt/format.h>

#include <cctype>

#include "results/query/text_table.hpp"
#include "results/table/latex_text.hpp"
#include "results/table/render_parts.hpp"

namespace gauntlet::results {
namespace {

constexpr std::size_t kColumnWide = 8;  ///< columns that one column of a two-column page can show
constexpr std::size_t kPageWide = 14;   ///< columns that a page can show upright; more lie on their side
constexpr std::size_t kLongRun = 16;    ///< letters after which a hash may break

/// What holds the table: a column of the page, both columns, or a page on its side. The starred forms are the
/// plain ones in a document of one column.
const char* float_of(std::size_t n_columns) {
  return n_columns <= kColumnWide ? "table" : n_columns <= kPageWide ? "table*" : "sidewaystable*";
}

/// Lets a line end inside long runs of letters and digits (a hash), where TeX sees no place to break.
std::string breakable(const std::string& text) {
  std::string out;
  std::size_t run = 0;
  for (const char letter : text) {
    run = std::isalnum(static_cast<unsigned char>(letter)) != 0 ? run + 1 : 0;
    out += letter;
    if (run > 0 && run % kLongRun == 0) out += "\\allowbreak{}";
  }
  return out;
}

std::string set_off(const std::string& text, Mark mark) {
  switch (mark) {
    case Mark::kNone:
      break;
    case Mark::kBest:
      return "\\textbf{" + text + "}";
    case Mark::kSecond:
      return "\\underline{" + text + "}";
  }
  return text;
}

// One line per level, with a thin rule under labels that stand for several columns.
std::string heading_lines(const Table& table, const std::vector<ShownColumn>& columns) {
  const std::vector<std::vector<std::string>> labels = column_labels(table, columns);
  const std::vector<std::vector<std::size_t>> spans = column_spans(labels);
  const std::size_t n_titles = table.row_titles.size();
  std::string text;
  for (std::size_t level = 0; level < labels.size(); ++level) {
    const bool last = level + 1 == labels.size();
    std::string line;
    std::string rules;
    for (std::size_t i = 0; i < n_titles; ++i)
      line += (i > 0 ? " & " : "") + (last ? latex_text(table.row_titles[i]) : std::string());
    for (std::size_t column = 0; column < columns.size(); ++column) {
      const std::size_t span = spans[level][column];
      if (span == 0) continue;
      line += fmt::format(" & \\multicolumn{{{}}}{{c}}{{{}}}", span, latex_text(labels[level][column]));
      if (last || labels[level][column].empty()) continue;
      rules += fmt::format(" \\cmidrule(lr){{{}-{}}}", n_titles + column + 1, n_titles + column + span);
    }
    text += fmt::format("{} \\\\{}\n", line, rules);
  }
  return text;
}

std::string body_lines(const Table& table, const std::vector<ShownColumn>& columns) {
  const std::vector<std::size_t> rows = shown_rows(table);
  const std::vector<std::vector<std::size_t>> spans = row_spans(table, rows);
  const bool counts = shows_counts(table);
  std::string text;
  for (std::size_t at = 0; at < rows.size(); ++at) {
    const Heading& row = table.rows[rows[at]];
    if (starts_block(table, rows[at], at > 0 ? &table.rows[rows[at - 1]] : nullptr)) text += "\\midrule\n";
    for (std::size_t level = 0; level < row.labels.size(); ++level) {
      if (level > 0) text += " & ";
      if (spans[at][level] == 0) continue;
      const std::string label = latex_text(row.labels[level]);
      text += spans[at][level] > 1 ? fmt::format("\\multirow[t]{{{}}}{{*}}{{{}}}", spans[at][level], label)
                                   : label;
    }
    for (const ShownColumn& shown : columns) {
      const TableEntry& entry = table.entries[rows[at]][shown.column];
      const std::string number = latex_text(part_text(table, entry, shown.part, counts));
      text += " & " + (shown.part == Part::kValue ? set_off(number, entry.mark) : number);
    }
    text += " \\\\\n";
  }
  return text;
}

}  // namespace

std::string render_latex(const Table& table) {
  const std::vector<ShownColumn> columns = shown_columns(table);
  const std::size_t n_columns = table.row_titles.size() + columns.size();
  const std::string holder = float_of(n_columns);
  std::string text =
      fmt::format("% \\usepackage{{booktabs,multirow,graphicx{}}}\n\\begin{{{}}}\n\\centering\n",
                  n_columns > kPageWide ? ",rotating" : "", holder);
  if (n_columns > kColumnWide) text += "\\setlength{\\tabcolsep}{3pt}\n";
  if (!table.title.empty()) text += "\\caption{" + latex_text(table.title) + "}\n";
  // Its own size, unless that is more than the line holds.
  text += "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n";
  text += fmt::format("\\begin{{tabular}}{{{}{}}}\n\\toprule\n", std::string(table.row_titles.size(), 'l'),
                      std::string(columns.size(), 'r'));
  text += heading_lines(table, columns) + "\\midrule\n" + body_lines(table, columns);
  text +=
      "\\bottomrule\n\\end{tabular}}\n\n\\smallskip\n"
      "\\begin{minipage}{\\linewidth}\\footnotesize\\raggedright\n";
  for (const std::string& sentence : footer(table, "bold", "underlined")) {
    text += breakable(latex_text(sentence)) + "\\par\n";
  }
  return text + fmt::format("\\end{{minipage}}\n\\end{{{}}}\n", holder);
}

}  // namespace gauntlet::results
