// Ensembles: what a set's file says, and the jobs a cell with one becomes.
#include "core/spec/attack_sets.hpp"

#include <map>

#include "tests/spec/sweeps.hpp"

namespace gauntlet::spec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::string_view kSets = R"([
  {"ensemble": "worst", "set": "small", "version": 1, "members": [
    {"name": "pgd", "attack": "pgd", "options": {"steps": 3}, "each": {"tau": [0.1, 0.2]}},
    {"name": "eq", "attack": "eqb2a", "options": {}},
    {"name": "control", "attack": "fgsm", "options": {}, "control": true}]},
  {"ensemble": "worst", "set": "small", "version": 2, "members": [
    {"name": "pgd", "attack": "pgd", "options": {}}]},
  {"ensemble": "worst", "set": "broken", "version": 1, "members": [
    {"name": "a", "attack": "pgd", "options": {"stepz": 3}}]},
  {"ensemble": "worst", "set": "unknown", "version": 1, "members": [
    {"name": "a", "attack": "apgd9", "options": {}}]},
  {"ensemble": "worst_targeted", "targeted": true, "set": "aim", "version": 1, "members": [
    {"name": "dhta", "attack": "dhta", "options": {}},
    {"name": "noise", "attack": "pgd", "options": {}, "control": true}]}])";

/// The builtin attacks with the sets above.
const Catalog& catalog() {
  static const Catalog read = [] {
    Json document =
        *parse_json(*read_file(std::filesystem::path(GAUNTLET_SOURCE_DIR) / "schemas/catalog.json"), "c");
    document["attack_sets"] = *parse_json(kSets, "sets");
    return Catalog::from_json(document).value();
  }();
  return read;
}

std::string sweep(std::string_view defense, std::string_view attack, std::string_view direction = "i2t",
                  std::string_view metrics = "[map]") {
  return fmt::format(
      "gauntlet: 1\nname: w\naxes:\n  dataset: picto_scenes\n  model: dcmh\n  bits: 32\n  defense: {}\n  "
      "attack: {}\n  direction: {}\n  seed: 1\nmetrics: {}\n",
      defense, attack, direction, metrics);
}

Expansion expansion_of(const std::string& text) {
  const ParsedSweep read = parse_sweep(text, "w.yaml", catalog());
  EXPECT_THAT(texts(read.problems), IsEmpty());
  if (!read.spec) return {};
  auto expansion = expand(*read.spec, catalog(), &fake_content_id);
  if (!expansion) ADD_FAILURE() << testing::PrintToString(texts(expansion.error()));
  return expansion ? std::move(*expansion) : Expansion();
}

std::vector<std::string> problems_of(const std::string& text) {
  const ParsedSweep read = parse_sweep(text, "w.yaml", catalog());
  if (!read.spec) return texts(read.problems);
  const auto expansion = expand(*read.spec, catalog(), &fake_content_id);
  return expansion ? std::vector<std::string>() : texts(expansion.error());
}

std::vector<JobSpec> members_of(const Expansion& expansion, std::string_view role) {
  std::vector<JobSpec> jobs;
  for (const CellJob& part : expansion.cells[0].jobs) {
    if (part.role == role) jobs.push_back(expansion.jobs[part.job].job);
  }
  return jobs;
}

std::vector<std::string> input_roles(const JobSpec& job) {
  std::vector<std::string> roles;
  for (const JobInput& input : job.inputs) roles.push_back(input.role);
  return roles;
}

TEST(AttackSets, AMemberWithEachStandsForOnePerValue) {
  const auto set = find_attack_set(catalog().attack_sets(), "worst", "small@1");
  ASSERT_TRUE(set);
  std::vector<std::string> names;
  for (const SetMember& member : (*set)->members) names.push_back(member.name);
  EXPECT_THAT(names, ElementsAre("pgd-0.1", "pgd-0.2", "eq", "control"));
  EXPECT_EQ((*set)->members[1].options, (Json{{"steps", 3}, {"tau", 0.2}}));
  EXPECT_TRUE((*set)->members[3].control);
  EXPECT_EQ((*set)->text(), "worst/small@1");
  EXPECT_EQ((*find_attack_set(catalog().attack_sets(), "worst", "small"))->version, 2);
  const auto unknown = find_attack_set(catalog().attack_sets(), "worst", "smal");
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message, HasSubstr("did you mean 'small'"));
}

TEST(AttackSets, RefusesMembersOfOneNameAndMissingKeys) {
  Json set = (*parse_json(kSets, "sets"))[0];
  set["members"].push_back(set["members"][2]);
  EXPECT_THAT(attack_set_from_json(set).error().message, HasSubstr("two members are called 'control'"));
  set["members"] = Json::array();
  EXPECT_THAT(attack_set_from_json(set).error().message, HasSubstr("has no members"));
  set.erase("set");
  EXPECT_THAT(attack_set_from_json(set).error().message, HasSubstr("malformed"));
}

