// `explain:` of sweep files: which cells get a job that shows queries, and what its key depends on.
#include "tests/spec/sweeps.hpp"

namespace gauntlet::spec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;

/// Which cells have an explain job, in their order.
std::vector<bool> explained(const Expansion& expansion) {
  std::vector<bool> has;
  for (const PlannedCell& cell : expansion.cells)
    has.push_back(std::ranges::find(cell.jobs, "explain", &CellJob::role) != cell.jobs.end());
  return has;
}

TEST(Explain, ShowsTheMatchingCellsThatHaveAnAttack) {
  const Expansion expansion = expanded(
      one_cell("[none, drfgd]", "[none, pgd]", "explain: [{match: {defense: drfgd}, queries: 3}]\n"));
  // Cells: none/none, none/pgd, drfgd/none, drfgd/pgd.
  EXPECT_THAT(explained(expansion), ElementsAre(false, false, false, true));
  const PlannedCell cell = expansion.cells[3];
  const PlannedJob job = job_of(expansion, cell, "explain");
  EXPECT_EQ(job.job.kind, JobKind::kExplain);
  EXPECT_EQ(job.job.entry, "drfgd");
  EXPECT_EQ(job.job.version, 3);
  EXPECT_EQ(job.job.config.at("queries"), 3);
  EXPECT_EQ(job.job.config.at("stage"), 0);
  EXPECT_EQ(job.job.config.at("modality"), "image");
  EXPECT_EQ(job.job.config.at("defense"), job_of(expansion, cell, "train_defense").job.config.at("defense"));
  const auto input = [&](std::string_view role) { return job.job.find_input(role)->key; };
  EXPECT_EQ(input("crafted"), job_of(expansion, cell, "craft").key);
  EXPECT_EQ(input("defense"), job_of(expansion, cell, "train_defense").key);
  EXPECT_EQ(input("model"), job_of(expansion, cell, "train_model").key);
  EXPECT_EQ(input("data"), job_of(expansion, cell, "prepare").key);
  EXPECT_EQ(job.job.title, "explain drfgd image pgd cpah 32 bits seed 1");
}

TEST(Explain, AddsJobsAndChangesNone) {
  const std::string without = one_cell("[none, drfgd]", "[none, pgd]");
  const auto before = keys_of(expanded(without));
  const auto after = keys_of(expanded(without + "explain: [{queries: 2}]\n"));
  EXPECT_THAT(after, IsSupersetOf(before));
  EXPECT_EQ(after.size(), before.size() + 2);
}

TEST(Explain, TheFirstMatchingEntryCountsAndRowsAreASet) {
  const auto queries = [](std::string_view entries) {
    const Expansion expansion =
        expanded(one_cell("[drfgd, saat]", "pgd", fmt::format("explain: {}\n", entries)));
    std::vector<Json> all;
    for (const PlannedCell& cell : expansion.cells)
      all.push_back(job_of(expansion, cell, "explain").job.config.at("queries"));
    return all;
  };
  EXPECT_THAT(queries("[{match: {defense: saat}, queries: [7, 3, 7]}, {stage: 2}]"),
              ElementsAre(Json(8), Json({3, 7})));
}

TEST(Explain, EnsemblesHaveNothingOfTheirOwnToShow) {
  const Catalog& catalog = Catalog::builtin();  // that of the tests has none
  const ParsedSweep sweep =
      parse_sweep(one_cell("none", "[worst, pgd]", "explain: [{queries: 2}]\n"), "test.yaml", catalog);
  ASSERT_TRUE(sweep.spec) << testing::PrintToString(texts(sweep.problems));
  const auto expansion = expand(*sweep.spec, catalog, &fake_content_id);
  ASSERT_TRUE(expansion) << testing::PrintToString(texts(expansion.error()));
  EXPECT_THAT(explained(*expansion), ElementsAre(false, true));
}

TEST(Explain, SaysWhatIsWrong) {
  const auto problems = [](std::string_view entries) {
    const std::vector<std::string> found =
        parse_problems(one_cell("none", "pgd", fmt::format("explain: {}\n", entries)));
    return found.empty() ? "" : found.front();
  };
  EXPECT_THAT(problems("[{queries: 65}]"), HasSubstr("queries of explain"));
  EXPECT_THAT(problems("[{queries: 65}]"), HasSubstr("64"));
  EXPECT_THAT(problems("[{queries: []}]"), HasSubstr("names 0 rows; allowed: 1 to 64"));
  EXPECT_THAT(problems("[{queries: [-1]}]"), HasSubstr("row of the data set"));
  EXPECT_THAT(problems("[{querys: 3}]"), HasSubstr("did you mean 'queries'"));
  EXPECT_THAT(problems("[{match: {defence: none}}]"), HasSubstr("did you mean 'defense'"));
  EXPECT_THAT(problems("[{stage: deep}]"), HasSubstr("stage of explain"));
  EXPECT_THAT(problems("5"), HasSubstr("explain"));
}

TEST(Explain, AnEntryThatShowsNothingIsAMistake) {
  const auto found = expand_problems(one_cell("none", "none", "explain: [{queries: 2}]\n"));
  EXPECT_THAT(found, ElementsAre(HasSubstr("nothing to show")));
  EXPECT_THAT(expand_problems(one_cell("drfgd", "[none, pgd]", "explain: [{}, {match: {defense: drfgd}}]\n")),
              ElementsAre(HasSubstr("earlier entries have all of them")));
  EXPECT_THAT(expand_problems(one_cell("drfgd", "[none, pgd]", "explain: [{}]\n")), IsEmpty());
}

}  // namespace
}  // namespace gauntlet::spec
