// From sweep to cells and jobs: precedence, keys, sharing, refusals.

#include "tests/spec/sweeps.hpp"

namespace gauntlet::spec {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::SizeIs;

Json config_of(const Expansion& expansion, std::string_view role, std::size_t cell = 0) {
  return job_of(expansion, expansion.cells[cell], role).job.config;
}

std::vector<std::string> roles_of(const JobSpec& job) {
  std::vector<std::string> roles;
  for (const JobInput& input : job.inputs) roles.push_back(input.role);
  return roles;
}

TEST(Precedence, EachLevelWinsOverTheOnesBelow) {
  const std::string base =
      "gauntlet: 1\nname: p\naxes:\n  dataset: [{}]\n  model: [{}]\n  bits: 32\n  direction: i2t\nmetrics: "
      "map\n{}";
  const auto epochs = [&](std::string_view dataset, std::string_view model, std::string_view more) {
    const Expansion expansion = expanded(fmt::format(fmt::runtime(base), dataset, model, more));
    return config_of(expansion, "train_model", expansion.cells.size() - 1).at("model").at("epochs");
  };
  const std::string_view set =
      "settings:\n- set: {model.epochs: 40}\n- match: {model: cpah}\n  set: {model.epochs: 41}\n";
  EXPECT_EQ(epochs("picto_scenes", "cpah", ""), 20) << "the entry's default";
  EXPECT_EQ(epochs("mscoco", "cpah", ""), 30) << "the dataset's default for the entry";
  EXPECT_EQ(epochs("mscoco", "cpah", set), 41) << "settings, the later one";
  EXPECT_EQ(epochs("mscoco", "{name: cpah, epochs: 50}", set), 50) << "the axis value's options";
  const std::string ablation =
      std::string(set) + "ablations: [{name: a, variants: {v: {model.epochs: 60}}}]\n";
  EXPECT_EQ(epochs("mscoco", "{name: cpah, epochs: 50}", ablation), 60) << "the ablation's variant";
}

TEST(Precedence, ASettingAppliesWhereItMatchesAlone) {
  std::string text = one_cell("[none, drfgd, saat]", "none",
                              "settings: [{match: {defense: drfgd}, set: {defense.lr: 1/2}}]\n");
  const Expansion expansion = expanded(text);
  ASSERT_THAT(expansion.cells, SizeIs(3));
  EXPECT_EQ(config_of(expansion, "train_defense", 1).at("defense").at("lr"), 0.5);
  EXPECT_EQ(config_of(expansion, "train_defense", 2).at("defense").at("lr"), 1e-3);
}

TEST(Precedence, TheProtocolComesFromSettingsValueAndVariant) {
  const auto protocol = [](std::string_view attack, std::string_view more) {
    const Expansion expansion = expanded(one_cell("drfgd", attack, more));
    return expansion.cells[expansion.cells.size() - 1].cell.protocol;
  };
  const std::string_view set = "settings: [{set: {attack.protocol: adaptive}}]\n";
  EXPECT_EQ(protocol("none", set), "none");
  EXPECT_EQ(protocol("pgd", ""), "static");
  EXPECT_EQ(protocol("pgd", set), "adaptive");
  EXPECT_EQ(protocol("{name: pgd, protocol: static}", set), "static");
  EXPECT_EQ(protocol("pgd", "ablations: [{name: a, variants: {v: {attack.protocol: adaptive}}}]\n"),
            "adaptive");
}

TEST(Graph, AnUndefendedCleanCellNeedsFiveJobs) {
  const Expansion expansion = expanded(one_cell());
  ASSERT_THAT(expansion.cells, SizeIs(1));
  ASSERT_THAT(expansion.jobs, SizeIs(5));
  const PlannedJob evaluate = job_of(expansion, expansion.cells[0], "evaluate");
  EXPECT_EQ(evaluate.job.config,
            (Json{{"metrics", {"map"}}, {"direction", "i2t"}, {"versions", {{"map", 1}}}}));
  EXPECT_THAT(roles_of(evaluate.job), ElementsAre("data", "query_codes", "retrieval_codes"));
  EXPECT_EQ(
      config_of(expansion, "encode_query"),
      (Json{{"defense", Json::object()}, {"modality", "image"}, {"part", "query"}, {"source", "clean"}}));
  EXPECT_EQ(config_of(expansion, "encode_retrieval").at("modality"), "text");
}

TEST(Graph, AStaticAttackIgnoresTheDefense) {
  const Expansion expansion = expanded(one_cell("[none, drfgd]", "pgd"));
  ASSERT_THAT(expansion.cells, SizeIs(2));
  const PlannedJob craft = job_of(expansion, expansion.cells[0], "craft");
  EXPECT_EQ(craft.key, job_of(expansion, expansion.cells[1], "craft").key);
  EXPECT_THAT(roles_of(craft.job), ElementsAre("codes_image", "codes_text", "data", "model"));
  EXPECT_EQ(craft.job.config.at("protocol"), "static");
  EXPECT_TRUE(craft.job.config.at("defense").is_null());
}

TEST(Graph, AnAdaptiveAttackGoesThroughTheDefense) {
  const Expansion expansion = expanded(one_cell("drfgd", "{name: pgd, protocol: adaptive}"));
  const PlannedJob craft = job_of(expansion, expansion.cells[0], "craft");
  EXPECT_THAT(roles_of(craft.job), ElementsAre("codes_image", "codes_text", "data", "defense", "model"));
  EXPECT_EQ(craft.job.config.at("defense").at("name"), "drfgd");
  EXPECT_EQ(craft.job.config.at("defense").at("version"), 3);
  EXPECT_EQ(craft.job.config.at("defense").at("config").at("use_div"), true);
}

TEST(Graph, ADefenseCraftsItsTrainingSetByItsOwnFields) {
  const Expansion expansion =
      expanded(one_cell("{name: drfgd, craft_steps: 3, craft_epsilon_image: 4/255, n_train: 500}"));
  const Json& config = config_of(expansion, "craft_train");
  EXPECT_EQ(config.at("attack").at("steps"), 3);
  EXPECT_DOUBLE_EQ(config.at("attack").at("epsilon_image"), 4.0 / 255);
  EXPECT_EQ(config.at("attack").at("epsilon_text"), 0.05);
  EXPECT_EQ(config.at("limit"), 500);
  EXPECT_EQ(config.at("part"), "train");
  const PlannedJob trained = job_of(expansion, expansion.cells[0], "train_defense");
  EXPECT_THAT(roles_of(trained.job), ElementsAre("codes_image", "codes_text", "crafted", "data", "model"));
}

TEST(Graph, ACraftFieldThatItsAttackRefusesIsAProblem) {
  EXPECT_THAT(expand_problems(one_cell("{name: drfgd, craft_epsilon_image: 2}")),
              ElementsAre("7:12: defense 'drfgd' trains on inputs crafted by pgd, but 'epsilon_image' is "
                          "2.0; allowed: a number "
                          "from 0 to 1 (set by its field craft_…)"));
}

TEST(Graph, ALearnedAttackIsTrainedAndATargetedOneEvaluatedByItsTargets) {
  const Expansion expansion = expanded(one_cell("none", "ta_dch"));
  EXPECT_THAT(roles_of(job_of(expansion, expansion.cells[0], "craft").job),
              ElementsAre("attack", "codes_image", "codes_text", "data", "model"));
  EXPECT_THAT(roles_of(job_of(expansion, expansion.cells[0], "evaluate").job),
              ElementsAre("crafted", "data", "query_codes", "retrieval_codes"));
  EXPECT_THAT(std::vector(expansion.cells[0].metrics.begin(), expansion.cells[0].metrics.end()),
              ElementsAre("map", "t_map"));
}

TEST(Graph, AMetricThatDoesNotApplyIsLeftOut) {
  const Expansion expansion = expanded(one_cell("none", "pgd"));
  EXPECT_THAT(std::vector(expansion.cells[0].metrics.begin(), expansion.cells[0].metrics.end()),
              ElementsAre("map"));
}

TEST(Graph, ADefenseThatReplacesTheModelEncodesTheRetrievalSetAgain) {
  const Expansion expansion = expanded(one_cell("[atrdh, saat, drfgd]"));
  const auto retrieval = [&](std::size_t cell) {
    return job_of(expansion, expansion.cells[cell], "encode_retrieval");
  };
  EXPECT_EQ(retrieval(0).job.entry, "atrdh");
  EXPECT_EQ(*retrieval(0).job.find_input("defense"),
            (JobInput{"defense", job_of(expansion, expansion.cells[0], "train_defense").key}))
      << "branches trained together";
  EXPECT_EQ(*retrieval(1).job.find_input("defense"),
            (JobInput{"defense", job_of(expansion, expansion.cells[1], "train_defense_retrieval").key}));
  for (const CellJob& part : expansion.cells[2].jobs)
    EXPECT_NE(part.role, "encode_retrieval") << "the bare model's codes already play codes_text";
  EXPECT_EQ(*job_of(expansion, expansion.cells[2], "evaluate").job.find_input("retrieval_codes"),
            (JobInput{"retrieval_codes", job_of(expansion, expansion.cells[2], "codes_text").key}));
}

TEST(Graph, ADatasetsIdentityIsAskedOncePerDistinctConfig) {
  int n_asked = 0;
  const auto count = [&](std::string_view, const Json&, const Json&) -> Result<std::string> {
    ++n_asked;
    return std::string("id");
  };
  std::string text = one_cell("[none, drfgd]", "[none, pgd]");
  text.replace(text.find("dataset: picto_scenes"), 21,
               "dataset: [picto_scenes, {name: picto_scenes, label: same, image_px: 48}, {name: "
               "picto_scenes, label: big, image_px: 96}]");
  ASSERT_TRUE(expand(parsed(text), test_catalog(), count));
  EXPECT_EQ(n_asked, 2);
}

TEST(Graph, ASourceWithoutAnIdentityIsAProblemAtItsValue) {
  std::string text = one_cell();
  text.replace(text.find("picto_scenes"), 12, "{name: mscoco, root: missing}");
  EXPECT_THAT(expand_problems(text), ElementsAre("4:12: dataset 'mscoco': there is no folder 'missing'"));
}

TEST(Refusals, ASweepWithoutCellsIsRefused) {
  EXPECT_THAT(
      expand_problems(one_cell("none", "none", "exclude: [{defense: none}]\n")),
      ElementsAre(
          "4:3: the sweep has no cells: `when` and `exclude` remove all of them, or no metric applies"));
  EXPECT_THAT(expand_problems(one_cell(
                  "drfgd", "none",
                  "exclude: [{defense: saat}]\nablations: [{name: a, base: {defense: saat}, variants: {v: "
                  "{defense.lr: 0.5}}}]\n")),
              ElementsAre("13:13: ablation 'a' has no base row left by `when` and `exclude`"));
}

TEST(Refusals, TheExcludeLineThatIsShownRemovesTheProblem) {
  const std::string text = one_cell("none", "[none, eqb2a]", "", "[i2t, t2i]");
  EXPECT_THAT(expand_problems(text),
              ElementsAre("8:18: attack 'eqb2a' works on images only, and t2i asks with texts (direction "
                          "'t2i'); add to exclude: {attack: eqb2a, direction: t2i}"));
  EXPECT_THAT(expand_problems(text + "exclude:\n- {attack: eqb2a, direction: t2i}\n"), IsEmpty());
}

TEST(Sharing, AddingAValueToAnAxisOnlyAddsJobs) {
  const auto before = keys_of(expanded(one_cell("[none, drfgd]", "[none, pgd]")));
  for (const std::string& wider :
       {one_cell("[none, drfgd, saat]", "[none, pgd]"), one_cell("[none, drfgd]", "[none, pgd, ta_dch]"),
        one_cell("[none, drfgd]", "[none, pgd]", "", "[i2t, t2i]")}) {
    const auto after = keys_of(expanded(wider));
    EXPECT_THAT(after, IsSupersetOf(before));
    EXPECT_GT(after.size(), before.size());
  }
}

TEST(Sharing, AnAblationSharesEverythingAboveWhatItChanges) {
  const std::string more =
      "ablations: [{name: a, base: {defense: drfgd, attack: pgd}, variants: {v: {defense.use_div: "
      "false}}}]\n";
  const Expansion plain = expanded(one_cell("drfgd", "pgd"));
  const Expansion ablated = expanded(one_cell("drfgd", "pgd", more));
  ASSERT_THAT(ablated.cells, SizeIs(2));
  EXPECT_EQ(ablated.cells[1].cell.variant, "a/v");
  EXPECT_EQ(ablated.jobs.size(), plain.jobs.size() + 3) << "train_defense, encode, evaluate";
  for (const std::string_view role : {"prepare", "train_model", "craft", "craft_train"}) {
    EXPECT_EQ(job_of(ablated, ablated.cells[0], role).key, job_of(ablated, ablated.cells[1], role).key)
        << role;
  }
  EXPECT_NE(job_of(ablated, ablated.cells[0], "train_defense").key,
            job_of(ablated, ablated.cells[1], "train_defense").key);
}

TEST(Sharing, AnAblationsBaseOutsideTheAxesIsRunToo) {
  const Expansion expansion = expanded(
      one_cell("none", "none",
               "ablations: [{name: a, base: {defense: drfgd}, variants: {v: {defense.use_div: false}}}]\n"));
  ASSERT_THAT(expansion.cells, SizeIs(3));
  EXPECT_EQ(expansion.cells[1].cell.defense, "drfgd");
  EXPECT_EQ(expansion.cells[1].cell.variant, "");
}

TEST(Sharing, ACellThatIncludeRepeatsIsThereOnce) {
  EXPECT_THAT(expanded(one_cell("none", "none", "include: [{bits: 32}, {bits: [32, 16]}]\n")).cells,
              SizeIs(2));
}

TEST(Sharing, ALabelInIncludeMeansTheValueOfTheAxes) {
  const Expansion expansion = expanded(one_cell("none", "[none, {name: pgd, label: PGD-3, steps: 3}]",
                                                "include: [{bits: 16, attack: [PGD-3, pgd]}]\n"));
  ASSERT_THAT(expansion.cells, SizeIs(4));
  EXPECT_EQ(config_of(expansion, "craft", 2).at("attack").at("steps"), 3);
  EXPECT_EQ(config_of(expansion, "craft", 3).at("attack").at("steps"), 10);
}

TEST(Noop, GivesTheJobsAskedForAndNoCells) {
  const Expansion expansion = expanded("gauntlet: 1\nname: n\nnoop: {jobs: 1000, ms: 3}\n");
  EXPECT_THAT(expansion.cells, IsEmpty());
  ASSERT_THAT(expansion.jobs, SizeIs(1000));
  EXPECT_EQ(keys_of(expansion).size(), 1000U);
  EXPECT_EQ(expansion.jobs[7].job.config, (Json{{"index", 7}, {"ms", 3}}));
  EXPECT_EQ(expansion.jobs[7].key, key_of(expansion.jobs[7].job).value());
  EXPECT_EQ(expansion.jobs[7].job.resources.cpus, 0);
}

TEST(Metrics, OfAnExpansionOutliveIt) {
  std::optional<Expansion> original = expanded(one_cell());
  const Expansion copy = *original;
  original.reset();
  EXPECT_EQ(copy.cells[0].metrics.front(), "map");
}

/// Keys by role of the only attacked, defended cell of a sweep.
std::map<std::string, JobKey> keys_by_role(const std::string& text) {
  const Expansion expansion = expanded(text);
  std::map<std::string, JobKey> keys;
  for (const CellJob& part : expansion.cells[expansion.cells.size() - 1].jobs)
    keys[std::string(part.role)] = expansion.jobs[part.job].key;
  return keys;
}

struct KeyChange {
  std::string from, to;
  std::set<std::string> roles;  ///< whose keys change
};

TEST(Keys, ChangeWithWhatTheyDependOnAndWithNothingElse) {
  const std::string base = one_cell("{name: drfgd}", "{name: pgd}", "resources: {craft: {cpus: 2}}\n");
  const std::set<std::string> all = {"prepare", "train_model",   "codes_image",  "codes_text", "craft_train",
                                     "craft",   "train_defense", "encode_query", "evaluate"};
  std::set<std::string> below_data = all;
  below_data.erase("prepare");
  const std::set<std::string> after_defense = {"train_defense", "encode_query", "evaluate"};
  const std::vector<KeyChange> changes = {
      {"picto_scenes", "{name: picto_scenes, image_px: 64}", all},
      {"model: cpah", "model: {name: cpah, lr: 0.5}", below_data},
      {"bits: 32", "bits: 64", below_data},
      {"seed: 1", "seed: 2", below_data},
      {"{name: pgd}", "{name: pgd, steps: 11}", {"craft", "encode_query", "evaluate"}},
      {"{name: pgd}", "{name: pgd, protocol: adaptive}", {"craft", "encode_query", "evaluate"}},
      {"{name: drfgd}", "{name: drfgd, use_div: false}", after_defense},
      {"{name: drfgd}",
       "{name: drfgd, craft_steps: 6}",
       {"craft_train", "train_defense", "encode_query", "evaluate"}},
      {"[map, t_map]", "[map, pr]", {"evaluate"}},
      // Not in any key: labels, resources, names, options that only write down a default, order.
      {"{name: drfgd}", "{name: drfgd, label: ours}", {}},
      {"cpus: 2", "cpus: 7", {}},
      {"name: one", "name: two", {}},
      {"{name: pgd}", "{name: pgd, steps: 10, epsilon_image: 8/255}", {}},
      {"picto_scenes", "{name: picto_scenes, image_px: 48, preset: quick}", {}},
      {"[map, t_map]", "[t_map, map/expected]", {}},
  };
  const auto before = keys_by_role(base);
  std::set<std::string> roles;
  for (const auto& [role, key] : before) roles.insert(role);
  ASSERT_EQ(roles, all);
  for (const KeyChange& change : changes) {
    std::string text = base;
    text.replace(text.find(change.from), change.from.size(), change.to);
    const auto after = keys_by_role(text);
    std::set<std::string> changed;
    for (const auto& [role, key] : before) {
      if (after.at(role) != key) changed.insert(role);
    }
    EXPECT_EQ(changed, change.roles) << change.from << " -> " << change.to;
  }
}

TEST(Keys, TellThePrecisionOfTheEntryThatWorks) {
  Json document = *parse_json(*read_file(kGoldenFolder / "catalog.json"), "catalog.json");
  ASSERT_EQ(document["defenses"][1]["name"], "drfgd");
  document["defenses"][1]["fields"].push_back({{"name", "precision"},
                                               {"type", "text"},
                                               {"default", "fp32"},
                                               {"doc", "Arithmetic."},
                                               {"choices", {"fp32", "tf32", "bf16"}}});
  const auto catalog = Catalog::from_json(document);
  ASSERT_TRUE(catalog) << catalog.error().message;
  const auto expansion_of = [&](std::string_view defense) {
    const ParsedSweep sweep = parse_sweep(one_cell(defense, "pgd"), "test.yaml", *catalog);
    EXPECT_THAT(texts(sweep.problems), IsEmpty());
    return *expand(*sweep.spec, *catalog, &fake_content_id);
  };
  const Expansion full = expansion_of("drfgd"), low = expansion_of("{name: drfgd, precision: bf16}");
  for (const CellJob& part : low.cells[0].jobs) {
    const PlannedJob& planned = low.jobs[part.job];
    const bool is_of_defense = part.role == "train_defense" || part.role == "encode_query";
    EXPECT_EQ(canonical_form(planned.job).at("precision"), is_of_defense ? "bf16" : "fp32") << part.role;
    EXPECT_EQ(planned.key, key_of(planned.job).value()) << part.role;
    const bool is_after = is_of_defense || part.role == "evaluate";
    EXPECT_EQ(planned.key != job_of(full, full.cells[0], part.role).key, is_after) << part.role;
  }
}

TEST(Keys, DependOnTheVersionsOfEntries) {
  const auto text = read_file(kGoldenFolder / "catalog.json");
  Json document = *parse_json(*text, "catalog.json");
  for (const auto& [kind, index] : std::vector<std::pair<std::string, std::size_t>>{
           {"datasets", 0}, {"models", 0}, {"attacks", 1}, {"defenses", 1}, {"metrics", 0}}) {
    Json newer = document;
    newer[kind][index]["version"] = 9;
    const auto catalog = Catalog::from_json(newer);
    ASSERT_TRUE(catalog);
    const Expansion before = expanded(one_cell("drfgd", "pgd"));
    const Expansion after = expanded(one_cell("drfgd", "pgd"), *catalog);
    EXPECT_NE(job_of(before, before.cells[0], "evaluate").key, job_of(after, after.cells[0], "evaluate").key)
        << kind;
  }
}

TEST(Keys, DoNotDependOnWhereThingsAre) {
  const auto sweep = [](std::string_view root) {
    std::string text = one_cell();
    return text.replace(text.find("picto_scenes"), 12, fmt::format("{{name: flickr25k, root: {}}}", root));
  };
  const Expansion here = expanded(sweep("here"));
  const Expansion there = expanded(sweep("there"));
  EXPECT_EQ(keys_of(here), keys_of(there));
  EXPECT_EQ(job_of(there, there.cells[0], "prepare").job.locations, (Json{{"root", "there"}}));
}

TEST(Expand, TwentyThousandCellsHaveUniqueJobs) {
  std::string seeds = "[0";
  for (int seed = 1; seed < 5'000; ++seed) seeds += fmt::format(",{}", seed);
  std::string text = one_cell("[none, drfgd]", "[none, pgd]");
  text.replace(text.find("seed: 1"), 7, "seed: " + seeds + "]");
  const Expansion expansion = expanded(text);
  EXPECT_THAT(expansion.cells, SizeIs(20'000));
  EXPECT_EQ(keys_of(expansion).size(), expansion.jobs.size());
  for (std::size_t index = 0; index < expansion.jobs.size(); index += 97) {
    const PlannedJob planned = expansion.jobs[index];
    EXPECT_EQ(expansion.jobs.canonical(index), canonical_text(planned.job).value());
    EXPECT_EQ(planned.key, key_of(planned.job).value()) << planned.job.title;
  }
}

}  // namespace
}  // namespace gauntlet::spec
