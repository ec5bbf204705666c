// Leaderboard files: what merging keeps, what is derived, what is refused.
#include <gmock/gmock.h>

#include <random>

#include "core/base/files.hpp"
#include "results/board/about.hpp"
#include "results/board/page.hpp"
#include "results/board/standing.hpp"
#include "tests/results/board_support.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::results {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing_support::a_defense;
using testing_support::a_threat_model;
using testing_support::add;
using testing_support::an_evaluation;
using testing_support::kOtherWeights;
using testing_support::kWeights;
using testing_support::only_board;
using testing_support::verified;

/// The standing of an entry by its defense's name.
Standing standing_of(const Board& board, const std::string& defense) {
  const Json& only = only_board(board);
  for (const Standing& each : standings_of(only)) {
    if (only["entries"][each.key]["defense"]["name"] == defense) return each;
  }
  ADD_FAILURE() << "no " << defense;
  return {};
}

Board merged(Board one, const Board& other) {
  one.merge(other);
  return one;
}

TEST(BoardMerge, TwoLaboratoriesInEitherOrderGiveTheSameBytes) {
  Board ours, theirs;
  add(ours, "none", kWeights, an_evaluation("A", {0.1, 0.1, 0.2, 0.2}));
  add(ours, "blur", kWeights, an_evaluation("A", {0.5, 0.4, 0.6, 0.3}));
  add(theirs, "blur", kWeights, an_evaluation("B", {0.6, 0.2, 0.6, 0.4}));
  add(theirs, "blur", kOtherWeights, an_evaluation("B", {0.4, 0.4, 0.4, 0.4}));
  add(theirs, "blur", kWeights, an_evaluation("B", {0.7, 0.7, 0.7, 0.7}), a_threat_model("0.031", 0.031));
  const Board one = merged(ours, theirs), other = merged(theirs, ours);
  EXPECT_EQ(*one.text(), *other.text());
  EXPECT_EQ(*merged(one, theirs).text(), *one.text());
  EXPECT_EQ(*merged(one, one).text(), *one.text());
  EXPECT_EQ(*Board::read(*one.text(), "one")->text(), *one.text());
  EXPECT_THAT(one.document()["boards"], SizeIs(2)) << "0.031 is not 8/255";
  EXPECT_NE(*one.text(), *ours.text());
}

/// Any JSON object of few names and values, so that two of them meet in most places.
Json random_object(std::mt19937& random, int depth) {
  const auto below = [&](std::uint32_t n) { return static_cast<int>(random() % n); };
  Json object = Json::object();
  for (const char* name : {"boards", "entries", "title", "a field of tomorrow", "also/~1"}) {
    if (below(3) == 0) continue;
    switch (depth > 3 ? below(4) : below(7)) {
      case 0:
        object[name] = below(3);
        break;
      case 1:
        object[name] = below(2) == 0 ? "text" : "other";
        break;
      case 2:
        object[name] = Json::array({below(2), "x"});
        break;
      case 3:
        object[name] = below(2) == 0 ? Json() : Json(0.5);
        break;
      default:
        object[name] = random_object(random, depth + 1);
    }
  }
  return object;
}

TEST(BoardMerge, IsCommutativeAssociativeAndIdempotentOverAnyDocuments) {
  std::mt19937 random(7);
  int n_differing = 0;
  for (int round = 0; round < 300; ++round) {
    const Json a = random_object(random, 0), b = random_object(random, 0), c = random_object(random, 0);
    const Json ab = merged_documents(a, b);
    ASSERT_EQ(ab.dump(), merged_documents(b, a).dump());
    ASSERT_EQ(merged_documents(ab, c).dump(), merged_documents(a, merged_documents(b, c)).dump())
        << a.dump() << "\n"
        << b.dump() << "\n"
        << c.dump();
    ASSERT_EQ(merged_documents(ab, ab).dump(), ab.dump());
    ASSERT_EQ(merged_documents(ab, a).dump(), ab.dump());
    n_differing += ab.contains("also") ? 1 : 0;
  }
  EXPECT_GT(n_differing, 100) << "documents that never disagree show nothing";
}