TEST(Ensemble, UnderStaticEveryMemberIsMadeOnTheUndefendedModelAndEncodedByTheDefense) {
  const Expansion expansion =
      expansion_of(sweep("box_blur", "{name: worst, set: small@1, epsilon_image: 4/255}"));
  ASSERT_THAT(expansion.cells, SizeIs(1));
  EXPECT_EQ(expansion.cells[0].cell.attack, "worst/small@1");
  EXPECT_EQ(expansion.cells[0].cell.protocol, "static");
  const std::vector<JobSpec> crafts = members_of(expansion, "craft_member");
  ASSERT_THAT(crafts, SizeIs(4));
  for (const JobSpec& craft : crafts) EXPECT_EQ(craft.config.at("protocol"), "static");
  EXPECT_EQ(crafts[0].config.at("attack").at("tau"), 0.1);
  EXPECT_EQ(crafts[1].config.at("attack").at("steps"), 3);
  EXPECT_EQ(crafts[1].config.at("attack").at("epsilon_image"), 4.0 / 255)
      << "the ensemble's budget goes to members";
  EXPECT_EQ(crafts[2].entry, "eqb2a") << "and leaves alone those that have none";
  EXPECT_THAT(members_of(expansion, "encode_member"), SizeIs(4));
  const JobSpec evaluate = members_of(expansion, "evaluate").at(0);
  EXPECT_THAT(input_roles(evaluate),
              ElementsAre("base_query_codes", "data", "query_codes", "retrieval_codes", "worst_of_000",
                          "worst_of_001", "worst_of_002", "worst_of_003"));
  EXPECT_EQ(evaluate.config.at("worst"),
            (Json{{"set", "small"}, {"version", 1}, {"members", {"pgd-0.1", "pgd-0.2", "eq", "control"}}}));
}

TEST(Ensemble, UnderAdaptiveItHasBothFormsOfWhatCanAdaptAndTheControlsOnce) {
  const Expansion expansion =
      expansion_of(sweep("box_blur", "{name: worst, set: small@1, protocol: adaptive}"));
  const JobSpec evaluate = members_of(expansion, "evaluate").at(0);
  EXPECT_EQ(evaluate.config.at("worst").at("members"),
            (Json{"pgd-0.1", "pgd-0.2", "static/pgd-0.1", "static/pgd-0.2", "static/eq", "control"}));
  std::vector<std::string> protocols;
  for (const JobSpec& craft : members_of(expansion, "craft_member")) {
    protocols.push_back(craft.config.at("protocol").get<std::string>());
  }
  EXPECT_THAT(protocols, ElementsAre("adaptive", "adaptive", "static", "static", "static", "static"));
  EXPECT_EQ(expansion.cells[0].cell.protocol, "adaptive");
}

TEST(Ensemble, LeavesOutMembersThatCannotWorkOnTheModality) {
  const Expansion expansion = expansion_of(sweep("none", "{name: worst, set: small@1}", "t2i"));
  EXPECT_EQ(members_of(expansion, "evaluate").at(0).config.at("worst").at("members"),
            (Json{"pgd-0.1", "pgd-0.2", "control"}));
  EXPECT_THAT(
      input_roles(members_of(expansion, "evaluate").at(0)),
      ElementsAre("data", "query_codes", "retrieval_codes", "worst_of_000", "worst_of_001", "worst_of_002"));
}

TEST(Ensemble, SharesItsCraftsWithTheSameAttackElsewhereAndItsKeyWithAPlainSetName) {
  const Expansion worst = expansion_of(sweep("box_blur", "worst"));
  const Expansion plain = expansion_of(sweep("box_blur", "{name: pgd, epsilon_image: 8/255}"));
  const Expansion named = expansion_of(sweep("box_blur", "{name: worst, set: small@2, epsilon_text: 0.05}"));
  const std::set<JobKey> worst_keys = keys_of(worst);
  for (std::string_view role : {"craft", "encode_query"}) {
    EXPECT_TRUE(worst_keys.contains(job_of(plain, plain.cells[0], role).key)) << role;
  }
  EXPECT_EQ(worst_keys, keys_of(named));
}

TEST(Ensemble, ATargetedOneEvaluatesAgainstTheTargetsOfItsMembers) {
  const Expansion expansion = expansion_of(sweep("none", "worst_targeted", "i2t", "[map, t_map]"));
  const JobSpec evaluate = members_of(expansion, "evaluate").at(0);
  EXPECT_EQ(evaluate.config.at("metrics"), (Json{"map", "t_map"}));
  const JobInput* const crafted = evaluate.find_input("crafted");
  ASSERT_NE(crafted, nullptr);
  EXPECT_EQ(crafted->key, job_of(expansion, expansion.cells[0], "craft_member").key);
  const Expansion untargeted = expansion_of(sweep("none", "worst", "i2t", "[map, t_map]"));
  EXPECT_EQ(members_of(untargeted, "evaluate").at(0).config.at("metrics"), (Json{"map"}));
  EXPECT_EQ(members_of(untargeted, "evaluate").at(0).find_input("crafted"), nullptr);
}

