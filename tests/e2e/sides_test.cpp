// Attacks on the database, on both sides and on some queries, through the real processes.

#include <gmock/gmock.h>

#include <map>

#include "core/base/json.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet {
namespace {

const std::string kGauntlet = GAUNTLET_BINARY_DIR "/bin/gauntlet";

struct Number {
  double value = 0;
  std::int64_t n = 0;
  Json inputs;  ///< of the evaluation: role → key
};

TEST(Sides, AttackedItemsAreRetrievedFromAndFewQueriesAreMeasured) {
  const testing_support::TempFolder folder;
  const std::string workdir = (folder.path() / "runs").string();
  folder.write("sides.yaml", R"(gauntlet: 1
name: sides
axes:
  dataset: [{name: picto_scenes, preset: smoke}]
  model: [{name: cpah, backbone_width: 8, hidden: 32, epochs: 30, batch_size: 64}]
  bits: [16]
  defense: [none, box_blur]
  direction: [i2t]
  seed: [1]
  attack:
    - none
    - {name: pgd, label: queries, steps: 5, epsilon_image: 16/255, epsilon_text: 0.5}
    - {name: pgd, label: items, steps: 5, epsilon_image: 16/255, epsilon_text: 0.5, sides: database}
    - {name: pgd, label: tenth, steps: 5, epsilon_image: 16/255, epsilon_text: 0.5, sides: database, database_fraction: 0.1}
    - {name: pgd, label: both, steps: 5, epsilon_image: 16/255, epsilon_text: 0.5, sides: both}
    - {name: pgd, label: transferred, steps: 5, epsilon_image: 16/255, epsilon_text: 0.5, sides: database, source: {seed: 2}}
    - {name: pgd, label: both transferred, steps: 5, epsilon_image: 16/255, epsilon_text: 0.5, sides: both, source: {seed: 2}}
    - {name: pgd, label: queries transferred, steps: 5, epsilon_image: 16/255, epsilon_text: 0.5, source: {seed: 2}}
    - {name: pgd, label: few, steps: 5, epsilon_image: 16/255, epsilon_text: 0.5, on_queries: 7}
metrics: [map]
resources: {train_model: {cpus: 1}, craft: {cpus: 1}, encode: {cpus: 1}, evaluate: {cpus: 1}}
)");
  const testing_support::Finished run = testing_support::run(
      {kGauntlet, "run", "sides.yaml", "--workdir", workdir}, folder.path(), {}, std::chrono::seconds(600));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const testing_support::Finished query =
      testing_support::run({kGauntlet, "query",
                            "SELECT DISTINCT defense || ' ' || attack, value, n, config FROM v_results JOIN "
                            "v_jobs ON key = job_key "
                            "WHERE metric = 'map'",
                            "--workdir", workdir, "--format", "json"},
                           folder.path());
  ASSERT_EQ(query.exit_code, 0) << query.err;
  const Json rows = Json::parse(query.out);
  std::map<std::string, Number> map;
  for (const Json& row : rows.at("rows"))
    map[row[0]] = {row[1], row[2], Json::parse(row[3].get<std::string>()).at("inputs")};
  ASSERT_EQ(map.size(), 18U);
  EXPECT_NE(map["none transferred"].value, map["none items"].value);  // as strong by chance, but not the same
  for (const std::string defense : {"none", "box_blur"}) {
    const auto of = [&](const char* attack) { return map.at(defense + " " + attack); };
    const Number both = of("both transferred");
    EXPECT_EQ(both.inputs.at("query_codes"), of("queries transferred").inputs.at("query_codes"));
    EXPECT_EQ(both.inputs.at("retrieval_codes"), of("transferred").inputs.at("retrieval_codes"));
    for (const char* other : {"none", "both", "transferred", "queries transferred"})
      EXPECT_NE(both.value, of(other).value) << defense << ", " << other;
    EXPECT_EQ(both.n, of("none").n);
  }
  EXPECT_LT(map["none items"].value, map["none none"].value);
  EXPECT_LT(map["none items"].value, map["none tenth"].value);
  // Not less than either: each side flees from where the other one stood, and two that flee may meet again.
  EXPECT_NE(map["none both"].value, map["none queries"].value);
  EXPECT_NE(map["none both"].value, map["none items"].value);
  EXPECT_EQ(map["none items"].n, map["none none"].n);
  EXPECT_EQ(map["none few"].n, 7);
}

}  // namespace
}  // namespace gauntlet
