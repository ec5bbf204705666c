// attack.source: inputs made for one target, measured on another.
#include "tests/spec/sweeps.hpp"

namespace gauntlet::spec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

std::string sweep(std::string_view model, std::string_view attack, std::string_view seed = "1",
                  std::string_view defense = "none") {
  return fmt::format(
      "gauntlet: 1\nname: t\naxes:\n  dataset: picto_scenes\n  model: {}\n  bits: 32\n  defense: {}\n  "
      "attack: {}\n  direction: i2t\n  seed: {}\nmetrics: map\n",
      model, defense, attack, seed);
}

JobKey input_of(const PlannedJob& planned, std::string_view role) {
  const JobInput* const input = planned.job.find_input(role);
  EXPECT_NE(input, nullptr) << role;
  return input == nullptr ? JobKey{} : input->key;
}

TEST(Transfer, CraftsForTheSourceAndEncodesByTheTarget) {
  const Expansion expansion =
      expanded(sweep("cpah", "{name: pgd, source: {model: dadh, bits: 16, seed: 2}}"));
  ASSERT_THAT(expansion.cells, SizeIs(1));
  const PlannedCell cell = expansion.cells[0];
  EXPECT_EQ(cell.cell.attack, "pgd from dadh bits 16 seed 2");
  EXPECT_EQ(cell.cell.model, "cpah");
  EXPECT_EQ(cell.cell.protocol, "static");
  const PlannedJob encode = job_of(expansion, cell, "encode_query");
  const PlannedJob craft = job_of(expansion, cell, "craft");
  EXPECT_EQ(input_of(encode, "crafted"), craft.key);
  EXPECT_EQ(input_of(encode, "model"), job_of(expansion, cell, "train_model").key)
      << "the target comes first";
  EXPECT_NE(input_of(craft, "model"), input_of(encode, "model"));
  EXPECT_EQ(craft.job.seed, 2U);
  EXPECT_EQ(craft.job.title, "craft pgd image query static dadh 16 bits seed 2");
  EXPECT_EQ(encode.job.title, "encode none image query crafted cpah 32 bits seed 1");
}

TEST(Transfer, SharesTheCraftWithTheSourcesOwnCell) {
  const Expansion matrix = expanded(sweep("[cpah, dadh]", "[pgd, {name: pgd, source: {model: dadh}}]"));
  ASSERT_THAT(matrix.cells, SizeIs(4));
  const auto craft = [&](std::size_t cell) { return job_of(matrix, matrix.cells[cell], "craft").key; };
  EXPECT_NE(craft(0), craft(1));
  EXPECT_EQ(craft(1), craft(2)) << "dadh's own craft";
  EXPECT_EQ(craft(2), craft(3));
  const auto evaluate = [&](std::size_t cell) { return job_of(matrix, matrix.cells[cell], "evaluate").key; };
  EXPECT_EQ(evaluate(2), evaluate(3)) << "a source that is the target is no transfer";
}

TEST(Transfer, ASourceWithADefenseIsAttackedThroughIt) {
  const Expansion expansion = expanded(sweep("cpah", "{name: pgd, source: {defense: drfgd}}"));
  const PlannedJob craft = job_of(expansion, expansion.cells[0], "craft");
  EXPECT_EQ(craft.job.config.at("protocol"), "adaptive");
  EXPECT_EQ(craft.job.config.at("defense").at("name"), "drfgd");
  EXPECT_EQ(input_of(craft, "defense"), job_of(expansion, expansion.cells[0], "train_defense").key);
  EXPECT_EQ(job_of(expansion, expansion.cells[0], "encode_query").job.find_input("defense"), nullptr);
}

TEST(Transfer, NamesOfAxesReadLaterAndLabelsOfTheFileAreFound) {
  const Expansion expansion = expanded(sweep("[{name: cpah, label: slow, epochs: 99}, cpah]",
                                             "{name: pgd, source: {model: slow, seed: 3}}", "[3, 4]"));
  EXPECT_THAT(expansion.cells, SizeIs(4)) << "a source adds no value to an axis";
  EXPECT_EQ(expansion.jobs.size(), keys_of(expansion).size());
  EXPECT_THAT(parse_problems(sweep("cpah", "{name: pgd, source: {model: dadh}}", "[1, 2]")), IsEmpty());
}

TEST(Transfer, NumbersMeanTheirValueHoweverTheyAreWritten) {
  for (const std::string_view bits : {"16", "016", "+16", "0x10", "1e1"}) {
    const std::string text = sweep("cpah", fmt::format("{{name: pgd, source: {{bits: {}}}}}", bits));
    if (!parse_problems(text).empty()) continue;
    EXPECT_EQ(expanded(text).cells[0].cell.attack, "pgd from bits 16") << bits;
  }
  EXPECT_THAT(parse_problems(sweep("cpah", "{name: pgd, source: {bits: 99999}}")), testing::Not(IsEmpty()));
  EXPECT_THAT(parse_problems(sweep("cpah", "{name: pgd, source: {model: [dadh]}}")), testing::Not(IsEmpty()));
}

TEST(Transfer, SaysWhatIsWrongWithASource) {
  EXPECT_THAT(parse_problems(sweep("cpah", "{name: pgd, source: {model: cpahh}}")),
              ElementsAre(HasSubstr("unknown model 'cpahh'")));
  EXPECT_THAT(parse_problems(sweep("cpah", "{name: pgd, source: {sead: 1}}")),
              ElementsAre(HasSubstr("'sead'")));
  EXPECT_THAT(parse_problems(sweep("cpah", "{name: pgd, source: {}}")),
              ElementsAre(HasSubstr("names nothing")));
  EXPECT_THAT(parse_problems(sweep("cpah", "{name: none, source: {seed: 2}}")),
              ElementsAre(HasSubstr("none takes no source")));
  EXPECT_THAT(
      expand_problems(sweep("cpah", "{name: pgd, protocol: adaptive, source: {seed: 2}}", "1", "drfgd")),
      ElementsAre(HasSubstr("is made for another target, which is always 'static'")));
}

}  // namespace
}  // namespace gauntlet::spec
