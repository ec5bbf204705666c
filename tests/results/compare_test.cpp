#include "results/compare/compare.hpp"

#include <gmock/gmock.h>

#include "tests/results/golden.hpp"
#include "tests/results/synthetic_database.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::results {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing_support::expect_golden;
using testing_support::fill_database;
using testing_support::ratio;
using testing_support::SyntheticCell;

/// 200 readings around `mean`, which differ from query to query in the same way on every side.
std::vector<float> readings(double mean, double jitter) {
  std::vector<float> values;
  for (int query = 0; query < 200; ++query) {
    values.push_back(static_cast<float>(mean + 0.2 * ((query * 7 % 11) / 11.0 - 0.45) +
                                        jitter * ((query * 13 % 17) / 17.0 - 0.47)));
  }
  return values;
}

SyntheticCell cell_of(const std::string& defense, const std::string& direction, std::uint64_t seed,
                      double map, bool with_readings, double jitter = 0.05) {
  SyntheticCell item;
  item.cell = {.dataset = "mscoco",
               .model = "cpah",
               .bits = 32,
               .defense = defense,
               .attack = "ta_dch",
               .protocol = "static",
               .direction = direction,
               .variant = "",
               .seed = seed};
  item.rows = {{ratio("map", map), ratio("t_map", 1 - map, false)}};
  item.expected = {"map", "t_map"};
  if (with_readings) item.rows->front().per_query = readings(map, jitter);
  return item;
}

class Compare : public testing::Test {
 protected:
  void SetUp() override {
    std::vector<SyntheticCell> before, after;
    for (const std::uint64_t seed : {1U, 2U, 3U}) {
      const double shift = 0.002 * static_cast<double>(seed);
      before.push_back(cell_of("none", "i2t", seed, 0.40 + shift, true));
      before.push_back(cell_of("drfgd", "i2t", seed, 0.55 + shift, true));
      before.push_back(cell_of("drfgd", "t2i", seed, 0.50 + shift, false));
      after.push_back(cell_of("none", "i2t", seed, 0.4005 + shift, true, 0.5));
      after.push_back(cell_of("drfgd", "i2t", seed, 0.60 + shift, true, 0.1));
      after.push_back(cell_of("drfgd", "t2i", seed, 0.48 + 2 * shift, false));
    }
    before.push_back(cell_of("saat", "i2t", 1, 0.5, true));
    after.push_back(cell_of("tpap", "i2t", 1, 0.5, true));
    // Another version of the model's entry: other jobs, other keys.
    for (SyntheticCell& item : after) item.model_version = 2;
    store::JobStore store = *store::JobStore::open(path());
    fill_database(store, "before", before);
    fill_database(store, "after|<b>", after);
  }
  [[nodiscard]] fs::path path() const { return folder_.path() / "gauntlet.db"; }
  [[nodiscard]] SideOptions options() const { return {.database = path(), .metrics = {}, .where = ""}; }

  [[nodiscard]] Result<Comparison> compared(const std::string& a, const std::string& b,
                                            const SideOptions& wanted) const {
    GAUNTLET_TRY(const Side side_a, open_side(a, wanted));
    GAUNTLET_TRY(const Side side_b, open_side(b, wanted));
    return compare(side_a, side_b);
  }
  [[nodiscard]] std::string complaint(const std::string& a, const std::string& b,
                                      const SideOptions& wanted) const {
    const auto comparison = compared(a, b, wanted);
    return comparison ? "no complaint" : comparison.error().message;
  }
  [[nodiscard]] std::string write(const std::string& name, const std::string& text) const {
    EXPECT_TRUE(write_file_atomic(folder_.path() / name, text));
    return (folder_.path() / name).string();
  }

  testing_support::TempFolder folder_;
};

TEST_F(Compare, LooksAsItDid) {
  const auto comparison = compared("before", "after|<b>", options());
  ASSERT_TRUE(comparison) << comparison.error().message;
  expect_golden("compare/sweeps.txt", text_of(*comparison, 0));
  expect_golden("compare/sweeps.json", to_json(*comparison).dump(2) + "\n");
}

TEST_F(Compare, SortsBySizeTestsByQueriesAndNamesTheCause) {
  const auto comparison = compared("before", "after|<b>", options());
  ASSERT_TRUE(comparison) << comparison.error().message;
  ASSERT_THAT(comparison->places, SizeIs(6));
  for (std::size_t at = 1; at < 6; ++at) {
    EXPECT_GE(std::abs(comparison->places[at - 1].difference()),
              std::abs(comparison->places[at].difference()));
  }
  const ComparedPlace& largest = comparison->places.front();
  EXPECT_EQ(largest.place.axes[3], "drfgd");
  EXPECT_NEAR(std::abs(largest.difference()), 0.05, 1e-9);
  EXPECT_EQ(largest.n_seeds, 3U);
  for (const ComparedPlace& place : comparison->places) {
    const bool by_queries = place.place.metric == "map" && place.place.axes[6] == "i2t";
    EXPECT_EQ(place.pairing, by_queries ? Pairing::kQueries : Pairing::kSeeds) << text_of(place.place);
    EXPECT_EQ(place.n_pairs, by_queries ? 200U : 3U);
    ASSERT_TRUE(place.p && place.p_holm);
    EXPECT_GE(*place.p_holm, *place.p);
    if (by_queries) {
      EXPECT_EQ(*place.p < 0.01, place.place.axes[3] == "drfgd") << *place.p;
    } else {
      EXPECT_GE(*place.p, 0.25) << "three pairs cannot say more";
    }
  }
  ASSERT_THAT(comparison->differences, SizeIs(1));
  const ConfigDifference& cause = comparison->differences.front();
  EXPECT_EQ(cause.role + " " + cause.path, "train_model version");
  EXPECT_EQ(cause.a + " -> " + cause.b, "1 -> 2");
  EXPECT_EQ(cause.n_places, 6U);
  EXPECT_THAT(largest.why, ElementsAre(0U));
  ASSERT_THAT(comparison->only_a, SizeIs(2));
  EXPECT_EQ(text_of(comparison->only_a.front()), "mscoco cpah 32 bits saat ta_dch static i2t: map");
  EXPECT_EQ(comparison->only_b.front().axes[3], "tpap");
}

