// Evidence out of the database, and the sweep that a robustness evaluation needs.
#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "core/spec/expand.hpp"
#include "results/robustness/companion_sweep.hpp"
#include "results/robustness/evidence.hpp"
#include "tests/results/attacked_database.hpp"

namespace gauntlet::testing_support {
namespace {

using results::CheckRow;
using robustness::Arm;
using robustness::ArmKind;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const results::SubjectEvidence& subject_of(const std::vector<results::SubjectEvidence>& all,
                                           const std::string& defense) {
  return *std::ranges::find_if(all, [&](const auto& each) { return each.subject.defense == defense; });
}

TEST(Evidence, SaysWhatEveryAttackWasMadeOn) {
  store::JobStore store = *store::JobStore::open_in_memory();
  fill_attacked(store, "study", attacked_cells());
  const auto all = results::read_evidence(store.connection(), {"study", "study-robustness"});
  ASSERT_TRUE(all) << all.error().message;
  ASSERT_EQ(all->size(), 2U);
  const robustness::Evidence& own = subject_of(*all, "drfgd").evidence;
  ASSERT_EQ(own.arms.size(), 6U);
  EXPECT_EQ(own.arms[0].kind, ArmKind::kClean);
  EXPECT_EQ(own.arms[1].kind, ArmKind::kGradient);
  EXPECT_TRUE(own.arms[1].white);
  EXPECT_DOUBLE_EQ(own.arms[1].epsilon, kAttackBudget);
  EXPECT_EQ(own.arms[1].ap.size(), 60U);
  EXPECT_FALSE(own.arms[2].white);
  EXPECT_EQ(own.arms[2].source, "");
  EXPECT_FALSE(own.arms[4].white);
  EXPECT_NE(own.arms[4].source, "");
  EXPECT_EQ(own.arms[5].kind, ArmKind::kNoise);
  EXPECT_EQ(own.arms[5].figures.at("linf"), 8);
  EXPECT_TRUE(subject_of(*all, "none").evidence.arms[1].white);  // nothing is between it and the model
}

TEST(Evidence, BecomesOneRowPerCheckOfEverySubject) {
  store::JobStore store = *store::JobStore::open_in_memory();
  fill_attacked(store, "study", attacked_cells());
  const auto all = results::read_evidence(store.connection(), {"study"});
  ASSERT_TRUE(all);
  const std::vector<CheckRow> rows = results::judge_evidence(*all, "study", "abc");
  ASSERT_EQ(rows.size(), 42U);
  const auto verdict = [&](const char* defense, const char* check) {
    const auto found = std::ranges::find_if(
        rows, [&](const CheckRow& row) { return row.subject.defense == defense && row.check == check; });
    return found == rows.end() ? "nothing" : found->verdict;
  };
  EXPECT_EQ(verdict("drfgd", "R04"), "fail");  // one step reaches 0.5, a hundred 0.6
  EXPECT_EQ(verdict("drfgd", "R06"), "pass");
  EXPECT_EQ(verdict("drfgd", "R18"), "note");
  EXPECT_EQ(verdict("drfgd", "R13"), "pass");
  EXPECT_EQ(verdict("none", "R04"), "not run");
  ASSERT_TRUE(results::write_checks(store.connection(), "study", rows));
  EXPECT_EQ(results::read_checks(store.connection())->size(), 42U);
}

TEST(Evidence, TakesTheCompanionsCellsToo) {
  store::JobStore store = *store::JobStore::open_in_memory();
  std::vector<AttackedCell> cells = attacked_cells();
  fill_attacked(store, "study", {cells[0], cells[2], cells[6], cells[7]});
  fill_attacked(store, "study-robustness", cells);
  const auto all = results::read_evidence(store.connection(), {"study", "study-robustness"});
  ASSERT_TRUE(all);
  EXPECT_EQ(subject_of(*all, "drfgd").evidence.arms.size(), 6U);  // none of them twice
}

TEST(Evidence, JudgesWhatTheSweepItselfHas) {
  store::JobStore store = *store::JobStore::open_in_memory();
  const std::vector<AttackedCell> cells = attacked_cells();
  fill_attacked(store, "study", {cells[0], cells[1]});
  fill_attacked(store, "study-robustness", cells);
  const auto all = results::read_evidence(store.connection(), {"study", "study-robustness"});
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 2U);  // the undefended model is there to compare with
  const std::vector<CheckRow> rows = results::judge_evidence(*all, "study", "abc");
  ASSERT_EQ(rows.size(), 21U);
  for (const CheckRow& row : rows) EXPECT_EQ(row.subject.defense, "drfgd");
}

TEST(Evidence, OfAnUnknownSweepIsRefused) {
  store::JobStore store = *store::JobStore::open_in_memory();
  const auto all = results::read_evidence(store.connection(), {"study", "study-robustness"});
  ASSERT_FALSE(all);
  EXPECT_EQ(all.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(all.error().message, HasSubstr("no sweep 'study'"));
}

// ---------------------------------------------------------------- the companion

constexpr const char* kSweep = R"(
gauntlet: 1
name: study
axes:
  dataset: [{name: picto_scenes, preset: quick}]
  model: [cpah]
  bits: [16]
  defense: [none, drfgd]
  attack: [none, {name: ATTACK}]
  direction: [i2t, t2i]
  seed: [1]
exclude:
  - {attack: MAIN, defense: drfgd, direction: t2i}
metrics: [map@50]
tables: [results/tables/quickstart.yaml]
)";

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
    text.replace(at, what.size(), by);
  return text;
}