TEST(BoardMerge, UnknownFieldsSurviveAndDifferencesAreListed) {
  Board ours, theirs;
  Json evaluation = an_evaluation("A", {0.5, 0.5, 0.5, 0.5});
  evaluation["a field of tomorrow"] = {{"deep", 1}};
  add(ours, "blur", kWeights, evaluation);
  Json entry = a_defense("blur");
  entry["title"] = "A blur";
  entry["another"] = "kept";
  ASSERT_TRUE(theirs.add(
      {a_threat_model(), entry, kWeights, {{"seed", 1}}, an_evaluation("B", {0.5, 0.5, 0.5, 0.5})}));
  const Board both = merged(ours, theirs);
  const std::string text = *both.text();
  EXPECT_THAT(text, HasSubstr(R"("a field of tomorrow":{"deep":1})"));
  EXPECT_THAT(text, HasSubstr(R"("another":"kept")"));
  EXPECT_THAT(differences_of(both),
              ElementsAre(HasSubstr(R"(/title is "A blur" in one file and "blur" in another)")));
  EXPECT_THAT(differences_of(*Board::read(text, "both")), SizeIs(1)) << "nothing is dropped on the way";
  EXPECT_THAT(conflicts_of(both), IsEmpty());
}

TEST(BoardMerge, TheSameWeightsWithOtherCleanValuesAreAConflict) {
  Board board;
  add(board, "blur", kWeights, an_evaluation("A", {0.5, 0.5, 0.5, 0.5}));
  Json other = an_evaluation("B", {0.4, 0.5, 0.5, 0.5});
  other["clean"]["value"] = 0.8009;
  add(board, "blur", kWeights, other);
  EXPECT_THAT(conflicts_of(board), IsEmpty());
  other["clean"]["value"] = 0.802;
  add(board, "blur", kWeights, other);
  EXPECT_THAT(conflicts_of(board), ElementsAre(HasSubstr("clean 0.8 by A")));
  EXPECT_THAT(only_board(board)["entries"].begin().value()["evaluations"], SizeIs(3)) << "all are kept";
}

TEST(BoardStanding, IsTheWorstPerQueryOverEvaluationsThenTheMeanOverWeights) {
  Board board;
  add(board, "blur", kWeights, an_evaluation("A", {0.5, 0.4, 0.6, 0.3}));
  add(board, "blur", kWeights, an_evaluation("B", {0.6, 0.2, 0.6, 0.4}));
  EXPECT_DOUBLE_EQ(*standing_of(board, "blur").best_known, (0.5 + 0.2 + 0.6 + 0.3) / 4);
  add(board, "blur", kOtherWeights, an_evaluation("B", {0.8, 0.8, 0.8, 0.8}));
  const Standing both = standing_of(board, "blur");
  EXPECT_DOUBLE_EQ(*both.best_known, (0.4 + 0.8) / 2) << "another seed is never the worse one of two";
  EXPECT_EQ(both.n_runs, 2);
  EXPECT_LT(*both.ci_low, *both.best_known);
  EXPECT_GT(*both.ci_high, *both.best_known);
}

TEST(BoardStanding, WithoutValuesPerQueryItIsTheWorstOfTheMeansAndSaysSo) {
  Board board;
  add(board, "blur", kWeights, an_evaluation("A", {0.5, 0.4, 0.6, 0.3}));
  Json bare = an_evaluation("B", {0.44, 0.44, 0.44, 0.44});
  bare.erase("per_query");
  add(board, "blur", kWeights, bare);
  const Standing standing = standing_of(board, "blur");
  EXPECT_DOUBLE_EQ(*standing.best_known, 0.44);
  EXPECT_TRUE(standing.merged_means);
  EXPECT_FALSE(standing.ci_low);
  EXPECT_THAT(*board.text(), HasSubstr(R"("merged":"means")"));
}

