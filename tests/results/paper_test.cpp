// The paper's tables: layout as printed, printed numbers beside ours, properties of defenses.
#include <gmock/gmock.h>

#include "results/table/paper.hpp"
#include "tests/results/table_support.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::results {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing_support::expect_golden;
using testing_support::kTables;
using testing_support::ratio;
using testing_support::simple_cell;
using testing_support::spec_of;
using testing_support::SyntheticCell;
using testing_support::table_of;
using testing_support::TempFolder;

constexpr std::uint64_t kSeed = 1;

SyntheticCell cell_of(std::string dataset, std::string model, std::string defense, std::string attack,
                      std::string direction, double value) {
  SyntheticCell item;
  const std::string protocol = attack == "none" ? "none" : "static";
  item.cell = {.dataset = std::move(dataset),
               .model = std::move(model),
               .bits = 32,
               .defense = std::move(defense),
               .attack = std::move(attack),
               .protocol = protocol,
               .direction = std::move(direction),
               .variant = "",
               .seed = kSeed};
  item.rows = {{ratio("map@50:first_relevant", value)}};
  item.expected = {"map@50:first_relevant"};
  return item;
}

// Everything the paper's Tables 1 to 4 need, with made-up numbers: a defense keeps `kept` of the clean
// number.
std::vector<SyntheticCell> paper_cells() {
  std::vector<SyntheticCell> cells;
  const std::map<std::string, double> kept = {{"none", 0.55}, {"saat", 0.85}, {"drfgd", 0.95}};
  double step = 0;
  for (const std::string dataset : {"flickr25k", "mscoco", "nuswide"}) {
    for (const std::string model : {"cpah", "dadh", "daph"}) {
      for (const std::string direction : {"i2t", "t2i"}) {
        step += 0.003;
        for (const auto& [defense, share] : kept) {
          const double clean = 0.7 + step;
          cells.push_back(cell_of(dataset, model, defense, "none", direction,
                                  defense == "none" ? clean : clean * (share + 0.03)));
          for (const std::string attack : {"eqb2a", "ta_dch"}) {
            if (attack == "eqb2a" && direction == "t2i") continue;
            cells.push_back(cell_of(dataset, model, defense, attack, direction, clean * share));
            if (attack != "ta_dch") continue;
            cells.back().rows->push_back(ratio("t_map", 1 - clean * share, false));
            cells.back().expected.emplace_back("t_map");
          }
        }
        if (model != "cpah") continue;
        for (const std::string variant : {"w/o L_Div", "w/o L_Cls", "w/o L_Ali", "w/o L_Rec", "w/o L_Dis"}) {
          cells.push_back(cell_of(dataset, model, "drfgd", "ta_dch", direction, 0.6 + step));
          cells.back().cell.variant = "drfgd/" + variant;
        }
      }
    }
  }
  // One value per query, so that there is something to test.
  for (SyntheticCell& cell : cells) {
    for (spec::ResultRow& row : *cell.rows) {
      for (int i = 0; i < 100; ++i) row.per_query.push_back(static_cast<float>(row.value));
    }
  }
  return cells;
}

Table paper_table(const std::string& name, const std::vector<SyntheticCell>& cells = paper_cells()) {
  const auto spec = read_table_spec(kTables / name);
  EXPECT_TRUE(spec) << spec.error().message;
  const auto table = table_of(cells, *spec);
  EXPECT_TRUE(table) << table.error().message;
  return table ? *table : Table{};
}

TEST(PaperTables, Table2LooksAsPrintedWithThePrintedNumbers) {
  const Table table = paper_table("paper_table2.yaml");
  EXPECT_THAT(table.columns, SizeIs(9));
  expect_golden("paper_table2.txt", render(table, Format::kText));
  expect_golden("paper_table2.tex", render(table, Format::kLatex));
  expect_golden("paper_table2.html", render(table, Format::kHtml));
  expect_golden("paper_table2.csv", render(table, Format::kCsv));
}

TEST(PaperTables, Table3) {
  expect_golden("paper_table3.txt", render(paper_table("paper_table3.yaml"), Format::kText));
}
TEST(PaperTables, Table4) {
  const Table table = paper_table("paper_table4.yaml");
  EXPECT_THAT(table.rows, SizeIs(6));
  expect_golden("paper_table4.txt", render(table, Format::kText));
}

TEST(PaperTables, Table1ComesFromTheCatalogAndThresholds) {
  const Table table = paper_table("paper_table1.yaml");
  ASSERT_THAT(table.rows, SizeIs(2));
  const auto texts = [&](std::size_t row) {
    std::vector<std::string> list;
    for (const TableEntry& entry : table.entries[row]) list.push_back(entry.text);
    return list;
  };
  EXPECT_THAT(texts(0),
              ElementsAre("adversarial training", "✗ (0 of 27)", "✗ (0 of 18)", "✗ (0 of 3 models)"));
  EXPECT_THAT(texts(1), ElementsAre("learned purification", "✓", "✓", "✓"));
  expect_golden("paper_table1.txt", render(table, Format::kText));
  expect_golden("paper_table1.md", render(table, Format::kMarkdown));
}

