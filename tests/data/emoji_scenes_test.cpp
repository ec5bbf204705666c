#include "core/data/detail/emoji_scenes.hpp"

#include <gmock/gmock.h>

#include <numeric>
#include <set>

#include "core/base/random.hpp"
#include "core/data/detail/label_stats.hpp"
#include "core/data/detail/picto_set.hpp"
#include "tests/data/picto_support.hpp"

namespace gauntlet::data::detail {
namespace {

using testing::ElementsAreArray;

/// Labels and texts of the first rows, without rendering.
struct Tables {
  std::vector<std::uint8_t> labels;
  std::vector<std::uint8_t> text;
};

Tables plan_tables(const SceneChoices& choices, std::int64_t n_rows) {
  const ConceptSet& set = debian_concepts();
  const auto planner = ScenePlanner::create(set, choices);
  EXPECT_TRUE(planner);
  const std::size_t dim = set.vocabulary.size();
  Tables tables;
  tables.labels.resize(static_cast<std::size_t>(n_rows) * kNumLabels);
  tables.text.resize(static_cast<std::size_t>(n_rows) * dim);
  for (std::int64_t row = 0; row < n_rows; ++row) {
    const Scene scene = planner->scene(row);
    const auto at = static_cast<std::size_t>(row);
    mark_labels(scene.labels, std::span(tables.labels).subspan(at * kNumLabels, kNumLabels));
    mark_words(scene.words, std::span(tables.text).subspan(at * dim, dim));
  }
  return tables;
}

std::vector<std::uint8_t> paint_rows(const SceneChoices& choices, std::int64_t n_rows) {
  const auto planner = ScenePlanner::create(debian_concepts(), choices);
  const std::size_t row_bytes = static_cast<std::size_t>(choices.image_px * choices.image_px) * 3;
  std::vector<std::uint8_t> images(static_cast<std::size_t>(n_rows) * row_bytes);
  SpriteScaler scaler;
  for (std::int64_t row = 0; row < n_rows; ++row) {
    paint(planner->scene(row), debian_sprites(), scaler, choices.image_px,
          std::span(images).subspan(static_cast<std::size_t>(row) * row_bytes, row_bytes));
  }
  return images;
}

double mean_of(const std::vector<std::uint8_t>& bytes) {
  return static_cast<double>(std::accumulate(bytes.begin(), bytes.end(), std::uint64_t{0})) /
         static_cast<double>(bytes.size());
}

TEST(SceneRandom, StreamsAreTheDocumentedOnes) {
  RandomStream stream = RandomStream::of(1, 1, 0);
  for (const std::uint64_t expected :
       {0x0A45B3E0D5967D37U, 0x9F2700594737DAF3U, 0x0064CDF1CBBA9A68U, 0x272317FD98613F19U}) {
    EXPECT_EQ(stream.next(), expected);
  }
  RandomStream again = RandomStream::of(1, 1, 0);
  for (const std::uint32_t expected : {40, 621, 1, 152, 443, 616}) EXPECT_EQ(again.below(1000), expected);
}

struct GoldenScene {
  bool gradient, along_columns;
  Rgb from, to;
  std::vector<std::array<int, 5>> objects;  ///< id, size, x, y, mirror
  std::vector<int> labels, words;
  std::uint64_t sum_of_bytes;
};

const std::vector<GoldenScene>& golden_scenes() {
  static const std::vector<GoldenScene> kScenes = {
      {true,
       false,
       {147, 184, 206},
       {214, 193, 228},
       {{63, 36, 1, 20, 1}},
       {1},
       {3, 70, 83, 116, 309, 971},
       2295352},
      {true,
       true,
       {148, 229, 165},
       {189, 152, 129},
       {{1261, 31, 30, 18, 1}, {677, 42, 0, 10, 0}, {1390, 37, 23, 26, 0}, {392, 43, 16, 10, 1}},
       {0, 7, 20, 21},
       {1, 8, 21, 35, 41, 93, 120, 210, 211, 545, 602, 628, 645, 787, 953},
       2011395},
      {true, true, {210, 202, 183}, {239, 171, 250}, {{577, 31, 5, 6, 1}}, {3, 4}, {4, 13}, 2555291},
      {false,
       true,
       {170, 206, 167},
       {217, 138, 144},
       {{1052, 25, 7, 16, 0}, {844, 37, 6, 25, 0}},
       {12, 24},
       {11, 36, 52, 135, 215, 611, 945},
       2185790},
      {true,
       false,
       {197, 150, 146},
       {152, 207, 186},
       {{1426, 36, 19, 17, 1}, {17, 29, 0, 11, 0}, {680, 27, 8, 18, 0}, {1452, 27, 33, 15, 1}},
       {1, 7, 19, 21, 25},
       {3, 15, 16, 24, 35, 43, 60, 425, 860},
       2096875}};
  return kScenes;
}

TEST(ScenesGolden, FirstScenes) {
  GAUNTLET_NEEDS_DEBIAN_EMOJI();
  const auto planner = ScenePlanner::create(debian_concepts(), SceneChoices{});
  ASSERT_TRUE(planner);
  SpriteScaler scaler;
  for (std::size_t row = 0; row < golden_scenes().size(); ++row) {
    const GoldenScene& golden = golden_scenes()[row];
    const Scene scene = planner->scene(static_cast<std::int64_t>(row));
    EXPECT_EQ(scene.gradient, golden.gradient);
    EXPECT_EQ(scene.along_columns, golden.along_columns);
    EXPECT_EQ(scene.from, golden.from);
    EXPECT_EQ(scene.to, golden.to);
    std::vector<std::array<int, 5>> objects;
    for (const SceneObject& object : scene.objects) {
      objects.push_back({static_cast<int>(object.concept_id), object.place.size, object.place.x,
                         object.place.y, object.place.mirror ? 1 : 0});
    }
    EXPECT_EQ(objects, golden.objects) << row;
    LabelMask labels = 0;
    for (const int label : golden.labels) labels |= 1U << label;
    EXPECT_EQ(scene.labels, labels) << row;
    EXPECT_THAT(scene.words, ElementsAreArray(golden.words)) << row;
    std::vector<std::uint8_t> canvas(64 * 64 * 3);
    paint(scene, debian_sprites(), scaler, 64, canvas);
    EXPECT_EQ(std::accumulate(canvas.begin(), canvas.end(), std::uint64_t{0}), golden.sum_of_bytes) << row;
  }
}

TEST(ScenesGolden, LabelsAndTextsOfWholeSets) {
  GAUNTLET_NEEDS_DEBIAN_EMOJI();
  const Tables all = plan_tables(SceneChoices{}, 20015);
  for (const PublishedHash& published : published_hashes()) {
    if (published.entry != "picto_scenes" || published.array == "images") continue;
    const auto& table = published.array == "labels" ? all.labels : all.text;
    const std::size_t row_bytes = table.size() / 20015;
    EXPECT_EQ(hash_of(std::span(table).first(row_bytes * static_cast<std::size_t>(published.n_rows))),
              published.sha256)
        << published.array << " " << published.n_rows;
  }
}

TEST(ScenesGolden, TheFirstThousandPictures) {
  GAUNTLET_NEEDS_DEBIAN_EMOJI();
  for (const auto& [px, mean] : {std::pair{64, 180.8672}, {48, 180.7639}}) {
    SceneChoices choices;
    choices.image_px = px;
    const auto images = paint_rows(choices, 1000);
    EXPECT_NEAR(mean_of(images), mean, 5e-5);
    int n_checked = 0;
    for (const PublishedHash& published : published_hashes()) {
      if (published.array != "images" || published.image_px != px || published.entry != "picto_scenes")
        continue;
      const std::size_t size = images.size() / 1000 * static_cast<std::size_t>(published.n_rows);
      EXPECT_EQ(hash_of(std::span(images).first(size)), published.sha256) << px << " " << published.n_rows;
      ++n_checked;
    }
    EXPECT_EQ(n_checked, 2);
  }
}

TEST(ScenesGolden, HeldOutFamiliesAreSeenInQueriesOnly) {
  GAUNTLET_NEEDS_DEBIAN_EMOJI();
  SceneChoices choices;
  choices.holdout = 150;
  const ConceptSet& set = debian_concepts();
  const auto planner = ScenePlanner::create(set, choices);
  ASSERT_TRUE(planner);
  const auto held_out = planner->pool_of(0);
  EXPECT_EQ(held_out.size(), 290U);
  EXPECT_EQ(planner->pool_of(2000).size(), 1580U);
  std::set<std::uint32_t> families;
  std::array<int, kNumLabels> per_label = {};
  for (const std::uint32_t id : held_out) {
    families.insert(set.concepts[id].family);
    for (std::size_t label = 0; label < kNumLabels; ++label) {
      per_label[label] += static_cast<int>(set.concepts[id].labels >> label & 1U);
    }
  }
  EXPECT_EQ(families.size(), 258U);
  EXPECT_EQ(*std::ranges::min_element(per_label), 3);
  EXPECT_EQ(*std::ranges::max_element(per_label), 52);
  for (std::int64_t row : {0, 1999, 2000, 5000}) {
    for (const SceneObject& object : planner->scene(row).objects) {
      EXPECT_EQ(families.contains(set.concepts[object.concept_id].family), row < 2000) << row;
    }
  }
  const Tables tables = plan_tables(choices, 20015);
  EXPECT_EQ(hash_of(tables.labels), "fa69c2447d959221af7c4b6ec85dd5576e703be0ff402511d6a8de0e740aab7e");
  std::vector<std::int64_t> rows(20015);
  std::iota(rows.begin(), rows.end(), 0);
  const Chance chance = chance_of(distinct_labels(tables.labels, kNumLabels), std::span(rows).first(2000),
                                  std::span(rows).subspan(2000));
  EXPECT_NEAR(chance.mean, 0.358708, 5e-7);
}

struct GoldenStats {
  std::int64_t n_rows, n_query;
  double chance, least, largest, labels_per_pair, words_per_pair;
  std::int64_t n_empty, n_empty_queries;
  std::size_t n_distinct;
  std::int64_t rarest, most_frequent;
};

TEST(ScenesGolden, Statistics) {
  GAUNTLET_NEEDS_DEBIAN_EMOJI();
  const Tables all = plan_tables(SceneChoices{}, 20015);
  const std::size_t dim = debian_concepts().vocabulary.size();
  for (const GoldenStats& golden :
       {GoldenStats{20015, 2000, 0.362333, 0.0746, 0.7370, 3.291, 7.277, 75, 9, 5660, 1498, 5787},
        GoldenStats{6300, 300, 0.346327, 0.0718, 0.7177, 3.281, 7.283, 28, 1, 2633, 452, 1799}}) {
    const auto n_rows = static_cast<std::size_t>(golden.n_rows);
    const auto labels = std::span(all.labels).first(n_rows * kNumLabels);
    const auto text = std::span(all.text).first(n_rows * dim);
    std::vector<std::int64_t> rows(n_rows);
    std::iota(rows.begin(), rows.end(), 0);
    const DistinctLabels distinct = distinct_labels(labels, kNumLabels);
    EXPECT_EQ(distinct.n_distinct(), golden.n_distinct);
    const auto n_query = static_cast<std::size_t>(golden.n_query);
    const Chance chance =
        chance_of(distinct, std::span(rows).first(n_query), std::span(rows).subspan(n_query));
    EXPECT_NEAR(chance.mean, golden.chance, 5e-7);
    EXPECT_NEAR(chance.least, golden.least, 5e-5);
    EXPECT_NEAR(chance.largest, golden.largest, 5e-5);
    const auto total = [](auto bytes) { return std::accumulate(bytes.begin(), bytes.end(), 0.0); };
    EXPECT_NEAR(total(labels) / static_cast<double>(n_rows), golden.labels_per_pair, 5e-4);
    EXPECT_NEAR(total(text) / static_cast<double>(n_rows), golden.words_per_pair, 5e-4);
    std::int64_t n_empty = 0;
    std::int64_t n_empty_queries = 0;
    for (std::size_t row = 0; row < n_rows; ++row) {
      const auto words = text.subspan(row * dim, dim);
      const bool empty = std::ranges::all_of(words, [](std::uint8_t word) { return word == 0; });
      n_empty += empty ? 1 : 0;
      n_empty_queries += empty && row < n_query ? 1 : 0;
    }
    EXPECT_EQ(n_empty, golden.n_empty);
    EXPECT_EQ(n_empty_queries, golden.n_empty_queries);
    std::array<std::int64_t, kNumLabels> frequency = {};
    for (std::size_t at = 0; at < labels.size(); ++at) frequency[at % kNumLabels] += labels[at];
    EXPECT_EQ(frequency[24], golden.rarest) << label_names()[24];
    EXPECT_EQ(frequency[21], golden.most_frequent) << label_names()[21];
    EXPECT_EQ(*std::ranges::min_element(frequency), golden.rarest);
    EXPECT_EQ(*std::ranges::max_element(frequency), golden.most_frequent);
  }
}

TEST(Scenes, ARowDependsOnNothingButChoicesAndItsNumber) {
  GAUNTLET_NEEDS_DEBIAN_EMOJI();
  SceneChoices choices;
  choices.image_px = 32;
  const auto all = paint_rows(choices, 40);
  const auto planner = ScenePlanner::create(debian_concepts(), choices);
  SpriteScaler scaler;
  std::vector<std::uint8_t> canvas(32 * 32 * 3);
  paint(planner->scene(37), debian_sprites(), scaler, 32, canvas);
  EXPECT_THAT(canvas, ElementsAreArray(std::span(all).subspan(37 * canvas.size(), canvas.size())));

  SceneChoices larger = choices;
  larger.image_px = 64;
  larger.n_pairs = 77;
  const Tables small = plan_tables(choices, 300);
  const Tables large = plan_tables(larger, 300);
  EXPECT_EQ(small.labels, large.labels);
  EXPECT_EQ(small.text, large.text);
  larger.seed = 2;
  EXPECT_NE(plan_tables(larger, 300).labels, small.labels);
}

TEST(Scenes, HoldingOutEverythingIsRefused) {
  ConceptSet set;
  set.concepts.resize(1);
  set.concepts[0].labels = 1;
  SceneChoices choices;
  choices.holdout = 1;
  const auto planner = ScenePlanner::create(set, choices);
  ASSERT_FALSE(planner);
  EXPECT_EQ(planner.error().message,
            "holdout 1 (per mille of emoji families) leaves no emoji for queries; choose another value");
}

TEST(PictoGolden, OrderLabelsAndPictures) {
  GAUNTLET_NEEDS_DEBIAN_EMOJI();
  const ConceptSet& set = debian_concepts();
  const auto order = order_picto(set, 1, 200, 1000);
  ASSERT_TRUE(order);
  EXPECT_THAT(std::span(order->concept_ids).first(10),
              testing::ElementsAre(107, 723, 315, 316, 317, 998, 941, 1508, 176, 139));
  EXPECT_EQ(order->n_query, 200);
  EXPECT_EQ(order->n_train, 1000);
  std::vector<std::uint8_t> labels(set.concepts.size() * kNumLabels);
  std::vector<std::int64_t> rows(set.concepts.size());
  std::iota(rows.begin(), rows.end(), 0);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    mark_labels(set.concepts[order->concept_ids[row]].labels,
                std::span(labels).subspan(row * kNumLabels, kNumLabels));
  }
  EXPECT_EQ(hash_of(labels), "7afc4b93431b7c88c02eb932bb8572e9a264230ed6b7587ddc20c83da234f8bb");
  const Chance chance = chance_of(distinct_labels(labels, kNumLabels), std::span(rows).first(200),
                                  std::span(rows).subspan(200));
  EXPECT_NEAR(chance.mean, 0.096754, 5e-7);
  std::vector<std::uint8_t> images(5 * 64 * 64 * 3, 255);
  SpriteScaler scaler;
  for (std::size_t row = 0; row < 5; ++row) {
    composite(std::span(images).subspan(row * 64 * 64 * 3, 64 * 64 * 3), 64,
              scaler.scale(debian_sprites()[order->concept_ids[row]], 64), {.size = 64});
  }
  EXPECT_EQ(hash_of(images), "f59feb99959afc4ca6409d80e95f4b8a23643e0b612c8a29f113ab6dcd528141");
}

TEST(Picto, BoundariesMoveToTheEndOfAFamilyAndMustFit) {
  ConceptSet set;
  set.concepts.resize(6);
  for (std::uint32_t id = 0; id < 6; ++id) set.concepts[id].family = id / 3;
  set.n_families = 2;
  const auto order = order_picto(set, 1, 1, 1);
  ASSERT_TRUE(order);
  EXPECT_EQ(order->n_query, 3);
  EXPECT_EQ(order->n_train, 3);
  const auto too_many = order_picto(set, 1, 4, 3);
  ASSERT_FALSE(too_many);
  EXPECT_EQ(too_many.error().message, "n_query 4 and n_train 3 are more than the 6 emoji there are");
}

}  // namespace
}  // namespace gauntlet::data::detail
