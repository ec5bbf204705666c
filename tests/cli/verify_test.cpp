// gauntlet verify on work folders that are sound, damaged, and full of leftovers.
#include "tests/cli/cli_test_base.hpp"
#include "tests/cli/made_folder.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing_support::Finished;

class Verify : public CliTest {
 protected:
  Verify() : made_(workdir()) { make_sweep(made_); }

  [[nodiscard]] Finished verify(std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"verify", "--workdir", workdir().string()});
    return gauntlet(more);
  }
  [[nodiscard]] Json report(std::vector<std::string> more = {}) const {
    more.emplace_back("--json");
    const Finished finished = verify(std::move(more));
    Json document = Json::parse(finished.out, nullptr, false);
    EXPECT_TRUE(document.is_object()) << finished.out << finished.err;
    EXPECT_EQ(document["format"], 1);
    EXPECT_EQ(finished.exit_code, document["ok"] == true ? 0 : 1);
    return document;
  }

  MadeFolder made_;
};

TEST_F(Verify, ASoundFolderAgreesWhileTheDatabaseIsOpen) {
  const Json document = report();
  EXPECT_EQ(document["ok"], true) << document;
  EXPECT_EQ(document["checked"]["jobs"], 6);
  EXPECT_EQ(document["checked"]["attempts"], 6);
  EXPECT_EQ(document["checked"]["numbers"], 6);
  EXPECT_EQ(document["checked"]["artifacts"], 6);
  EXPECT_EQ(document["problems"], Json::array());
  EXPECT_EQ(document["notes"], Json::array());
  const Finished text = verify();
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_THAT(text.out, AllOf(HasSubstr("1 sweep, 6 jobs, 6 attempts, 6 numbers"), HasSubstr("6 artifacts"),
                              HasSubstr("everything agrees\n")));
  EXPECT_EQ(text.err, "");
}

TEST_F(Verify, EveryDifferenceIsNamed) {
  fs::remove_all(made_.folder_of("model"));
  std::ofstream(made_.folder_of("crafted") / "data.npy") << std::string(100, 'y');
  std::ofstream(made_.folder_of("codes") / "data.npy") << "short";
  std::ofstream(made_.folder_of("heat") / "manifest.json") << "{}";
  ASSERT_TRUE(made_.connection().execute("UPDATE jobs SET code = 10 WHERE job_id = 5"));
  const Finished text = verify();
  EXPECT_EQ(text.exit_code, 1);
  EXPECT_THAT(text.out, HasSubstr("job " + made_.key("model").brief() + " (model) left " +
                                  made_.folder_of("model").string() + ": it is missing"));
  EXPECT_THAT(text.out, HasSubstr("(crafted) left " + made_.folder_of("crafted").string() +
                                  ": the content of data.npy does not match its hash"));
  EXPECT_THAT(text.out, HasSubstr(": data.npy has 5 bytes instead of 100"));
  EXPECT_THAT(text.out, HasSubstr(": manifest.json has no 'format'"));
  EXPECT_THAT(text.out, HasSubstr("5 differences\n")) << text.out;
  EXPECT_TRUE(fs::exists(made_.folder_of("crafted"))) << "verify only looks";
  EXPECT_EQ(report()["problems"].size(), 5U);
}

TEST_F(Verify, AnAnswerOfAnotherAttemptThanTheArtifactIsNamed) {
  ASSERT_TRUE(made_.connection().execute("UPDATE attempts SET manifest = randomblob(32) WHERE job_id = 2"));
  const Json problems = report()["problems"];
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(problems[0]["check"], "artifacts");
  EXPECT_EQ(problems[0]["subject"], "job " + made_.key("model").brief());
  EXPECT_THAT(problems[0]["message"].get<std::string>(), HasSubstr("its manifest has hash "));
}

TEST_F(Verify, QuickReadsNoContent) {
  std::ofstream(made_.folder_of("crafted") / "data.npy") << std::string(100, 'y');
  EXPECT_EQ(report({"--quick"})["ok"], true) << "the same size";
  EXPECT_EQ(report()["ok"], false);
  fs::remove(made_.folder_of("crafted") / "data.npy");
  EXPECT_EQ(report({"--quick"})["ok"], false);
}

TEST_F(Verify, LeftoversAreNotesNotDifferences) {
  const fs::path artifacts = workdir() / "artifacts";
  fs::create_directories(artifacts / ".tmp" / "junk");
  fs::create_directories(artifacts / ".damaged" / "craft-x");
  fs::create_directories(artifacts / "junk");
  const std::string orphan = std::string(64, 'a');
  fs::create_directories(artifacts / "encode" / "aa" / orphan);
  const Json document = report();
  EXPECT_EQ(document["ok"], true);
  std::vector<std::string> lines;
  for (const Json& entry : document["notes"])
    lines.push_back(entry["check"].get<std::string>() + " " + entry["subject"].get<std::string>());
  EXPECT_THAT(lines,
              testing::UnorderedElementsAre("orphan " + (artifacts / "encode" / "aa" / orphan).string(),
                                            "leftover " + (artifacts / ".tmp" / "junk").string(),
                                            "leftover " + (artifacts / ".damaged" / "craft-x").string(),
                                            "stranger " + (artifacts / "junk").string()));
}

TEST_F(Verify, ARunningJobsArtifactIsNobodysProblem) {
  made_.add("late", spec::JobKind::kEncode, {"model"});
  made_.submit("small", {{"late"}});
  made_.lease("late");
  ASSERT_TRUE(made_.publish("late", 10));
  const Json document = report();
  EXPECT_EQ(document["ok"], true) << document;
  EXPECT_EQ(document["notes"], Json::array());
}

TEST_F(Verify, ACopyOfTheDatabaseIsCheckedAlone) {
  made_.close();
  fs::rename(workdir() / "gauntlet.db", folder() / "copy.db");
  const Finished alone = gauntlet({"verify", "--database", (folder() / "copy.db").string()});
  EXPECT_EQ(alone.exit_code, 0) << alone.out << alone.err;
  EXPECT_THAT(alone.out, HasSubstr("only the database is checked"));
}

TEST_F(Verify, WhatCannotBeCheckedIsOneSentence) {
  made_.close();
  const Finished none = gauntlet({"verify", "--workdir", (folder() / "elsewhere").string()});
  EXPECT_EQ(none.exit_code, 4);
  EXPECT_THAT(none.err, HasSubstr("there is no database"));
  EXPECT_EQ(none.out, "");
  write("other.db",
        "this is no database, but long enough to be taken for one, if only its size is looked at\n");
  const Finished other = gauntlet({"verify", "--database", (folder() / "other.db").string()});
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_THAT(other.err, HasSubstr("other.db is not a Gauntlet database"));
}

TEST_F(Verify, ABrokenFileIsNamed) {
  const std::int64_t root =
      *made_.connection().integer("SELECT rootpage FROM sqlite_schema WHERE name = 'results'");
  ASSERT_TRUE(made_.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)"));
  made_.close();
  std::fstream file(workdir() / "gauntlet.db", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp((root - 1) * 4096);
  file << std::string(4096, '\x5a');
  file.close();
  const Finished broken = verify();
  EXPECT_EQ(broken.exit_code, 1);
  EXPECT_THAT(broken.out, HasSubstr("  sqlite "));
  EXPECT_THAT(broken.out, Not(HasSubstr("everything agrees")));
}

}  // namespace
}  // namespace gauntlet::cli
