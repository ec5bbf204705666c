// Descriptors of external entries, and what they become in a sweep.
#include "core/spec/external.hpp"

#include <fstream>

#include "tests/spec/sweeps.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::spec {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Descriptors : public testing::Test {
 protected:
  fs::path write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }
  std::shared_ptr<const ExternalEntry> read(const std::string& name, const std::string& text) {
    auto entry = read_external(write(name, text));
    EXPECT_TRUE(entry) << entry.error().message;
    return entry ? *entry : nullptr;
  }
  std::string refusal(const std::string& text) {
    const auto entry = read_external(write("bad.yaml", text));
    return entry ? "" : entry.error().message;
  }
  Catalog catalog(const std::vector<std::shared_ptr<const ExternalEntry>>& entries) {
    auto all = with_external(test_catalog(), entries);
    EXPECT_TRUE(all) << all.error().message;
    return *all;
  }
  std::shared_ptr<const ExternalEntry> attack(const std::string& more = "") {
    return read(
        "attack.yaml",
        "gauntlet_external: 1\nkind: attack\nname: blend\ncommand: [python3, a.py]\ninputs: [inputs, codes]\n"
        "outputs: [inputs.npy]\nfields:\n  epsilon: {type: real, default: 8/255, min: 0, max: 1}\n"
        "capabilities: {text: false}\nbudget: {linf: epsilon}\n" +
            more);
  }
  std::shared_ptr<const ExternalEntry> defense(const std::string& more = "") {
    return read(
        "defense.yaml",
        "gauntlet_external: 1\nkind: defense\nname: clean_up\ncommand: [python3, d.py]\ninputs: [inputs]\n"
        "outputs: [inputs.npy]\n" +
            more);
  }
  std::shared_ptr<const ExternalEntry> model() {
    return read(
        "model.yaml",
        "gauntlet_external: 1\nkind: model\nname: mine\ncommand: [python3, m.py]\ntrain: [python3, t.py]\n"
        "train_inputs: [train]\ncheckpoint: [m.safetensors]\ninputs: [inputs]\noutputs: [codes.npy]\n");
  }
  std::shared_ptr<const ExternalEntry> metric() {
    return read("metric.yaml",
                "gauntlet_external: 1\nkind: metric\nname: my_rank\ncommand: [python3, r.py]\ninputs: "
                "[codes, labels]\n"
                "outputs: [rows.json]\nunit: count\nhigher_is_better: false\n");
  }
  static std::vector<std::string> problems(const std::string& text, const Catalog& catalog) {
    ParsedSweep sweep = parse_sweep(text, "test.yaml", catalog);
    if (!sweep.problems.empty()) return texts(sweep.problems);
    const auto expansion = expand(*sweep.spec, catalog, &fake_content_id);
    return expansion ? std::vector<std::string>() : texts(expansion.error());
  }
  static Expansion expanded_with(const std::string& text, const Catalog& catalog) {
    ParsedSweep sweep = parse_sweep(text, "test.yaml", catalog);
    EXPECT_THAT(texts(sweep.problems), IsEmpty());
    auto expansion = expand(*sweep.spec, catalog, &fake_content_id);
    if (!expansion) ADD_FAILURE() << testing::PrintToString(texts(expansion.error()));
    return expansion ? std::move(*expansion) : Expansion();
  }

  testing_support::TempFolder folder_;
};

