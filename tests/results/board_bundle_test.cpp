// A leaderboard out of finished work: what becomes an evaluation, on which board, and what is left out.
#include <gmock/gmock.h>

#include "results/board/from_bundle.hpp"
#include "results/board/standing.hpp"
#include "tests/results/board_support.hpp"

namespace gauntlet::results {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

/// One finished sweep: jobs named by words, whose hashes are their keys.
class FinishedWork : public testing::Test {
 protected:
  void SetUp() override {
    bundle_.sweeps.push_back({.name = "s",
                              .priority = 0,
                              .spec_text = "gauntlet: 1\n",
                              .spec_path = "/data/s.yaml",
                              .code_revision = "r",
                              .metrics = "{}"});
    job("data", "prepare", "picto", {{"source", "c0ffee"}});
    job("model", "train_model", "cpah", {{"bits", 16}, {"model", {{"hidden", 32}}}}, {{"data", "data"}});
    job("items", "encode", "none", {{"part", "retrieval"}}, {{"model", "model"}});
    bundle_.jobs.back().rows.push_back({.metric = "encoding_rate", .value = 9, .n = 90});
  }

  static JobKey key(const std::string& name) { return JobKey{sha256(name)}; }

  BundleJob& job(const std::string& name, const std::string& kind, const std::string& entry,
                 const Json& config, const std::vector<std::pair<std::string, std::string>>& inputs = {}) {
    for (BundleJob& known : bundle_.jobs)
      if (known.key == key(name)) return known;
    BundleJob made;
    made.key = key(name);
    made.form = {{"kind", kind},       {"entry", entry},           {"version", 1},
                 {"config", config},   {"inputs", Json::object()}, {"seed", 1},
                 {"precision", "fp32"}};
    for (const auto& [role, of] : inputs) made.form["inputs"][role] = key(of).hex();
    made.state = "done";
    made.attempt =
        BundleAttempt{.worker = "w",
                      .started_ms = 1,
                      .ended_ms = 2,
                      .wall_s = 1,
                      .manifest = "",
                      .environment = R"({"device":"cpu","revision":"abc","program":"gauntlet-rank"})"};
    bundle_.jobs.push_back(std::move(made));
    return bundle_.jobs.back();
  }

  BundleCell& cell(const std::string& defense, const std::string& attack, const std::string& protocol) {
    BundleCell made;
    made.sweep = "s";
    made.cell = {.dataset = "picto",
                 .model = "cpah",
                 .bits = 16,
                 .defense = defense,
                 .attack = attack,
                 .protocol = protocol,
                 .direction = "i2t",
                 .variant = "",
                 .seed = 1};
    // A job plays one part in a cell: the retrieval codes are what attacks aim at, too.
    made.jobs = {{"prepare", key("data")}, {"train_model", key("model")}, {"codes_text", key("items")}};
    bundle_.cells.push_back(std::move(made));
    return bundle_.cells.back();
  }

  void measured(BundleJob& evaluate, const std::vector<float>& per_query) {
    double sum = 0;
    for (const float value : per_query) sum += value;
    const auto n = static_cast<std::int64_t>(per_query.size());
    evaluate.rows.push_back(
        {.metric = "map", .value = sum / static_cast<double>(n), .n = n, .per_query = per_query});
  }

  /// worst/quick@1 of one member.
  void add_worst(const std::string& defense, const std::string& protocol, const std::vector<float>& per_query,
                 double epsilon = 8.0 / 255) {
    const std::string id = fmt::format("{} {} {}", defense, protocol, epsilon);
    const std::string source = protocol == "static" ? fmt::format("static {}", epsilon) : id;
    const Json blur = defense == "none" ? Json::object() : Json{{"radius", 1}};
    job(defense, "encode", defense, {{"defense", blur}}, {{"model", "model"}});
    job("craft " + source, "craft", "apgd",
        {{"attack", {{"epsilon_image", epsilon}, {"rounding", "u8"}, {"select", "ap"}}}},
        {{"model", "model"}})
        .rows = {{.metric = "linf", .value = epsilon * 255, .unit = "grey_levels", .n = 2}};
    job("crafted " + id, "encode", defense, {{"defense", blur}}, {{"crafted", "craft " + source}});
    BundleJob& evaluate =
        job("evaluate " + id, "evaluate", "",
            {{"direction", "i2t"}, {"worst", {{"set", "quick"}, {"version", 1}, {"members", {"apgd-main"}}}}},
            {{"worst_of_000", "crafted " + id},
             {"data", "data"},
             {"query_codes", defense},
             {"retrieval_codes", "items"}});
    measured(evaluate, per_query);
    evaluate.rows.push_back({.metric = "map:clean", .value = 0.75, .n = 2});
    evaluate.rows.push_back({.metric = "map:chance", .value = 0.25, .n = 2, .per_query = {0.25F, 0.25F}});
    evaluate.rows.push_back({.metric = "member_share:apgd-main", .value = 1, .n = 2});
    BundleCell& added = cell(defense, fmt::format("worst {:.0f}", epsilon * 255), protocol);
    added.jobs.insert(added.jobs.end(),
                      {{"encode_query", key(defense)}, {"evaluate", key("evaluate " + id)}});
  }

