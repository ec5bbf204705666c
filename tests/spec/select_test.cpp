// Selections: what the section means, which jobs it becomes, and that queries play no part in a choice.

#include "core/base/text.hpp"
#include "tests/spec/sweeps.hpp"

namespace gauntlet::spec {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::Not;
using testing::SizeIs;

/// A selection of drfgd's lr under PGD, with `more` in it.
std::string select_lr(std::string_view more = "") {
  return fmt::format(
      "select:\n- name: rates\n  match: {{defense: drfgd}}\n  try: {{defense.lr: [0.1, 0.2]}}\n"
      "  by: {{metric: map, attack: pgd}}\n  validation: {{items: 40, seed: 7}}\n{}",
      more);
}

std::vector<std::string> roles_of(const PlannedCell& cell) {
  std::vector<std::string> roles;
  for (const CellJob& part : cell.jobs) roles.emplace_back(part.role);
  return roles;
}

JobKey input_of(const PlannedJob& planned, std::string_view role) {
  const JobInput* input = planned.job.find_input(role);
  EXPECT_NE(input, nullptr) << planned.job.title << " has no input " << role;
  return input == nullptr ? JobKey() : input->key;
}

PlannedJob job_with(const Expansion& expansion, const JobKey& key) {
  for (const PlannedJob& planned : expansion.jobs) {
    if (planned.key == key) return planned;
  }
  ADD_FAILURE() << "no such job";
  return {};
}

/// Cells without a variant: those a table shows.
std::vector<PlannedCell> measured_cells(const Expansion& expansion) {
  std::vector<PlannedCell> cells;
  for (const PlannedCell& cell : expansion.cells) {
    if (cell.cell.variant.empty()) cells.push_back(cell);
  }
  return cells;
}

TEST(Select, ASelectionStandsInForTheTrainingOfWhatItChooses) {
  const Expansion expansion = expanded(one_cell("drfgd", "pgd", select_lr()));
  ASSERT_THAT(expansion.cells, SizeIs(3));
  EXPECT_EQ(expansion.cells[0].cell.variant, "rates/lr=0.1");
  EXPECT_EQ(expansion.cells[1].cell.variant, "rates/lr=0.2");
  const PlannedCell cell = expansion.cells[2];
  EXPECT_THAT(roles_of(cell), AllOf(Contains("select_defense"), Not(Contains("train_defense"))));
  const PlannedJob select = job_of(expansion, cell, "select_defense");
  EXPECT_EQ(select.job.title, "select drfgd image cpah 32 bits seed 1");
  EXPECT_EQ(select.job.entry, "drfgd");
  for (std::size_t candidate : {0U, 1U}) {
    const PlannedCell measured = expansion.cells[candidate];
    EXPECT_EQ(input_of(select, fmt::format("candidate_{:03}", candidate)),
              job_of(expansion, measured, "train_defense").key);
    EXPECT_EQ(input_of(select, fmt::format("score_{:04}", candidate)),
              job_of(expansion, measured, "evaluate").key);
  }
  ASSERT_THAT(select.job.inputs, SizeIs(4));
  const PlannedJob encode = job_of(expansion, cell, "encode_query");
  EXPECT_EQ(input_of(encode, "defense"), select.key);
  EXPECT_FALSE(encode.job.config.at("defense").contains("lr")) << "nobody knows it yet";
  EXPECT_EQ(encode.job.config.at("defense").at("use_div"), true);
}

TEST(Select, TheRuleAndTheCandidatesAreInTheConfigAndNamesAreNot) {
  const Expansion expansion = expanded(one_cell("drfgd", "pgd", select_lr()));
  const Json rule = job_of(expansion, expansion.cells[2], "select_defense").job.config.at("select");
  EXPECT_EQ(rule.at("metric"), "map");
  EXPECT_EQ(rule.at("kind"), "defense");
  EXPECT_EQ(rule.at("part"), "validation");
  EXPECT_EQ(rule.at("validation"), (Json{{"items", 40}, {"seed", 7}}));
  EXPECT_EQ(rule.at("n_scores"), 1);
  EXPECT_EQ(rule.at("candidates").at(1).at("values"), (Json{{"lr", 0.2}}));
  EXPECT_EQ(rule.at("candidates").at(1).at("config").at("lr"), 0.2);
  std::string renamed = select_lr();
  renamed.replace(renamed.find("rates"), 5, "other");
  EXPECT_EQ(keys_of(expanded(one_cell("drfgd", "pgd", renamed))), keys_of(expansion));
}

TEST(Select, ACandidateIsTrainedByTheJobOfASweepThatNamesItsValues) {
  const Expansion expansion = expanded(one_cell("drfgd", "pgd", select_lr()));
  const Expansion plain = expanded(one_cell("{name: drfgd, lr: 0.2}", "pgd"));
  EXPECT_EQ(job_of(expansion, expansion.cells[1], "train_defense").key,
            job_of(plain, plain.cells[0], "train_defense").key);
}

TEST(Select, ACandidatesMetricIsNeverOneOnQueries) {
  const Expansion expansion = expanded(one_cell("drfgd", "pgd", select_lr()));
  EXPECT_THAT(std::vector(expansion.cells[0].metrics.begin(), expansion.cells[0].metrics.end()),
              ElementsAre("validation_map"));
  EXPECT_THAT(std::vector(expansion.cells[2].metrics.begin(), expansion.cells[2].metrics.end()),
              ElementsAre("map"));
  const Json config = job_of(expansion, expansion.cells[0], "evaluate").job.config;
  EXPECT_EQ(config.at("part"), "validation");
  EXPECT_EQ(config.at("metrics"), (Json{"map"}));
}

/// Every job that a choice follows from reads either the validation split, whose queries are validation
/// items, or the data itself for training items, which queries are none of.
TEST(Select, NothingThatAChoiceFollowsFromReadsTheQueries) {
  for (const std::string_view defense : {"drfgd", "atrdh", "saat"}) {
    std::string section = select_lr();
    section.replace(section.find("drfgd"), 5, defense);
    const Expansion expansion = expanded(one_cell(defense, "[none, pgd]", section, "[i2t, t2i]"));
    const PlannedCell cell = measured_cells(expansion).front();
    const JobKey data = job_of(expansion, cell, "prepare").key;
    std::vector<JobKey> left = {job_of(expansion, cell, "select_defense").key};
    std::set<JobKey> seen;
    std::size_t n_on_validation = 0;
    while (!left.empty()) {
      const PlannedJob planned = job_with(expansion, left.back());
      left.pop_back();
      if (!seen.insert(planned.key).second) continue;
      for (const JobInput& input : planned.job.inputs) left.push_back(input.key);
      if (planned.job.config.value("part", "") != "query") continue;
      EXPECT_NE(input_of(planned, "data"), data) << planned.job.title;
      ++n_on_validation;
    }
    EXPECT_GE(n_on_validation, 4U) << "crafts and encodings of both candidates";
    EXPECT_FALSE(seen.contains(job_of(expansion, cell, "evaluate").key));
  }
}

TEST(Select, TheValidationSplitIsAPreparedSetMadeOfTheData) {
  const Expansion expansion = expanded(one_cell("drfgd", "pgd", select_lr()));
  const PlannedJob split = job_of(expansion, expansion.cells[0], "validation");
  EXPECT_EQ(split.job.kind, JobKind::kPrepare);
  EXPECT_EQ(split.job.config, (Json{{"validation", {{"items", 40}, {"seed", 7}}}}));
  EXPECT_EQ(split.job.title, "prepare validation split of picto_scenes");
  EXPECT_EQ(input_of(split, "data"), job_of(expansion, expansion.cells[0], "prepare").key);
  EXPECT_EQ(input_of(job_of(expansion, expansion.cells[0], "train_defense"), "data"),
            job_of(expansion, expansion.cells[0], "prepare").key)
      << "what is trained is trained on the data itself";
}

TEST(Select, OneChoiceIsForAllDirectionsAndSeedsUnlessPerNamesThem) {
  const auto scores = [](std::string_view per) {
    std::string text = one_cell("drfgd", "pgd", select_lr(per), "[i2t, t2i]");
    text.replace(text.find("seed: 1\n"), 8, "seed: [1, 2]\n");
    const Expansion expansion = expanded(text);
    std::set<std::vector<JobKey>> choices;
    std::set<JobKey> selects;
    for (const PlannedCell& cell : measured_cells(expansion)) {
      const PlannedJob select = job_of(expansion, cell, "select_defense");
      selects.insert(select.key);
      std::vector<JobKey> used;
      for (const JobInput& input : select.job.inputs) {
        if (input.role.starts_with("score_")) used.push_back(input.key);
      }
      EXPECT_EQ(used.size(), 2 * select.job.config.at("select").at("n_scores").get<std::size_t>());
      choices.insert(used);
    }
    EXPECT_EQ(selects.size(), 4U) << "each side and seed has checkpoints of its own";
    return std::pair(choices.size(), choices.begin()->size());
  };
  EXPECT_EQ(scores(""), std::pair(std::size_t{1}, std::size_t{8}));
  EXPECT_EQ(scores("  per: [dataset, model, bits, seed]\n"), std::pair(std::size_t{2}, std::size_t{4}));
  EXPECT_EQ(scores("  per: [seed, direction]\n"), std::pair(std::size_t{4}, std::size_t{2}));
}

TEST(Select, SeveralAttacksAreAveragedOver) {
  std::string section = select_lr();
  section.replace(section.find("attack: pgd"), 11, "attack: [none, {name: pgd, steps: 3, label: short}]");
  const Expansion expansion = expanded(one_cell("drfgd", "pgd", section));
  ASSERT_THAT(expansion.cells, SizeIs(5));
  const PlannedJob select = job_of(expansion, expansion.cells[4], "select_defense");
  EXPECT_EQ(select.job.config.at("select").at("n_scores"), 2);
  EXPECT_EQ(expansion.cells[2].cell.variant, "rates/lr=0.2");
  EXPECT_EQ(expansion.cells[2].cell.attack, "none");
  EXPECT_EQ(expansion.cells[3].cell.attack, "short");
  EXPECT_EQ(input_of(select, "score_0002"), job_of(expansion, expansion.cells[2], "evaluate").key);
  EXPECT_EQ(input_of(select, "score_0003"), job_of(expansion, expansion.cells[3], "evaluate").key);
}

TEST(Select, ASeedThatByNamesIsMeasuredWhateverTheCellsHave) {
  std::string section = select_lr();
  section.replace(section.find("attack: pgd"), 11, "attack: pgd, seed: 9");
  const std::string one = one_cell("drfgd", "pgd", section);
  std::string more = one;
  more.replace(more.find("seed: 1\n"), 8, "seed: [1, 2]\n");
  const Expansion expansion = expanded(one);
  EXPECT_EQ(expansion.cells[0].cell.seed, 9U);
  EXPECT_THAT(keys_of(expanded(more)), IsSupersetOf(keys_of(expansion))) << "a new seed changes no choice";
}

TEST(Select, WhatIsNotSelectedKeepsItsJobs) {
  const Expansion plain = expanded(one_cell("[none, saat]", "[none, pgd]"));
  const Expansion with = expanded(one_cell("[none, saat, drfgd]", "[none, pgd]", select_lr()));
  EXPECT_THAT(keys_of(with), IsSupersetOf(keys_of(plain)));
}

TEST(Select, OptionsOfAModelAreChosenWithoutADefense) {
  const Expansion expansion = expanded(one_cell(
      "[none, drfgd]", "pgd", "select:\n- name: m\n  try: {model.lr: [0.1, 0.2]}\n  by: {metric: map}\n"));
  const std::vector<PlannedCell> cells = measured_cells(expansion);
  ASSERT_THAT(cells, SizeIs(2));
  ASSERT_THAT(expansion.cells, SizeIs(4));
  EXPECT_EQ(expansion.cells[0].cell.defense, "none");
  EXPECT_EQ(expansion.cells[0].cell.attack, "none");
  const PlannedJob select = job_of(expansion, cells[1], "select_model");
  EXPECT_EQ(select.key, job_of(expansion, cells[0], "select_model").key);
  EXPECT_EQ(input_of(job_of(expansion, cells[1], "train_defense"), "model"), select.key);
  EXPECT_EQ(input_of(job_of(expansion, cells[1], "encode_query"), "model"), select.key);
  EXPECT_EQ(input_of(select, "candidate_001"), job_of(expansion, expansion.cells[1], "train_model").key);
  EXPECT_EQ(select.job.config.at("select").at("validation"), (Json{{"items", 500}, {"seed", 1}}));
}

TEST(Select, CandidatesOfADefenseAreTrainedOnTheChosenModel) {
  const Expansion expansion =
      expanded(one_cell("drfgd", "pgd",
                        select_lr("- name: m\n  try: {model.lr: [0.1, 0.2]}\n  by: {metric: map, attack: "
                                  "none, seed: 3}\n")));
  const PlannedCell cell = measured_cells(expansion).front();
  const JobKey model = job_of(expansion, cell, "select_model").key;
  const PlannedJob select = job_of(expansion, cell, "select_defense");
  EXPECT_EQ(input_of(job_with(expansion, input_of(select, "candidate_000")), "model"), model);
}

TEST(Select, BranchesTrainedApartAreChosenApartWithOneRule) {
  std::string section = select_lr();
  section.replace(section.find("drfgd"), 5, "saat");
  const Expansion expansion = expanded(one_cell("saat", "pgd", section));
  const PlannedCell cell = measured_cells(expansion).front();
  const PlannedJob query = job_of(expansion, cell, "select_defense");
  const PlannedJob retrieval = job_of(expansion, cell, "select_defense_retrieval");
  EXPECT_NE(query.key, retrieval.key);
  EXPECT_EQ(input_of(query, "score_0001"), input_of(retrieval, "score_0001"));
  EXPECT_EQ(input_of(retrieval, "candidate_001"),
            job_of(expansion, expansion.cells[1], "train_defense_retrieval").key)
      << "what is measured on validation items is trained on the data itself";
  EXPECT_EQ(input_of(job_of(expansion, cell, "encode_retrieval"), "defense"), retrieval.key);
}

TEST(Select, ADefenseThatDoesNotTrainHasNoCheckpointsToChooseFrom) {
  const Expansion expansion = expanded(
      one_cell("box_blur", "pgd",
               "select:\n- name: b\n  try: {defense.radius: [1, 2]}\n  by: {metric: map, attack: pgd}\n"));
  const PlannedCell cell = measured_cells(expansion).front();
  const PlannedJob select = job_of(expansion, cell, "select_defense");
  EXPECT_THAT(select.job.inputs, SizeIs(2));
  const PlannedJob encode = job_of(expansion, cell, "encode_query");
  EXPECT_EQ(input_of(encode, "defense"), select.key);
  EXPECT_FALSE(encode.job.config.at("defense").contains("radius"));
}

TEST(Select, AnAdaptiveAttackGoesThroughWhatIsChosen) {
  const Expansion expansion = expanded(one_cell("drfgd", "{name: pgd, protocol: adaptive}", select_lr()));
  const PlannedCell cell = measured_cells(expansion).front();
  EXPECT_EQ(input_of(job_of(expansion, cell, "craft"), "defense"),
            job_of(expansion, cell, "select_defense").key);
}

TEST(Select, AVariantOfAnAblationIsChosenForUnlessItSetsWhatIsTried) {
  const Expansion expansion = expanded(
      one_cell("drfgd", "pgd",
               select_lr("ablations: [{name: a, variants: {v: {defense.use_div: false}, fixed: {defense.lr: "
                         "0.5}}}]\n")));
  std::map<std::string, PlannedCell> cells;
  for (const PlannedCell& cell : expansion.cells) cells.emplace(cell.cell.variant, cell);
  ASSERT_THAT(cells, SizeIs(7));
  EXPECT_THAT(roles_of(cells.at("a/fixed")), Contains("train_defense"));
  const PlannedJob select = job_of(expansion, cells.at("a/v"), "select_defense");
  EXPECT_EQ(input_of(select, "score_0001"),
            job_of(expansion, cells.at("rates/lr=0.2 of a/v"), "evaluate").key);
  EXPECT_EQ(select.job.config.at("select").at("candidates").at(0).at("config").at("use_div"), false);
}

TEST(Select, AValueThatSetsWhatIsTriedKeepsIt) {
  const Expansion expansion =
      expanded(one_cell("[drfgd, {name: drfgd, lr: 0.5, label: fixed}]", "pgd", select_lr()));
  const std::vector<PlannedCell> cells = measured_cells(expansion);
  EXPECT_THAT(roles_of(cells[0]), Contains("select_defense"));
  EXPECT_THAT(roles_of(cells[1]), Contains("train_defense"));
}

TEST(Select, TheWorkedExampleChoosesOncePerTargetModel) {
  const std::filesystem::path root(GAUNTLET_SOURCE_DIR);
  const Catalog catalog =
      Catalog::from_json(*parse_json(*read_file(root / "schemas/catalog.json"), "catalog.json")).value();
  const auto text = read_file(root / "sweeps/picto-select.yaml");
  ASSERT_TRUE(text);
  const ParsedSweep sweep = parse_sweep(*text, "picto-select.yaml", catalog);
  ASSERT_TRUE(sweep.spec) << testing::PrintToString(texts(sweep.problems));
  const auto expansion = expand(*sweep.spec, catalog, &fake_content_id);
  ASSERT_TRUE(expansion) << testing::PrintToString(texts(expansion.error()));
  std::map<std::string, std::set<JobKey>> selects;
  std::size_t n_candidates = 0;
  for (const PlannedCell& cell : expansion->cells) {
    if (!cell.cell.variant.empty()) ++n_candidates;
    if (cell.cell.variant.empty() && cell.cell.defense == "DRFGD, chosen")
      selects[cell.cell.model].insert(job_of(*expansion, cell, "select_defense").key);
  }
  EXPECT_THAT(selects, SizeIs(2));
  for (const auto& [model, keys] : selects) EXPECT_THAT(keys, SizeIs(2)) << "pictures and texts of " << model;
  EXPECT_EQ(n_candidates, 2U * 6 * 2 * 2) << "models, candidates, directions, attacks";
}

struct Mistake {
  std::string section;  ///< from line 12 on
  std::string problem;
};

TEST(Select, EveryMistakeIsNamedWithItsPlace) {
  const std::string by = "\n  by: {metric: map}";
  const std::vector<Mistake> mistakes = {
      {"select: 3", "12:9: select is '3'; allowed: a list"},
      {"select:\n- try: {defense.lr: [0.1, 0.2]}" + by, "13:3: a selection has no 'name'"},
      {"select:\n- name: a" + by, "13:3: selection 'a' has no 'try'"},
      {"select:\n- name: a\n  try: {defense.lr: [0.1, 0.2]}",
       "13:3: selection 'a' has no 'by', the metric that candidates are compared by"},
      {"select:\n- name: a\n  tri: {defense.lr: [0.1, 0.2]}\n  try: {defense.lr: [0.1, 0.2]}" + by,
       "14:3: unknown key of a selection 'tri'; did you mean 'try'?"},
      {"select:\n- name: a\n  try: {defense.lrr: [1, 2]}" + by,
       "14:23: unknown option 'defense.lrr'; did you mean 'defense.lr'?"},
      {"select:\n- name: a\n  try: {attack.steps: [1, 2]}" + by,
       "14:9: 'attack.steps' in try is not of the form kind.option; unknown kind 'attack'"},
      {"select:\n- name: a\n  try: {defense.lr: []}" + by, "14:21: 'defense.lr' in try is an empty list"},
      {"select:\n- name: a\n  try: {defense.lr: [1]}" + by,
       "14:8: selection 'a' tries 1 candidate; allowed: 2 to 256"},
      {"select:\n- name: a\n  try: {defense.lr: [1, 1.0]}" + by,
       "14:25: drfgd: 'lr' is tried with 1.0 twice"},
      {"select:\n- name: a\n  try: {defense.lr: [1, -3]}" + by, "14:25: drfgd: 'lr' is -3"},
      {"select:\n- name: a\n  try: {defense.lr: [0.1, 0.2], model.lr: [1, 2]}" + by,
       "14:33: selection 'a' tries options of defense and of model; make it two selections"},
      {"select:\n- name: a\n  try: {defense.n_train: [1, 2]}\n  match: {defense: [drfgd, saat]}\n  by: "
       "{metric: mapp}",
       "16:16: unknown metric 'mapp'; did you mean 'map'?"},
      {"select:\n- name: a\n  try: {defense.lr: [0.1, 0.2], defense.use_div: [true, false]}\n  match: "
       "{defense: "
       "[drfgd, saat]}" +
           by,
       "14:33: selection 'a' tries defense.use_div, which saat does not have; narrow its match"},
      {"select:\n- name: a\n  try: {defense.lr: [0.1, 0.2]}\n  by: {metric: [map, pr]}",
       "15:16: by of selection 'a' names 2 metrics; allowed: one"},
      {"select:\n- name: a\n  try: {defense.lr: [0.1, 0.2]}\n  by: {metric: t_map, attack: pgd}",
       "15:16: by of selection 'a': 't_map' needs a targeted attack, and 'pgd' has no target"},
      {"select:\n- name: a\n  try: {defense.lr: [0.1, 0.2]}\n  by: {attack: pdg, metric: map}",
       "15:16: unknown attack 'pdg'; did you mean 'pgd'?"},
      {"select:\n- name: a\n  try: {defense.lr: [0.1, 0.2]}\n  by: {metric: map, attack: {name: pgd, source: "
       "{seed: 3}}}",
       "15:29: a selection measures under attacks on what is measured, not under a transfer"},
      {"select:\n- name: a\n  try: {defense.lr: [0.1, 0.2]}\n  by: {metric: map, attacks: pgd}",
       "15:21: unknown key of by of selection 'a' 'attacks'; did you mean 'attack'?"},
      {"select:\n- name: a\n  try: {defense.lr: [0.1, 0.2]}\n  per: [attack]" + by,
       "15:9: unknown axis of per 'attack'"},
      {"select:\n- name: a\n  try: {defense.lr: [0.1, 0.2]}\n  by: {metric: map, seed: 1}\n  per: [seed]",
       "16:9: per names seed, and by says which is measured; one of them decides"},
      {"select:\n- name: a\n  try: {defense.lr: [0.1, 0.2]}\n  validation: {items: 0}" + by,
       "15:23: items of a validation split is '0'"},
      {"select:\n- name: a\n  try: {defense.lr: [0.1, 0.2]}\n  validation: {n: 5}" + by,
       "15:16: unknown key of validation 'n'"},
      {"select:\n- name: a\n  match: {defense: drfdg}\n  try: {defense.lr: [0.1, 0.2]}" + by,
       "14:20: unknown defense 'drfdg'; did you mean 'drfgd'?"},
      {"select:\n- &a\n  name: a\n  try: {defense.lr: [0.1, 0.2]}\n  by: {metric: map}\n- *a",
       "14:9: two selections are called 'a'"},
  };
  for (const Mistake& mistake : mistakes) {
    EXPECT_THAT(parse_problems(one_cell("drfgd", "pgd", mistake.section + "\n")),
                Contains(HasSubstr(mistake.problem)))
        << mistake.section;
  }
}

TEST(Select, TooManyCandidatesAreRefusedBeforeTheyAreMade) {
  std::string numbers = "1";
  for (int n = 2; n <= 100; ++n) numbers += fmt::format(", {}", n);
  EXPECT_THAT(
      parse_problems(one_cell("drfgd", "pgd",
                              fmt::format("select:\n- name: a\n  try: {{defense.lr: [{0}], defense.n_train: "
                                          "[{0}], defense.craft_steps: [{0}]}}\n  by: {{metric: map}}\n",
                                          numbers))),
      Contains("14:8: selection 'a' tries more than 256 candidates; allowed: 2 to 256"));
}

TEST(Select, WhatCannotBeMeasuredIsSaidOfTheSelection) {
  EXPECT_THAT(
      expand_problems(one_cell("drfgd", "none",
                               "select:\n- name: a\n  try: {defense.lr: [0.1, 0.2]}\n  by: {metric: map, "
                               "attack: eqb2a}\n",
                               "[i2t, t2i]")),
      ElementsAre("13:3: selection 'a' cannot measure its candidates: attack 'eqb2a' works on images "
                  "only, and t2i asks with texts (direction 't2i'); name another attack or direction "
                  "in by"));
}

TEST(Select, ASelectionForNoCellAndTwoForOneAreProblems) {
  EXPECT_THAT(
      expand_problems(one_cell("drfgd", "none",
                               "exclude: [{defense: drfgd}]\ninclude: [{defense: saat}]\n" + select_lr())),
      ElementsAre("15:3: selection 'rates' is for no cell of the sweep"));
  EXPECT_THAT(
      expand_problems(
          one_cell("drfgd", "none",
                   select_lr("- name: b\n  try: {defense.n_train: [10, 20]}\n  by: {metric: map}\n"))),
      ElementsAre("18:3: selections 'rates' and 'b' are both for cells of defense 'drfgd'; narrow their "
                  "match"));
}

TEST(Select, IsRefusedWhereThereAreNoCells) {
  EXPECT_THAT(parse_problems("gauntlet: 1\nname: n\nnoop: {jobs: 1}\nselect: []\n"),
              ElementsAre("4:1: 'select' does not go with 'noop', which has no cells"));
}

}  // namespace
}  // namespace gauntlet::spec
