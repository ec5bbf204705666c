#include "core/spec/plan.hpp"

#include "tests/spec/sweeps.hpp"

namespace gauntlet::spec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

/// What a work folder knows in which `done` has been run.
PlanSources after(const Expansion& done) {
  PlanSources sources;
  sources.state = [keys = keys_of(done)](const JobKey& key) {
    return keys.contains(key) ? KnownState::kDone : KnownState::kNew;
  };
  sources.known_forms = [&done](JobKind kind, std::string_view entry) {
    std::vector<Json> forms;
    for (const PlannedJob& planned : done.jobs) {
      if (planned.job.kind == kind && planned.job.entry == entry)
        forms.push_back(canonical_form(planned.job));
    }
    return forms;
  };
  sources.past_seconds = [](JobKind kind, std::string_view) -> std::optional<double> {
    return kind == JobKind::kTrainDefense ? 60.0 : 2.0;
  };
  return sources;
}

TEST(Plan, CountsJobsByKindAndWhatIsDone) {
  const Expansion expansion = expanded(one_cell("drfgd", "pgd"));
  const Plan plan = make_plan(expansion, after(expanded(one_cell("none", "pgd"))));
  EXPECT_EQ(plan.n_cells, 1U);
  EXPECT_EQ(plan.n_jobs(), expansion.jobs.size());
  EXPECT_EQ(plan.n_done(), 5U) << "prepare, train_model, both codes, craft";
  EXPECT_EQ(plan.seconds_left(), 60.0 + 3 * 2.0) << "train_defense; craft_train, encode, evaluate";
  const std::string text = to_text(plan);
  EXPECT_THAT(text, HasSubstr("1 cell, 9 jobs, 5 done"));
  EXPECT_THAT(text, HasSubstr("train_defense  drfgd"));
  EXPECT_THAT(text, HasSubstr("about 1m 6s of work left"));
}

TEST(Plan, WithoutAWorkFolderEverythingIsNew) {
  const Plan plan = make_plan(expanded(one_cell()));
  EXPECT_EQ(plan.n_done(), 0U);
  EXPECT_EQ(plan.seconds_left(), std::nullopt);
  EXPECT_THAT(plan.misses, IsEmpty());
}

TEST(Plan, TellsWhichFieldMadeAJobNew) {
  const Expansion done = expanded(one_cell("drfgd", "pgd"));
  const Expansion changed = expanded(one_cell("{name: drfgd, lr: 0.5}", "pgd"));
  const Plan plan = make_plan(changed, after(done));
  ASSERT_THAT(plan.misses, SizeIs(2));
  EXPECT_EQ(plan.misses[0].kind, JobKind::kTrainDefense);
  EXPECT_THAT(plan.misses[0].changes, ElementsAre(FieldChange{"config.defense.lr", 1e-4, 0.5}));
  EXPECT_EQ(plan.misses[1].kind, JobKind::kEncode);
  EXPECT_EQ(plan.n_follow, 1U) << "evaluate";
  EXPECT_THAT(
      to_text(plan),
      HasSubstr("train_defense drfgd image cpah 32 bits seed 1 (1 job): config.defense.lr 0.0001 → 0.5"));
  EXPECT_THAT(to_text(plan), HasSubstr("1 job new only because what they need is"));
}

TEST(Plan, JsonIsOneStableDocument) {
  const Expansion done = expanded(one_cell("drfgd", "pgd"));
  const Json document = to_json(make_plan(expanded(one_cell("{name: drfgd, lr: 0.5}", "pgd")), after(done)));
  EXPECT_EQ(document.at("format"), 1);
  EXPECT_EQ(document.at("cells"), 1);
  EXPECT_EQ(document.at("jobs"), (Json{{"total", 9}, {"done", 6}, {"known", 0}, {"new", 3}}));
  EXPECT_EQ(document.at("misses").at(0).at("changes").at(0),
            (Json{{"path", "config.defense.lr"}, {"known", 1e-4}, {"now", 0.5}}));
  const Json& line = document.at("kinds").at(0);
  EXPECT_EQ(line.at("kind"), "prepare");
  EXPECT_EQ(line.at("resources").at("cpus"), 2);
}

TEST(NearestChanges, PrefersTheKnownJobWithFewestDifferences) {
  const Json now = {{"config", {{"a", 1}, {"b", 2}}}, {"seed", 1}};
  const Json near = {{"config", {{"a", 1}, {"c", 2}}}, {"seed", 1}};
  const Json far = {{"config", {{"a", 9}, {"b", 8}}}, {"seed", 7}};
  EXPECT_THAT(nearest_changes(now, {far, near}),
              ElementsAre(FieldChange{"config.c", 2, nullptr}, FieldChange{"config.b", nullptr, 2}));
  EXPECT_THAT(nearest_changes(now, {}), IsEmpty());
}

TEST(Diff, ShowsCellsAndJobsOnOneSideOnly) {
  const Expansion before = expanded(one_cell("[none, drfgd]"));
  const Expansion now = expanded(one_cell("[none, saat]"));
  const ExpansionDiff difference = diff(before, now);
  EXPECT_THAT(difference.cells_only_old, ElementsAre(1U));
  EXPECT_THAT(difference.cells_only_new, ElementsAre(1U));
  EXPECT_THAT(
      diff_text(difference, before, now),
      HasSubstr("cells: 1 removed, 1 added\n  - picto_scenes cpah 32 bits, drfgd vs none, i2t, seed 1\n"));
  const Json document = diff_json(difference, before, now);
  EXPECT_EQ(document.at("cells").at("added").at(0).at("defense"), "saat");
  EXPECT_EQ(document.at("jobs").at("removed").size(), difference.jobs_only_old.size());
  const ExpansionDiff none = diff(now, now);
  EXPECT_EQ(diff_text(none, now, now), "cells: 0 removed, 0 added\njobs: 0 removed, 0 added\n");
}

}  // namespace
}  // namespace gauntlet::spec
