// gauntlet doctor: every check says what it found, and what helps.
#include <sys/stat.h>

#include "tests/cli/cli_test_base.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing_support::Finished;
using testing_support::Process;
using testing_support::wait_until;

class Doctor : public CliTest {
 protected:
  [[nodiscard]] Json report(std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"doctor", "--json"});
    const Finished finished = gauntlet(more);
    Json document = Json::parse(finished.out, nullptr, false);
    EXPECT_TRUE(document.is_object()) << finished.out << finished.err;
    EXPECT_EQ(finished.exit_code, document["ok"] == true ? 0 : 1);
    return document;
  }
  static Json check(const Json& report, const std::string& name) {
    for (const Json& one : report["checks"])
      if (one["name"] == name) return one;
    ADD_FAILURE() << "no check '" << name << "'";
    return {};
  }
};

TEST_F(Doctor, ReportsEveryCheckWithItsLevel) {
  const Json document = report({"--workdir", workdir().string()});
  EXPECT_EQ(document["format"], 1);
  std::vector<std::string> names;
  std::size_t n_warnings = 0;
  for (const Json& one : document["checks"]) {
    names.push_back(one["name"]);
    EXPECT_TRUE(one["level"] == "ok" || one["level"] == "warn" || one["level"] == "fail") << one;
    EXPECT_EQ(one["ok"], one["level"] != "fail") << one;
    EXPECT_EQ(one["remedy"] == "", one["level"] == "ok") << "what is wrong has a remedy: " << one;
    n_warnings += one["level"] == "warn" ? 1 : 0;
  }
  EXPECT_EQ(document["warnings"], n_warnings);
  EXPECT_THAT(names, testing::IsSupersetOf({"file system", "free space", "work folder", "processors",
                                            "memory", "open files", "clock", "database", "token",
                                            "loopback port", "coordinator", "gpus", "gauntlet-rank"}));
  const Json syncs = check(document, "work folder")["facts"]["fdatasync_us"];
  EXPECT_GT(syncs["p50"], 0);
  EXPECT_GE(syncs["p99"], syncs["p50"]);
  EXPECT_GT(check(document, "free space")["facts"]["free_gib"], 0);
  EXPECT_FALSE(fs::exists(workdir())) << "what was made for a look is gone";
}

TEST_F(Doctor, LeavesAFolderAsItWas) {
  fs::create_directories(workdir());
  EXPECT_EQ(check(report({"--workdir", (workdir() / "a" / "b").string()}), "work folder")["ok"], true);
  EXPECT_TRUE(fs::exists(workdir()));
  EXPECT_TRUE(fs::is_empty(workdir()));
}

TEST_F(Doctor, ATokenThatOthersMayReadFails) {
  fs::create_directories(workdir());
  std::ofstream(workdir() / "token") << "secret\n";
  ASSERT_EQ(::chmod((workdir() / "token").c_str(), 0644), 0);
  const Finished text = gauntlet({"doctor", "--workdir", workdir().string()});
  EXPECT_EQ(text.exit_code, 1);
  EXPECT_THAT(text.out, HasSubstr("fail  token"));
  EXPECT_THAT(text.out, HasSubstr("can be read by others (mode 644)"));
  EXPECT_THAT(text.out, HasSubstr("-> `chmod 600 " + (workdir() / "token").string()));
  EXPECT_THAT(text.out, HasSubstr("1 failure, "));
}

TEST_F(Doctor, AFolderThatCannotBeMadeFails) {
  const Json document = report({"--workdir", "/proc/nothing/here"});
  EXPECT_EQ(document["ok"], false);
  EXPECT_EQ(check(document, "work folder")["level"], "fail");
  EXPECT_THAT(check(document, "work folder")["detail"].get<std::string>(), HasSubstr("/proc/nothing/here"));
}

TEST_F(Doctor, AFewOpenFilesAreNamed) {
  const Finished few = shell("ulimit -n 300; \"$GAUNTLET\" doctor --workdir runs");
  EXPECT_THAT(few.out, HasSubstr("warn  open files             300 may be open at once"));
  const Finished fewer = shell("ulimit -n 100; \"$GAUNTLET\" doctor --workdir runs");
  EXPECT_EQ(fewer.exit_code, 1);
  EXPECT_THAT(fewer.out, HasSubstr("fail  open files"));
}

TEST_F(Doctor, MemoryIsNoDisk) {
  std::error_code error;
  const fs::path memory = fs::path("/dev/shm") / ("gauntlet-" + folder().filename().string());
  ASSERT_TRUE(fs::create_directories(memory, error)) << error.message();
  const Json file_system = check(report({"--workdir", memory.string()}), "file system");
  fs::remove_all(memory);
  EXPECT_EQ(file_system["level"], "warn");
  EXPECT_THAT(file_system["detail"].get<std::string>(), HasSubstr("which is memory"));
}

TEST_F(Doctor, ACoordinatorThatServesTheFolderIsNamed) {
  const Process coordinator(
      {GAUNTLET_BINARY_DIR "/bin/gauntlet", "coordinator", "--workdir", workdir().string()}, folder());
  ASSERT_TRUE(wait_until([&] { return fs::exists(workdir() / "coordinator.json"); })) << coordinator.err();
  const Json running = check(report({"--workdir", workdir().string()}), "coordinator");
  EXPECT_EQ(running["level"], "ok");
  EXPECT_THAT(running["detail"].get<std::string>(),
              HasSubstr("(process " + std::to_string(coordinator.pid()) + ", a coordinator)"));
  coordinator.send(SIGSTOP);
  const Json stuck = check(report({"--workdir", workdir().string()}), "coordinator");
  coordinator.send(SIGCONT);
  EXPECT_EQ(stuck["level"], "fail");
  EXPECT_THAT(stuck["detail"].get<std::string>(), HasSubstr("did not answer in time"));
}

TEST_F(Doctor, ADatabaseElsewhereHasItsOwnDisk) {
  const Json document =
      report({"--workdir", workdir().string(), "--database", (folder() / "db" / "x.db").string()});
  EXPECT_EQ(check(document, "file system of the database")["level"], "ok");
  EXPECT_EQ(check(document, "work folder of the database")["level"], "ok");
}

}  // namespace
}  // namespace gauntlet::cli
