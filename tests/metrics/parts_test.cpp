// Rankings made in parts are those made at once, and so is every number that follows from them.
#include <gmock/gmock.h>

#include "tests/metrics/random_case.hpp"

namespace gauntlet::metrics {
namespace {

using ::testing::HasSubstr;

const std::vector<std::string> kAll = {
    "map",         "map/stable", "map@10:topk_hits",           "t_map", "t_map/stable", "pr",
    "precision@5", "recall@7",   "precision_radius@2",         "acg@5", "ndcg@5",       "ndcg@5/stable",
    "wap",         "chance_map", "map@5:first_relevant/stable"};

class Parts : public ::testing::Test {
 protected:
  /// The rankings of queries first .. last-1, as they come from another process.
  [[nodiscard]] Rankings part(std::int64_t first, std::int64_t last, const std::vector<std::string>& names,
                              bool targeted = true) const {
    Case some = all_;
    const auto cut = [&](auto& values, std::int64_t width) {
      values.erase(values.begin() + last * width, values.end());
      values.erase(values.begin(), values.begin() + first * width);
    };
    cut(some.query_codes, all_.bits);
    cut(some.query_labels, all_.n_labels);
    cut(some.target_labels, all_.n_labels);
    const PackedCodes queries = Case::pack(some.query_codes, all_.bits);
    const PackedCodes items = Case::pack(all_.retrieval_codes, all_.bits);
    const LabelSets own = all_.sets(some.query_labels);
    const LabelSets labels = all_.sets(all_.retrieval_labels);
    const LabelSets targets = all_.sets(some.target_labels);
    const Rankings made =
        rank_queries({queries, items, own, labels, targeted ? &targets : nullptr}, names, 1).value();
    return Rankings::from_bytes(made.to_bytes(), 2).value();
  }

  const Case all_ = random_case(11, 23, 140, 19, 5);
};

void expect_same(const Evaluation& made, const Evaluation& expected) {
  EXPECT_EQ(made.n_queries, expected.n_queries);
  EXPECT_EQ(made.n_without_relevant, expected.n_without_relevant);
  EXPECT_EQ(made.chance_map, expected.chance_map);
  ASSERT_EQ(made.metrics.size(), expected.metrics.size());
  for (std::size_t at = 0; at < made.metrics.size(); ++at) {
    const MetricValue& one = made.metrics[at];
    const MetricValue& other = expected.metrics[at];
    EXPECT_EQ(one.name, other.name);
    EXPECT_EQ(one.value, other.value) << one.name;
    EXPECT_EQ(one.valid, other.valid) << one.name;
    EXPECT_EQ(one.per_query, other.per_query) << one.name;
    EXPECT_EQ(one.has_relevant, other.has_relevant) << one.name;
    ASSERT_EQ(one.curves.size(), other.curves.size()) << one.name;
    for (std::size_t curve = 0; curve < one.curves.size(); ++curve) {
      EXPECT_EQ(one.curves[curve].x, other.curves[curve].x) << one.name;
      EXPECT_EQ(one.curves[curve].y, other.curves[curve].y) << one.name;
    }
  }
}

TEST_F(Parts, PutTogetherAreTheWhole) {
  const Evaluation expected = all_.run(kAll);
  for (const std::int64_t n_parts : {1, 2, 3, 4, 23}) {
    Rankings whole = part(0, all_.n_queries / n_parts, kAll);
    for (std::int64_t at = 1; at < n_parts; ++at) {
      ASSERT_TRUE(
          whole.append(part(all_.n_queries * at / n_parts, all_.n_queries * (at + 1) / n_parts, kAll)));
    }
    const auto made = evaluate_rankings(whole, kAll);
    ASSERT_TRUE(made) << made.error().message;
    expect_same(*made, expected);
  }
}

TEST_F(Parts, OtherMetricsOrOtherItemsAreRefused) {
  const std::vector<std::string> plain = {"map"};
  Rankings whole = part(0, 5, plain);
  EXPECT_EQ(whole.append(part(5, 9, kAll)).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(whole.append(part(5, 9, plain, false)).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(whole.n_queries(), 5);
  for (const char* other : {"map/stable", "ndcg@5"})
    EXPECT_THAT(evaluate_rankings(whole, std::vector<std::string>{other}).error().message,
                HasSubstr("were not made for metric"));
}

TEST_F(Parts, BytesThatAreCutOrChangedAreRefused) {
  const std::string bytes = part(0, 5, kAll).to_bytes();
  for (std::size_t n = 0; n < bytes.size(); n += 97)
    EXPECT_EQ(Rankings::from_bytes(bytes.substr(0, n), 1).error().code, ErrorCode::kCorrupt) << n;
  EXPECT_FALSE(Rankings::from_bytes(bytes + "x", 1));
  for (std::size_t at = 0; at < 32; at += 8) {  // numbers of queries, items, bits, counts
    std::string changed = bytes;
    ++changed[at];
    EXPECT_EQ(at == 8, Rankings::from_bytes(changed, 1).has_value()) << at;  // 140 and 141 fill as many words
  }
}

}  // namespace
}  // namespace gauntlet::metrics