TEST_F(Descriptors, GivenInputsAreAnAttackWithoutACommand) {
  const std::string head =
      "gauntlet_external: 1\nkind: attack\nname: sent\nsummary: one sentence\nreference: Lab B\n";
  write("inputs.npy", "bytes");
  const auto entry = read("given.yaml", head + "given: {inputs: inputs.npy}\ncapabilities: {text: false}\n" +
                                            "budget: {linf: 8/255, grid: 255}\n");
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->given, "inputs.npy");
  EXPECT_THAT(entry->files, ElementsAre("inputs.npy"));
  EXPECT_THAT(entry->command, IsEmpty());
  const std::string hash = entry->hash;
  write("inputs.npy", "other bytes");
  EXPECT_NE(read_external(folder_ / "given.yaml").value()->hash, hash)
      << "the inputs are part of the version";

  const std::string wrong = refusal(head + "given: {inputs: ../inputs.npy, item: x}\ncommand: [sh]\n");
  EXPECT_THAT(wrong, AllOf(HasSubstr("bad.yaml:6:17: given: inputs names '../inputs.npy'"),
                           HasSubstr("unknown key of given 'item'; did you mean 'items'?"),
                           HasSubstr("bad.yaml:7:10: 'command' does not go with 'given'")));
  EXPECT_THAT(wrong, AllOf(HasSubstr("either pictures or texts"), HasSubstr("need a 'budget'")));
  EXPECT_THAT(refusal("gauntlet_external: 1\nkind: defense\nname: d\ngiven: {inputs: i.npy}\n"),
              HasSubstr("'given' belongs to attacks"));
}

TEST_F(Descriptors, ACraftJobOfGivenInputsTellsWhoMadeThemAndTheirBudget) {
  write("inputs.npy", "bytes");
  const auto entry =
      read("given.yaml",
           "gauntlet_external: 1\nkind: attack\nname: sent\nsummary: one sentence\nreference: Lab B\n"
           "given: {inputs: inputs.npy}\ncapabilities: {text: false}\nbudget: {linf: 0.5}\n");
  const Expansion expansion = expanded_with(one_cell("none", "sent"), catalog({entry}));
  bool found = false;
  for (const PlannedJob planned : expansion.jobs) {
    if (planned.job.kind != JobKind::kCommand) continue;
    found = true;
    EXPECT_EQ(planned.job.config["given"],
              (Json{{"summary", "one sentence"}, {"reference", "Lab B"}, {"budget", {{"linf", 0.5}}}}));
  }
  EXPECT_TRUE(found);
}

TEST_F(Descriptors, AnAttackOnTheDatabaseIsGivenItsItemsAndNoQueries) {
  const Expansion expansion =
      expanded_with(one_cell("none", "{name: blend, sides: database, database_fraction: 1/4}", "", "t2i"),
                    catalog({attack()}));
  const PlannedCell cell = expansion.cells[0];
  const PlannedJob craft = job_of(expansion, cell, "craft_database");
  EXPECT_EQ(craft.job.kind, JobKind::kCommand);
  EXPECT_EQ(craft.job.config.at("part"), "retrieval");
  EXPECT_EQ(craft.job.config.at("modality"), "image");  // texts ask
  EXPECT_EQ(craft.job.config.at("database_fraction"), 0.25);
  EXPECT_EQ(job_of(expansion, cell, "encode_retrieval").job.find_input("crafted")->key, craft.key);
  EXPECT_EQ(job_of(expansion, cell, "encode_query").job.config.at("source"), "clean");
}

TEST_F(Descriptors, TheVersionIsTheHashOfTheFiles) {
  write("a.py", "print(1)");
  const auto one = to_catalog_entry(attack("files: [a.py]\n"));
  EXPECT_EQ(to_catalog_entry(attack("files: [a.py]\n")).version, one.version);
  write("a.py", "print(2)");
  EXPECT_NE(to_catalog_entry(attack("files: [a.py]\n")).version, one.version);
  write("a.py", "print(1)");
  EXPECT_NE(to_catalog_entry(attack("files: [a.py]\n# another text\n")).version, one.version);
  EXPECT_LT(one.version, std::int64_t{1} << 48);
  EXPECT_EQ(one.fields.front().default_value, 8.0 / 255);
}