TEST_F(Compare, ASideAgainstItselfDiffersNowhere) {
  const auto comparison = compared("before", "1", options());  // by name and by number
  ASSERT_TRUE(comparison) << comparison.error().message;
  EXPECT_THAT(comparison->places, SizeIs(8));
  EXPECT_THAT(comparison->differences, IsEmpty());
  for (const ComparedPlace& place : comparison->places) {
    EXPECT_EQ(place.difference(), 0);
    EXPECT_EQ(place.p.value_or(1), 1);
  }
}

TEST_F(Compare, DatabasesRevisionsAndConditions) {
  const auto databases = compared(path().string() + ":before", path().string() + ":after|<b>", options());
  ASSERT_TRUE(databases) << databases.error().message;
  EXPECT_THAT(databases->places, SizeIs(6));
  const auto revisions = compared("before@abc1", "after|<b>@abc1234", options());
  ASSERT_TRUE(revisions) << revisions.error().message;
  EXPECT_THAT(revisions->places, SizeIs(6));
  SideOptions narrow = options();
  narrow.where = "defense=drfgd and direction=t2i";
  narrow.metrics = {"map"};
  const auto one = compared("before", "after|<b>", narrow);
  ASSERT_TRUE(one) << one.error().message;
  EXPECT_THAT(one->places, SizeIs(1));
  EXPECT_THAT(one->only_a, IsEmpty());
}

TEST_F(Compare, AgainstAReferenceFile) {
  const std::string csv = write("paper.csv",
                                "table,attack,direction,metric,defense,dataset,model,variant,value_percent\n"
                                "table2,ta_dch,i2t,map,none,mscoco,cpah,,38.08\n"
                                "table2,ta_dch,i2t,map,drfgd,mscoco,cpah,,59.90\n"
                                "table2,ta_dch,i2t,map,drfgd,nuswide,cpah,,58.00\n");
  const auto comparison = compared("before", csv, options());
  ASSERT_TRUE(comparison) << comparison.error().message;
  ASSERT_THAT(comparison->places, SizeIs(2));
  EXPECT_EQ(comparison->places[0].place.axes[3], "drfgd");
  EXPECT_NEAR(comparison->places[0].a, 0.554, 1e-9);
  EXPECT_NEAR(comparison->places[0].b, 0.599, 1e-9);
  EXPECT_EQ(comparison->places[0].n_seeds, 3U);
  EXPECT_FALSE(comparison->places[0].p);
  EXPECT_THAT(comparison->only_b, SizeIs(1));
  EXPECT_THAT(text_of(*comparison, 40), HasSubstr("No test for 2 numbers"));
  const auto turned = compared(csv, "before", options());
  ASSERT_TRUE(turned) << turned.error().message;
  EXPECT_NEAR(turned->places[0].difference(), -comparison->places[0].difference(), 1e-12);
  EXPECT_THAT(turned->only_a, SizeIs(1));
}

TEST_F(Compare, AgainstThePaper) {
  const fs::path paper = fs::path(GAUNTLET_SOURCE_DIR) / "results" / "reference" / "drfgd-paper.csv";
  const auto comparison = compared("before", paper.string(), options());
  ASSERT_TRUE(comparison) << comparison.error().message;
  // none, drfgd and saat, map and t_map, i2t; drfgd t2i.
  EXPECT_THAT(comparison->places, SizeIs(8));
  EXPECT_THAT(comparison->only_a, IsEmpty());
}

TEST_F(Compare, MistakesAreExplained) {
  EXPECT_THAT(complaint("befor", "before", options()), HasSubstr("did you mean 'before'"));
  EXPECT_THAT(complaint("absent.db", "before", options()), HasSubstr("there is no database absent.db"));
  EXPECT_THAT(complaint("absent.db:before", "before", options()),
              HasSubstr("there is no database absent.db"));
  EXPECT_THAT(complaint("before@fff", "before", options()), HasSubstr("no number that could be compared"));
  SideOptions wrong = options();
  wrong.where = "dataset=";
  EXPECT_THAT(complaint("before", "before", wrong), HasSubstr("a value is missing"));
  EXPECT_THAT(
      complaint("before", path().string(), options()),
      AllOf(HasSubstr("sweeps 'before' and 'after|<b>' have different numbers"), HasSubstr("name one")));
  EXPECT_THAT(complaint("before", write("bad.csv", "a,b\n1,2\n"), options()),
              HasSubstr("bad.csv:1: a reference file has the columns metric and value"));
  EXPECT_THAT(complaint("before", write("text.csv", "metric,value\nmap,high\n"), options()),
              HasSubstr("text.csv:2: a value is a number, not 'high'"));
  EXPECT_THAT(complaint("before", write("twice.csv", "metric,value\nmap,0.5\nmap,0.5\nmap,0.6\n"), options()),
              HasSubstr("twice.csv:4: map is 0.6 here and 0.5 in an earlier line"));
  EXPECT_THAT(complaint("before", write("coarse.csv", "dataset,metric,value\nmscoco,map,0.5\n"), options()),
              AllOf(HasSubstr("does not tell 'mscoco cpah 32 bits"), HasSubstr("--where")));
}

}  // namespace
}  // namespace gauntlet::results