  void add_given(const std::string& defense, const std::vector<float>& per_query, const Json& budget) {
    const std::string id = "given " + budget.dump();
    job(id, "command", "lab_b",
        {{"given", {{"summary", "a search"}, {"reference", "Lab B"}, {"budget", budget}}}});
    job("crafted " + id, "encode", defense, {{"defense", {{"radius", 1}}}}, {{"crafted", id}});
    measured(job("evaluate " + id, "evaluate", "", {{"direction", "i2t"}},
                 {{"data", "data"}, {"query_codes", "crafted " + id}, {"retrieval_codes", "items"}}),
             per_query);
    BundleCell& added = cell(defense, "lab_b", "static");
    added.jobs.insert(
        added.jobs.end(),
        {{"encode_query", key("crafted " + id)}, {"craft", key(id)}, {"evaluate", key("evaluate " + id)}});
  }

  Result<CollectedBoard> collect(const BoardOptions& options = {.by = "Lab A"}) const {
    const BoardFacts facts = {
        .content_hash = [&](spec::JobKind, const JobKey& of, std::string_view file) -> Result<std::string> {
          return of == gone_ ? "" : to_hex(sha256(of.hex() + std::string(file)));
        },
        .query_ids_hash = [](const JobKey&) -> Result<std::string> { return std::string("1d5"); }};
    return board_from(bundle_, spec::Catalog::builtin(), facts, checks_, options);
  }

