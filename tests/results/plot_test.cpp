// Pictures as data and as scripts; gnuplot itself is tried by tests/cli/plot_test.cpp.
#include <gmock/gmock.h>

#include "results/plot/figures.hpp"
#include "results/plot/gnuplot_script.hpp"
#include "results/plot/pgfplots.hpp"
#include "tests/results/table_support.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::results {
namespace {

using testing::AllOf;
using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;
using testing_support::expect_golden;
using testing_support::fill_database;
using testing_support::kTables;
using testing_support::quickstart_cells;
using testing_support::spec_of;
using testing_support::SyntheticCell;
using testing_support::table_of;

const std::filesystem::path kPlots = std::filesystem::path(GAUNTLET_SOURCE_DIR) / "results" / "plots";

std::vector<std::byte> blob(const std::vector<float>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

// A curve for the evaluate job of every cell; that of seed 2 lies 0.1 lower and lacks the first radius.
store::JobStore database_with_curves(const std::vector<SyntheticCell>& cells,
                                     const std::string& name = "pr:radius_micro") {
  store::JobStore store = *store::JobStore::open_in_memory();
  fill_database(store, "quickstart", cells);
  auto& connection = store.connection();
  auto jobs = *connection.prepare(
      "SELECT cj.job_id, c.seed FROM cells c JOIN cell_jobs cj ON cj.cell_id = c.cell_id "
      "JOIN roles r ON r.role_id = cj.role_id WHERE r.name = 'evaluate'");
  while (*jobs.step()) {
    std::vector<float> x = {0.1F, 0.2F, 0.6F, 1.0F};
    std::vector<float> y = {0.95F, 0.9F, 0.7F, 0.4F};
    if (jobs.integer(1) == 2) {
      for (float& value : y) value -= 0.1F;
      x.erase(x.begin());
      y.erase(y.begin());
    }
    auto insert =
        *connection.prepare("INSERT OR REPLACE INTO curves VALUES (?, ?, 1, 'recall', 'precision', ?, ?)");
    EXPECT_TRUE(insert.run_with(jobs.integer(0), name, std::span<const std::byte>(blob(x)),
                                std::span<const std::byte>(blob(y))));
  }
  return store;
}

TEST(PrFigure, IsMeanAndDeviationOverSeedsPerRadius) {
  auto store = database_with_curves(quickstart_cells());
  const auto made = pr_figure(store.connection(), *read_table_spec(kPlots / "quickstart_pr.yaml"));
  ASSERT_TRUE(made) << made.error().message;
  const Figure& figure = made->figure;
  EXPECT_THAT(figure.legend, ElementsAre("no defense", "DRFGD", "box blur", "rounded text"));
  ASSERT_THAT(figure.panels, SizeIs(6));
  EXPECT_EQ(figure.n_columns, 2U);
  EXPECT_EQ(figure.panels[0].title, "no attack, image → text");
  EXPECT_EQ(figure.panels[5].title, "PGD adaptive, text → image");
  const Series& series = figure.panels[0].series[0];
  EXPECT_THAT(series.x, ElementsAre(DoubleNear(0.2, 1e-6), DoubleNear(0.6, 1e-6), DoubleNear(1, 1e-6)));
  EXPECT_THAT(series.y, ElementsAre(DoubleNear(0.85, 1e-6), DoubleNear(0.65, 1e-6), DoubleNear(0.35, 1e-6)));
  EXPECT_NEAR(series.spread[0], 0.1 / std::sqrt(2.0), 1e-6);
  expect_golden("plot_pr.gnuplot", gnuplot_script(figure, PictureFormat::kSvg));
  expect_golden("plot_pr.tex", pgfplots(figure));
}

TEST(PrFigure, SaysWhatItCannotDraw) {
  auto none = testing_support::database_of(quickstart_cells());
  const TableSpec spec = *read_table_spec(kPlots / "quickstart_pr.yaml");
  EXPECT_THAT(pr_figure(none.connection(), spec).error().message,
              HasSubstr("no cell that the filter leaves has a curve 'pr'"));
  auto store = database_with_curves(quickstart_cells());
  EXPECT_THAT(pr_figure(store.connection(), spec_of("metric: pr\nrows: [defense]\ncolumns: [direction]\n"))
                  .error()
                  .message,
              AllOf(HasSubstr("differ in attack would be one line (quickstart: picto_scenes cpah"),
                    HasSubstr("put 'attack' on rows or columns")));
  EXPECT_EQ(pr_figure(store.connection(),
                      spec_of("metric: pr:radius_macro\nrows: [defense]\ncolumns: [direction]\n"))
                .error()
                .code,
            ErrorCode::kNotFound);
  ASSERT_TRUE(store.connection().execute(
      "INSERT INTO curves SELECT job_id, 'pr:radius_macro', 1, x_label, y_label, x, y "
      "FROM curves"));
  EXPECT_THAT(pr_figure(store.connection(), spec).error().message,
              HasSubstr("has the curves pr:radius_macro and pr:radius_micro; name one of them"));
}

TEST(PrFigure, MissingCurvesAreNamed) {
  std::vector<SyntheticCell> cells = quickstart_cells();
  for (SyntheticCell& cell : cells) cell.expected = {"map", "pr"};
  auto store = database_with_curves(cells);
  ASSERT_TRUE(
      store.connection().execute("DELETE FROM curves WHERE job_id = (SELECT min(job_id) FROM curves)"));
  const auto made = pr_figure(store.connection(), *read_table_spec(kPlots / "quickstart_pr.yaml"));
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_THAT(made->missing, SizeIs(1));
  EXPECT_THAT(made->missing[0].text(), HasSubstr("seed 1: pr"));
}

TEST(TableFigures, BarsAndHeatMapsShowTheTablesMeans) {
  const auto table = table_of(quickstart_cells(), *read_table_spec(kTables / "quickstart.yaml"));
  ASSERT_TRUE(table);
  const auto bars = bars_figure(*table);
  ASSERT_TRUE(bars) << bars.error().message;
  EXPECT_THAT(bars->x_names, ElementsAre("no attack", "PGD", "PGD adaptive"));
  EXPECT_THAT(bars->panels, SizeIs(2));
  EXPECT_NEAR(bars->panels[0].series[0].y[0], 61.0, 1e-9);
  EXPECT_THAT(bars->reference, ElementsAre(DoubleNear(34.6, 1e-9), DoubleNear(35.2, 1e-9)));
  EXPECT_EQ(bars->reference_label, "chance level");
  double highest = 0;
  for (const Panel& panel : bars->panels) {
    for (const Series& series : panel.series) {
      for (std::size_t at = 0; at < series.y.size(); ++at)
        highest = std::max(highest, series.y[at] + series.spread[at]);
    }
  }
  EXPECT_DOUBLE_EQ(bars->y_end, 1.05 * highest) << "one scale, and no whisker is cut";
  expect_golden("plot_bars.gnuplot", gnuplot_script(*bars, PictureFormat::kPng));
  expect_golden("plot_bars.tex", pgfplots(*bars));
  const auto map = heatmap_figure(*table);
  ASSERT_TRUE(map) << map.error().message;
  EXPECT_EQ(map->y_names.front(), "chance level");
  EXPECT_NEAR(map->z[1][0], 61.0, 1e-9);
  EXPECT_TRUE(std::isnan(map->z[2][1]));
  expect_golden("plot_heatmap.gnuplot", gnuplot_script(*map, PictureFormat::kPdf));
  expect_golden("plot_heatmap.tex", pgfplots(*map));
}

TEST(TableFigures, ALegendHasNoEmptyNames) {
  EXPECT_EQ(legend_name("w/o L_Ali", "variant"), "w/o L_Ali");
  EXPECT_EQ(legend_name("", "variant"), "no variant");
  auto table = table_of(quickstart_cells(), *read_table_spec(kTables / "quickstart.yaml"));
  ASSERT_TRUE(table);
  const auto drawn =
      std::ranges::find_if(table->rows, [](const Heading& heading) { return !heading.reference; });
  drawn->labels.back().clear();
  const auto bars = bars_figure(*table);
  ASSERT_TRUE(bars) << bars.error().message;
  EXPECT_THAT(bars->legend, testing::Contains("no " + table->row_titles.back()));
}

/// px between the end of the bars and the picture's.
double room_right_of_bars(const Figure& figure) {
  const std::string script = gnuplot_script(figure, PictureFormat::kSvg);
  const std::string size = "svg size ", end = "set rmargin at screen ";
  const double width = std::stod(script.substr(script.find(size) + size.size()));
  return width * (1 - std::stod(script.substr(script.find(end) + end.size())));
}

TEST(TableFigures, SlantedNamesHaveRoom) {
  Figure figure;
  figure.kind = FigureKind::kBars;
  figure.legend = {"none"};
  figure.x_names = {"PGD", "no"};
  figure.panels = {{"I \u2192 T", {{.style = 0, .x = {0, 1}, .y = {1, 2}, .spread = {}}}}};
  EXPECT_NEAR(room_right_of_bars(figure), 14, 1) << "level names end below their bars";
  figure.x_names = {"PGD", "worst/standard@1, adaptive, of all attacks and restarts"};
  const double length = 7.2 * static_cast<double>(figure.x_names[1].size());
  EXPECT_GT(room_right_of_bars(figure), 0.9 * length - 130) << "half of a group, and what goes down";
  figure.kind = FigureKind::kHeatmap;
  figure.y_names = {"none"};
  figure.z = {{0, 1}};
  EXPECT_GT(room_right_of_bars(figure), 0.76 * length - 65) << "half of a column";
}

/// The right end, in px, of the last of the texts that say `text`, 7 px a letter.
double end_of_text(const std::string& svg, const std::string& text) {
  const std::size_t at = svg.rfind(">" + text + "<");
  EXPECT_NE(at, std::string::npos) << text;
  const std::string place = "translate(";
  const double x = std::stod(svg.substr(svg.rfind(place, at) + place.size()));
  return x + 7.0 * static_cast<double>(text.size());
}

TEST(TableFigures, AWideMapsColourBarEndsInsideThePicture) {
  if (!std::filesystem::exists("/usr/bin/gnuplot"))
    GTEST_SKIP() << "no gnuplot here: apt-get install -y --no-install-recommends gnuplot-nox";
  Figure map;
  map.kind = FigureKind::kHeatmap;
  map.y_label = "map";
  map.y_names = {"none"};
  map.z.emplace_back();
  for (int at = 0; at < 12; ++at) {
    map.x_names.push_back(fmt::format("an attack of some {}", at));
    map.z[0].push_back(0.3435 + 0.001 * at);
  }
  const std::string script = gnuplot_script(map, PictureFormat::kSvg);
  const double width = std::stod(script.substr(script.find("svg size ") + 9));
  const testing_support::TempFolder folder;
  folder.write("map.gp", script);
  const auto drawn = testing_support::run({"/usr/bin/gnuplot", "map.gp"}, folder.path());
  ASSERT_EQ(drawn.exit_code, 0) << drawn.err;
  const double end = end_of_text(drawn.out, " 0.344");
  EXPECT_LT(end, width - 16) << "its name stands further right";
  EXPECT_GT(end, width - 118);
}

TEST(JobFigures, LossesArePanelsPerTermAndLinesPerJob) {
  auto store = database_with_curves(quickstart_cells(), "loss:total");
  ASSERT_TRUE(store.connection().execute(
      "INSERT INTO curves SELECT job_id, 'loss:ali', 1, 'epoch', 'ali', x, y FROM curves"));
  const std::string key =
      *store.connection().text("SELECT lower(hex(key)) FROM jobs JOIN curves USING (job_id)");
  const auto figure = loss_figure(store.connection(), {key.substr(0, 20)});
  ASSERT_TRUE(figure) << figure.error().message;
  ASSERT_THAT(figure->panels, SizeIs(2));
  EXPECT_EQ(figure->panels[0].title, "total");
  EXPECT_EQ(figure->panels[1].title, "ali");
  EXPECT_THAT(loss_figure(store.connection(), {"zz"}).error().message,
              HasSubstr("4 to 64 hexadecimal digits of its key, not 'zz'"));
  EXPECT_EQ(loss_figure(store.connection(), {"0000000000"}).error().code, ErrorCode::kNotFound);
  const std::string without = *store.connection().text(
      "SELECT lower(hex(key)) FROM jobs WHERE job_id NOT IN (SELECT job_id FROM curves)");
  EXPECT_THAT(loss_figure(store.connection(), {without}).error().message, HasSubstr("has no loss curves"));
}

TEST(JobFigures, ThroughputCountsEveryFinishedJobOnce) {
  auto store = testing_support::database_of(quickstart_cells());
  const auto n_jobs = *store.connection().integer("SELECT count(*) FROM attempts");
  const auto figure = throughput_figure(store.connection(), "quickstart");
  ASSERT_TRUE(figure) << figure.error().message;
  const Series& series = figure->panels[0].series[0];
  ASSERT_GT(series.x.size(), 1U);
  const double minutes = series.x[1] - series.x[0];
  double jobs = 0;
  for (const double rate : series.y) jobs += rate * minutes;
  EXPECT_NEAR(jobs, static_cast<double>(n_jobs), 1e-6);
  EXPECT_THAT(throughput_figure(store.connection(), "nothing").error().message,
              HasSubstr("there is no sweep 'nothing'"));
  auto empty = *store::JobStore::open_in_memory();
  EXPECT_THAT(throughput_figure(empty.connection(), "").error().message,
              HasSubstr("no job has finished yet"));
}

TEST(GnuplotScript, TextsCannotBeCommands) {
  Figure figure;
  figure.title = "it's `touch x` \"quoted\"\n!rm";
  figure.panels = {{"a\nb", {}}};
  const std::string script = gnuplot_script(figure, PictureFormat::kSvg);
  EXPECT_THAT(script, HasSubstr("'it''s `touch x` \"quoted\"\\n!rm'"));
  EXPECT_THAT(script, HasSubstr("'a\\nb'"));
}

TEST(GnuplotScript, PanelsAreAsWideAsTheirTitles) {
  const auto width_of = [](const std::string& title) {
    Figure figure;
    figure.panels = {{title, {}}};
    const std::string script = gnuplot_script(figure, PictureFormat::kSvg);
    return std::stoi(script.substr(script.find(" size ") + 6));
  };
  EXPECT_EQ(width_of("PGD"), 340);
  EXPECT_GT(width_of("picto_scenes cpah 32 bits PGD adaptive, text → image"), 52 * 7);
  Figure bars;
  bars.kind = FigureKind::kBars;
  bars.x_names = bars.legend = {"none"};
  bars.panels = {{std::string(60, 't'), {}}, {std::string(60, 't'), {}}};
  bars.n_columns = 2;
  const std::string script = gnuplot_script(bars, PictureFormat::kSvg);
  EXPECT_GT(std::stoi(script.substr(script.find(" size ") + 6)), 2 * 60 * 7) << "titles stand side by side";
}

TEST(GnuplotScript, EpochsAndSinglePlacesAreMarkedAsTheyAre) {
  const auto script_of = [](std::vector<double> x) {
    Figure figure;
    figure.panels = {{"", {{0, x, std::vector<double>(x.size(), 1.0), {}}}}};
    return gnuplot_script(figure, PictureFormat::kSvg);
  };
  EXPECT_THAT(script_of({1, 2, 3}), HasSubstr("set xtics 1\n"));
  EXPECT_THAT(script_of({20}), HasSubstr("set xtics (20)\n"));
  EXPECT_THAT(script_of({1, 2, 50}), testing::Not(HasSubstr("set xtics")));
  EXPECT_THAT(script_of({0.5, 1, 2}), testing::Not(HasSubstr("set xtics")));
}

TEST(GnuplotScript, ARealGnuplotPrintsWhatItWouldObey) {
  if (!std::filesystem::exists("/usr/bin/gnuplot")) {
    GTEST_SKIP() << "no gnuplot here: apt-get install -y --no-install-recommends gnuplot-nox";
  }
  const std::string hostile = "<script>`touch pwned`'$(touch pwned)@x {/Bold b}_1 \"&\n";
  Figure figure;
  figure.title = hostile;
  figure.x_label = figure.y_label = hostile;
  figure.legend = {hostile, "other"};
  figure.panels = {{hostile, {{0, {0, 1}, {1, 2}, {0.1, 0.1}}, {1, {0, 1}, {2, 1}, {}}}}};
  Figure bars = figure;
  bars.kind = FigureKind::kBars;
  bars.x_names = {hostile, "b"};
  Figure map = figure;
  map.kind = FigureKind::kHeatmap;
  map.x_names = map.y_names = {hostile, "b"};
  map.z = {{0, 1}, {std::nan(""), 0.5}};
  const testing_support::TempFolder folder;
  for (const Figure& each : {figure, bars, map}) {
    folder.write("picture.gp", gnuplot_script(each, PictureFormat::kSvg));
    const testing_support::Finished drawn =
        testing_support::run({"/usr/bin/gnuplot", "-d", "picture.gp"}, folder.path());
    ASSERT_EQ(drawn.exit_code, 0) << drawn.err;
    EXPECT_EQ(drawn.err, "");
    // Every text is a text element: what could begin a tag is escaped.
    EXPECT_NE(drawn.out.find("&lt;script>`touch pwned`'$(touch pwned)@x {/Bold b}_1"), std::string::npos);
    EXPECT_EQ(drawn.out.find("<script"), std::string::npos);
    EXPECT_FALSE(std::filesystem::exists(folder / "pwned"));
  }
}

TEST(Pgfplots, ARealTexCompilesThem) {
  if (!std::filesystem::exists("/usr/share/texlive/texmf-dist/tex/latex/pgfplots/pgfplots.sty")) {
    GTEST_SKIP()
        << "no pdfLaTeX with pgfplots here: apt-get install -y --no-install-recommends texlive-pictures";
  }
  auto store = database_with_curves(quickstart_cells());
  const auto pr = pr_figure(store.connection(), *read_table_spec(kPlots / "quickstart_pr.yaml"));
  const auto table = make_table(store.connection(), *read_table_spec(kTables / "quickstart.yaml"));
  ASSERT_TRUE(pr && table);
  const testing_support::TempFolder folder;
  std::string text =
      "\\documentclass{article}\n\\usepackage{pgfplots}\\usepgfplotslibrary{groupplots,fillbetween}"
      "\\pgfplotsset{compat=1.18}\n\\begin{document}\n";
  for (const Figure& figure : {pr->figure, *bars_figure(*table), *heatmap_figure(*table)})
    text += pgfplots(figure) + "\\clearpage\n";
  folder.write("plots.tex", text + "\\end{document}\n");
  const testing_support::Finished tex = testing_support::run(
      {"/usr/bin/pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "plots.tex"},
      folder.path(), {{"HOME", folder.path().string()}, {"PATH", "/usr/bin:/bin"}});
  EXPECT_EQ(tex.exit_code, 0) << tex.out;
}

}  // namespace
}  // namespace gauntlet::results
