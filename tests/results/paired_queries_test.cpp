// Scores of all queries beside scores of some of them, and which of a companion's attacks are of some.
#include "results/robustness/paired_queries.hpp"

#include <gmock/gmock.h>

#include <algorithm>

#include "core/spec/attack_scope.hpp"
#include "core/spec/expand.hpp"
#include "results/robustness/companion_sweep.hpp"
#include "results/robustness/evidence.hpp"
#include "tests/results/attacked_database.hpp"

namespace gauntlet::testing_support {
namespace {

using results::PairedQueries;
using results::ScoredQueries;
using robustness::Arm;
using testing::SizeIs;

const JobKey kData{sha256("a data set")};

/// Scores that tell which query each is of.
Arm arm_of(std::size_t n_all, const ScoredQueries& scored) {
  Arm arm;
  for (const std::size_t query : spec::kept_queries(n_all, Json{{"on_queries", scored.n_drawn}}, scored.data))
    arm.ap.push_back(static_cast<double>(query));
  arm.per_query["tracked_ap"] = arm.ap;
  arm.per_query["elsewhere"] = {1, 2};
  return arm;
}

TEST(PairedQueries, LeaveEveryArmTheFewestThatAnyHas) {
  const std::vector<ScoredQueries> scored = {{kData, 0}, {kData, 50}, {kData, 20}, {kData, 0}};
  PairedQueries paired;
  std::vector<Arm> arms;
  for (const ScoredQueries& each : scored) arms.push_back(arm_of(100, each));
  for (std::size_t at = 0; at < arms.size(); ++at) paired.note(scored[at], arms[at]);
  const std::vector<double> wanted = arms[2].ap;
  ASSERT_THAT(wanted, SizeIs(20));
  for (std::size_t at = 0; at < arms.size(); ++at) {
    paired.cut(scored[at], arms[at]);
    EXPECT_EQ(arms[at].ap, wanted) << at;
    EXPECT_EQ(arms[at].per_query["tracked_ap"], wanted) << at;
    EXPECT_THAT(arms[at].per_query["elsewhere"], SizeIs(2));
  }
}

TEST(PairedQueries, LeaveAloneWhatIsOfAllOrOfAnotherDataSet) {
  const ScoredQueries all{kData, 0}, other{JobKey{sha256("another")}, 20}, more{kData, 500};
  PairedQueries paired;
  Arm arm = arm_of(100, all);
  paired.note(all, arm);
  paired.note(other, arm_of(100, other));
  paired.note(more, arm_of(100, more));
  paired.cut(all, arm);
  EXPECT_THAT(arm.ap, SizeIs(100));
  Arm unknown = arm_of(100, other);
  paired.cut(other, unknown);  // nothing says of how many its 20 are
  EXPECT_THAT(unknown.ap, SizeIs(20));
}

TEST(Evidence, ComparesSomeQueriesWithTheSameOnesOfAll) {
  store::JobStore store = *store::JobStore::open_in_memory();
  std::vector<AttackedCell> cells = attacked_cells();
  fill_attacked(store, "study", cells);
  AttackedCell few = {"drfgd", "APGD 200", "adaptive", apgd_options(200), 0.55};
  few.on_queries = 25;
  fill_attacked(store, "study-robustness", {few});
  const auto all = results::read_evidence(store.connection(), {"study", "study-robustness"});
  ASSERT_TRUE(all) << all.error().message;
  for (const results::SubjectEvidence& subject : *all) {
    for (const Arm& arm : subject.evidence.arms) EXPECT_THAT(arm.ap, SizeIs(25)) << arm.label;
  }
  const std::vector<results::CheckRow> rows = results::judge_evidence(*all, "study", "abc");
  const auto converged = std::ranges::find_if(rows, [](const results::CheckRow& row) {
    return row.subject.defense == "drfgd" && row.check == "R10";
  });
  ASSERT_NE(converged, rows.end());
  EXPECT_EQ(converged->n, 25);
  EXPECT_NEAR(*converged->delta, 0.05, 1e-6);
}

// ---------------------------------------------------------------- the companion

spec::SweepSpec spec_of(const std::string& text) {
  spec::ParsedSweep parsed = spec::parse_sweep(text, "study.yaml", spec::Catalog::builtin());
  for (const spec::Problem& problem : parsed.problems)
    ADD_FAILURE() << spec::to_text(problem, "study.yaml") << text;
  return parsed.spec ? std::move(*parsed.spec) : spec::SweepSpec();
}

/// on_queries of the companion's attacks, by label.
std::map<std::string, std::uint32_t> queries_of_companion(const std::string& attacks,
                                                          const std::string& more = "") {
  const std::string text = fmt::format(
      "gauntlet: 1\nname: study\naxes: {{dataset: picto_scenes, model: cpah, bits: 16, defense: [none, "
      "drfgd], "
      "direction: i2t, attack: {}}}\nmetrics: map\n{}",
      attacks, more);
  const spec::SweepSpec spec = spec_of(text);
  const auto expansion =
      spec::expand(spec, spec::Catalog::builtin(),
                   [](std::string_view, const Json&, const Json&) { return Result<std::string>("content"); });
  EXPECT_TRUE(expansion.has_value());
  const auto companion =
      results::companion_sweep(text, spec, *expansion, spec::Catalog::builtin(), /*quick=*/false);
  EXPECT_TRUE(companion) << companion.error().message;
  std::map<std::string, std::uint32_t> queries;
  const spec::SweepSpec read = spec_of(*companion);
  for (const spec::AxisValue& value : read.of(spec::Axis::kAttack))
    queries[value.label] = value.scope.on_queries;
  return queries;
}

TEST(CompanionSweep, AddsAttacksOnSomeQueriesAndLeavesTheSweepsOwnAsTheyAre) {
  auto queries = queries_of_companion("[none, {name: apgd, label: main}]");
  for (const char* label : {"none", "main", "main (static)"}) EXPECT_EQ(queries.at(label), 0U) << label;
  for (const char* label : {"main (adaptive)", "main (1 step)", "main (1 step, adaptive)",
                            "main (square, adaptive)", "main (noise 3)", "main (swap)"})
    EXPECT_EQ(queries.at(label), 500U) << label;
}

TEST(CompanionSweep, TakesAllQueriesWhereTheSweepHasTheInputs) {
  const auto queries = queries_of_companion(
      "[none, {name: worst, set: standard, protocol: adaptive, when: {defense: drfgd}}]");
  EXPECT_EQ(queries.at("apgd-main (adaptive)"), 0U);
  EXPECT_EQ(queries.at("apgd-main (adaptive, controls)"), 500U);
  EXPECT_EQ(queries.at("apgd-main (static)"), 0U);
  EXPECT_EQ(queries.at("apgd-main (1 step, adaptive)"), 500U);
}

TEST(CompanionSweep, AsksForAsManyQueriesAsTheSweepDoes) {
  EXPECT_EQ(queries_of_companion("[none, apgd]", "on_queries: 40\n").at("apgd (1 step)"), 40U);
  EXPECT_EQ(queries_of_companion("[none, {name: apgd, on_queries: 40, label: few}]").at("few (1 step)"), 40U);
}

}  // namespace
}  // namespace gauntlet::testing_support
