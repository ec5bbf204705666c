// Verdicts into the database and out of it.
#include "results/store/check_rows.hpp"

#include "tests/results/table_support.hpp"

namespace gauntlet::testing_support {
namespace {

using results::CheckRow;

CheckRow row_of(const std::string& defense, const std::string& check) {
  CheckRow row{.sweep = "quickstart",
               .subject = {.dataset = "picto_scenes",
                           .model = "cpah",
                           .bits = 32,
                           .defense = defense,
                           .direction = "i2t",
                           .variant = "",
                           .seed = 1},
               .check = check,
               .verdict = "fail"};
  row.epsilon = 8.0 / 255;
  row.delta = 0.25;
  row.ci_low = 0.125;
  row.n = 60;
  row.sentence = "Random noise is as strong as the attack.";
  row.revision = "abc1234";
  return row;
}

TEST(CheckRows, ComeBackAsWrittenAndReplaceEachOther) {
  store::JobStore store = database_of(quickstart_cells());
  const std::vector<CheckRow> rows = {row_of("drfgd", "R05"), row_of("drfgd", "R07")};
  ASSERT_TRUE(write_checks(store.connection(), "quickstart", rows));
  EXPECT_EQ(results::read_checks(store.connection()).value(), rows);
  ASSERT_TRUE(write_checks(store.connection(), "quickstart", std::vector{row_of("none", "R01")}));
  EXPECT_EQ(results::read_checks(store.connection()).value(), std::vector{row_of("none", "R01")});
}

TEST(CheckRows, AreFilteredByTheirAxes) {
  store::JobStore store = database_of(quickstart_cells());
  ASSERT_TRUE(write_checks(store.connection(), "quickstart",
                           std::vector{row_of("drfgd", "R05"), row_of("none", "R07")}));
  const auto found = results::read_checks(store.connection(), {{"defense", {"none"}}, {"bits", {"32"}}});
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 1U);
  EXPECT_EQ(found->front().check, "R07");
  EXPECT_TRUE(results::read_checks(store.connection(), {{"seed", {"2"}}})->empty());
  const auto wrong = results::read_checks(store.connection(), {{"defence", {"none"}}});
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message, testing::HasSubstr("unknown column 'defence'; did you mean 'defense'?"));
}

constexpr const char* kTable = R"(
filter: {variant: [""], protocol: [static]}
metric: map
rows: [defense]
columns: [direction, attack]
)";

TEST(CheckMarks, StandAtDefensesWhoseChecksFail) {
  store::JobStore store = database_of(quickstart_cells());
  const TableSpec spec = spec_of(kTable);
  const std::string before = render(make_table(store.connection(), spec).value(), results::Format::kMarkdown);
  EXPECT_THAT(before, testing::Not(testing::HasSubstr("†")));
  CheckRow other = row_of("drfgd", "R05");
  other.subject.dataset = "another";
  CheckRow passed = row_of("box_blur", "R05");
  passed.verdict = "warn";
  // The attack of the quickstart's tables is called PGD, and checks are of all attacks on a defense.
  ASSERT_TRUE(write_checks(store.connection(), "quickstart", std::vector{other, passed}));
  EXPECT_EQ(render(make_table(store.connection(), spec).value(), results::Format::kMarkdown), before);
  ASSERT_TRUE(write_checks(store.connection(), "quickstart",
                           std::vector{row_of("drfgd", "R05"), row_of("drfgd", "R09"), passed}));
  const std::string after = render(make_table(store.connection(), spec).value(), results::Format::kMarkdown);
  EXPECT_THAT(after, testing::HasSubstr("| drfgd †"));
  EXPECT_THAT(after, testing::Not(testing::HasSubstr("box_blur †")));
  EXPECT_THAT(after, testing::HasSubstr("† robustness checks fail: drfgd R05, R09"));
}

TEST(CheckRows, OfAnUnknownSweepAreRefused) {
  store::JobStore store = database_of(quickstart_cells());
  const Status written = write_checks(store.connection(), "other", std::vector<CheckRow>{});
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace gauntlet::testing_support