  Bundle bundle_;
  JobKey gone_;
  ChecksOf checks_;
};

const Json& board_of(const Board& board, const std::string& protocol, const std::string& epsilon = "8/255") {
  for (const auto& [id, each] : board.document().at("boards").items()) {
    if (each["threat_model"]["protocol"] == protocol && each["threat_model"]["epsilon"] == epsilon)
      return each;
  }
  ADD_FAILURE() << "no board " << protocol;
  static const Json kNone = {{"entries", Json::object()}};
  return kNone;
}

const Json& entry_of(const Json& board, const std::string& defense) {
  for (const auto& entry : board.at("entries"))
    if (entry["defense"]["name"] == defense) return entry;
  ADD_FAILURE() << "no " << defense;
  static const Json kNone;
  return kNone;
}

TEST_F(FinishedWork, StandsOnTheBoardOfItsThreatModel) {
  add_worst("none", "static", {0.25F, 0.125F});
  add_worst("box_blur", "static", {0.5F, 0.5F});
  add_worst("box_blur", "adaptive", {0.5F, 0.25F});
  const auto collected = collect();
  ASSERT_TRUE(collected) << collected.error().message;
  EXPECT_THAT(collected->notes, IsEmpty());
  const Json& adaptive = board_of(collected->board, "adaptive");
  EXPECT_EQ(adaptive["threat_model"]["name"],
            "picto, cpah 16 bits, image to text, linf 8/255, u8, adaptive worst/quick@1");
  EXPECT_EQ(adaptive["threat_model"]["dataset"]["n_retrieval"], 90);
  EXPECT_EQ(adaptive["threat_model"]["dataset"]["n_query"], 2);
  EXPECT_THAT(adaptive["entries"], SizeIs(2)) << "the undefended model is there too";
  const Json& blur = entry_of(adaptive, "box_blur");
  EXPECT_EQ(blur["type"], "a") << "one exact stage is declared";
  ASSERT_THAT(blur["evaluations"], SizeIs(1));
  const Json& evaluation = blur["evaluations"].begin().value();
  EXPECT_EQ(evaluation["worst"]["value"], 0.375);
  EXPECT_EQ(evaluation["per_query"]["worst"], (std::vector<double>{0.5, 0.25}));
  EXPECT_EQ(evaluation["static"]["value"], 0.5);
  EXPECT_EQ(evaluation["clean"]["value"], 0.75);
  EXPECT_EQ(evaluation["levels"], (Json{{"chance", 0.25}}));
  EXPECT_EQ(evaluation["members"]["apgd-main"]["share"], 1);
  EXPECT_NEAR(evaluation["perceptibility"]["apgd-main"]["linf"].get<double>(), 8, 1e-9);
  EXPECT_THAT(evaluation["inputs"], SizeIs(1));
  EXPECT_EQ(evaluation["environment"]["revision"], "abc");
  EXPECT_EQ(evaluation["command"], "gauntlet run s.yaml") << "no path of a machine";
  EXPECT_FALSE(evaluation.contains("curve"));
  EXPECT_EQ(*collect()->board.text(), *collected->board.text());
  EXPECT_EQ(collect({.by = "Lab Z"})->board.document()["boards"].begin().key(),
            collected->board.document()["boards"].begin().key())
      << "whoever runs it gets the same board";
}

TEST_F(FinishedWork, OtherBudgetsAreOtherBoardsAndOneCurve) {
  add_worst("none", "static", {0.25F, 0.25F});
  add_worst("none", "static", {0.5F, 0.5F}, 2.0 / 255);
  add_worst("none", "static", {0.125F, 0.125F}, 1);
  const auto collected = collect();
  ASSERT_TRUE(collected) << collected.error().message;
  EXPECT_THAT(collected->board.document()["boards"], SizeIs(3));
  const Json& curve =
      entry_of(board_of(collected->board, "static", "2/255"), "none")["evaluations"].begin().value()["curve"];
  ASSERT_THAT(curve, SizeIs(3));
  EXPECT_EQ(curve[0], (Json{{"epsilon", "2/255"}, {"epsilon_value", 2.0 / 255}, {"value", 0.5}}));
  EXPECT_EQ(curve[2]["epsilon"], "255/255");
}

TEST_F(FinishedWork, InputsFromOutsideStandOnEveryBoardWhoseBudgetTheyKeep) {
  add_worst("box_blur", "static", {0.5F, 0.5F});
  add_worst("box_blur", "adaptive", {0.5F, 0.25F});
  add_worst("box_blur", "static", {0.625F, 0.625F}, 2.0 / 255);
  add_given("box_blur", {0.125F, 0.75F}, {{"linf", 8.0 / 255}, {"grid", 255}});
  const auto collected = collect();
  ASSERT_TRUE(collected) << collected.error().message;
  EXPECT_THAT(collected->notes, ElementsAre(HasSubstr("the inputs' budget is 8/255, the board's 2/255")));
  for (const auto& [protocol, expected] : {std::pair("static", 0.3125), std::pair("adaptive", 0.1875)}) {
    const Json& board = board_of(collected->board, protocol);
    const Standing standing = standings_of(board).front();
    EXPECT_DOUBLE_EQ(*standing.best_known, expected) << protocol;
    EXPECT_EQ(standing.status, "broken");
    std::vector<std::string> finders;
    for (const Finder& finder : standing.found_by) finders.push_back(finder.by + " " + finder.source);
    EXPECT_THAT(finders, UnorderedElementsAre("Lab A own", "Lab B external"));
  }
  EXPECT_THAT(*collected->board.text(), HasSubstr(R"("sentence":"a search")"));

  add_given("box_blur", {0.0F, 0.0F}, {{"linf", 8.0 / 255}});
  EXPECT_THAT(collect()->notes, Contains(HasSubstr("were not checked to be whole grey levels")));
}

TEST_F(FinishedWork, ChecksAndWhatPeopleKnowComeAlong) {
  add_worst("box_blur", "static", {0.5F, 0.5F});
  checks_ = [](const BundleCell& of, double epsilon) -> Result<Json> {
    return Json::array({{{"check", "R01"},
                         {"verdict", "fail"},
                         {"sentence", fmt::format("{} at {:.4f}", of.cell.defense, epsilon)}}});
  };
  const auto collected =
      collect({.by = "Lab A", .about = {{"box_blur", {{"title", "A blur"}, {"link", "https://x.org"}}}}});
  ASSERT_TRUE(collected) << collected.error().message;
  const Json& board = board_of(collected->board, "static");
  EXPECT_EQ(entry_of(board, "box_blur")["title"], "A blur");
  EXPECT_EQ(entry_of(board, "box_blur")["evaluations"].begin().value()["checks"][0]["sentence"],
            "box_blur at 0.0314");
  EXPECT_TRUE(standings_of(board).front().unreliable);
  EXPECT_THAT(collect({.by = "A", .about = {{"blurr", {{"title", "x"}}}}}).error().message,
              HasSubstr("unknown defense 'blurr'"));
}

TEST_F(FinishedWork, WhatIsNotThereIsLeftOutAndSaidSo) {
  EXPECT_THAT(collect().error().message, HasSubstr("no finished cell has an attack set"));
  add_worst("none", "static", {0.25F, 0.25F});
  add_worst("none", "static", {0.5F, 0.5F}, 2.0 / 255);
  bundle_.jobs.back().state = "failed";
  auto collected = collect();
  ASSERT_TRUE(collected) << collected.error().message;
  EXPECT_THAT(collected->notes, ElementsAre(HasSubstr("not finished")));
  EXPECT_THAT(collected->board.document()["boards"], SizeIs(1));
  gone_ = key("craft static " + fmt::format("{}", 8.0 / 255));
  collected = collect();
  EXPECT_EQ(standings_of(board_of(collected->board, "static")).front().status, "claimed")
      << "without its inputs nobody can look again";
  gone_ = key("model");
  EXPECT_THAT(collect().error().message, HasSubstr("no finished cell"));
}

}  // namespace
}  // namespace gauntlet::results
