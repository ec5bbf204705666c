// Tables for browsers: no script, nothing from elsewhere, readable in the dark.
#include <fmt/format.h>

#include "results/table/html_text.hpp"
#include "results/table/render_parts.hpp"

namespace gauntlet::results {
namespace {

std::string set_off(const std::string& text, Mark mark) {
  switch (mark) {
    case Mark::kNone:
      break;
    case Mark::kBest:
      return "<b>" + text + "</b>";
    case Mark::kSecond:
      return "<u>" + text + "</u>";
  }
  return text;
}

std::string span(std::string_view attribute, std::size_t n) {
  return n > 1 ? fmt::format(" {}=\"{}\"", attribute, n) : "";
}

std::string heading_lines(const Table& table, const std::vector<ShownColumn>& columns) {
  const std::vector<std::vector<std::string>> labels = column_labels(table, columns);
  const std::vector<std::vector<std::size_t>> spans = column_spans(labels);
  std::string text = "<thead>\n";
  for (std::size_t level = 0; level < labels.size(); ++level) {
    text += "<tr>";
    for (std::size_t i = 0; level == 0 && i < table.row_titles.size(); ++i) {
      text += fmt::format("<th scope=\"col\"{}>{}</th>", span("rowspan", labels.size()),
                          html_text(table.row_titles[i]));
    }
    for (std::size_t column = 0; column < columns.size(); ++column) {
      const std::size_t n = spans[level][column];
      if (n == 0) continue;
      text += fmt::format("<th scope=\"{}\" class=\"{}\"{}>{}</th>", n > 1 ? "colgroup" : "col",
                          n > 1 ? "group" : "number", span("colspan", n), html_text(labels[level][column]));
    }
    text += "</tr>\n";
  }
  return text + "</thead>\n";
}

std::string body_lines(const Table& table, const std::vector<ShownColumn>& columns) {
  const std::vector<std::size_t> rows = shown_rows(table);
  const std::vector<std::vector<std::size_t>> spans = row_spans(table, rows);
  const bool counts = shows_counts(table);
  std::string text = "<tbody>\n";
  for (std::size_t at = 0; at < rows.size(); ++at) {
    const Heading& row = table.rows[rows[at]];
    const bool block = starts_block(table, rows[at], at > 0 ? &table.rows[rows[at - 1]] : nullptr);
    text += block ? "<tr class=\"block\">" : "<tr>";
    for (std::size_t level = 0; level < row.labels.size(); ++level) {
      if (spans[at][level] == 0) continue;
      text += fmt::format("<th scope=\"{}\"{}>{}</th>", spans[at][level] > 1 ? "rowgroup" : "row",
                          span("rowspan", spans[at][level]), html_text(row.labels[level]));
    }
    for (const ShownColumn& shown : columns) {
      const TableEntry& entry = table.entries[rows[at]][shown.column];
      const std::string number = html_text(part_text(table, entry, shown.part, counts));
      text += "<td>" + (shown.part == Part::kValue ? set_off(number, entry.mark) : number) + "</td>";
    }
    text += "</tr>\n";
  }
  return text + "</tbody>\n";
}

}  // namespace

std::string_view html_style() {
  return "body{font:16px/1.4 system-ui,sans-serif;margin:2rem;color:#111;background:#fff}\n"
         ".scroll{overflow-x:auto}\n"
         "table{border-collapse:collapse;border-top:2px solid;border-bottom:2px solid;"
         "font-variant-numeric:tabular-nums}\n"
         "caption{text-align:left;font-weight:600;padding:.4rem 0}\n"
         "th,td{padding:.15rem .7rem;text-align:left;vertical-align:top;font-weight:400;white-space:nowrap}\n"
         "td,th.number{text-align:right}\n"
         "th.group{text-align:center}\n"
         "thead{border-bottom:1px solid}\n"
         "tr.block>*{border-top:1px solid #999}\n"
         "td b{font-weight:700}\n"
         "p.note{margin:.2rem 0;font-size:.85rem;overflow-wrap:anywhere}\n"
         "@media(prefers-color-scheme:dark){body{color:#eee;background:#111}}\n";
}

std::string html_table(const Table& table) {
  const std::vector<ShownColumn> columns = shown_columns(table);
  std::string text = "<div class=\"scroll\">\n<table>\n";
  if (!table.title.empty()) text += "<caption>" + html_text(table.title) + "</caption>\n";
  text += heading_lines(table, columns) + body_lines(table, columns) + "</table>\n</div>\n";
  for (const std::string& sentence : footer(table, "bold", "underlined")) {
    text += "<p class=\"note\">" + html_text(sentence) + "</p>\n";
  }
  return text;
}

std::string render_html(const Table& table) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{}</title>\n<style>\n{}</style>\n</head>\n<body>\n{}</body>\n</html>\n",
      html_text(table.title), html_style(), html_table(table));
}

}  // namespace gauntlet::results
