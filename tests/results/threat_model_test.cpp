// Threat models of evaluations that are not of all queries, or not of queries alone.
#include "results/board/threat_model.hpp"

#include <gmock/gmock.h>

#include "results/board/standing.hpp"
#include "tests/results/board_support.hpp"

namespace gauntlet::testing_support {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

Json threat_model_with(const Json& more) {
  spec::Cell cell;
  cell.bits = 16;
  cell.protocol = "adaptive";
  const Json prepare = {{"entry", "picto_scenes"}, {"config", {{"source", "c0ffee"}}}};
  const Json model = {
      {"entry", "cpah"}, {"version", 3}, {"config", {{"model", Json::object()}, {"bits", 16}}}};
  Json evaluate = {{"inputs", Json::object()},
                   {"config", {{"direction", "i2t"}, {"worst", {{"set", "standard"}, {"version", 1}}}}}};
  evaluate["config"].update(more);
  const Json craft = {{"config", {{"attack", {{"epsilon_image", 8.0 / 255}, {"rounding", "u8"}}}}}};
  const std::vector<spec::AttackSet> sets;
  return results::threat_model_of({.cell = &cell,
                                   .prepare = &prepare,
                                   .model = &model,
                                   .evaluate = &evaluate,
                                   .sets = &sets,
                                   .members = {&craft},
                                   .split_hash = "5317",
                                   .n_query = 500,
                                   .n_retrieval = 6000});
}

TEST(ThreatModel, SaysWhichSideIsAttacked) {
  const Json usual = threat_model_with(Json::object());
  EXPECT_EQ(usual.at("sides"), "query");
  EXPECT_FALSE(usual.contains("database_fraction"));
  const Json database = threat_model_with({{"sides", "database"}, {"database_fraction", 0.1}});
  EXPECT_EQ(database.at("sides"), "database");
  EXPECT_EQ(database.at("database_fraction"), 0.1);
  EXPECT_THAT(database.at("name").get<std::string>(), HasSubstr(", database"));
}

TEST(ThreatModel, SaysThatQueriesWereDrawn) {
  EXPECT_FALSE(threat_model_with(Json::object()).at("dataset").contains("on_queries"));
  const Json drawn = threat_model_with({{"on_queries", 500}});
  EXPECT_EQ(drawn.at("dataset").at("on_queries"), 500);
  EXPECT_THAT(drawn.at("name").get<std::string>(), HasSubstr("500 drawn queries"));
}

TEST(ThreatModel, OfDrawnQueriesMakesNoVerifiedEntries) {
  constexpr const char* kWeights = "77aa";
  const auto missing_with = [&](const Json& model) {
    results::Board board;
    EXPECT_TRUE(board.add({model,
                           a_defense("blur"),
                           kWeights,
                           {{"seed", 1}},
                           verified(an_evaluation("A", {0.5, 0.5, 0.5, 0.5}))}));
    return results::standings_of(board.document().at("boards").begin().value()).front().missing;
  };
  Json drawn = a_threat_model();
  drawn["dataset"]["on_queries"] = 4;
  EXPECT_THAT(missing_with(drawn), Contains(HasSubstr("all queries")));
  EXPECT_THAT(missing_with(a_threat_model()), Not(Contains(HasSubstr("all queries"))));
}

}  // namespace
}  // namespace gauntlet::testing_support
