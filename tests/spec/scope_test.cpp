// sides, database_fraction and on_queries: what an attack may change, and of how many queries.
#include <algorithm>

#include "core/spec/attack_scope.hpp"
#include "tests/spec/sweeps.hpp"

namespace gauntlet::spec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const JobKey kData{sha256("a data set")};

PlannedCell only_cell(const Expansion& expansion) {
  EXPECT_THAT(expansion.cells, SizeIs(1));
  return expansion.cells.empty() ? PlannedCell{} : expansion.cells[0];
}

JobKey input_of(const PlannedJob& planned, std::string_view role) {
  const JobInput* const input = planned.job.find_input(role);
  EXPECT_NE(input, nullptr) << role;
  return input == nullptr ? JobKey{} : input->key;
}

bool has_role(const PlannedCell& cell, std::string_view role) {
  return std::ranges::find(cell.jobs, role, &CellJob::role) != cell.jobs.end();
}

// ---------------------------------------------------------------- sides

TEST(Sides, TheDatabaseIsCraftedInItsOwnModalityAndMeasuredWithCleanQueries) {
  const Expansion expansion =
      expanded(one_cell("none", "{name: pgd, sides: database, database_fraction: 1/10}"));
  const PlannedCell cell = only_cell(expansion);
  EXPECT_EQ(cell.cell.attack, "pgd on 10 % of the database");
  const PlannedJob craft = job_of(expansion, cell, "craft_database");
  EXPECT_EQ(craft.job.config.at("modality"), "text");  // images ask
  EXPECT_EQ(craft.job.config.at("part"), "retrieval");
  EXPECT_EQ(craft.job.config.at("database_fraction"), 0.1);
  EXPECT_FALSE(has_role(cell, "craft"));
  EXPECT_EQ(job_of(expansion, cell, "encode_query").job.config.at("source"), "clean");
  const PlannedJob retrieval = job_of(expansion, cell, "encode_retrieval");
  EXPECT_EQ(retrieval.job.config.at("source"), "crafted");
  EXPECT_EQ(input_of(retrieval, "crafted"), craft.key);
  const PlannedJob evaluate = job_of(expansion, cell, "evaluate");
  EXPECT_EQ(input_of(evaluate, "retrieval_codes"), retrieval.key);
  EXPECT_EQ(evaluate.job.config.at("sides"), "database");
  EXPECT_EQ(evaluate.job.config.at("database_fraction"), 0.1);
}

TEST(Sides, BothAreTwoCraftsAndTheQueriesOneIsThatOfTheQueriesAlone) {
  const Expansion expansion = expanded(one_cell("none", "[pgd, {name: pgd, sides: both}]"));
  ASSERT_THAT(expansion.cells, SizeIs(2));
  const PlannedCell alone = expansion.cells[0], both = expansion.cells[1];
  EXPECT_EQ(both.cell.attack, "pgd on queries and the database");
  EXPECT_EQ(job_of(expansion, both, "craft").key, job_of(expansion, alone, "craft").key);
  EXPECT_EQ(job_of(expansion, both, "encode_query").key, job_of(expansion, alone, "encode_query").key);
  const auto database = [&](const PlannedCell& cell) {
    return input_of(job_of(expansion, cell, "evaluate"), "retrieval_codes");
  };
  EXPECT_EQ(database(both), job_of(expansion, both, "encode_retrieval").key);
  EXPECT_NE(database(both), database(alone));
  EXPECT_EQ(job_of(expansion, both, "craft_database").job.config.at("database_fraction"), 1.0);
  EXPECT_NE(job_of(expansion, both, "evaluate").key, job_of(expansion, alone, "evaluate").key);
}

TEST(Sides, WhatIsUsualIsNotInAnyKey) {
  const Expansion usual = expanded(one_cell("[none, drfgd]", "[none, pgd]"));
  for (const PlannedJob& planned : usual.jobs) {
    for (const char* key : {"sides", "database_fraction", "on_queries"})
      EXPECT_FALSE(planned.job.config.contains(key)) << planned.key.brief() << ": " << key;
  }
  const auto plain = keys_of(usual);
  EXPECT_EQ(keys_of(expanded(one_cell("[none, drfgd]", "[none, {name: pgd, sides: query}]"))), plain);
}

TEST(Sides, ADefenseThatLeavesTheModelIsNoPartOfTheDatabasesAttack) {
  const std::string attack = "{name: pgd, sides: both, protocol: adaptive}";
  const Expansion purified = expanded(one_cell("drfgd", attack));
  const PlannedJob left = job_of(purified, only_cell(purified), "craft_database");
  EXPECT_EQ(left.job.config.at("protocol"), "static");
  EXPECT_TRUE(left.job.config.at("defense").is_null());
  EXPECT_EQ(job_of(purified, only_cell(purified), "craft").job.config.at("protocol"), "adaptive");

  const Expansion replaced = expanded(one_cell("saat", attack));
  const PlannedCell cell = only_cell(replaced);
  const PlannedJob through = job_of(replaced, cell, "craft_database");
  EXPECT_EQ(through.job.config.at("protocol"), "adaptive");
  EXPECT_EQ(through.job.config.at("defense").at("name"), "saat");
  EXPECT_EQ(input_of(through, "defense"), input_of(job_of(replaced, cell, "encode_retrieval"), "defense"));
}