TEST(BoardStanding, ALowerExternalValueBecomesBestKnownAndBreaksAnEntry) {
  Board board;
  add(board, "blur", kWeights, an_evaluation("A", {0.5, 0.5, 0.5, 0.5}));
  EXPECT_EQ(standing_of(board, "blur").status, "reproduced");
  // A little lower on one query: best known, not broken.
  add(board, "blur", kWeights, an_evaluation("C", {0.9, 0.9, 0.9, 0.44}, "external"));
  Standing standing = standing_of(board, "blur");
  EXPECT_DOUBLE_EQ(*standing.best_known, 0.485);
  EXPECT_EQ(standing.status, "reproduced");
  EXPECT_EQ(standing.found_by.at(1).by, "C");
  EXPECT_DOUBLE_EQ(standing.found_by.at(1).share, 0.25);
  add(board, "blur", kWeights, an_evaluation("D", {0.4, 0.4, 0.9, 0.9}, "external"));
  standing = standing_of(board, "blur");
  EXPECT_DOUBLE_EQ(*standing.best_known, (0.4 + 0.4 + 0.5 + 0.44) / 4);
  EXPECT_EQ(standing.status, "broken");
  EXPECT_TRUE(standing.rank) << "a broken entry stays listed";
}

TEST(BoardStanding, RanksByBestKnownThenCleanAndNeverTheBaselineOrAClaim) {
  Board board;
  add(board, "none", kWeights, an_evaluation("A", {0.9, 0.9, 0.9, 0.9}));
  add(board, "weak", kWeights, an_evaluation("A", {0.2, 0.2, 0.2, 0.2}));
  add(board, "strong", kWeights, an_evaluation("A", {0.4, 0.4, 0.4, 0.4}));
  Json cleaner = an_evaluation("A", {0.4, 0.4, 0.4, 0.4});
  cleaner["clean"]["value"] = 0.9;
  add(board, "cleaner", kWeights, cleaner);
  Json claim = an_evaluation("E", {0.95, 0.95, 0.95, 0.95}, "imported");
  claim.erase("per_query");
  add(board, "claimed", kWeights, claim);
  EXPECT_EQ(standing_of(board, "cleaner").rank, 1);
  EXPECT_EQ(standing_of(board, "strong").rank, 2);
  EXPECT_EQ(standing_of(board, "weak").rank, 3);
  EXPECT_FALSE(standing_of(board, "none").rank);
  EXPECT_EQ(standing_of(board, "claimed").status, "claimed");
  EXPECT_FALSE(standing_of(board, "claimed").rank);
}

TEST(BoardStanding, AConstantCodeIsListedWithoutRankThoughItsWorstIsTheHighest) {
  Board board;
  add(board, "blur", kWeights, an_evaluation("A", {0.2, 0.2, 0.2, 0.2}));
  Json constant = an_evaluation("A", {0.36, 0.36, 0.36, 0.36});
  constant["clean"]["value"] = 0.36;  // chance, clean and under every attack
  constant["levels"]["random_code"] = 0.355;
  add(board, "constant", kWeights, constant);
  const Standing standing = standing_of(board, "constant");
  EXPECT_FALSE(standing.rank);
  EXPECT_TRUE(standing.degenerate);
  EXPECT_TRUE(standing.unreliable);
  EXPECT_THAT(standing.failed_checks, ElementsAre("R19"));
  EXPECT_EQ(standing_of(board, "blur").rank, 1);
  EXPECT_THAT(board_text(board), HasSubstr("constant: not ranked, it retrieves nothing"));
}