TEST_F(Descriptors, EveryMistakeIsShownWithItsPlace) {
  EXPECT_THAT(
      refusal("gauntlet_external: 1\nkind: attack\nname: Blend\ncommand: python3 a.py\noutputs: "
              "[codes.npy]\ninpust: x\n"
              "fields: {epsilon: {type: number, default: 1}, k: {type: integer, default: 9, max: 3}}\n"
              "capabilities: {trains: true}\nbudget: {linf: delta}\nlimits: {time: soon}\n"),
      AllOf(HasSubstr("bad.yaml:3:7: name is 'Blend'"),
            HasSubstr("bad.yaml:4:10: command is 'python3 a.py'; allowed: a list"),
            HasSubstr("5:10: outputs do not name 'inputs.npy'"), HasSubstr("6:1: unknown key"),
            HasSubstr("did you mean 'inputs'"), HasSubstr("needs a type; allowed: bool, integer, real, text"),
            HasSubstr("'k' is 9; allowed: an integer of at most 3"), HasSubstr("'trains'"),
            HasSubstr("budget: linf is 'delta'"), HasSubstr("limits: time is 'soon'")));
  EXPECT_THAT(refusal("gauntlet_external: 1\nkind: attak\nname: a\n"), HasSubstr("did you mean 'attack'"));
  EXPECT_THAT(refusal("- 1\n"), HasSubstr("a descriptor is a list"));
  EXPECT_THAT(refusal("kind: [\n"), HasSubstr("bad.yaml:"));
}

TEST_F(Descriptors, FilesStayInTheirFolder) {
  const std::string head =
      "gauntlet_external: 1\nkind: defense\nname: d\ncommand: [a]\noutputs: [inputs.npy]\nfiles: ";
  EXPECT_THAT(refusal(head + "[../a.py]"), HasSubstr("allowed: files in the descriptor's own folder"));
  EXPECT_THAT(refusal(head + "[/etc/passwd]"), HasSubstr("allowed: files in the descriptor's own folder"));
  EXPECT_THAT(refusal(head + "[x/../../a.py]"), HasSubstr("allowed: files in the descriptor's own folder"));
  EXPECT_THAT(refusal(head + "[outputs/a.py]"), HasSubstr("are made for the command"));
  EXPECT_THAT(refusal(head + "[missing.py]"), HasSubstr("missing.py, which does not exist"));
  fs::create_symlink("/etc/passwd", folder_ / "link.py");
  EXPECT_THAT(refusal(head + "[link.py]"), HasSubstr("is no ordinary file"));
  EXPECT_THAT(
      refusal("gauntlet_external: 1\nkind: defense\nname: d\ncommand: [a]\noutputs: [../inputs.npy]\n"),
      HasSubstr("plain file names"));
}

TEST_F(Descriptors, NamesAreTakenOnce) {
  EXPECT_THAT(with_external(test_catalog(), {attack(), attack()}).error().message,
              HasSubstr("attack 'blend' is in the catalog"));
  const auto taken = read(
      "pgd.yaml", "gauntlet_external: 1\nkind: attack\nname: pgd\ncommand: [a]\noutputs: [inputs.npy]\n");
  EXPECT_THAT(with_external(test_catalog(), {taken}).error().message, HasSubstr("'pgd'"));
}

TEST_F(Descriptors, SweepsNameThemByPath) {
  EXPECT_THAT(external_paths("gauntlet: 1\nexternal: [a.yaml, b]\n"), ElementsAre("a.yaml", "b"));
  EXPECT_THAT(external_paths("external: a.yaml"), ElementsAre("a.yaml"));
  EXPECT_THAT(external_paths("name: external"), IsEmpty());
  EXPECT_THAT(external_paths("external: ["), IsEmpty());
}

