#include "core/spec/catalog.hpp"

#include "tests/spec/sweeps.hpp"

namespace gauntlet::spec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Json fixture() { return *parse_json(*read_file(kGoldenFolder / "catalog.json"), "catalog.json"); }

std::string refusal_of(const Json& document) {
  const auto catalog = Catalog::from_json(document);
  return catalog ? "" : catalog.error().message;
}

TEST(Catalog, KnowsItsEntriesInOrder) {
  const Catalog& catalog = test_catalog();
  EXPECT_THAT(catalog.names(EntryKind::kAttack), ElementsAre("none", "pgd", "eqb2a", "ta_dch"));
  const auto drfgd = catalog.find(EntryKind::kDefense, "drfgd");
  ASSERT_TRUE(drfgd);
  EXPECT_EQ((*drfgd)->version, 3);
  EXPECT_EQ((*drfgd)->crafts_with, "pgd");
  EXPECT_TRUE((*drfgd)->trains);
  EXPECT_EQ((*drfgd)->dataset_defaults.at("mscoco").at("lr"), 2e-4);
}

TEST(Catalog, AnswersAnUnknownNameWithTheNearest) {
  const auto missing = test_catalog().find(EntryKind::kModel, "cpha");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().message, HasSubstr("unknown model 'cpha'; did you mean 'cpah'?"));
}

TEST(Catalog, TheOneBuiltInIsReadable) {
  EXPECT_EQ(Catalog::builtin().entries(EntryKind::kAttack).size(),
            Catalog::builtin().names(EntryKind::kAttack).size());
}

TEST(Catalog, RefusesDocumentsThatContradictThemselves) {
  Json document = fixture();
  document["format"] = 2;
  EXPECT_EQ(refusal_of(document), "catalog: format is 2; allowed: 1");
  document = fixture();
  document["models"].push_back(document["models"][0]);
  EXPECT_EQ(refusal_of(document), "catalog: model 'cpah' is listed twice");
  document = fixture();
  document["models"][0]["dataset_defaults"]["mscoco"]["lr"] = 7;
  EXPECT_EQ(
      refusal_of(document),
      "catalog: defaults of model for dataset 'mscoco': cpah: 'lr' is 7; allowed: a number from 0 to 1");
  document = fixture();
  document["defenses"][1]["capabilities"]["crafts_with"] = "pdg";
  EXPECT_THAT(refusal_of(document),
              HasSubstr("catalog: defense 'drfgd' crafts with an unknown attack 'pdg'"));
  document = fixture();
  document["defenses"][1]["capabilities"]["crafts_with"] = "eqb2a";
  EXPECT_EQ(refusal_of(document),
            "catalog: defense 'drfgd' has a field 'craft_steps', but attack 'eqb2a' has no 'steps'");
  document = fixture();
  document["models"][0]["fields"][0]["name"] = "label";
  EXPECT_THAT(refusal_of(document),
              HasSubstr("catalog: model 'cpah' has a field 'label', which means something else"));
  document = fixture();
  document["attacks"][0].erase("capabilities");
  EXPECT_THAT(refusal_of(document), HasSubstr("catalog: malformed"));
  EXPECT_THAT(refusal_of(Json::array()), HasSubstr("catalog: malformed"));
}

}  // namespace
}  // namespace gauntlet::spec
