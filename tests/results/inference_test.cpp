// Tests, corrections and intervals: against values worked out by hand, and of whole tables.
#include <gmock/gmock.h>

#include "results/table/inference.hpp"
#include "tests/results/table_support.hpp"

namespace gauntlet::results {
namespace {

using testing::AllOf;
using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::expect_golden;
using testing_support::simple_cell;
using testing_support::spec_of;
using testing_support::SyntheticCell;
using testing_support::table_of;

TEST(PairedPValue, CountsAllPatternsWhereTheyAreFew) {
  // Of the 8 sign patterns of 1, 2, 4 only +++ and --- are as far from 0 as 7.
  EXPECT_DOUBLE_EQ(paired_p_value(std::vector<double>{1, 2, 4}, 10000, 1), 2.0 / 8);
  // 1 + 2 - 4 = -1: all but none of the sums (±7, ±5, ±3, ±1) are nearer.
  EXPECT_DOUBLE_EQ(paired_p_value(std::vector<double>{1, 2, -4}, 10000, 1), 1.0);
  // 3 - 1 = 2 and its mirror, 4 and its mirror.
  EXPECT_DOUBLE_EQ(paired_p_value(std::vector<double>{3, -1}, 10000, 1), 1.0);
  EXPECT_DOUBLE_EQ(paired_p_value(std::vector<double>{3, 1}, 10000, 1), 0.5);
}

TEST(PairedPValue, DifferencesOfZeroSayNothing) {
  EXPECT_DOUBLE_EQ(paired_p_value(std::vector<double>{}, 10000, 1), 1);
  EXPECT_DOUBLE_EQ(paired_p_value(std::vector<double>{0, 0, 0}, 10000, 1), 1);
  EXPECT_DOUBLE_EQ(paired_p_value(std::vector<double>{0, 1, 0, 2, 4}, 10000, 1), 2.0 / 8);
}

TEST(PairedPValue, EqualSumsInAnotherOrderOfAddingCountAsEqual) {
  // 0.1 + 0.2 + 0.3 and its mirror; both count, whatever rounding does. 2 of 8 patterns reach 0.6.
  EXPECT_DOUBLE_EQ(paired_p_value(std::vector<double>{0.1, 0.2, 0.3}, 10000, 1), 2.0 / 8);
}

TEST(PairedPValue, DrawsPatternsWhereTheyAreMany) {
  std::vector<double> same(12, 1.0);
  same.insert(same.end(), 8, -1.0);  // 20 signs, sum 4
  // Two-sided probability of |sum| >= 4 of 20 fair signs, by counting: 1 - (C(20,9) + C(20,10) + C(20,11)) /
  // 2^20.
  const double exact = 1 - (167960.0 + 184756.0 + 167960.0) / 1048576.0;
  EXPECT_DOUBLE_EQ(paired_p_value(same, std::int64_t{1} << 20, 1), exact);
  const double drawn = paired_p_value(same, 100000, 1);
  EXPECT_NEAR(drawn, exact, 5 * std::sqrt(exact * (1 - exact) / 100000));
  EXPECT_EQ(drawn, paired_p_value(same, 100000, 1));
  EXPECT_NE(drawn, paired_p_value(same, 100000, 2));
  // A pattern never met still leaves the one that was seen.
  EXPECT_DOUBLE_EQ(paired_p_value(std::vector<double>(300, 1.0), 999, 1), 1.0 / 1000);
}

TEST(Holm, CorrectsStepByStep) {
  EXPECT_THAT(holm(std::vector<double>{0.01, 0.04, 0.03}),
              ElementsAre(DoubleNear(0.03, 1e-15), DoubleNear(0.06, 1e-15), DoubleNear(0.06, 1e-15)));
  EXPECT_THAT(holm(std::vector<double>{0.5, 0.9}), ElementsAre(1.0, 1.0));
  EXPECT_TRUE(holm({}).empty());
}

TEST(BootstrapInterval, LiesAroundTheMeanAndNarrowsWithTheQueries) {
  std::vector<double> queries;
  for (int i = 0; i < 400; ++i) queries.push_back(i % 2);
  const Interval interval = bootstrap_interval({queries}, 0.95, 4000, 1);
  const double half_width = 1.96 * 0.5 / 20;  // of a share of one half among 400
  EXPECT_NEAR(interval.low, 0.5 - half_width, 0.006);
  EXPECT_NEAR(interval.high, 0.5 + half_width, 0.006);
  const Interval constant = bootstrap_interval({{0.25, 0.25}, {0.75}}, 0.9, 100, 1);
  EXPECT_DOUBLE_EQ(constant.low, 0.5);
  EXPECT_DOUBLE_EQ(constant.high, 0.5);
}

// ---------------------------------------------------------------- whole tables

// A cell whose queries have these values.
SyntheticCell queried_cell(const std::string& defense, std::uint64_t seed,
                           const std::vector<float>& queries) {
  double sum = 0;
  for (const float value : queries) sum += value;
  SyntheticCell item =
      simple_cell(defense, queries.empty() ? 0.5 : sum / static_cast<double>(queries.size()));
  item.cell.seed = seed;
  item.rows->front().per_query = queries;
  return item;
}

std::vector<float> shifted(float shift) {
  std::vector<float> queries;
  for (int i = 0; i < 200; ++i) queries.push_back(0.4F + 0.001F * static_cast<float>(i * 37 % 100) + shift);
  return queries;
}

const std::string kRows = "metric: map\nrows: [defense]\ncolumns: [direction]\n";

TEST(Significance, MarksWhatDiffersFromTheBaseline) {
  std::vector<float> unlike = shifted(0);
  for (std::size_t i = 0; i < unlike.size(); ++i) unlike[i] += i % 2 == 0 ? 0.01F : -0.01F;
  std::vector<SyntheticCell> cells;
  for (const std::uint64_t seed : {1U, 2U}) {
    cells.push_back(queried_cell("none", seed, shifted(0)));
    cells.push_back(queried_cell("better", seed, shifted(0.05F)));
    cells.push_back(queried_cell("unlike", seed, unlike));
  }
  const TableSpec spec = spec_of(
      kRows + "significance: {against: {defense: none}}\ninterval: 0.95\norder: {defense: [none, better]}");
  const auto table = table_of(cells, spec);
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_FALSE(table->entries[0][0].p_value.has_value());
  EXPECT_DOUBLE_EQ(table->entries[1][0].p_value.value(), 1.0 / 10001);  // the smallest there is
  EXPECT_DOUBLE_EQ(table->entries[1][0].p_holm.value(), 2.0 / 10001);
  EXPECT_TRUE(table->entries[1][0].significant);
  EXPECT_GT(table->entries[2][0].p_value.value(), 0.5);
  EXPECT_FALSE(table->entries[2][0].significant);
  EXPECT_THAT(entry_text(*table, table->entries[1][0], false), HasSubstr("†"));
  expect_golden("significance.txt", render(*table, Format::kText));
  expect_golden("significance.csv", render(*table, Format::kCsv));
  expect_golden("significance.json", render(*table, Format::kJson));
  EXPECT_EQ(render(*table, Format::kCsv), render(*table_of(cells, spec), Format::kCsv));
}

TEST(Significance, GoesOverSeedsWhereThereAreNoQueries) {
  std::vector<SyntheticCell> cells;
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    for (const auto& [defense, value] : {std::pair{"none", 0.1}, std::pair{"drfgd", 0.5}}) {
      cells.push_back(simple_cell(defense, value + 0.01 * static_cast<double>(seed)));
      cells.back().cell.seed = seed;
    }
  }
  const auto table = table_of(cells, spec_of(kRows + "significance: {against: {defense: none}}\n"));
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_DOUBLE_EQ(table->entries[1][0].p_value.value(), 0.25);  // 2 of the 8 patterns of three seeds
}

TEST(Significance, ExplainsWhatItCannotTest) {
  const auto refusal = [](const std::vector<SyntheticCell>& cells, const std::string& spec) {
    const auto table = table_of(cells, spec_of(kRows + spec));
    return table ? std::string("no refusal") : table.error().message;
  };
  const std::vector<SyntheticCell> plain = {simple_cell("none", 0.1), simple_cell("drfgd", 0.2)};
  EXPECT_THAT(refusal(plain, "significance: {against: {defense: none}}"),
              AllOf(HasSubstr("defense drfgd, direction i2t has no values per query"),
                    HasSubstr("shares one seed"), HasSubstr("run more seeds")));
  EXPECT_THAT(refusal(plain, "significance: {against: {defense: saat}}"),
              HasSubstr("no entry of the table has a baseline with defense saat"));
  EXPECT_THAT(refusal(plain, "interval: 0.95"),
              AllOf(HasSubstr("interval: defense none"), HasSubstr("one seed and no values per query")));
  EXPECT_THAT(refusal({queried_cell("none", 1, {0.1F, 0.2F}), queried_cell("drfgd", 1, {0.1F})},
                      "significance: {against: {defense: none}}"),
              HasSubstr("drfgd, direction i2t has 1 queries at seed 1 and its baseline 2"));
}

TEST(Significance, MissingNumbersAreNotTested) {
  std::vector<SyntheticCell> cells = {queried_cell("none", 1, shifted(0)),
                                      queried_cell("drfgd", 1, shifted(1))};
  cells[0].rows.reset();
  const auto table = table_of(cells, spec_of(kRows + "significance: {against: {defense: none}}"));
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_FALSE(table->entries[1][0].p_value.has_value());
}

TEST(Significance, ProblemsOfItsKeysAreNamedWithTheirPlace) {
  const auto spec = parse_table_spec(
      "gauntlet_table: 1\nmetric: map\nrows: [defense]\ncolumns: [direction]\n"
      "significance: {level: 2, permutations: 5, agianst: {}}\n"
      "interval: {level: 95, sampels: 3}\n",
      "s.yaml");
  ASSERT_FALSE(spec);
  const std::string& message = spec.error().message;
  EXPECT_THAT(message, HasSubstr("s.yaml:5:23: significance.level is a number between 0 and 1, not '2'"));
  EXPECT_THAT(message,
              HasSubstr("significance.permutations is a whole number from 100 to 10000000, not '5'"));
  EXPECT_THAT(message, HasSubstr("unknown key of significance 'agianst'; did you mean 'against'?"));
  EXPECT_THAT(message, HasSubstr("significance needs a baseline"));
  EXPECT_THAT(message, HasSubstr("s.yaml:6:19: interval.level is a number between 0 and 1, not '95'"));
  EXPECT_THAT(message, HasSubstr("did you mean 'samples'?"));
}

}  // namespace
}  // namespace gauntlet::results
