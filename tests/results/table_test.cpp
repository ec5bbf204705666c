#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>

#include "core/base/files.hpp"
#include "results/query/text_table.hpp"
#include "results/table/pivot.hpp"
#include "results/table/render.hpp"
#include "results/table/table_spec.hpp"
#include "tests/results/table_support.hpp"

namespace gauntlet::results {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing_support::expect_golden;
using testing_support::fill_database;
using testing_support::kTables;
using testing_support::quickstart_cells;
using testing_support::ratio;
using testing_support::simple_cell;
using testing_support::spec_of;
using testing_support::SyntheticCell;
using testing_support::table_of;

TEST(QuickstartTable, LooksAsItDidInEveryFormat) {
  const auto spec = read_table_spec(kTables / "quickstart.yaml");
  ASSERT_TRUE(spec) << spec.error().message;
  const auto table = table_of(quickstart_cells(), *spec);
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_THAT(table->missing, IsEmpty());
  expect_golden("quickstart.md", render(*table, Format::kMarkdown));
  expect_golden("quickstart.txt", render(*table, Format::kText));
  expect_golden("quickstart.ansi", render(*table, Format::kTerminal));
  expect_golden("quickstart.csv", render(*table, Format::kCsv));
  expect_golden("quickstart.json", render(*table, Format::kJson));
  expect_golden("quickstart.tex", render(*table, Format::kLatex));
  expect_golden("quickstart.html", render(*table, Format::kHtml));
}

TEST(QuickstartTable, FitsATerminal) {
  const auto table = table_of(quickstart_cells(), *read_table_spec(kTables / "quickstart.yaml"));
  std::istringstream lines(render(*table, Format::kText));
  for (std::string line; std::getline(lines, line);) EXPECT_LE(display_width(line), 100U) << line;
}

TEST(QuickstartTable, MissingNumbersAreShownAndNamed) {
  std::vector<SyntheticCell> cells = quickstart_cells();
  for (SyntheticCell& cell : cells) {
    const bool second_seed_of_drfgd =
        cell.cell.defense == "drfgd" && cell.cell.attack == "PGD" && cell.cell.seed == 2;
    if (cell.cell.attack == "PGD adaptive" || second_seed_of_drfgd) cell.rows.reset();
  }
  const auto table = table_of(cells, *read_table_spec(kTables / "quickstart.yaml"));
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_THAT(table->missing, SizeIs(8));
  EXPECT_EQ(table->missing.back().text(),
            "quickstart: picto_scenes cpah 32 bits, defense drfgd, attack PGD adaptive (adaptive), t2i, seed "
            "2: map");
  expect_golden("quickstart_missing.txt", render(*table, Format::kText));
}

TEST(QuickstartTable, TheSameValuesGiveTheSameBytesInAnyOrderOfWriting) {
  const auto spec = read_table_spec(kTables / "quickstart.yaml");
  std::vector<SyntheticCell> reversed = quickstart_cells();
  std::reverse(reversed.begin(), reversed.end());
  for (const Format format :
       {Format::kMarkdown, Format::kCsv, Format::kJson, Format::kText, Format::kLatex, Format::kHtml}) {
    EXPECT_EQ(render(*table_of(quickstart_cells(), *spec), format),
              render(*table_of(reversed, *spec), format));
  }
}

TEST(DefenseComparison, ShowsMapAndTargetedMapSideBySide) {
  std::vector<SyntheticCell> cells;
  double value = 0.5;
  for (const std::string dataset : {"mscoco", "flickr25k"}) {
    for (const std::string attack : {"none", "ta_dch"}) {
      for (const std::string defense : {"none", "saat", "drfgd"}) {
        for (const std::string direction : {"i2t", "t2i"}) {
          SyntheticCell item;
          item.cell = {.dataset = dataset,
                       .model = "cpah",
                       .bits = 32,
                       .defense = defense,
                       .attack = attack,
                       .protocol = attack == "none" ? "none" : "static",
                       .direction = direction,
                       .variant = "",
                       .seed = 1};
          value += 0.01;
          item.rows = {{ratio("map", value)}};
          item.expected = {"map"};
          if (attack != "none") {
            item.rows->push_back(ratio("t_map", 1 - value, false));
            item.expected.emplace_back("t_map");
          }
          cells.push_back(std::move(item));
        }
      }
    }
  }
  const auto spec = read_table_spec(kTables / "defense_comparison.yaml");
  ASSERT_TRUE(spec) << spec.error().message;
  const auto table = table_of(cells, *spec);
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_THAT(table->missing, IsEmpty());  // t-MAP of an untargeted attack is blank, not missing
  expect_golden("defense_comparison.txt", render(*table, Format::kText));
  expect_golden("defense_comparison.md", render(*table, Format::kMarkdown));
  expect_golden("defense_comparison.tex", render(*table, Format::kLatex));
  expect_golden("defense_comparison.html", render(*table, Format::kHtml));
}

TEST(Table, UsesTheSampleStandardDeviation) {
  std::vector<SyntheticCell> cells;
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    SyntheticCell item;
    item.cell = {.dataset = "d",
                 .model = "m",
                 .bits = 16,
                 .defense = "none",
                 .attack = "none",
                 .protocol = "none",
                 .direction = "i2t",
                 .variant = "",
                 .seed = seed};
    item.rows = {{ratio("map", 0.1 * static_cast<double>(seed))}};
    cells.push_back(item);
  }
  const auto table = table_of(cells, spec_of("metric: map\nrows: [defense]\ncolumns: [direction]\n"));
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_DOUBLE_EQ(table->entries[0][0].mean, 0.2);
  EXPECT_NEAR(table->entries[0][0].std, 0.1, 1e-12);  // (0.01 + 0 + 0.01) / (3 - 1) = 0.01
  EXPECT_EQ(table->entries[0][0].n, 3);
  EXPECT_EQ(entry_text(*table, table->entries[0][0], true), "0.200 ± 0.100 (3)");
}

