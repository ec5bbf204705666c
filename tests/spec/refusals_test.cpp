// The jobs of a defense that declares that it refuses queries.
#include <map>
#include <optional>

#include "core/spec/declaration.hpp"
#include "core/spec/external.hpp"
#include "tests/spec/sweeps.hpp"

namespace gauntlet::spec {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

std::string sweep(std::string_view defense, std::string_view attack, std::string_view more = "") {
  return fmt::format(
      "gauntlet: 1\nname: d\naxes: {{dataset: picto_scenes, model: cpah, bits: 32, defense: {}, attack: {}, "
      "direction: i2t}}\nmetrics: [map{}]\n",
      defense, attack, more);
}

Expansion planned(std::string_view defense, std::string_view attack) {
  const ParsedSweep read = parse_sweep(sweep(defense, attack), "d.yaml", Catalog::builtin());
  EXPECT_THAT(texts(read.problems), IsEmpty());
  if (!read.spec) return {};
  auto expansion = expand(*read.spec, Catalog::builtin(), &fake_content_id);
  if (!expansion) ADD_FAILURE() << testing::PrintToString(texts(expansion.error()));
  return expansion ? std::move(*expansion) : Expansion();
}

/// Of the evaluation of the only cell; nothing where it has none.
std::optional<JobKey> input_of(const Expansion& expansion, std::string_view role) {
  const PlannedJob evaluation = job_of(expansion, expansion.cells[0], "evaluate");
  const JobInput* input = evaluation.job.find_input(role);
  return input == nullptr ? std::nullopt : std::optional(input->key);
}

TEST(RefusingDefenses, AttackedQueriesAreMeasuredBesideTheCleanOnes) {
  const auto clean =
      input_of(planned("feature_squeezing", "{name: apgd, protocol: adaptive}"), "clean_query_codes");
  EXPECT_TRUE(clean);
  EXPECT_EQ(clean, input_of(planned("feature_squeezing", "none"), "query_codes"));
  EXPECT_FALSE(input_of(planned("feature_squeezing", "none"), "clean_query_codes"));
  EXPECT_FALSE(input_of(planned("box_blur", "{name: apgd, protocol: adaptive}"), "clean_query_codes"));
  // The database is not asked whether it wants to be looked through.
  EXPECT_FALSE(input_of(planned("feature_squeezing", "{name: pgd, sides: database}"), "clean_query_codes"));
  EXPECT_EQ(input_of(planned("feature_squeezing", "{name: pgd, on_queries: 50}"), "clean_query_codes"),
            input_of(planned("feature_squeezing", "{name: none, on_queries: 50}"), "query_codes"));
}

TEST(RefusingDefenses, TheSetForThemTriesThreeWeightsThroughTheDefenseAlone) {
  const Expansion worst = planned("feature_squeezing", "{name: worst, set: refuse, protocol: adaptive}");
  std::map<double, int> crafts;
  int n_static = 0;
  for (const PlannedJob& planned : worst.jobs) {
    if (planned.job.kind != JobKind::kCraft || planned.job.entry != "apgd") continue;
    if (planned.job.config.at("protocol") == "static") {
      ++n_static;
    } else {
      ++crafts[planned.job.config.at("attack").at("refusal_weight").get<double>()];
    }
  }
  EXPECT_EQ(crafts, (std::map<double, int>{{0.1, 4}, {1, 4}, {10, 4}}));
  EXPECT_EQ(n_static, 4);
}

std::shared_ptr<const ExternalEntry> external(const std::string& text) {
  ExternalEntry entry = parse_external(text, "entry.yaml").value();
  entry.hash = std::string(64, 'a');
  return std::make_shared<const ExternalEntry>(std::move(entry));
}

const std::string kDetector =
    "gauntlet_external: 1\nkind: defense\nname: detector\ncommand: [d]\noutputs: [inputs.npy, "
    "refusal_scores.npy]\nrefuses: true\n";

TEST(RefusingDefenses, WhatKnowsCodesAloneDoesNotGoWithThem) {
  const auto metric = external(
      "gauntlet_external: 1\nkind: metric\nname: mine\ncommand: [m]\ninputs: [codes]\noutputs: "
      "[rows.json]\n");
  const auto model = external(
      "gauntlet_external: 1\nkind: model\nname: theirs\ncommand: [m]\ntrain: [t]\ncheckpoint: "
      "[m.bin]\noutputs: [codes.npy]\n");
  const Catalog catalog = with_external(Catalog::builtin(), {external(kDetector), metric, model}).value();
  const auto problems = [&](const std::string& text) {
    const ParsedSweep read = parse_sweep(text, "d.yaml", catalog);
    EXPECT_THAT(texts(read.problems), IsEmpty());
    const auto expansion = expand(*read.spec, catalog, &fake_content_id);
    return expansion ? "" : testing::PrintToString(texts(expansion.error()));
  };
  EXPECT_EQ(problems(sweep("detector", "pgd")), "");
  EXPECT_THAT(problems(sweep("detector", "pgd", ", mine")),
              HasSubstr("defense 'detector' refuses queries, and metric 'mine' is external"));
  std::string text = sweep("detector", "none");
  text.replace(text.find("cpah"), 4, "theirs");
  EXPECT_THAT(problems(text), HasSubstr("refuses queries, and an external target model gives codes alone"));
}

TEST(RefusingDefenses, ADescriptorSaysSoAndNamesTheScores) {
  EXPECT_TRUE(parse_external(kDetector, "d.yaml")->refuses);
  const auto problem = [](std::string text, const std::string& from, const std::string& to) {
    text.replace(text.find(from), from.size(), to);
    const auto read = parse_external(text, "d.yaml");
    return read ? "" : read.error().message;
  };
  EXPECT_THAT(problem(kDetector, ", refusal_scores.npy", ""),
              HasSubstr("outputs do not name 'refusal_scores.npy', a score for each of them"));
  EXPECT_THAT(problem(kDetector, "refuses: true\n", ""),
              HasSubstr("outputs name 'refusal_scores.npy'; allowed: inputs.npy, rows.json"));
  EXPECT_THAT(problem(kDetector, "refuses: true\n", "refuses: true\nrandom: true\n"),
              HasSubstr("the defense is random and refuses queries; allowed: one of both"));
  EXPECT_THAT(problem(kDetector, "kind: defense", "kind: attack"),
              HasSubstr("'refuses' belongs to defenses"));
}

}  // namespace
}  // namespace gauntlet::spec