TEST(Properties, MissingNumbersAreNamedAndNothingIsClaimed) {
  std::vector<SyntheticCell> cells = paper_cells();
  for (SyntheticCell& cell : cells) {
    if (cell.cell.defense == "drfgd" && cell.cell.attack == "ta_dch" && cell.cell.dataset == "nuswide") {
      cell.rows.reset();
    }
  }
  const Table table = paper_table("paper_table1.yaml", cells);
  EXPECT_THAT(table.missing, SizeIs(6));
  EXPECT_EQ(table.entries[1][1].state, EntryState::kMissing);
  EXPECT_EQ(table.entries[1][2].text, "✓");
}

TEST(Properties, SayWhatTheyCompareWith) {
  std::vector<SyntheticCell> cells = {cell_of("d", "m", "drfgd", "none", "i2t", 0.5)};
  const auto table = table_of(cells, *read_table_spec(kTables / "paper_table1.yaml"));
  ASSERT_FALSE(table);
  EXPECT_THAT(table.error().message, HasSubstr("no cell of d m 32 bits i2t has neither defense nor attack"));
  const auto spec = parse_table_spec(
      "gauntlet_table: 1\nmetric: map\nrows: [model]\ncolumns: [direction]\nproperties: [{is: strong}]\n",
      "p.yaml");
  EXPECT_THAT(spec.error().message, HasSubstr("p.yaml:3:7: with properties, rows is [defense]"));
  EXPECT_THAT(spec.error().message, HasSubstr("unknown property 'strong'"));
  EXPECT_THAT(spec.error().message, HasSubstr("'columns' does not go with properties"));
}

// ---------------------------------------------------------------- reference files

class ReferenceFiles : public testing::Test {
 protected:
  Result<Table> table(const std::string& csv, const std::string& more = "") const {
    folder_.write("paper.csv", csv);
    TableSpec spec = spec_of(
        "metric: map\nrows: [defense]\ncolumns: [direction]\nscale: percent\ndecimals: 1\n"
        "paper: {file: paper.csv" +
        more + "}\n");
    spec.paper->file = folder_ / "paper.csv";
    return table_of({simple_cell("none", 0.5), simple_cell("a,\"b\"", 0.75)}, spec);
  }
  TempFolder folder_;
};

TEST_F(ReferenceFiles, GiveThePrintedValueAndTheDifference) {
  const auto with = table("defense,metric,value\nnone,map,0.512\n\"a,\"\"b\"\"\",map,0.75\n");
  ASSERT_TRUE(with) << with.error().message;
  EXPECT_DOUBLE_EQ(with->entries[0][0].paper.value(), 0.512);
  EXPECT_THAT(render(*with, Format::kText), HasSubstr("-1.2"));
  EXPECT_THAT(render(*with, Format::kText), HasSubstr("+0.0"));
  const auto percent = table("defense,metric,value_percent\nnone,map,51.2\n", ", show: difference");
  ASSERT_TRUE(percent) << percent.error().message;
  EXPECT_THAT(render(*percent, Format::kMarkdown), Not(HasSubstr("51.2")));
  EXPECT_THAT(render(*percent, Format::kMarkdown), HasSubstr("-1.2"));
}

TEST_F(ReferenceFiles, SayWhereTheyAreWrong) {
  const auto refusal = [&](const std::string& csv, const std::string& more = "") {
    const auto made = table(csv, more);
    return made ? std::string("no refusal") : made.error().message;
  };
  EXPECT_THAT(refusal("defense,metric\nnone,map\n"), HasSubstr("paper.csv:1: there is no column 'value'"));
  EXPECT_THAT(refusal("defense,value\nnone,many\n"),
              HasSubstr("paper.csv:2: a value is a number, not 'many'"));
  EXPECT_THAT(refusal("defense,value\nnone\n"), HasSubstr("paper.csv:2: 1 fields; the heading has 2"));
  EXPECT_THAT(refusal("defense,value\nnone,1\nnone,2\n"),
              HasSubstr("paper.csv:3: the same cell as in line 2"));
  EXPECT_THAT(refusal("defense,value\nsaat,1\n"),
              HasSubstr("belongs to a cell of the table; paper.where leaves 1 number"));
  EXPECT_THAT(refusal("defense,value\n\"none,1\n"), HasSubstr("a quoted field does not end"));
  EXPECT_THAT(refusal("table,value\nx,1\n", ", where: {tabel: x}"),
              HasSubstr("unknown column 'tabel'; did you mean 'table'?"));
  EXPECT_THAT(refusal(""), HasSubstr("there is no heading"));
}

}  // namespace
}  // namespace gauntlet::results
