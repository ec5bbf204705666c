// Models with a frozen backbone share one features job per dataset and backbone.

#include "core/spec/backbone_fields.hpp"
#include "tests/spec/sweeps.hpp"

namespace gauntlet::spec {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

Json text_field(const char* name, const char* value, bool location = false) {
  return {{"name", name},
          {"type", "text"},
          {"default", value},
          {"doc", "Of the backbone."},
          {"location", location}};
}

/// The tests' catalog with backbones for every model.
const Catalog& catalog_with_backbones() {
  static const Catalog catalog = [] {
    Json document = parse_json(*read_file(kGoldenFolder / "catalog.json"), "catalog.json").value();
    for (Json& model : document.at("models")) {
      model["fields"].push_back(text_field("backbone", "cnnf"));
      model["fields"].push_back(text_field("backbone_weights", "", true));
      model["fields"].push_back(text_field("backbone_md5", ""));
      model["fields"].push_back(
          {{"name", "backbone_frozen"}, {"type", "bool"}, {"default", true}, {"doc", "Of the backbone."}});
      model["fields"].push_back(text_field("cache", "", true));
    }
    auto read = Catalog::from_json(document);
    EXPECT_TRUE(read.has_value()) << read.error().message;
    return std::move(*read);
  }();
  return catalog;
}

Expansion expanded_with_backbones(const std::string& text) {
  const ParsedSweep sweep = parse_sweep(text, "test.yaml", catalog_with_backbones());
  EXPECT_THAT(texts(sweep.problems), IsEmpty());
  if (!sweep.spec) return {};
  auto expansion = expand(*sweep.spec, catalog_with_backbones(), &fake_content_id);
  if (!expansion) ADD_FAILURE() << testing::PrintToString(texts(expansion.error()));
  return expansion ? std::move(*expansion) : Expansion();
}

std::string sweep_of(std::string_view models, std::string_view more = "", std::string_view defense = "none",
                     std::string_view attack = "none") {
  return fmt::format(
      "gauntlet: 1\nname: one\naxes:\n  dataset: picto_scenes\n  model: {}\n  bits: [16, 32]\n  defense: "
      "{}\n  attack: "
      "{}\n  direction: [i2t, t2i]\n  seed: [1, 2]\nmetrics: [map]\n{}",
      models, defense, attack, more);
}

std::vector<PlannedJob> jobs_of(const Expansion& expansion, JobKind kind) {
  std::vector<PlannedJob> found;
  for (const PlannedJob& planned : expansion.jobs) {
    if (planned.job.kind == kind) found.push_back(planned);
  }
  return found;
}

TEST(Features, OneJobServesAllModelsCodeLengthsAndSeeds) {
  const Expansion expansion =
      expanded_with_backbones(sweep_of("[cpah, {name: dadh, backbone_weights: /data/vgg.mat, cache: /tmp}]",
                                       "settings: [{set: {model.backbone_weights: /data/vgg.mat}}]\n"));
  const auto features = jobs_of(expansion, JobKind::kFeatures);
  ASSERT_THAT(features, SizeIs(1));
  const JobSpec& job = features[0].job;
  EXPECT_EQ(job.entry, "");
  EXPECT_EQ(job.seed, 0U);
  EXPECT_EQ(job.config, (Json{{"backbone", "cnnf"}, {"backbone_md5", ""}, {"backbone_frozen", true}}));
  EXPECT_EQ(job.locations, (Json{{"backbone_weights", "/data/vgg.mat"}}));
  EXPECT_EQ(job.title, "features cnnf picto_scenes");
  ASSERT_THAT(job.inputs, SizeIs(1));
  EXPECT_EQ(job.inputs[0].role, "data");

  const auto trained = jobs_of(expansion, JobKind::kTrainModel);
  EXPECT_THAT(trained, SizeIs(2 * 2 * 2));
  for (const PlannedJob& planned : trained) {
    ASSERT_NE(planned.job.find_input("features"), nullptr) << planned.job.title;
    EXPECT_EQ(planned.job.find_input("features")->key, features[0].key);
    EXPECT_EQ(planned.job.locations.at("backbone_weights"), "/data/vgg.mat");
  }
  for (const PlannedCell& cell : expansion.cells)
    EXPECT_EQ(job_of(expansion, cell, "features").key, features[0].key);
}

TEST(Features, AnotherBackboneIsAnotherJob) {
  const Expansion expansion =
      expanded_with_backbones(sweep_of("[cpah, {name: daph, backbone: alexnet}, {name: dadh, backbone_md5: "
                                       "'00000000000000000000000000000000'}]"));
  EXPECT_THAT(jobs_of(expansion, JobKind::kFeatures), SizeIs(3));
}

TEST(Features, ABackboneThatLearnsHasNone) {
  const Expansion expansion = expanded_with_backbones(sweep_of(
      "[{name: cpah, backbone: picto_cnn}, {name: dadh, backbone_frozen: false}, {name: daph, backbone: "
      "features}]"));
  EXPECT_THAT(jobs_of(expansion, JobKind::kFeatures), IsEmpty());
  for (const PlannedJob& planned : expansion.jobs) EXPECT_EQ(planned.job.find_input("features"), nullptr);
}

TEST(Features, StandInForCleanPicturesBeforeTheBareModelOnly) {
  const Expansion expansion = expanded_with_backbones(sweep_of("cpah", "", "[none, drfgd]", "[none, pgd]"));
  int n_with = 0;
  for (const PlannedJob& planned : jobs_of(expansion, JobKind::kEncode)) {
    const JobSpec& job = planned.job;
    const bool untouched =
        job.config.at("modality") == "image" && job.config.at("source") == "clean" && job.entry == "none";
    EXPECT_EQ(job.find_input("features") != nullptr, untouched) << job.title;
    n_with += untouched ? 1 : 0;
  }
  EXPECT_GT(n_with, 0);
  for (const JobKind kind : {JobKind::kCraft, JobKind::kTrainDefense, JobKind::kEvaluate}) {
    for (const PlannedJob& planned : jobs_of(expansion, kind))
      EXPECT_EQ(planned.job.find_input("features"), nullptr) << planned.job.title;
  }
}

TEST(Features, ConfigsWithoutBackboneFieldsHaveNone) {
  EXPECT_FALSE(has_frozen_backbone(Json::object()));
  EXPECT_FALSE(has_frozen_backbone({{"backbone", "cnnf"}}));
  EXPECT_EQ(backbone_fields({{"lr", 1}, {"backbone", "cnnf"}, {"backbone_width", 4}, {"back", 2}}),
            (Json{{"backbone", "cnnf"}, {"backbone_width", 4}}));
}

}  // namespace
}  // namespace gauntlet::spec
