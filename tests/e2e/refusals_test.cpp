// A defense that refuses queries, through the real processes: who is refused, what that is worth.

#include <gmock/gmock.h>

#include <map>

#include "core/base/json.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet {
namespace {

const std::string kGauntlet = GAUNTLET_BINARY_DIR "/bin/gauntlet";

TEST(Refusals, AreMeasuredForCleanAndAttackedQueries) {
  const testing_support::TempFolder folder;
  const std::string workdir = (folder.path() / "runs").string();
  folder.write("refusals.yaml", R"(gauntlet: 1
name: refusals
axes:
  dataset: [{name: picto_scenes, preset: smoke}]
  model: [{name: cpah, backbone_width: 8, hidden: 32, epochs: 4, batch_size: 64}]
  bits: [16]
  defense:
    - none
    - {name: feature_squeezing, label: strict, threshold: 0}
    - {name: feature_squeezing, label: detector, threshold: 0.03}
    - {name: feature_squeezing, label: lax, threshold: 1}
  direction: [i2t]
  seed: [1]
  attack:
    - none
    - {name: pgd, label: static, steps: 5, epsilon_image: 16/255}
    - {name: apgd, label: blind, steps: 8, refusal_weight: 0, protocol: adaptive, epsilon_image: 16/255, when: {defense: [strict, detector, lax]}}
    - {name: apgd, label: aware, steps: 8, refusal_weight: 10, protocol: adaptive, epsilon_image: 16/255, when: {defense: [strict, detector, lax]}}
    - {name: swap, inputs: 50, when: {defense: [none, detector]}}
metrics: [map, pr]
)");
  const testing_support::Finished run =
      testing_support::run({kGauntlet, "run", "refusals.yaml", "--workdir", workdir}, folder.path(), {},
                           std::chrono::seconds(600));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const testing_support::Finished query = testing_support::run(
      {kGauntlet, "query",
       "SELECT DISTINCT defense || ' ' || attack || ' ' || metric, value FROM v_results WHERE metric IN "
       "('map', 'refused', 'refused:clean', 'refusal_area')",
       "--workdir", workdir, "--format", "json"},
      folder.path());
  ASSERT_EQ(query.exit_code, 0) << query.err;
  std::map<std::string, double> found;
  const Json document = Json::parse(query.out);
  for (const Json& row : document.at("rows")) found[row[0]] = row[1];

  // No query keeps its code to the last bit of it: all are refused, and nothing is found.
  EXPECT_EQ(found.at("strict none refused"), 1);
  EXPECT_EQ(found.at("strict none map"), 0);
  EXPECT_EQ(found.at("strict aware map"), 0);
  // Nobody is refused: as without a defense.
  for (const std::string attack : {"none", "static"}) {
    EXPECT_EQ(found.at("lax " + attack + " refused"), 0);
    EXPECT_EQ(found.at("lax " + attack + " map"), found.at("none " + attack + " map"));
  }
  EXPECT_GT(found.at("detector static refused"), found.at("detector static refused:clean"));
  EXPECT_EQ(found.at("detector static refused:clean"), found.at("detector none refused"));
  EXPECT_GT(found.at("detector static refusal_area"), 0.5);
  EXPECT_GE(found.at("detector blind refused"), found.at("detector aware refused"));
  EXPECT_LE(found.at("detector aware map"), found.at("detector none map"));
  EXPECT_EQ(found.count("detector swap map"), 1U);
  EXPECT_EQ(found.count("none none refused"), 0U);
}

}  // namespace
}  // namespace gauntlet
