// How tables look: what each format would obey is printed instead, and LaTeX is accepted by a real TeX.
#include <gmock/gmock.h>

#include "results/table/latex_text.hpp"
#include "tests/results/table_support.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::results {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing_support::kTables;
using testing_support::quickstart_cells;
using testing_support::simple_cell;
using testing_support::spec_of;
using testing_support::table_of;
using testing_support::TempFolder;

constexpr const char* kHostile = "a|b\x1b[2J\"'`<i>&amp;\\x{$_^~#%}*[é→字\n";

Table hostile_table() {
  std::vector<testing_support::SyntheticCell> cells = {simple_cell(kHostile, 0.1),
                                                       simple_cell("b,\"c\"", 0.2)};
  for (auto& cell : cells) cell.cell.dataset = "<script>alert(1)</script>";
  auto table =
      table_of(cells, spec_of("title: \"$x_1$ & <b>100%</b>\"\nmetric: map\nrows: [dataset, defense]\n"
                              "columns: [direction]\nnote: \"#1 | {of} \\\\many\""));
  EXPECT_TRUE(table) << table.error().message;
  return *table;
}

/// As many columns as that, six rows.
Table wide_table(int n_columns) {
  std::vector<testing_support::SyntheticCell> cells;
  for (int column = 0; column < n_columns; ++column) {
    for (const char* defense : {"none", "atrdh", "saat", "rocmr", "tpap", "drfgd"}) {
      cells.push_back(simple_cell(defense, 0.01 * column));
      cells.back().cell.dataset = "dataset-" + std::to_string(column);
    }
  }
  auto table = table_of(cells, spec_of("title: Wide\nmetric: map\nrows: [defense]\ncolumns: [dataset]"));
  EXPECT_TRUE(table) << table.error().message;
  return *table;
}

TEST(Render, MarkdownPrintsWhatItWouldObey) {
  const std::string text = render(hostile_table(), Format::kMarkdown);
  EXPECT_THAT(text, AllOf(HasSubstr("a\\|b"), HasSubstr("\\<script\\>"), Not(HasSubstr("\x1b"))));
  EXPECT_THAT(text, HasSubstr("\\$x\\_1\\$ & \\<b\\>100%"));
  EXPECT_THAT(text, AllOf(HasSubstr("\\&amp;"), HasSubstr("\\$\\_^\\~#%")));
}

TEST(Render, TerminalsPrintWhatTheyWouldObey) {
  const std::string text = render(hostile_table(), Format::kText);
  EXPECT_THAT(text, AllOf(HasSubstr("a|b\\x1b[2J"), Not(HasSubstr("\x1b"))));
}

TEST(Render, HtmlPrintsWhatItWouldObey) {
  const std::string text = render(hostile_table(), Format::kHtml);
  EXPECT_THAT(text,
              AllOf(Not(HasSubstr("<script")), HasSubstr("&lt;script&gt;alert(1)"), Not(HasSubstr("\x1b"))));
  EXPECT_THAT(text, HasSubstr("&quot;&#39;`&lt;i&gt;&amp;amp;"));
}

TEST(Render, CsvQuotesAndJsonEscapes) {
  EXPECT_THAT(render(hostile_table(), Format::kCsv), HasSubstr("\"b,\"\"c\"\"\""));
  const auto json = parse_json(render(hostile_table(), Format::kJson), "table");
  ASSERT_TRUE(json) << json.error().message;
  EXPECT_EQ((*json)["rows"][1]["values"]["defense"], "b,\"c\"");
}

TEST(Render, LatexEscapesItsSpecials) {
  EXPECT_EQ(latex_text("a_b & 5% #1 {x} $y$ \\z"), "a\\_b \\& 5\\% \\#1 \\{x\\} \\$y\\$ \\textbackslash{}z");
  EXPECT_EQ(latex_text("1 ± 2 → –†"), "1 $\\pm$ 2 $\\rightarrow$ --$^{\\dagger}$");
  EXPECT_EQ(latex_text("é字\xff"), "éU+5B57U+FFFD");
}

TEST(Render, UnknownFormatsAreAnsweredWithTheKnown) {
  EXPECT_THAT(format_from("latexx").error().message,
              AllOf(HasSubstr("'latexx'"), HasSubstr("did you mean 'latex'?")));
}

bool has_tex() {
  return std::filesystem::exists("/usr/bin/pdflatex") &&
         std::filesystem::exists("/usr/share/texlive/texmf-dist/tex/latex/multirow/multirow.sty");
}

constexpr const char* kNoTex =
    "no pdfLaTeX with multirow here: apt-get install -y --no-install-recommends texlive-latex-recommended "
    "texlive-latex-extra";

/// Compiles with pdfLaTeX, and nothing sticks out of the page. `options` of the document's class.
void expect_fits(const std::vector<Table>& tables, const std::string& options) {
  const TempFolder folder;
  std::string text = "\\documentclass[" + options +
                     "]{article}\n\\usepackage{booktabs,multirow,graphicx,rotating}\n\\begin{document}\n";
  for (const Table& table : tables) text += render(table, Format::kLatex) + "\\clearpage\n";
  folder.write("tables.tex", text + "\\end{document}\n");
  const testing_support::Finished tex = testing_support::run(
      {"/usr/bin/pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "tables.tex"},
      folder.path(), {{"HOME", folder.path().string()}, {"PATH", "/usr/bin:/bin"}});
  EXPECT_EQ(tex.exit_code, 0) << tex.out << text;
  EXPECT_TRUE(std::filesystem::exists(folder / "tables.pdf"));
  EXPECT_THAT(tex.out, AllOf(Not(HasSubstr("Overfull")), Not(HasSubstr("Float too large")))) << options;
}

TEST(Render, ARealTexFitsTheTablesIntoColumnsAndPages) {
  if (!has_tex()) GTEST_SKIP() << kNoTex;
  const auto quickstart = table_of(quickstart_cells(), *read_table_spec(kTables / "quickstart.yaml"));
  ASSERT_TRUE(quickstart);
  for (const char* options : {"a4paper", "letterpaper,twocolumn"})
    expect_fits({*quickstart, hostile_table(), wide_table(13), wide_table(40)}, options);
}

}  // namespace
}  // namespace gauntlet::results
