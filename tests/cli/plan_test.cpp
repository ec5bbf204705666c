// gauntlet plan and the messages of sweep files, through the program.
#include "tests/cli/cli_test_base.hpp"

namespace gauntlet::cli {
namespace {

using testing::HasSubstr;
using testing_support::Finished;

class Plan : public CliTest {};

constexpr const char* kTenMistakes = R"(gauntlet: 1
name: ten
axis:
  - nothing
axes:
  dataset: [{name: picto_scenes, presett: quick}]
  model: [cpha]
  bits: [0]
  defense: [none, drfgdd]
  attack: [none, {name: pgd, steps: -3}]
  direction: [i2i]
  seed: [one]
metrics: [mapp, map@50]
resources:
  train_modell: {gpus: 2}
)";

TEST_F(Plan, TenMistakesGetTenMessagesWithTheirPlaces) {
  const std::filesystem::path spec = write("ten.yaml", kTenMistakes);
  const Finished plan = gauntlet({"plan", spec.string()});
  EXPECT_EQ(plan.exit_code, 2);
  EXPECT_EQ(plan.out, "");
  const std::string path = spec.string();
  std::size_t n_places = 0;
  for (std::size_t at = plan.err.find(path + ":"); at != std::string::npos;
       at = plan.err.find(path + ":", at + 1))
    ++n_places;
  EXPECT_GE(n_places, 10U) << plan.err;
  for (const char* expected : {"'axes'", "'preset'", "'cpah'", "'drfgd'", "steps", "i2i", "'one'", "'map'",
                               "map@50", "'train_model'"}) {
    EXPECT_THAT(plan.err, HasSubstr(expected));
  }
  EXPECT_THAT(plan.err, HasSubstr("nothing was run"));
}

TEST_F(Plan, ANoopSweepIsPlannedWithoutADatabase) {
  const std::filesystem::path spec = write("noop.yaml", "gauntlet: 1\nname: n\nnoop: {jobs: 7, ms: 0}\n");
  const Finished plan = gauntlet({"plan", spec.string(), "--workdir", workdir().string(), "--json"});
  ASSERT_EQ(plan.exit_code, 0) << plan.err;
  const Json document = Json::parse(plan.out);
  EXPECT_EQ(document["format"], 1);
  EXPECT_EQ(document["sweep"], "n");
  EXPECT_EQ(document["jobs"]["total"], 7);
  EXPECT_EQ(document["jobs"]["new"], 7);
  EXPECT_FALSE(std::filesystem::exists(workdir())) << "a plan leaves nothing behind";
}

TEST_F(Plan, ADifferenceNamesAddedAndRemovedJobs) {
  const std::filesystem::path old_spec = write("old.yaml", "gauntlet: 1\nname: n\nnoop: {jobs: 3, ms: 0}\n");
  const std::filesystem::path new_spec = write("new.yaml", "gauntlet: 1\nname: n\nnoop: {jobs: 5, ms: 0}\n");
  const Finished plan = gauntlet({"plan", new_spec.string(), "--diff", old_spec.string(), "--json"});
  ASSERT_EQ(plan.exit_code, 0) << plan.err;
  const Json document = Json::parse(plan.out);
  EXPECT_EQ(document["jobs"]["added"].size(), 2U);
  EXPECT_EQ(document["jobs"]["removed"].size(), 0U);
}

}  // namespace
}  // namespace gauntlet::cli
