// Which items external entries are given, and what a defense that refuses queries leaves of them.
#include <set>

#include "core/spec/attack_scope.hpp"
#include "tests/worker/external_fixture.hpp"

namespace gauntlet::worker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ExternalScope : public External {
 protected:
  template <class T>
  std::vector<T> left(const spec::JobSpec& job, const char* file) {
    const auto artifact = context(job).store.open(JobKind::kCommand, key_of(job).value());
    EXPECT_TRUE(artifact);
    const auto array = io::read_npy(artifact->file(file));
    EXPECT_TRUE(array);
    const auto values = *array->template as<T>();
    return {values.begin(), values.end()};
  }
  std::vector<std::int64_t> rows_after(const spec::JobSpec& job) {
    const auto result = run(job);
    EXPECT_TRUE(result) << result.error().message;
    return left<std::int64_t>(job, "rows.npy");
  }
};

TEST_F(ExternalScope, OnQueriesGivesTheDrawnOnesAlone) {
  spec::JobSpec job = attack(kCopy);
  EXPECT_THAT(rows_after(job), ElementsAre(0, 1));
  job.config["on_queries"] = 1;
  const std::vector<std::size_t> kept = spec::kept_queries(2, job.config, data_);
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_THAT(rows_after(job), ElementsAre(static_cast<std::int64_t>(kept[0])));
  EXPECT_EQ(left<float>(job, "inputs.npy").size(), 12U);
  EXPECT_EQ(left<float>(job, "inputs.npy")[0], static_cast<float>(kept[0] * 12 * 3) / 255.0F);

  spec::JobSpec defense = entry("defense", "inputs.npy", kCopy, "");
  defense.config["on_queries"] = 1;
  EXPECT_THAT(rows_after(defense), ElementsAre(static_cast<std::int64_t>(kept[0])));
}

TEST_F(ExternalScope, AnAttackOnTheDatabaseIsGivenItemsOfIt) {
  spec::JobSpec job = attack(kCopy);
  job.config["part"] = "retrieval";
  job.config["database_fraction"] = 1.0;
  EXPECT_THAT(rows_after(job), ElementsAre(2, 3, 4, 5));
  job.config["database_fraction"] = 0.5;
  std::set<std::size_t> seen;
  for (job.seed = 1; job.seed <= 6; ++job.seed) {
    const std::vector<std::size_t> drawn = spec::attacked_items(4, job.config, job.seed, data_);
    ASSERT_EQ(drawn.size(), 2U);
    seen.insert(drawn.begin(), drawn.end());
    EXPECT_THAT(rows_after(job), ElementsAre(static_cast<std::int64_t>(2 + drawn[0]),
                                             static_cast<std::int64_t>(2 + drawn[1])));
  }
  EXPECT_GT(seen.size(), 2U) << "not the same items whatever the seed";
}

TEST_F(ExternalScope, AModelEncodesTheWholeDatabaseWithTheAttackedItemsInTheirPlaces) {
  const JobKey crafted = publish(JobKind::kCraft, [](const fs::path& folder) {
    const std::vector<std::int64_t> rows = {4};
    const std::vector<float> values(12, 0.5F);
    ASSERT_TRUE(io::write_npy<std::int64_t>(folder / "rows.npy", {1}, std::span<const std::int64_t>(rows)));
    ASSERT_TRUE(io::write_npy<float>(folder / "inputs.npy", {1, 3, 2, 2}, std::span<const float>(values)));
  });
  spec::JobSpec job = entry("defense", "inputs.npy", kCopy, "");  // it copies what it is given
  job.config["part"] = "retrieval";
  job.config["source"] = "crafted";
  job.inputs = {{"crafted", crafted}, {"data", data_}};
  EXPECT_THAT(rows_after(job), ElementsAre(2, 3, 4, 5));
  const std::vector<float> inputs = left<float>(job, "inputs.npy");
  EXPECT_EQ(inputs[0], 2 * 12 * 3 / 255.0F);
  EXPECT_THAT(std::vector<float>(inputs.begin() + 24, inputs.begin() + 36), testing::Each(0.5F));
  EXPECT_EQ(inputs[36], 5 * 12 * 3 / 255.0F);

  job.config["part"] = "query";
  EXPECT_THAT(rows_after(job), ElementsAre(4)) << "queries are those that were crafted";
}

TEST_F(ExternalScope, ADefenseThatRefusesLeavesAScoreForEveryQuery) {
  const auto defense = [this](const std::string& scores, const std::string& outputs) {
    return entry("defense", outputs, kCopy + scores, "refuses: true");
  };
  const std::string both = "inputs.npy, refusal_scores.npy";
  const std::vector<float> values = {-0.5F, 2};
  ASSERT_TRUE(io::write_npy<float>(folder_ / "scores.npy", {2}, std::span<const float>(values)));
  const std::string copy =
      fmt::format("cp {} outputs/refusal_scores.npy\n", (folder_ / "scores.npy").string());
  const spec::JobSpec job = defense(copy, both);
  const auto result = run(job);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(left<float>(job, "refusal_scores.npy"), values);

  EXPECT_THAT(refusal(defense("", both)), HasSubstr("outputs do not hold 'refusal_scores.npy'"));
  EXPECT_THAT(refusal(defense("cp inputs/inputs.npy outputs/refusal_scores.npy", both)),
              HasSubstr("refusal_scores.npy is f32 of shape [2, 3, 2, 2]; allowed: f32 of shape [2]"));
}

}  // namespace
}  // namespace gauntlet::worker
