// gauntlet data prepare: options, refusals, and a folder that survives being interrupted.
#include <map>

#include "tests/cli/cli_test_base.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing_support::Finished;
using testing_support::Process;

class DataPrepare : public CliTest {
 protected:
  [[nodiscard]] std::vector<std::string> scenes(const std::string& out,
                                                const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {"data",
                                      "prepare",
                                      "picto_scenes",
                                      "--set",
                                      "preset=custom",
                                      "--set",
                                      "image_px=64",
                                      "--set",
                                      "n_pairs=2500",
                                      "--set",
                                      "n_query=50",
                                      "--set",
                                      "n_train=100",
                                      "--threads",
                                      "2",
                                      "--out",
                                      out};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  [[nodiscard]] std::map<std::string, std::string> files(const std::string& out) const {
    std::map<std::string, std::string> all;
    for (const auto& file : fs::directory_iterator(folder() / out))
      all[file.path().filename()] = read(file.path());
    return all;
  }
};

TEST_F(DataPrepare, OptionsSetTheFieldsOfTheirNames) {
  const Finished made = gauntlet(scenes("a", {"--seed", "5", "--json"}));
  ASSERT_EQ(made.exit_code, 0) << made.err;
  EXPECT_EQ(Json::parse(made.out)["choices"]["seed"], 5);
  const auto refusal = [&](const std::vector<std::string>& words) {
    const Finished refused = gauntlet(words);
    EXPECT_EQ(refused.exit_code, 2);
    return refused.err;
  };
  EXPECT_EQ(refusal(scenes("b", {"--split", "random"})),
            "gauntlet: dataset picto_scenes takes no --split; 'gauntlet catalog picto_scenes' shows what can "
            "be chosen\n");
  EXPECT_THAT(refusal(scenes("b", {"--strict"})), HasSubstr("takes no --strict"));
  EXPECT_THAT(refusal(scenes("b", {"--map", "x"})), HasSubstr("takes no --map"));
  EXPECT_THAT(refusal(scenes("b", {"--source", "x"})), HasSubstr("takes no --source"));
  EXPECT_THAT(refusal({"data", "prepare", "nuswide", "--out", "b", "--split", "randm", "--source", "."}),
              HasSubstr("'split' is \"randm\"; allowed: one of random, per_class, slots, row_order"));
  EXPECT_THAT(
      refusal({"data", "prepare", "mscoco", "--out", "b"}),
      HasSubstr(
          "mscoco: 'source' is missing; give the folder that holds annotations/ (instances_train2017.json"));
  EXPECT_THAT(refusal(scenes("a")), HasSubstr("a exists and is not an empty folder; choose another --out"));
}

TEST_F(DataPrepare, NamesThatMoveACursorAreShownAsBytes) {
  EXPECT_EQ(gauntlet({"data", "verify", "\x1b[2J"}).err, "gauntlet: there is no prepared folder \\x1b[2J\n");
  EXPECT_EQ(gauntlet({"data", "verify", "o\xff"}).err, "gauntlet: there is no prepared folder o\\xff\n");
  EXPECT_EQ(gauntlet({"data", "verify", "\xc3\xa9"}).err, "gauntlet: there is no prepared folder \xc3\xa9\n");
}

TEST_F(DataPrepare, WhatCannotBeWrittenToIsSaidBeforeAnythingIsDone) {
  EXPECT_EQ(gauntlet(scenes("")).err, "gauntlet: --out is empty; give the folder to fill\n");
  const Finished sheet = gauntlet({"data", "inspect", "any", "--sheet", "a.jpg"});
  EXPECT_EQ(sheet.exit_code, 2);
  EXPECT_EQ(sheet.err, "gauntlet: --sheet writes .png, not 'a.jpg'\n");
}

TEST_F(DataPrepare, AnInterruptedFolderIsWhatAnUndisturbedOneIs) {
  ASSERT_EQ(gauntlet(scenes("calm")).exit_code, 0);
  for (const int signal : {SIGINT, SIGKILL}) {
    const std::string out = "stopped" + std::to_string(signal);
    std::vector<std::string> command = scenes(out);
    command.insert(command.begin(), GAUNTLET_BINARY_DIR "/bin/gauntlet");
    Process process(command, folder());
    ASSERT_TRUE(testing_support::wait_until(
        [&] { return read(folder() / out / "prepare.journal").find("\"block\":0") != std::string::npos; }));
    process.send(signal);
    const Finished stopped = process.wait();
    ASSERT_TRUE(fs::exists(folder() / out / "prepare.journal")) << "it was too fast to be stopped";
    if (signal == SIGINT) {
      EXPECT_EQ(stopped.exit_code, 130);
      EXPECT_EQ(stopped.err, "interrupted; the same command goes on where stopped2 stopped\n");
    }
    EXPECT_EQ(gauntlet({"data", "stats", out}).exit_code, 4) << "nobody takes it for a whole set";
    EXPECT_THAT(gauntlet(scenes(out, {"--seed", "9"})).err,
                HasSubstr("holds an unfinished preparation of another source"));
    const Finished gone_on = gauntlet(scenes(out));
    EXPECT_EQ(gone_on.exit_code, 0) << gone_on.err;
    EXPECT_EQ(gone_on.err, "going on in " + out + "\n");
    EXPECT_EQ(files(out), files("calm"));
  }
}

}  // namespace
}  // namespace gauntlet::cli
