// Numbers over a budget: points, envelope, levels, refusals.
#include <gmock/gmock.h>

#include "results/plot/figures.hpp"
#include "results/plot/gnuplot_script.hpp"
#include "results/plot/pgfplots.hpp"
#include "tests/results/table_support.hpp"

namespace gauntlet::results {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing_support::make_job;
using testing_support::ratio;
using testing_support::spec_of;

/// One cell: an attack at a budget, the AP of its two queries, and levels.
struct Measured {
  std::string defense;
  std::string attack;  ///< label
  double epsilon = 0;  ///< of 255; unused on clean queries
  std::vector<float> ap;
  std::int64_t bits = 32;
  bool with_levels = false;
  std::string entry = "pgd";
  std::uint64_t seed = 1;
  std::string protocol = "static";
};

std::vector<spec::ResultRow> rows_of(const Measured& item) {
  spec::ResultRow map = ratio("map", (static_cast<double>(item.ap[0]) + static_cast<double>(item.ap[1])) / 2);
  map.per_query = item.ap;
  if (!item.with_levels) return {map};
  spec::ResultRow floor = ratio("map:oracle_floor", 0.1);
  floor.per_query = {0.1F, 0.1F};
  return {map, ratio("map:chance", 0.3), floor};
}

store::JobStore database_of(const std::vector<Measured>& items) {
  store::JobStore store = *store::JobStore::open_in_memory();
  store::Submission submission;
  submission.name = "curves";
  submission.spec_text = "gauntlet: 1\n";
  std::vector<std::pair<JobKey, std::vector<spec::ResultRow>>> rows;
  for (const Measured& item : items) {
    const bool is_clean = item.attack == "none";
    std::vector<store::CellJob> parts;
    std::vector<JobKey> needs;
    if (!is_clean) {
      const store::SubmittedJob craft =
          make_job("craft", item.entry, 1,
                   {{"attack", {{"epsilon_image", item.epsilon / 255}, {"steps", 20}}},
                    {"of", item.defense + item.attack},
                    {"bits", item.bits},
                    {"seed", item.seed}},
                   {});
      submission.jobs.push_back(craft);
      parts.push_back({craft.key, "craft"});
      needs.push_back(craft.key);
    }
    const store::SubmittedJob evaluate = make_job(
        "evaluate", "", 1,
        {{"defense", item.defense}, {"attack", item.attack}, {"bits", item.bits}, {"seed", item.seed}},
        needs);
    submission.jobs.push_back(evaluate);
    parts.push_back({evaluate.key, "evaluate"});
    const spec::Cell cell{.dataset = "picto_scenes",
                          .model = "cpah",
                          .bits = item.bits,
                          .defense = item.defense,
                          .attack = item.attack,
                          .protocol = is_clean ? "none" : item.protocol,
                          .direction = "i2t",
                          .variant = "",
                          .seed = item.seed};
    submission.cells.push_back({cell, parts, {"map"}});
    for (const JobKey& key : needs) rows.emplace_back(key, std::vector<spec::ResultRow>());
    rows.emplace_back(evaluate.key, rows_of(item));
  }
  EXPECT_TRUE(store.submit(submission, 1000));
  std::vector<engine::Transition> batch = {testing_support::worker_joined()};
  std::uint64_t lease = 0;
  for (const auto& [key, of_job] : rows) {
    const auto jobs =
        store.select({.sweep = {}, .states = {}, .key_prefix = key.hex(), .where = "", .exclusive = false});
    for (engine::Transition& each :
         testing_support::finish_job(jobs->front(), LeaseId{++lease}, AttemptNo{1}, of_job)) {
      batch.push_back(std::move(each));
    }
  }
  EXPECT_TRUE(store.apply(batch));
  return store;
}

const std::string kSpec = "metric: map\nrows: [defense]\ncolumns: [direction]\n";

std::vector<Measured> rising() {
  return {{"none", "none", 0, {0.8F, 0.6F}},
          {"none", "PGD 2", 2, {0.4F, 0.5F}},
          {"none", "PGD 8", 8, {0.6F, 0.2F}}};  // the first query got better with more budget
}

TEST(CurveFigure, DrawsTheLineDottedAndItsEnvelopeSolid) {
  auto store = database_of(rising());
  const auto made = curve_figure(store.connection(), spec_of(kSpec), "epsilon_image");
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_THAT(made->figure.panels, SizeIs(1));
  const std::vector<Series>& series = made->figure.panels[0].series;
  ASSERT_THAT(series, SizeIs(2));
  EXPECT_TRUE(series[0].dotted);
  EXPECT_THAT(series[0].x, ElementsAre(0, DoubleNear(2, 1e-9), DoubleNear(8, 1e-9)));
  EXPECT_THAT(series[0].y, ElementsAre(DoubleNear(0.7, 1e-6), DoubleNear(0.45, 1e-6), DoubleNear(0.4, 1e-6)));
  EXPECT_FALSE(series[1].dotted);
  EXPECT_THAT(series[1].y, ElementsAre(DoubleNear(0.7, 1e-6), DoubleNear(0.45, 1e-6), DoubleNear(0.3, 1e-6)));
  EXPECT_THAT(made->figure.legend, ElementsAre("none"));
  EXPECT_EQ(made->figure.x_label, "epsilon, grey levels");
  EXPECT_THAT(gnuplot_script(made->figure, PictureFormat::kSvg), HasSubstr("dt 3"));
  EXPECT_THAT(pgfplots(made->figure), HasSubstr("forget plot,dotted]"));
}

TEST(CurveFigure, AveragesOverSeedsAndDrawsTheLevelsOnce) {
  std::vector<Measured> items = {{"none", "worst", 4, {0.4F, 0.4F}, 32, true},
                                 {"blur", "worst", 4, {0.6F, 0.6F}, 32, true},
                                 {"none", "worst", 4, {0.2F, 0.2F}, 32, true, "pgd", 2}};
  auto store = database_of(items);
  const auto made = curve_figure(store.connection(), spec_of(kSpec), "epsilon_image");
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_THAT(made->figure.legend, ElementsAre("none", "blur", "chance", "oracle floor"));
  const std::vector<Series>& series = made->figure.panels[0].series;
  ASSERT_THAT(series, SizeIs(6));
  EXPECT_THAT(series[1].y, ElementsAre(DoubleNear(0.3, 1e-6)));
  EXPECT_THAT(series[1].spread, ElementsAre(DoubleNear(0.2 / std::sqrt(2.0), 1e-6)));
  EXPECT_EQ(series[4].style, 2U);
  EXPECT_THAT(series[4].y, ElementsAre(DoubleNear(0.3, 1e-12)));
  EXPECT_THAT(series[5].y, ElementsAre(DoubleNear(0.1, 1e-12)));
}

TEST(CurveFigure, BeginsTheLineOfEveryProtocolWithCleanQueries) {
  auto store = database_of({{"none", "none", 0, {0.8F, 0.6F}},
                            {"none", "PGD", 2, {0.4F, 0.5F}},
                            {"blur", "none", 0, {0.7F, 0.7F}},
                            {"blur", "PGD", 2, {0.6F, 0.6F}},
                            {"blur", "PGD adaptive", 2, {0.3F, 0.3F}, 32, false, "pgd", 1, "adaptive"}});
  const auto made = curve_figure(store.connection(),
                                 spec_of("metric: map\nrows: [protocol, defense]\ncolumns: [direction]\n"),
                                 "epsilon_image");
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_THAT(made->figure.panels, SizeIs(2));
  for (const Panel& panel : made->figure.panels) {
    const bool is_static = panel.title.find("static") != std::string::npos;
    ASSERT_THAT(panel.series, SizeIs(is_static ? 4 : 2))
        << panel.title;  // the bare target has no adaptive attack
    for (const Series& series : panel.series) EXPECT_THAT(series.x, ElementsAre(0, DoubleNear(2, 1e-9)));
  }
  EXPECT_THAT(made->notes, IsEmpty());  // no oracle floor
}

/// Clean 0.8 and 0.6, floors 0.1: halfway is 0.45 and 0.35.
TEST(CurveFigure, SaysAtWhichBudgetHalfOfTheQueriesAreHalfway) {
  const auto note_of = [](float first, float second) {
    auto store = database_of({{"none", "none", 0, {0.8F, 0.6F}},
                              {"none", "worst 2", 2, {0.44F, 0.5F}, 32, true},
                              {"none", "worst 8", 8, {first, second}, 32, true}});
    const auto made = curve_figure(store.connection(), spec_of(kSpec), "epsilon_image");
    return made && made->notes.size() == 1 ? made->notes[0] : std::string("none");
  };
  EXPECT_EQ(note_of(0.4F, 0.3F),
            "i2t, none: half of the queries are halfway from clean to their oracle floor at 8 (epsilon, grey "
            "levels)");
  EXPECT_THAT(note_of(0.4F, 0.36F), HasSubstr("above 8"));
}

TEST(CurveFigure, RunsOverBitsWithoutAnEnvelope) {
  auto store = database_of({{"none", "PGD", 8, {0.5F, 0.5F}, 16}, {"none", "PGD", 8, {0.3F, 0.7F}, 64}});
  const auto made = curve_figure(store.connection(), spec_of(kSpec), "bits");
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_THAT(made->figure.panels[0].series, SizeIs(1));
  EXPECT_THAT(made->figure.panels[0].series[0].x, ElementsAre(16, 64));
  EXPECT_FALSE(made->figure.panels[0].series[0].dotted);
  EXPECT_THAT(made->missing, IsEmpty());
}

TEST(CurveFigure, SaysWhatCannotBeOneLine) {
  const auto message = [](const std::vector<Measured>& items, const std::string& x) {
    auto store = database_of(items);
    const auto made = curve_figure(store.connection(), spec_of(kSpec), x);
    return made ? std::string("drawn") : made.error().message;
  };
  std::vector<Measured> items = rising();
  EXPECT_THAT(message(items, "stepz"), HasSubstr("an attack with the option 'stepz'"));
  EXPECT_THAT(message(items, "steps"), HasSubstr("two numbers would be one point, at steps = 20"));
  items[1].bits = 16;
  EXPECT_THAT(message(items, "epsilon_image"), HasSubstr("differ in bits would be on one line"));
  items = rising();
  items[1].entry = "fgsm";
  EXPECT_THAT(message(items, "epsilon_image"),
              HasSubstr("numbers of the attacks fgsm and pgd would be on one line"));
}

}  // namespace
}  // namespace gauntlet::results
