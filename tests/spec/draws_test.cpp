// The jobs of a defense that declares that it draws.
#include <algorithm>

#include "tests/spec/sweeps.hpp"

namespace gauntlet::spec {
namespace {

using testing::IsEmpty;

/// The only cell of picto_scenes under this defense and attack, from the program's own catalog.
struct Planned {
  Expansion expansion;
  PlannedCell cell;
};

Planned planned(std::string_view defense, std::string_view attack) {
  const ParsedSweep read = parse_sweep(
      fmt::format("gauntlet: 1\nname: d\naxes: {{dataset: picto_scenes, model: cpah, bits: 32, defense: {}, "
                  "attack: {}, direction: i2t}}\nmetrics: map\n",
                  defense, attack),
      "d.yaml", Catalog::builtin());
  EXPECT_THAT(texts(read.problems), IsEmpty());
  if (!read.spec) return {};
  auto expansion = expand(*read.spec, Catalog::builtin(), &fake_content_id);
  if (!expansion) ADD_FAILURE() << testing::PrintToString(texts(expansion.error()));
  if (!expansion) return {};
  PlannedCell cell = expansion->cells[0];
  return {std::move(*expansion), std::move(cell)};
}

TEST(RandomDefenses, AreEncodedTwentyTimesAndTheBuiltInOneIsOne) {
  for (const std::string_view attack : {"none", "{name: apgd, protocol: adaptive, samples: 20}",
                                        "{name: apgd, protocol: adaptive, on_queries: 50}"}) {
    const Planned noisy = planned("gaussian_noise", attack);
    EXPECT_EQ(std::ranges::count(noisy.cell.jobs, "encode_draw", &CellJob::role), 19) << attack;
    const Json config = job_of(noisy.expansion, noisy.cell, "evaluate").job.config;
    EXPECT_EQ(config.at("draws"), (Json{{"reported", 20}, {"resubmitted", 10}})) << attack;
  }
  const Planned blurred = planned("box_blur", "none");
  EXPECT_EQ(std::ranges::count(blurred.cell.jobs, "encode_draw", &CellJob::role), 0);
}

TEST(RandomDefenses, DrawForTheQueriesThatAreMeasured) {
  const Planned noisy = planned("gaussian_noise", "{name: none, on_queries: 50}");
  for (const CellJob& part : noisy.cell.jobs) {
    if (part.role != "encode_draw" && part.role != "encode_query") continue;
    EXPECT_EQ(noisy.expansion.jobs[part.job].job.config.at("on_queries"), 50);
  }
}

}  // namespace
}  // namespace gauntlet::spec