TEST_F(Descriptors, AreUsedLikeBuiltInEntries) {
  const Catalog all = catalog({attack(), defense("train: [a]\ncheckpoint: [w.npy]\n")});
  const Expansion expansion = expanded_with(one_cell("clean_up", "blend"), all);
  ASSERT_EQ(expansion.cells.size(), 1U);
  const PlannedCell cell = expansion.cells[0];
  const PlannedJob craft = job_of(expansion, cell, "craft");
  EXPECT_EQ(craft.job.kind, JobKind::kCommand);
  EXPECT_EQ(craft.job.entry, "blend");
  EXPECT_EQ(craft.job.config["does"], "craft");
  EXPECT_EQ(craft.job.config["attack"]["epsilon"], 8.0 / 255);
  EXPECT_EQ(craft.job.locations["descriptor"], (folder_ / "attack.yaml").string());
  EXPECT_EQ(craft.job.find_input("model"), nullptr);
  ASSERT_NE(craft.job.find_input("codes_image"), nullptr);
  EXPECT_EQ(craft.job.find_input("codes_image")->key, job_of(expansion, cell, "codes_image").key);
  EXPECT_EQ(key_of(craft.job).value(), craft.key);
  const PlannedJob train = job_of(expansion, cell, "train_defense");
  const PlannedJob purify = job_of(expansion, cell, "purify");
  EXPECT_EQ(train.job.config["does"], "train");
  EXPECT_EQ(purify.job.config["source"], "crafted");
  EXPECT_EQ(purify.job.find_input("defense")->key, train.key);
  EXPECT_EQ(purify.job.find_input("crafted")->key, craft.key);
  const PlannedJob query = job_of(expansion, cell, "encode_query");
  EXPECT_EQ(query.job.kind, JobKind::kEncode);
  EXPECT_EQ(query.job.entry, "none");
  EXPECT_EQ(query.job.find_input("crafted")->key, purify.key);
}

TEST_F(Descriptors, ARandomDefenseIsMeasuredOverDrawsOfItsOwn) {
  const Expansion still =
      expanded_with(one_cell("clean_up", "[none, blend]"), catalog({attack(), defense()}));
  const Expansion drawn =
      expanded_with(one_cell("clean_up", "[none, blend]"), catalog({attack(), defense("random: true\n")}));
  ASSERT_EQ(drawn.cells.size(), 2U);
  for (std::size_t at = 0; at < 2; ++at) {  // clean queries as well
    const PlannedCell cell = drawn.cells[at];
    std::set<std::int64_t> draws;
    std::set<JobKey> codes = {job_of(drawn, cell, "encode_query").key};
    for (const CellJob& part : cell.jobs) {
      const JobSpec job = drawn.jobs[part.job].job;
      if (part.role == "purify") draws.insert(job.config.value("draw", 0));
      if (part.role == "encode_draw") codes.insert(drawn.jobs[part.job].key);
    }
    EXPECT_EQ(draws.size(), 20U);
    EXPECT_EQ(*draws.begin(), 0);  // the first has the key it always had
    EXPECT_EQ(codes.size(), 20U);
    const JobSpec evaluate = job_of(drawn, cell, "evaluate").job;
    EXPECT_EQ(evaluate.config["draws"], (Json{{"reported", 20}, {"resubmitted", 10}}));
    EXPECT_NE(evaluate.find_input("worst_of_018"), nullptr);
    EXPECT_EQ(evaluate.find_input("worst_of_019"), nullptr);
    EXPECT_FALSE(job_of(still, still.cells[at], "evaluate").job.config.contains("draws"));
  }
}

TEST_F(Descriptors, BuiltInJobsKeepTheirKeys) {
  const Expansion plain = expanded(one_cell());
  const Expansion with = expanded_with(one_cell("none", "[none, blend]"), catalog({attack()}));
  const std::set<JobKey> keys = keys_of(with);
  for (const JobKey& key : keys_of(plain)) EXPECT_TRUE(keys.contains(key));
}

TEST_F(Descriptors, OptionsAndPairsAreChecked) {
  const Catalog all = catalog({attack(), defense(), model()});
  EXPECT_THAT(problems(one_cell("none", "{name: blend, epsilom: 0.1}"), all),
              ElementsAre(AllOf(HasSubstr("8:25: blend: unknown option 'epsilom'"),
                                HasSubstr("did you mean 'epsilon'"))));
  EXPECT_THAT(problems(one_cell("none", "{name: blend, epsilon: 2}"), all),
              ElementsAre(HasSubstr("allowed: a number from 0 to 1")));
  EXPECT_THAT(problems(one_cell("none", "blnd"), all), ElementsAre(HasSubstr("did you mean 'blend'")));
  EXPECT_THAT(problems(one_cell("none", "blend", "", "t2i"), all),
              ElementsAre(AllOf(HasSubstr("works on images only"),
                                HasSubstr("add to exclude: {attack: blend, direction: t2i}"))));
  EXPECT_THAT(problems(one_cell("clean_up", "{name: blend, protocol: adaptive}"), all),
              ElementsAre(HasSubstr("cannot follow gradients")));
  EXPECT_THAT(problems(one_cell("clean_up", "{name: pgd, protocol: adaptive}"), all),
              ElementsAre(HasSubstr("an external one has none to follow")));
}