std::vector<Mark> marks_of(const std::vector<double>& values, bool higher_is_better,
                           const std::string& best) {
  std::vector<SyntheticCell> cells;
  for (std::size_t i = 0; i < values.size(); ++i) {
    cells.push_back(simple_cell(fmt::format("d{}", i), values[i]));
    cells.back().rows->front().higher_is_better = higher_is_better;
  }
  const auto table =
      table_of(cells, spec_of("metric: map\nrows: [defense]\ncolumns: [direction]\nbest: " + best));
  std::vector<Mark> marks;
  for (const auto& line : table->entries) marks.push_back(line[0].mark);
  return marks;
}

TEST(Table, MarksBestAndSecondByDirection) {
  EXPECT_THAT(marks_of({0.1, 0.3, 0.2}, true, "column"),
              ElementsAre(Mark::kNone, Mark::kBest, Mark::kSecond));
  EXPECT_THAT(marks_of({0.1, 0.3, 0.2}, false, "column"),
              ElementsAre(Mark::kBest, Mark::kNone, Mark::kSecond));
  EXPECT_THAT(marks_of({0.3, 0.3, 0.2}, true, "column"), ElementsAre(Mark::kBest, Mark::kBest, Mark::kNone));
  EXPECT_THAT(marks_of({0.3, 0.2, 0.2}, true, "column"),
              ElementsAre(Mark::kBest, Mark::kSecond, Mark::kSecond));
  EXPECT_THAT(marks_of({0.3, 0.3}, true, "column"), ElementsAre(Mark::kNone, Mark::kNone));
  EXPECT_THAT(marks_of({0.3}, true, "column"), ElementsAre(Mark::kNone));
  EXPECT_THAT(marks_of({0.1, 0.3}, true, "off"), ElementsAre(Mark::kNone, Mark::kNone));
}