TEST(Sides, ItemsMadeForAnotherTargetAreAttackedThereAndEncodedHere) {
  const auto planned = [](const std::string& defense, const std::string& attack) {
    return expanded(one_cell(defense, attack));
  };
  const Expansion there =
      planned("none", "{name: pgd, sides: database, database_fraction: 1/10, source: {bits: 64}}");
  const PlannedCell cell = only_cell(there);
  const PlannedJob craft = job_of(there, cell, "craft_database");
  EXPECT_EQ(craft.job.config.at("part"), "retrieval");
  EXPECT_EQ(craft.job.config.at("database_fraction"), 0.1);
  EXPECT_FALSE(has_role(cell, "craft"));
  const PlannedJob retrieval = job_of(there, cell, "encode_retrieval");
  EXPECT_EQ(input_of(retrieval, "crafted"), craft.key);
  EXPECT_NE(input_of(craft, "model"), input_of(retrieval, "model"));
  EXPECT_EQ(job_of(there, cell, "encode_query").job.config.at("source"), "clean");

  const Expansion both = planned("saat", "{name: pgd, sides: both, source: {defense: saat, bits: 64}}");
  const PlannedJob through = job_of(both, only_cell(both), "craft_database");
  EXPECT_EQ(through.job.config.at("protocol"), "adaptive");
  EXPECT_EQ(through.job.config.at("defense").at("name"), "saat");
  EXPECT_EQ(job_of(both, only_cell(both), "craft").job.config.at("part"), "query");
  EXPECT_EQ(job_of(both, only_cell(both), "encode_query").job.config.at("source"), "crafted");
  const Expansion purified = planned("drfgd", "{name: pgd, sides: both, source: {defense: drfgd, bits: 64}}");
  EXPECT_EQ(job_of(purified, only_cell(purified), "craft_database").job.config.at("protocol"), "static");
}

TEST(Sides, AnAttackHasToWorkOnWhatItAttacks) {
  EXPECT_THAT(expand_problems(one_cell("none", "{name: eqb2a, sides: database}", "", "i2t")),
              ElementsAre(HasSubstr("works on images only, and the database of i2t holds texts")));
  EXPECT_THAT(expand_problems(one_cell("none", "{name: eqb2a, sides: both}", "", "t2i")),
              ElementsAre(HasSubstr("works on images only, and t2i asks with texts")));
  EXPECT_THAT(expand_problems(one_cell("none", "{name: eqb2a, sides: database}", "", "t2i")), IsEmpty());
  EXPECT_THAT(expand_problems(one_cell("drfgd", "{name: pgd, sides: database, protocol: adaptive}")),
              ElementsAre(HasSubstr("there is nothing to adapt to")));
}

TEST(Sides, SaysWhatIsWrong) {
  EXPECT_THAT(parse_problems(one_cell("none", "{name: pgd, sides: databse}")),
              ElementsAre(HasSubstr("unknown sides 'databse'; did you mean 'database'?")));
  EXPECT_THAT(parse_problems(one_cell("none", "{name: pgd, database_fraction: 0.1}")),
              ElementsAre(HasSubstr("add sides: database or sides: both")));
  EXPECT_THAT(parse_problems(one_cell("none", "{name: pgd, sides: both, database_fraction: 0}")),
              ElementsAre(HasSubstr("'database_fraction' is 0")));
  EXPECT_THAT(parse_problems(one_cell("none", "{name: none, sides: both}")),
              ElementsAre(HasSubstr("none changes nothing")));
  EXPECT_THAT(parse_problems(one_cell("none", "{name: ta_dch, sides: both}")),
              ElementsAre(HasSubstr("aims at targets, which queries have and database items have not")));
  const auto of_a_set = parse_sweep(
      "gauntlet: 1\nname: w\naxes: {dataset: picto_scenes, model: cpah, bits: 32, direction: i2t, attack: "
      "{name: worst, sides: both}}\nmetrics: map\n",
      "w.yaml", Catalog::builtin());
  EXPECT_THAT(texts(of_a_set.problems),
              ElementsAre(HasSubstr("all queries meet one database; name the attacks one by one")));
}

// ---------------------------------------------------------------- on_queries

TEST(OnQueries, CraftsAndMeasuresThemAlone) {
  const Expansion expansion = expanded(one_cell("drfgd", "{name: pgd, on_queries: 500}"));
  const PlannedCell cell = only_cell(expansion);
  EXPECT_EQ(cell.cell.attack, "pgd (500 queries)");
  EXPECT_EQ(job_of(expansion, cell, "craft").job.config.at("on_queries"), 500);
  EXPECT_EQ(job_of(expansion, cell, "evaluate").job.config.at("on_queries"), 500);
  EXPECT_FALSE(job_of(expansion, cell, "encode_query").job.config.contains("on_queries"));  // of the craft
  EXPECT_FALSE(job_of(expansion, cell, "codes_text").job.config.contains("on_queries"));    // the database
  EXPECT_FALSE(job_of(expansion, cell, "craft_train").job.config.contains("on_queries"));
}