struct Read {
  spec::SweepSpec spec;
  spec::Expansion expansion;
};

Read read(const std::string& text) {
  const spec::Catalog& catalog = spec::Catalog::builtin();
  spec::ParsedSweep parsed = spec::parse_sweep(text, "study.yaml", catalog);
  for (const spec::Problem& problem : parsed.problems)
    ADD_FAILURE() << spec::to_text(problem, "study.yaml") << text;
  if (!parsed.spec) return {};
  auto expansion = spec::expand(*parsed.spec, catalog, [](std::string_view, const Json&, const Json&) {
    return Result<std::string>("content");
  });
  if (!expansion) {
    for (const spec::Problem& problem : expansion.error()) ADD_FAILURE() << problem.message;
    return {std::move(*parsed.spec), {}};
  }
  return {std::move(*parsed.spec), std::move(*expansion)};
}

Result<std::string> companion_of(const std::string& text) {
  const Read original = read(text);
  return results::companion_sweep(text, original.spec, original.expansion, spec::Catalog::builtin(), true);
}

std::set<std::string> cells_of(const Read& sweep) {
  std::set<std::string> cells;
  for (const spec::PlannedCell& planned : sweep.expansion.cells)
    cells.insert(fmt::format("{}/{}/{}/{}", planned.cell.defense, planned.cell.attack, planned.cell.protocol,
                             planned.cell.direction));
  return cells;
}

TEST(CompanionSweep, HoldsTheSweepAndWhatTheChecksCompare) {
  const std::string text = replaced(
      replaced(kSweep, "ATTACK", "apgd, label: main, steps: 20, epsilon_image: 4/255"), "MAIN", "main");
  const auto companion = companion_of(text);
  ASSERT_TRUE(companion) << companion.error().message;
  const Read sweep = read(*companion);
  EXPECT_EQ(sweep.spec.name, "study-robustness");
  EXPECT_TRUE(sweep.spec.tables.empty());
  EXPECT_THAT(sweep.spec.metrics, ElementsAre("chance_map", "map", "map@50"));
  const std::set<std::string> cells = cells_of(sweep);
  for (const char* cell :
       {"none/none/none/i2t", "none/main/static/i2t", "drfgd/main (adaptive)/adaptive/i2t",
        "drfgd/main (static)/static/i2t", "none/main (1 step)/static/t2i",
        "drfgd/main (1 step, adaptive)/adaptive/i2t", "drfgd/main (square, adaptive)/adaptive/i2t",
        "drfgd/main (noise 10)/static/i2t", "drfgd/main (unbounded, adaptive)/adaptive/i2t",
        "none/main (8 bits)/static/i2t", "box_blur/main (adaptive)/adaptive/i2t",
        "round_text/main (static)/static/t2i", "round_image/main (adaptive)/adaptive/i2t",
        "round_image 8 bits/main (static)/static/i2t", "drfgd/main (grey)/static/i2t",
        "drfgd/main (swap)/static/i2t", "none/main (swap)/static/t2i",
        "drfgd/main (another start, adaptive)/adaptive/i2t",
        "drfgd/main (twice the steps, adaptive)/adaptive/i2t"})
    EXPECT_TRUE(cells.contains(cell)) << cell;
  for (const char* cell :
       {"drfgd/main (1 step, adaptive)/adaptive/t2i",  // as the sweep excludes its lead
        "none/main (8 bits)/static/t2i", "box_blur/main (1 step, adaptive)/adaptive/i2t",
        "box_blur/main/static/i2t", "none/main (grey)/static/t2i", "round_image/main (static)/static/t2i"})
    EXPECT_FALSE(cells.contains(cell)) << cell;
}

