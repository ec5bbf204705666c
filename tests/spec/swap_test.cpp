// The attack `swap`: the jobs of a cell, and what it does not go with.
#include <gmock/gmock.h>

#include "core/spec/swap.hpp"
#include "tests/spec/sweeps.hpp"

namespace gauntlet::spec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string sweep(std::string_view defense, std::string_view attack) {
  return fmt::format(
      "gauntlet: 1\nname: s\naxes:\n  dataset: picto_scenes\n  model: dcmh\n  bits: 32\n  defense: {}\n  "
      "attack: {}\n  direction: i2t\n  seed: 1\nmetrics: [map]\n",
      defense, attack);
}

std::vector<std::string> problems_of(const std::string& text) {
  const ParsedSweep read = parse_sweep(text, "s.yaml", Catalog::builtin());
  if (!read.spec) return texts(read.problems);
  const auto expansion = expand(*read.spec, Catalog::builtin(), &fake_content_id);
  return expansion ? std::vector<std::string>() : texts(expansion.error());
}

Expansion expansion_of(const std::string& text) {
  const ParsedSweep read = parse_sweep(text, "s.yaml", Catalog::builtin());
  EXPECT_THAT(texts(read.problems), IsEmpty());
  return expand(*read.spec, Catalog::builtin(), &fake_content_id).value();
}

TEST(Swap, EncodesTrainingInputsAsQueriesAreAndCraftsNothing) {
  const Expansion expansion = expansion_of(sweep("box_blur", "[none, {name: swap, inputs: 7}]"));
  ASSERT_EQ(expansion.cells.size(), 2U);
  const PlannedCell clean = expansion.cells[0], swap = expansion.cells[1];
  EXPECT_EQ(swap.cell.protocol, "static");
  for (const CellJob& part : swap.jobs) EXPECT_NE(expansion.jobs[part.job].job.kind, JobKind::kCraft);
  const JobSpec inputs = job_of(expansion, swap, "encode_swap").job;
  EXPECT_EQ(inputs.entry, "box_blur");  // through the defense, whatever encodes the database
  EXPECT_EQ(inputs.config["part"], "train");
  EXPECT_EQ(inputs.config["modality"], "image");
  EXPECT_EQ(inputs.config["source"], "clean");
  for (const char* role : {"encode_query", "encode_retrieval"})
    EXPECT_EQ(job_of(expansion, swap, role).key, job_of(expansion, clean, role).key) << role;
  const PlannedJob evaluate = job_of(expansion, swap, "evaluate");
  EXPECT_EQ(evaluate.job.config["swap"], (Json{{"inputs", 7}, {"version", 1}}));
  EXPECT_EQ(evaluate.job.seed, 1U);
  ASSERT_NE(evaluate.job.find_input("worst_of_000"), nullptr);
  EXPECT_EQ(evaluate.job.find_input("worst_of_000")->key, job_of(expansion, swap, "encode_swap").key);
  EXPECT_FALSE(job_of(expansion, clean, "evaluate").job.config.contains("swap"));
}

TEST(Swap, GoesWithNeitherASourceNorAProtocol) {
  EXPECT_THAT(problems_of(sweep("none", "{name: swap, source: {seed: 2}}")),
              ElementsAre(HasSubstr("swap takes no source")));
  EXPECT_THAT(problems_of(sweep("box_blur", "{name: swap, protocol: adaptive}")),
              ElementsAre(HasSubstr("cannot follow gradients through a defense")));
  EXPECT_THAT(problems_of(sweep("none", "{name: swap, inputs: 0}")), ElementsAre(HasSubstr("inputs")));
}

}  // namespace
}  // namespace gauntlet::spec
