// One evaluate job on several ranks.
#include "worker/executor/evaluate_together.hpp"

#include <gmock/gmock.h>

#include <fstream>
#include <thread>

#include "core/io/npy.hpp"
#include "tests/support/temp_folder.hpp"
#include "worker/executor/light_runner.hpp"
#include "worker/executor/shared_queries.hpp"

namespace gauntlet::worker {
namespace {

namespace fs = std::filesystem;
using spec::JobKind;
using ::testing::IsEmpty;

class NoProgress final : public ProgressSink {
 public:
  void update(const Progress&) override {}
};

template <class T>
void write(const fs::path& path, const std::vector<std::int64_t>& shape, const std::vector<T>& values) {
  ASSERT_TRUE(io::write_npy<T>(path, shape, std::span<const T>(values)));
}

/// Ten queries and ten retrieved items with labels of their own, so that no two ranks see the same.
class SharedEvaluationTest : public ::testing::Test {
 protected:
  [[nodiscard]] AttemptContext context(const spec::JobSpec& job) const {
    AttemptContext attempt;
    attempt.job = job;
    attempt.key = key_of(job).value();
    attempt.workdir = folder_.path();
    attempt.store = artifacts::ArtifactStore(folder_.path());
    return attempt;
  }
  /// Publishes the files that `fill` writes as the artifact of a job of this kind; its key.
  [[nodiscard]] JobKey publish(JobKind kind, std::uint64_t seed, const Json& about,
                               const std::function<void(const fs::path&)>& fill) const {
    spec::JobSpec job;
    job.kind = kind;
    job.seed = seed;
    const AttemptContext attempt = context(job);
    Result<artifacts::Draft> draft = attempt.store.begin(attempt.key);
    EXPECT_TRUE(draft);
    fill(draft->folder());
    EXPECT_TRUE(attempt.store.publish(std::move(*draft), job, attempt.key, about));
    return attempt.key;
  }
  [[nodiscard]] JobKey publish_codes(std::uint64_t seed, const std::vector<std::uint8_t>& bytes,
                                     const std::vector<std::int64_t>& rows) const {
    const auto n = static_cast<std::int64_t>(rows.size());
    return publish(JobKind::kEncode, seed, {{"bits", 8}}, [&](const fs::path& folder) {
      write<std::uint8_t>(folder / "codes.npy", {n, 1}, bytes);
      write<std::int64_t>(folder / "rows.npy", {n}, rows);
    });
  }

  static constexpr std::uint8_t kQueries = 10;

  void SetUp() override {
    std::vector<std::uint8_t> labels, split, queries, items, others;
    std::vector<std::int64_t> query_rows, item_rows;
    for (std::uint8_t at = 0; at < 2 * kQueries; ++at) {
      labels.insert(labels.end(),
                    {static_cast<std::uint8_t>(at % 3 != 0), static_cast<std::uint8_t>(at % 4 < 2)});
      const bool is_query = at < kQueries;
      split.push_back(is_query ? 0 : 1);
      (is_query ? queries : items).push_back(static_cast<std::uint8_t>(at * 37 + 11));
      (is_query ? query_rows : item_rows).push_back(at);
      if (is_query) others.push_back(static_cast<std::uint8_t>(at * 53 + 7));
    }
    const JobKey data = publish(JobKind::kPrepare, 1, Json::object(), [&](const fs::path& folder) {
      write<std::uint8_t>(folder / "images.npy", {20, 2, 2, 3}, std::vector<std::uint8_t>(240, 7));
      write<std::uint8_t>(folder / "text.npy", {20, 2}, labels);
      write<std::uint8_t>(folder / "labels.npy", {20, 2}, labels);
      write<std::uint8_t>(folder / "split.npy", {20}, split);
      std::ofstream(folder / "dataset.json") << R"({"format":1,"name":"tiny","label_names":["a","b"]})";
    });
    job_.kind = JobKind::kEvaluate;
    job_.version = 1;
    job_.config = {{"metrics", {"map", "map/stable", "pr", "ndcg@3", "precision@2"}}, {"direction", "i2t"}};
    job_.inputs = {{"data", data},
                   {"query_codes", publish_codes(2, queries, query_rows)},
                   {"retrieval_codes", publish_codes(3, items, item_rows)}};
    others_ = publish_codes(4, others, query_rows);
  }