/// A sweep of defenses alone may attack all of them adaptively; the undefended model beside them cannot be.
TEST(CompanionSweep, AddsTheUndefendedModelWhereItsAttacksCanMeetIt) {
  std::string text = replaced(replaced(kSweep, "[none, {name: ATTACK}]",
                                       "[none, {name: apgd, label: still}, {name: apgd, label: main, "
                                       "protocol: adaptive}]"),
                              "MAIN", "main");
  text = replaced(text, "[none, drfgd]", "[drfgd]");
  const auto companion = companion_of(text);
  ASSERT_TRUE(companion) << companion.error().message;
  const std::set<std::string> cells = cells_of(read(*companion));
  for (const char* cell : {"none/none/none/i2t", "none/still/static/i2t", "drfgd/main/adaptive/i2t",
                           "none/still (static)/static/i2t"})
    EXPECT_TRUE(cells.contains(cell)) << cell;
  EXPECT_FALSE(cells.contains("none/main/adaptive/i2t"));
}

TEST(CompanionSweep, HasTheJobsOfTheSweepItself) {
  const std::string text = replaced(replaced(replaced(kSweep, "ATTACK", "apgd, label: main"), "MAIN", "main"),
                                    "map@50", "map, chance_map");
  const Read original = read(text);
  const Read companion = read(companion_of(text).value());
  std::set<std::string> keys;
  for (std::size_t job = 0; job < companion.expansion.jobs.size(); ++job)
    keys.insert(companion.expansion.jobs.key(job).hex());
  for (std::size_t job = 0; job < original.expansion.jobs.size(); ++job)
    EXPECT_TRUE(keys.contains(original.expansion.jobs.key(job).hex()))
        << original.expansion.jobs[job].job.title;
}

TEST(CompanionSweep, FollowsTheMembersOfAnEnsemble) {
  const auto companion = companion_of(
      replaced(replaced(kSweep, "ATTACK", "worst, set: quick, epsilon_image: 4/255"), "MAIN", "worst"));
  ASSERT_TRUE(companion) << companion.error().message;
  const Read sweep = read(*companion);
  const std::set<std::string> cells = cells_of(sweep);
  EXPECT_TRUE(cells.contains("drfgd/apgd-floor (adaptive)/adaptive/i2t"));
  EXPECT_TRUE(cells.contains("drfgd/apgd-main (1 step, adaptive)/adaptive/i2t"));
  EXPECT_FALSE(
      cells.contains("drfgd/apgd-floor (1 step, adaptive)/adaptive/i2t"));  // one of an entry is enough
  for (const spec::AxisValue& value : sweep.spec.of(spec::Axis::kAttack)) {
    if (value.label == "apgd-main (adaptive)") {
      EXPECT_NEAR(value.options["epsilon_image"].get<double>(), 4.0 / 255, 1e-15);
    }
  }
}

TEST(CompanionSweep, NeedsAGradientAttackToStartFrom) {
  const auto companion = companion_of(replaced(replaced(kSweep, "ATTACK", "noise"), "MAIN", "noise"));
  ASSERT_FALSE(companion);
  EXPECT_THAT(companion.error().message, HasSubstr("none of its attacks follows gradients"));
}

}  // namespace
}  // namespace gauntlet::testing_support