TEST_F(Descriptors, AnExternalModelGivesCodesAndNothingElse) {
  const Catalog all = catalog({attack(), defense(), model()});
  const auto with_model = [](std::string text) {
    return text.replace(text.find("model: cpah"), 11, "model: mine");
  };
  EXPECT_THAT(problems(with_model(one_cell("none", "pgd")), all),
              ElementsAre(AllOf(HasSubstr("attack 'pgd' needs the target model's own network"),
                                HasSubstr("{attack: pgd, model: mine}"))));
  const Expansion expansion = expanded_with(with_model(one_cell("clean_up", "blend")), all);
  const PlannedCell cell = expansion.cells[0];
  const PlannedJob query = job_of(expansion, cell, "encode_query");
  EXPECT_EQ(query.job.kind, JobKind::kCommand);
  EXPECT_EQ(query.job.config["does"], "encode");
  EXPECT_EQ(query.job.config["bits"], 32);
  EXPECT_EQ(query.job.find_input("model")->key, job_of(expansion, cell, "train_model").key);
  EXPECT_EQ(query.job.find_input("crafted")->key, job_of(expansion, cell, "purify").key);
  EXPECT_EQ(job_of(expansion, cell, "evaluate").job.find_input("query_codes")->key, query.key);
}

TEST_F(Descriptors, AnExternalMetricIsMeasuredBesideTheOthers) {
  const std::string text = one_cell("none", "none", "");
  const auto with = [&](const std::string& metrics) {
    std::string changed = text;
    return changed.replace(changed.find("[map, t_map]"), 12, metrics);
  };
  const Catalog all = catalog({metric()});
  const Expansion expansion = expanded_with(with("[map, my_rank]"), all);
  const PlannedCell cell = expansion.cells[0];
  EXPECT_EQ(job_of(expansion, cell, "evaluate").key,
            job_of(expanded(with("[map]")), expanded(with("[map]")).cells[0], "evaluate").key);
  const PlannedJob measure = job_of(expansion, cell, "measure");
  EXPECT_EQ(measure.job.entry, "my_rank");
  EXPECT_EQ(measure.job.find_input("query_codes")->key, job_of(expansion, cell, "encode_query").key);
  EXPECT_THAT(std::vector(cell.metrics.begin(), cell.metrics.end()), ElementsAre("map", "my_rank"));
  const Expansion alone = expanded_with(with("[my_rank]"), all);
  for (const CellJob& part : alone.cells[0].jobs) EXPECT_NE(part.role, "evaluate");
}

TEST(PlainCommands, AreJobsWithoutCells) {
  const Expansion expansion = expanded(
      "gauntlet: 1\nname: c\ncommand: {jobs: 3, run: [sleep, \"1\"]}\nresources: {command: {cpus: 2}}\n");
  ASSERT_EQ(expansion.jobs.size(), 3U);
  EXPECT_EQ(expansion.cells.size(), 0U);
  const PlannedJob job = expansion.jobs[2];
  EXPECT_EQ(job.job.kind, JobKind::kCommand);
  EXPECT_EQ(job.job.config, Json({{"index", 2}, {"run", {"sleep", "1"}}}));
  EXPECT_EQ(job.job.resources.cpus, 2);
  EXPECT_EQ(key_of(job.job).value(), job.key);
  EXPECT_THAT(
      parse_problems("gauntlet: 1\nname: c\ncommand: {run: sleep 1, job: 2}\nmetrics: [map]\n"),
      ElementsAre(HasSubstr("3:10: command does not say how many 'jobs'"),
                  HasSubstr("allowed: a list of program and arguments"), HasSubstr("did you mean 'jobs'"),
                  HasSubstr("'metrics' does not go with 'command'")));
}

}  // namespace
}  // namespace gauntlet::spec