TEST(Table, RefusesToMixWhatDoesNotCompare) {
  const TableSpec spec = spec_of("metric: map\nrows: [defense]\ncolumns: [direction]\n");
  std::vector<SyntheticCell> datasets = {simple_cell("none", 0.1), simple_cell("none", 0.2)};
  datasets[1].cell.dataset = "other";
  EXPECT_THAT(table_of(datasets, spec).error().message,
              AllOf(HasSubstr("differ in dataset ('d' and 'other')"),
                    HasSubstr("quickstart: other m 16 bits"), HasSubstr("put 'dataset' on rows or columns")));

  std::vector<SyntheticCell> protocols = {simple_cell("a", 0.1), simple_cell("b", 0.2)};
  protocols[0].cell.protocol = "static";
  protocols[1].cell.protocol = "adaptive";
  EXPECT_THAT(table_of(protocols, spec).error().message,
              AllOf(HasSubstr("mix the protocols 'static' (quickstart: d m 16 bits, defense a, attack none "
                              "(static), i2t, seed 1: map)"),
                    HasSubstr("'adaptive' (quickstart: d m 16 bits, defense b,")));
  EXPECT_TRUE(
      table_of(protocols, spec_of("metric: map\nrows: [[protocol], [defense]]\ncolumns: [direction]\n")));

  std::vector<SyntheticCell> imported = {simple_cell("a", 0.1), simple_cell("b", 0.2)};
  imported[1].cell.protocol = "imported";
  EXPECT_THAT(table_of(imported, spec).error().message,
              AllOf(HasSubstr("mix imported numbers (quickstart: d m 16 bits, defense b,"),
                    HasSubstr("with measured ones (quickstart: d m 16 bits, defense a,")));
  EXPECT_TRUE(
      table_of(imported, spec_of("metric: map\nrows: [[protocol], [defense]]\ncolumns: [direction]\n")));
  imported[0].cell.protocol = "imported";
  EXPECT_TRUE(table_of(imported, spec));

  std::vector<SyntheticCell> units = {simple_cell("a", 0.1), simple_cell("b", 0.2)};
  units[1].rows->front().unit = "s";
  EXPECT_THAT(table_of(units, spec).error().message,
              AllOf(HasSubstr("mix the units 'ratio' (quickstart: d m 16 bits, defense a,"),
                    HasSubstr("and 's' (quickstart: d m 16 bits, defense b,"), HasSubstr("of map")));

  std::vector<SyntheticCell> versions = {simple_cell("a", 0.1), simple_cell("b", 0.2)};
  versions[1].model_version = 2;
  EXPECT_THAT(table_of(versions, spec).error().message,
              AllOf(HasSubstr("mix versions 1 (quickstart: d m 16 bits, defense a,"),
                    HasSubstr("and 2 (quickstart: d m 16 bits, defense b,"), HasSubstr(") of m,")));

  TableSpec elsewhere = spec;
  elsewhere.filter["defense"] = {"drfgd"};
  const auto nothing = table_of(units, elsewhere);
  EXPECT_EQ(nothing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(nothing.error().message, HasSubstr("defense = drfgd"));

  std::vector<SyntheticCell> references = {simple_cell("a", 0.1), simple_cell("b", 0.2)};
  references[0].rows->push_back(ratio("chance_map", 0.3));
  references[1].rows->push_back(ratio("chance_map", 0.4));
  TableSpec with_reference = spec;
  with_reference.references = {{"chance_map", "chance", true}};
  EXPECT_THAT(table_of(references, with_reference).error().message, HasSubstr("chance_map is not the same"));
  with_reference.references[0].as_row = false;
  const auto as_column = table_of(references, with_reference);
  ASSERT_TRUE(as_column) << as_column.error().message;
  EXPECT_EQ(as_column->columns.back().labels.front(), "chance");
  EXPECT_DOUBLE_EQ(as_column->entries[1].back().mean, 0.4);
}

TEST(Table, CountsACellOfTwoSweepsOnce) {
  store::JobStore store = *store::JobStore::open_in_memory();
  fill_database(store, "first", {simple_cell("a", 0.1)});
  fill_database(store, "second", {simple_cell("a", 0.1), simple_cell("b", 0.2)});
  const TableSpec spec = spec_of("metric: map\nrows: [defense]\ncolumns: [direction]\n");
  const auto table = make_table(store.connection(), spec);
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_EQ(table->entries[0][0].n, 1);
  TableSpec one = spec;
  one.filter["sweep"] = {"first"};
  EXPECT_THAT(make_table(store.connection(), one)->rows, SizeIs(1));
}

TEST(Table, ANumberThatIsNotANumberIsMissing) {
  std::vector<SyntheticCell> cells = {simple_cell("a", std::nan("")), simple_cell("b", 0.2)};
  const auto table = table_of(cells, spec_of("metric: map\nrows: [defense]\ncolumns: [direction]\n"));
  ASSERT_TRUE(table);
  EXPECT_EQ(table->entries[0][0].state, EntryState::kMissing);
  EXPECT_THAT(table->missing, SizeIs(1));
}

TEST(Table, TheHashFollowsTheValues) {
  const TableSpec spec = spec_of("metric: map\nrows: [defense]\ncolumns: [direction]\n");
  const auto hash = [&](double value) {
    return table_of({simple_cell("a", value)}, spec)->provenance.values_sha256;
  };
  EXPECT_EQ(hash(0.1), hash(0.1));
  EXPECT_NE(hash(0.1), hash(0.1000000001));
}

TEST(TableSpecReader, ListsEveryProblemWithItsPlace) {
  const auto spec = parse_table_spec(
      "gauntlet_table: 2\n"
      "metric: [map, t_map]\n"
      "rows: [defence, seed]\n"
      "columns: direction\n"
      "filter: {datasett: x, bits: many}\n"
      "scale: percents\n"
      "decimals: 12\n"
      "best: row\n"
      "colums: []\n"
      "references: [{metrik: chance_map}]\n"
      "labels: {direction: up}\n",
      "bad.yaml");
  ASSERT_FALSE(spec);
  EXPECT_EQ(spec.error().code, ErrorCode::kInvalid);
  const std::string message = spec.error().message;
  EXPECT_THAT(message,
              HasSubstr("bad.yaml:1:17: gauntlet_table is the format's version and must be 1, not '2'"));
  EXPECT_THAT(message, HasSubstr("bad.yaml:2:9: 2 metrics (map, t_map) cannot share a table entry"));
  EXPECT_THAT(message,
              AllOf(HasSubstr("bad.yaml:3:8: unknown axis 'defence'"), HasSubstr("did you mean 'defense'?")));
  EXPECT_THAT(message, HasSubstr("bad.yaml:3:17: seeds are averaged over"));
  EXPECT_THAT(message, HasSubstr("bad.yaml:4:10: columns is a list of axes, not 'direction'"));
  EXPECT_THAT(message, HasSubstr("bad.yaml:5:10: unknown filter column 'datasett'; did you mean 'dataset'?"));
  EXPECT_THAT(message, HasSubstr("bits is a whole number, not 'many'"));
  EXPECT_THAT(message, HasSubstr("bad.yaml:6:8: scale is ratio or percent, not 'percents'"));
  EXPECT_THAT(message, HasSubstr("bad.yaml:7:11: decimals is a whole number from 0 to 9, not '12'"));
  EXPECT_THAT(message, HasSubstr("bad.yaml:8:7: best is column, block or off, not 'row'"));
  EXPECT_THAT(message, HasSubstr("bad.yaml:9:1: unknown key 'colums'; did you mean 'columns'?"));
  EXPECT_THAT(message, HasSubstr("unknown key of a reference 'metrik'; did you mean 'metric'?"));
  EXPECT_THAT(message, HasSubstr("bad.yaml:11:21: labels.direction maps values to texts, not 'up'"));
}

TEST(TableSpecReader, KnowsTheKeysOfTheSchemaThatEditorsUse) {
  const auto text = read_file(fs::path(GAUNTLET_SOURCE_DIR) / "schemas" / "table.schema.json");
  ASSERT_TRUE(text);
  const Json schema = *parse_json(*text, "table.schema.json");
  const auto unknown = parse_table_spec("nothing: 1\n", "x.yaml");
  for (const auto& [key, rule] : schema["properties"].items()) {
    EXPECT_THAT(unknown.error().message, HasSubstr(key));
    const auto one = parse_table_spec(key + ": [[]]\n", "x.yaml");
    EXPECT_THAT(one.error().message, Not(HasSubstr("unknown key"))) << key;
  }
  for (const std::string& axis : table_axes()) EXPECT_THAT(*text, HasSubstr('"' + axis + '"'));
}

TEST(TableSpecReader, RefusesWhatIsNoMapOrNoYaml) {
  EXPECT_THAT(parse_table_spec("- a\n", "x.yaml").error().message,
              HasSubstr("x.yaml:1:1: a table spec is a map"));
  EXPECT_THAT(parse_table_spec("a: [\n", "x.yaml").error().message, HasSubstr("x.yaml:"));
  EXPECT_FALSE(parse_table_spec("", "x.yaml"));
  EXPECT_FALSE(parse_table_spec("? [a, b]\n: c\n", "x.yaml"));
  EXPECT_EQ(read_table_spec("/nowhere/t.yaml").error().code, ErrorCode::kNotFound);
  EXPECT_THAT(parse_table_spec("{}", "x.yaml").error().message, HasSubstr("'metric' is missing"));
}

}  // namespace
}  // namespace gauntlet::results