TEST(BoardStanding, VerifiedNeedsEveryRequirementAndNoFailedCheck) {
  Board board;
  add(board, "blur", kWeights, verified(an_evaluation("A", {0.5, 0.5, 0.5, 0.5})));
  EXPECT_THAT(standing_of(board, "blur").missing, ElementsAre("the undefended model on this board"));
  add(board, "none", kWeights, an_evaluation("A", {0.1, 0.1, 0.1, 0.1}));
  EXPECT_EQ(standing_of(board, "blur").status, "verified");
  add(board, "masked", kWeights, verified(an_evaluation("A", {0.6, 0.6, 0.6, 0.6}), "R02"));
  EXPECT_EQ(standing_of(board, "masked").status, "reproduced");
  EXPECT_TRUE(standing_of(board, "masked").unreliable);
  add(board, "bare", kWeights, an_evaluation("A", {0.6, 0.6, 0.6, 0.6}));
  EXPECT_THAT(
      standing_of(board, "bare").missing,
      ElementsAre(HasSubstr("a curve"), "checks R01, R02, R03, R04, R05, R06, R07, R09, R13, R17, R19"));
}

TEST(BoardStanding, OnATargetedBoardTheLargestValueIsTheWorst) {
  Json model = a_threat_model();
  model["goal"] = {{"kind", "targeted"}, {"rule", "distinct"}};
  model["metric"] = "t_map";
  Board board;
  add(board, "blur", kWeights, an_evaluation("A", {0.5, 0.4, 0.6, 0.3}), model);
  add(board, "blur", kWeights, an_evaluation("B", {0.6, 0.2, 0.6, 0.9}, "external"), model);
  add(board, "better", kWeights, an_evaluation("A", {0.3, 0.3, 0.3, 0.3}), model);
  EXPECT_DOUBLE_EQ(*standing_of(board, "blur").best_known, (0.6 + 0.4 + 0.6 + 0.9) / 4);
  EXPECT_EQ(standing_of(board, "blur").status, "broken");
  EXPECT_EQ(standing_of(board, "better").rank, 1);
}

TEST(BoardFile, WhatIsDerivedCannotBeTypedIn) {
  Board board;
  add(board, "blur", kWeights, an_evaluation("A", {0.5, 0.5, 0.5, 0.5}));
  const std::string honest = *board.text();
  Json document = Json::parse(honest);
  Json& derived = document["boards"].begin().value()["derived"].begin().value();
  derived["rank"] = 7;
  derived["status"] = "verified";
  derived["best_known"]["value"] = 0.99;
  EXPECT_EQ(*Board::read(document.dump(), "edited")->text(), honest);
}

TEST(BoardFile, RefusesWhatWasChangedWithItsPlace) {
  Board board;
  add(board, "blur", kWeights, an_evaluation("A", {0.5, 0.5, 0.5, 0.5}));
  const Json good = Json::parse(*board.text());
  const auto refusal = [&](const std::function<void(Json & board, Json & entry, Json & evaluation)>& change) {
    Json document = good;
    Json& only = document["boards"].begin().value();
    Json& entry = only["entries"].begin().value();
    change(only, entry, entry["evaluations"].begin().value());
    const auto read = Board::read(document.dump(), "b.json");
    EXPECT_FALSE(read);
    EXPECT_TRUE(read || read.error().code == ErrorCode::kInvalid);
    return read ? "" : read.error().message;
  };
  EXPECT_THAT(refusal([](Json&, Json&, Json& evaluation) {
                evaluation["worst"]["value"] = 0.6;
                evaluation["per_query"]["worst"] = std::vector<double>{0.6, 0.6, 0.6, 0.6};
              }),
              testing::AllOf(HasSubstr("b.json: /boards/"), HasSubstr("/evaluations/"),
                             HasSubstr("something in it was changed")));
  EXPECT_THAT(refusal([](Json&, Json&, Json& evaluation) { evaluation["worst"]["value"] = 0.6; }),
              HasSubstr("/worst/value is 0.6; allowed: the mean of per_query/worst, 0.5"));
  EXPECT_THAT(refusal([](Json& only, Json&, Json&) { only["threat_model"]["epsilon"] = "4/255"; }),
              HasSubstr("something in it was changed"));
  EXPECT_THAT(refusal([](Json&, Json& entry, Json&) { entry["defense"]["version"] = 2; }),
              HasSubstr("something in it was changed"));
  EXPECT_THAT(refusal([](Json&, Json& entry, Json&) { entry["runs"] = Json::object(); }),
              HasSubstr("/weights_hash is \"00000000000000a1\"; allowed: one of the entry's runs"));
  EXPECT_THAT(refusal([](Json&, Json&, Json& evaluation) { evaluation["source"] = "mine"; }),
              HasSubstr("/source is \"mine\"; allowed: own, imported, external"));
  EXPECT_THAT(refusal([](Json&, Json&, Json& evaluation) { evaluation["per_query"]["worst"][2] = 1e9; }),
              HasSubstr("/per_query/worst is 1000000000.0; allowed: numbers from 0 to 1"));
  EXPECT_THAT(Board::read(R"({"format": 2, "boards": {}})", "b").error().message,
              HasSubstr("/format is 2; allowed: 1"));
  EXPECT_THAT(Board::read("[]", "b").error().message, HasSubstr("/ is []; allowed: an object"));
  EXPECT_THAT(
      Board::read(R"({"format": 1, "boards": {}, "also": [{"path": [], "value": 1}]})", "b").error().message,
      HasSubstr("/also is"));
  EXPECT_FALSE(Board::read("{", "b"));
}