TEST(OnQueries, OfTheSweepIsThatOfEveryCellAndOfNoLabel) {
  const Expansion expansion = expanded(
      one_cell("drfgd", "[none, pgd, {name: pgd, label: few, on_queries: 50}]", "on_queries: 500\n"));
  ASSERT_THAT(expansion.cells, SizeIs(3));
  EXPECT_EQ(expansion.cells[0].cell.attack, "none");
  EXPECT_EQ(expansion.cells[1].cell.attack, "pgd");
  const auto drawn = [&](std::size_t cell, std::string_view role) {
    return job_of(expansion, expansion.cells[cell], role).job.config.value("on_queries", 0);
  };
  EXPECT_EQ(drawn(0, "encode_query"), 500);
  EXPECT_EQ(drawn(0, "evaluate"), 500);
  EXPECT_EQ(drawn(1, "craft"), 500);
  EXPECT_EQ(drawn(2, "craft"), 50);
  // Where the file names no attack, there is the value none.
  const Expansion clean = expanded(
      "gauntlet: 1\nname: c\naxes: {dataset: picto_scenes, model: cpah, bits: 32, direction: i2t}\nmetrics: "
      "map\non_queries: 500\n");
  EXPECT_EQ(job_of(clean, only_cell(clean), "evaluate").job.config.value("on_queries", 0), 500);
}

TEST(OnQueries, GoesToTheMembersOfASetAndToWhatTheyAreMeasuredAgainst) {
  const Catalog& catalog = Catalog::builtin();  // the tests' own has no sets
  const ParsedSweep read = parse_sweep(
      "gauntlet: 1\nname: w\naxes: {dataset: picto_scenes, model: cpah, bits: 32, defense: drfgd, direction: "
      "i2t, attack: {name: worst, set: quick, on_queries: 500}}\nmetrics: map\n",
      "w.yaml", catalog);
  ASSERT_THAT(texts(read.problems), IsEmpty());
  const Expansion expansion = expand(*read.spec, catalog, &fake_content_id).value();
  const PlannedCell cell = only_cell(expansion);
  EXPECT_EQ(cell.cell.attack, "worst/quick@1 (500 queries)");
  for (const std::string_view role : {"encode_query", "craft_member", "encode_base_query", "evaluate"})
    EXPECT_EQ(job_of(expansion, cell, role).job.config.value("on_queries", 0), 500) << role;
}

TEST(OnQueries, IsAWholeNumberOfThem) {
  EXPECT_THAT(parse_problems(one_cell("none", "{name: pgd, on_queries: 0}")), SizeIs(1));
  EXPECT_THAT(parse_problems(one_cell("none", "pgd", "on_queries: some\n")), SizeIs(1));
}

// ---------------------------------------------------------------- draws

TEST(KeptQueries, AreAFixedDrawAndNested) {
  const std::vector<std::size_t> some = kept_queries(2000, {{"on_queries", 500}}, kData);
  ASSERT_THAT(some, SizeIs(500));
  EXPECT_TRUE(std::ranges::is_sorted(some));
  EXPECT_EQ(std::ranges::adjacent_find(some), some.end());
  EXPECT_LT(some.back(), 2000U);
  EXPECT_GT(some.back(), 1900U);  // not the first ones
  const std::vector<std::size_t> fewer = kept_queries(2000, {{"on_queries", 50}}, kData);
  EXPECT_TRUE(std::ranges::includes(some, fewer));
  EXPECT_NE(kept_queries(2000, {{"on_queries", 500}}, JobKey{sha256("another")}), some);
  EXPECT_THAT(kept_queries(3, {{"on_queries", 500}}, kData), ElementsAre(0, 1, 2));
  EXPECT_THAT(kept_queries(3, Json::object(), kData), ElementsAre(0, 1, 2));
}

TEST(AttackedItems, AreTheFractionAndAtLeastOne) {
  const auto attacked = [](double fraction, std::uint64_t seed = 1) {
    return attacked_items(1000, {{"database_fraction", fraction}}, seed, kData);
  };
  EXPECT_THAT(attacked(0.1), SizeIs(100));
  EXPECT_THAT(attacked(1), SizeIs(1000));
  EXPECT_THAT(attacked(1e-6), SizeIs(1));
  EXPECT_TRUE(std::ranges::includes(attacked(0.1), attacked(0.01)));
  EXPECT_NE(attacked(0.1), attacked(0.1, 2));
  EXPECT_THAT(attacked_items(0, {{"database_fraction", 0.5}}, 1, kData), IsEmpty());
}

}  // namespace
}  // namespace gauntlet::spec
