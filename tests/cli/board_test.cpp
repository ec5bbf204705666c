// Leaderboard files on the command line: exit codes, what is said where, what is written.
#include <fstream>

#include "core/base/files.hpp"
#include "core/base/json.hpp"
#include "tests/cli/cli_test_base.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing_support::Finished;

class BoardCli : public CliTest {
 protected:
  /// A small file that the fuzzer starts from too.
  [[nodiscard]] static std::string sample(const std::string& name) {
    return (fs::path(GAUNTLET_SOURCE_DIR) / "tests/fuzz/corpus/board" / name).string();
  }
};

TEST_F(BoardCli, MergesInAnyOrderAndShowsWhoFoundWhat) {
  const Finished one = gauntlet({"board", "merge", sample("full"), sample("external"), "--to", "one.json"});
  EXPECT_EQ(one.exit_code, 0) << one.err;
  EXPECT_EQ(one.out, "");
  const Finished other = gauntlet({"board", "merge", sample("external"), sample("full")});
  EXPECT_EQ(other.out, read_file(folder() / "one.json").value());
  EXPECT_EQ(gauntlet({"board", "merge", "one.json", sample("full"), "one.json"}).out, other.out);
  const Finished shown = gauntlet({"board", "show", "one.json"});
  EXPECT_EQ(shown.exit_code, 0);
  EXPECT_THAT(shown.out, AllOf(HasSubstr("broken"), HasSubstr("B (external)"), HasSubstr("18.75")));
  const Finished json = gauntlet({"board", "show", "one.json", "--json"});
  const Json document = Json::parse(json.out);
  EXPECT_EQ(document["format"], 1);
  EXPECT_EQ(document["boards"].begin().value()["standings"].begin().value()["best_known"]["value"], 0.1875);
}

TEST_F(BoardCli, ConflictsAreListedAndEndWithOne) {
  for (const char* verb : {"merge", "show"}) {
    const Finished told = gauntlet({"board", verb, sample("conflict")});
    EXPECT_EQ(told.exit_code, 1) << verb;
    EXPECT_THAT(told.err,
                AllOf(HasSubstr("conflict: board "), HasSubstr("clean 0.7 by A"), HasSubstr("0.8 by B")));
    EXPECT_THAT(told.out, Not(testing::IsEmpty())) << "both are kept";
  }
  const Finished differing = gauntlet({"board", "merge", sample("also")});
  EXPECT_EQ(differing.exit_code, 0) << "a title is no conflict";
  EXPECT_THAT(differing.err, HasSubstr("/title is \"a\" in one file and \"b\" in another"));
}

TEST_F(BoardCli, AnEditedFileIsRefusedWithItsPlace) {
  std::string text = read_file(sample("plain")).value();
  text.replace(text.find("[0.5,0.25]"), 10, "[0.5,0.26]");
  write("edited.json", text);
  const Finished refused = gauntlet({"board", "show", "edited.json"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("edited.json: /boards/"), HasSubstr("/worst/value is 0.375")));
  EXPECT_EQ(gauntlet({"board", "show", "gone.json"}).exit_code, 4);
}

TEST_F(BoardCli, ARetractionTakesAnEvaluationOutOfTheValue) {
  fs::copy_file(sample("external"), folder() / "board.json");
  const auto standing = [&] {
    return Json::parse(gauntlet({"board", "show", "board.json", "--json"}).out)["boards"]
        .begin()
        .value()["standings"]
        .begin()
        .value();
  };
  std::string hash;
  const Json before = standing();
  for (const Json& finder : before["best_known"]["found_by"])
    if (finder["source"] == "external") hash = finder["evaluation"];
  ASSERT_EQ(hash.size(), 16U);
  const Finished unknown = gauntlet({"board", "retract", "board.json", "ffffffffff", "--reason", "x"});
  EXPECT_EQ(unknown.exit_code, 4);
  EXPECT_THAT(unknown.err, HasSubstr("no evaluation is called 'ffffffffff'"));
  EXPECT_EQ(gauntlet({"board", "retract", "board.json", hash, "--reason", "wrong labels"}).exit_code, 0);
  EXPECT_EQ(before["best_known"]["value"], 0.1875);
  EXPECT_EQ(standing()["best_known"]["value"], 0.375);
  EXPECT_EQ(gauntlet({"board", "show", "board.json", "--html", "board.html"}).exit_code, 0);
  EXPECT_THAT(
      read_file(folder() / "board.html").value(),
      AllOf(HasSubstr("was retracted: wrong labels"), HasSubstr("(retracted)"), Not(HasSubstr("<script"))));
}

TEST_F(BoardCli, GivenInputsAreLookedAtByVerify) {
  write("given.yaml",
        "gauntlet_external: 1\nkind: attack\nname: sent\ngiven: {inputs: inputs.npy}\nbudget: {linf: 0.1}\n"
        "capabilities: {text: false}\n");
  write("inputs.npy", "no array");
  const Finished wrong = gauntlet({"verify", "--external", "given.yaml"});
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_THAT(wrong.out, HasSubstr("wrong  given inputs: files"));
}

}  // namespace
}  // namespace gauntlet::cli