TEST(Ensemble, TwoOfEqualSettingsKeepTheirOwnMembers) {
  const std::string text = sweep("none", "[worst, worst_targeted]", "i2t", "[t_map]");
  const ParsedSweep read = parse_sweep(text, "w.yaml", Catalog::builtin());
  ASSERT_TRUE(read.spec) << testing::PrintToString(texts(read.problems));
  const auto expansion = expand(*read.spec, Catalog::builtin(), &fake_content_id);
  ASSERT_TRUE(expansion) << testing::PrintToString(texts(expansion.error()));
  std::size_t n_targeted = 0;
  for (std::size_t job = 0; job < expansion->jobs.size(); ++job) {
    const std::string canonical = expansion->jobs.canonical(job);
    if (canonical.find("\"t_map\"") == std::string::npos) continue;
    ++n_targeted;
    EXPECT_THAT(canonical, HasSubstr("\"crafted\""));
  }
  EXPECT_EQ(n_targeted, 1U);
}

TEST(Ensemble, KeysAreTheHashesOfTheirForms) {
  const Expansion expansion = expansion_of(sweep("[none, box_blur, saat]", "worst"));
  for (const PlannedJob& planned : expansion.jobs) {
    EXPECT_EQ(planned.key.hex(), key_of(planned.job).value().hex()) << planned.job.title;
    std::set<JobKey> once;
    for (const JobInput& input : planned.job.inputs)
      EXPECT_TRUE(once.insert(input.key).second) << planned.job.title;
  }
}

TEST(Ensemble, SaysWhichSetAndMemberDoNotFit) {
  EXPECT_THAT(problems_of(sweep("none", "{name: worst, set: broken}")),
              ElementsAre(HasSubstr("attack set worst/broken@1: pgd: unknown")));
  EXPECT_THAT(problems_of(sweep("none", "{name: worst, set: unknown}")),
              ElementsAre(HasSubstr("attack set worst/unknown@1: unknown attack 'apgd9'")));
  EXPECT_THAT(problems_of(sweep("none", "{name: worst, set: biggest}")),
              ElementsAre(HasSubstr("'set' is \"biggest\"; allowed: one of small")));
  EXPECT_THAT(problems_of(sweep("none", "{name: worst, protocol: adaptive}")),
              ElementsAre(HasSubstr("there is no defense to adapt to")));
}

TEST(Ensemble, SetsOfTwoNamesAreTwoColumns) {
  const Expansion expansion = expansion_of(sweep("none", "[worst, {name: worst, set: small@1}]"));
  ASSERT_THAT(expansion.cells, SizeIs(2));
  EXPECT_EQ(expansion.cells[0].cell.attack, "worst/small@2");
  EXPECT_EQ(expansion.cells[1].cell.attack, "worst/small@1");
}

TEST(AttackSets, ThoseOfTheProgramHaveTheSizesTheyAreNamedFor) {
  std::map<std::string, std::size_t> sizes;
  for (const AttackSet& set : Catalog::builtin().attack_sets()) sizes[set.text()] = set.members.size();
  EXPECT_EQ(sizes, (std::map<std::string, std::size_t>{{"worst/quick@1", 4 + 2 + 1 + 10},
                                                       {"worst/standard@1", 4 + 6 + 1 + 10},
                                                       {"worst/plus@1", 20 + 12 + 3 + 10},
                                                       {"worst/rand@1", 4 + 10},
                                                       {"worst/refuse@1", 4 + 8 + 1 + 10},
                                                       {"worst_targeted/quick@1", 4 + 1 + 10},
                                                       {"worst_targeted/standard@1", 4 + 1 + 10}}));
}

TEST(AttackSets, MembersAreAttacksOfThisProgramWithOptionsTheyHave) {
  for (const AttackSet& set : Catalog::builtin().attack_sets()) {
    for (const SetMember& member : set.members) {
      const auto entry = Catalog::builtin().find(EntryKind::kAttack, member.attack);
      ASSERT_TRUE(entry) << set.text() << ": " << entry.error().message;
      const auto config = complete_config((*entry)->fields, member.options, member.attack);
      EXPECT_TRUE(config) << set.text() << " " << member.name << ": "
                          << (config ? "" : config.error().message);
    }
  }
}

}  // namespace
}  // namespace gauntlet::spec