  /// Results of all ranks, each on a thread of its own.
  std::vector<AttemptResult> run_ranks(int world) {
    std::vector<AttemptResult> results(static_cast<std::size_t>(world));
    {
      std::vector<std::jthread> ranks;
      for (int rank = 0; rank < world; ++rank) {
        ranks.emplace_back([this, world, rank, &results] {
          AttemptContext attempt = context(job_);
          attempt.rank = rank;
          attempt.world = world;
          attempt.rendezvous = folder_.path();
          NoProgress progress;
          Result<AttemptResult> result = LightRunner().run(attempt, progress);
          EXPECT_TRUE(result) << result.error().message;
          if (result) results[static_cast<std::size_t>(rank)] = std::move(*result);
        });
      }
    }
    return results;
  }

  void expect_the_same_on_any_number_of_ranks() {
    const AttemptResult expected = run_ranks(1).front();
    ASSERT_GT(expected.rows.size(), 5U);
    for (const int world : {2, 3, 4, 10, 12}) {
      const std::vector<AttemptResult> results = run_ranks(world);
      ASSERT_EQ(results[0].rows.size(), expected.rows.size());
      for (std::size_t row = 0; row < expected.rows.size(); ++row) {
        EXPECT_EQ(results[0].rows[row].metric, expected.rows[row].metric);
        EXPECT_EQ(results[0].rows[row].value, expected.rows[row].value) << expected.rows[row].metric;
        EXPECT_EQ(results[0].rows[row].n, expected.rows[row].n) << expected.rows[row].metric;
        EXPECT_EQ(results[0].rows[row].per_query, expected.rows[row].per_query) << expected.rows[row].metric;
      }
      ASSERT_EQ(results[0].curves.size(), expected.curves.size());
      for (std::size_t at = 0; at < expected.curves.size(); ++at)
        EXPECT_EQ(results[0].curves[at].y, expected.curves[at].y);
      for (std::size_t rank = 1; rank < results.size(); ++rank) EXPECT_THAT(results[rank].rows, IsEmpty());
    }
  }

  testing_support::TempFolder folder_;
  spec::JobSpec job_;
  JobKey others_;
};

TEST_F(SharedEvaluationTest, RanksShareTheQueries) { expect_the_same_on_any_number_of_ranks(); }

TEST_F(SharedEvaluationTest, RanksShareTheQueriesOfEveryDraw) {
  job_.config["draws"] = {{"reported", 2}, {"resubmitted", 2}};
  job_.inputs.push_back({"worst_of_000", others_});
  expect_the_same_on_any_number_of_ranks();
}

TEST_F(SharedEvaluationTest, WhatLooksAtAllQueriesIsDoneByOneRank) {
  job_.config["worst"] = {{"set", "tiny"}, {"version", 1}, {"members", {"strong"}}};
  job_.inputs.push_back({"worst_of_000", others_});
  EXPECT_FALSE(shares_queries(job_));
  const std::vector<AttemptResult> results = run_ranks(2);
  EXPECT_GT(results[0].rows.size(), 5U);
  EXPECT_THAT(results[1].rows, IsEmpty());
}

TEST(QueryShares, CoverAllQueriesOnceAndGiveRankZeroSome) {
  for (const std::int64_t n_queries : {1, 2, 7, 1000}) {
    for (const int world : {1, 2, 3, 4, 9}) {
      std::int64_t next = 0;
      for (int rank = 0; rank < world; ++rank) {
        const QueryShare share = share_of(n_queries, rank, world);
        EXPECT_EQ(share.first, next);
        next = share.last;
        EXPECT_TRUE(rank > 0 || share.last > 0);
      }
      EXPECT_EQ(next, n_queries);
    }
  }
}

}  // namespace
}  // namespace gauntlet::worker
