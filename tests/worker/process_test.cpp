// Programs that an executor runs one after the other.
#include "worker/external/process.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/support/temp_folder.hpp"

namespace gauntlet::external {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

Program shell(const std::string& script, std::string& printed) {
  Program program;
  program.argv = {"sh", "-c", script};
  program.on_output = [&printed](std::string_view text) { printed += text; };
  return program;
}

TEST(RunProgram, WhatOnePrintsIsNotTakenForAnothers) {
  for (const std::string script : {":", "echo one", ":", ":", "echo two; echo three >&2", ":"}) {
    std::string printed;
    ASSERT_TRUE(run_program(shell(script, printed)).has_value()) << script;
    const std::string expected = script == ":" ? "" : script == "echo one" ? "one\n" : "two\nthree\n";
    EXPECT_EQ(printed, expected) << script;
  }
}

TEST(RunProgram, LastWordsComeWholeAfterSilentOnes) {
  std::string printed;
  ASSERT_TRUE(run_program(shell(":", printed)).has_value());
  const auto ended = run_program(shell("seq 1 50000; exit 3", printed));
  ASSERT_FALSE(ended.has_value());
  EXPECT_THAT(ended.error().message, HasSubstr("exit code 3"));
  EXPECT_THAT(ended.error().message, HasSubstr("50000"));
  EXPECT_EQ(std::count(printed.begin(), printed.end(), '\n'), 50000);
}

TEST(RunProgram, LastWordsMoveNoCursor) {
  std::string printed;
  const auto ended = run_program(shell("printf '\\033[2Jgone \\303\\274ber\\n'; exit 1", printed));
  ASSERT_FALSE(ended.has_value());
  EXPECT_THAT(ended.error().message, HasSubstr("it printed last:\n\\x1b[2Jgone \u00fcber"));
  EXPECT_EQ(printed, "\x1b[2Jgone \u00fcber\n") << "the log has the bytes themselves";
}

TEST(RunProgram, ANameIsLookedForInThePathOfNow) {
  const testing_support::TempFolder folder;
  const std::string before = std::getenv("PATH");
  std::string printed;
  ASSERT_TRUE(run_program(shell("echo system", printed)).has_value());
  std::ofstream(folder.path() / "sh") << "#!/bin/sh\necho ours\n";
  fs::permissions(folder.path() / "sh", fs::perms::owner_all);
  ::setenv("PATH", (folder.path().string() + ":" + before).c_str(), 1);
  const auto ours = run_program(shell("echo system", printed));
  ::setenv("PATH", before.c_str(), 1);
  ASSERT_TRUE(ours.has_value());
  ASSERT_TRUE(run_program(shell("echo system", printed)).has_value());
  EXPECT_EQ(printed, "system\nours\nsystem\n");
}

TEST(RunProgram, WhatOneDoesToItsOutputIsNothingToTheNext) {
  std::string printed;
  ASSERT_TRUE(
      run_program(shell("dd if=/dev/null oflag=nonblock conv=notrunc status=none", printed)).has_value());
  ASSERT_TRUE(run_program(shell("sed -n 's/^flags:[^0-9]*//p' /proc/self/fdinfo/1", printed)).has_value());
  const int flags = std::stoi(printed, nullptr, 8);
  EXPECT_EQ(flags & O_NONBLOCK, 0) << printed;
}

TEST(RunProgram, ANameIsLookedForAgainEachTime) {
  const testing_support::TempFolder folder;
  const std::string before = std::getenv("PATH");
  const auto write = [](const fs::path& path, const std::string& word) {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << "#!/bin/sh\necho " << word << "\n";
    fs::permissions(path, fs::perms::owner_all);
  };
  write(folder.path() / "one" / "a_program_of_ours", "one");
  write(folder.path() / "two" / "a_program_of_ours", "two");
  const std::string path = (folder.path() / "one").string() + ":" + (folder.path() / "two").string();
  ::setenv("PATH", (path + ":" + before).c_str(), 1);
  std::string printed;
  Program program = shell("", printed);
  program.argv = {"a_program_of_ours"};
  const auto first = run_program(program);
  fs::remove(folder.path() / "one" / "a_program_of_ours");
  const auto second = run_program(program);
  ::setenv("PATH", before.c_str(), 1);
  ASSERT_TRUE(first.has_value());
  ASSERT_TRUE(second.has_value()) << second.error().message;
  EXPECT_EQ(printed, "one\ntwo\n");
}

TEST(RunProgram, ItHasTheEnvironmentOfThisProcess) {
  ::setenv("GAUNTLET_TEST_WORD", "ours", 1);
  std::string printed;
  Program program = shell("echo $GAUNTLET_TEST_WORD", printed);
  ASSERT_TRUE(run_program(program).has_value());
  program.environment = {{"GAUNTLET_TEST_WORD", "its own"}};
  ASSERT_TRUE(run_program(program).has_value());
  ::unsetenv("GAUNTLET_TEST_WORD");
  EXPECT_EQ(printed, "ours\nits own\n");
}

}  // namespace
}  // namespace gauntlet::external