TEST(BoardFile, ARetractionHidesAnEvaluationAndKeepsIt) {
  Board board;
  add(board, "blur", kWeights, an_evaluation("A", {0.5, 0.5, 0.5, 0.5}));
  const Board before = board;
  add(board, "blur", kWeights, an_evaluation("C", {0.1, 0.1, 0.1, 0.1}, "external"));
  const std::string hash = standing_of(board, "blur").found_by.front().evaluation;
  EXPECT_EQ(board.retract("zz", "why", "").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(board.retract("", "why", "").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(board.retract(hash, "", "").error().code, ErrorCode::kInvalid);
  ASSERT_TRUE(board.retract(hash.substr(0, 9), "wrong labels", "C"));
  EXPECT_DOUBLE_EQ(*standing_of(board, "blur").best_known, 0.5);
  EXPECT_THAT(only_board(board)["entries"].begin().value()["evaluations"], SizeIs(2));
  EXPECT_EQ(*merged(before, board).text(), *board.text()) << "merging does not bring it back";
  EXPECT_THAT(board_page(board, "test"), HasSubstr("was retracted: wrong labels"));
}

TEST(BoardPage, ShowsForeignTextAsTextAndLinksTheWebOnly) {
  Board board;
  Json entry = a_defense("blur");
  entry["title"] = "<script>alert('title')</script>";
  entry["link"] = "javascript:alert(1)";
  entry["authors"] = Json::array({"<img src=x onerror=alert(2)>"});
  Json evaluation = an_evaluation("<b>A</b>", {0.5, 0.5, 0.5, 0.5});
  evaluation["checks"] = Json::array({{{"check", "R01"}, {"verdict", "pass"}, {"sentence", "<i>fine</i>"}}});
  evaluation["command"] = "\"><svg onload=alert(3)>";
  ASSERT_TRUE(board.add({a_threat_model(), entry, kWeights, {{"seed", 1}}, evaluation}));
  Json linked = a_defense("linked");
  linked["link"] = "https://example.org/?a=1&b=\"2\"";
  ASSERT_TRUE(board.add(
      {a_threat_model(), linked, kWeights, {{"seed", 1}}, an_evaluation("A", {0.5, 0.5, 0.5, 0.5})}));
  const std::string page = board_page(board, "test");
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(&#39;title&#39;)&lt;/script&gt;"));
  for (const char* bad : {"<script", "javascript:", "<img", "<b>A", "<i>fine", "<svg onload"})
    EXPECT_THAT(page, Not(HasSubstr(bad))) << bad;
  EXPECT_THAT(
      page,
      HasSubstr("<a href=\"https://example.org/?a=1&amp;b=&quot;2&quot;\" rel=\"noopener noreferrer\">"));
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
  EXPECT_EQ(page, board_page(*Board::read(*board.text(), "b"), "test"));
}

TEST(BoardAbout, SaysWhatIsWrongWhereItIs) {
  const auto about = parse_about(
      "blur:\n  title: A blur\n  authors: [B. Lur]\n  link: https://x.org\n  type: a\n  reported: {value: "
      "0.5, source: "
      "Table 1}\n",
      "about.yaml");
  ASSERT_TRUE(about) << about.error().message;
  EXPECT_EQ((*about)["blur"]["reported"]["value"], 0.5);
  const std::string wrong =
      parse_about("blur:\n  titel: x\n  link: javascript:1\n  type: g\n", "about.yaml").error().message;
  EXPECT_THAT(wrong, HasSubstr("about.yaml:2:3: "));
  EXPECT_THAT(wrong, HasSubstr("did you mean 'title'"));
  EXPECT_THAT(wrong, HasSubstr("about.yaml:3:9: link is 'javascript:1'"));
  EXPECT_THAT(wrong, HasSubstr("type is 'g'; allowed: a, b, c, d, e, f"));
}

class BoardSchema : public testing::Test {
 protected:
  [[nodiscard]] testing_support::Finished validate(const std::string& text) const {
    EXPECT_TRUE(write_file_atomic(folder_ / "board.json", text));
    const std::string schema = (fs::path(GAUNTLET_SOURCE_DIR) / "schemas" / "board.schema.json").string();
    return testing_support::run(
        {"/usr/bin/python3", "-c",
         "import json, sys, jsonschema\n"
         "schema = json.load(open(sys.argv[1]))\n"
         "jsonschema.Draft202012Validator.check_schema(schema)\n"
         "for error in jsonschema.Draft202012Validator(schema).iter_errors(json.load(open(sys.argv[2]))):\n"
         "    sys.exit(error.json_path + ': ' + error.message)\n",
         schema, (folder_ / "board.json").string()},
        folder_.path());
  }
  testing_support::TempFolder folder_;
};

TEST_F(BoardSchema, IsWhatIsWritten) {
  if (testing_support::run({"/usr/bin/python3", "-c", "import jsonschema"}, "/").exit_code != 0)
    GTEST_SKIP() << "/usr/bin/python3 has no jsonschema (Debian: python3-jsonschema)";
  Board board, other;
  add(board, "none", kWeights, an_evaluation("A", {0.1, 0.1, 0.2, 0.2}));
  add(board, "blur", kWeights, verified(an_evaluation("A", {0.5, 0.5, 0.5, 0.5}), "R02"));
  add(board, "blur", kWeights, an_evaluation("C", {0.4, 0.4, 0.5, 0.5}, "external"));
  Json entry = a_defense("blur");
  entry["title"] = "Blur";
  ASSERT_TRUE(other.add(
      {a_threat_model(), entry, kWeights, {{"seed", 2}}, an_evaluation("B", {0.3, 0.5, 0.5, 0.5})}));
  board.merge(other);
  ASSERT_TRUE(board.retract(standing_of(board, "none").found_by.front().evaluation, "a test", "A"));
  const std::string text = *board.text();
  const auto good = validate(text);
  EXPECT_EQ(good.exit_code, 0) << good.err;
  Json document = Json::parse(text);
  document["boards"].begin().value()["derived"].begin().value()["status"] = "excellent";
  EXPECT_THAT(validate(document.dump()).err, HasSubstr("'excellent' is not one of"));
  document = Json::parse(text);
  document["boards"].begin().value()["threat_model"].erase("epsilon");
  EXPECT_THAT(validate(document.dump()).err, HasSubstr("'epsilon' is a required property"));
}

}  // namespace
}  // namespace gauntlet::results
