#include "core/base/program.hpp"

#include <gmock/gmock.h>

#include <fstream>

#include "tests/support/temp_folder.hpp"

namespace gauntlet {
namespace {

namespace fs = std::filesystem;

void touch(const fs::path& file) {
  fs::create_directories(file.parent_path());
  std::ofstream(file) << "x";
}

TEST(Program, IsTheRunningExecutableOutsideOfPackages) {
  EXPECT_EQ(program_path(), fs::read_symlink("/proc/self/exe"));
  EXPECT_TRUE(loader_command().empty());
}

TEST(Program, ExecutableBehindAScriptOfAPackage) {
  const testing_support::TempFolder folder;
  touch(folder / "bin/gauntlet");
  touch(folder / "bin/other");
  touch(folder / "libexec/gauntlet/gauntlet");
  EXPECT_EQ(executable_of(folder / "bin/gauntlet"), folder / "libexec/gauntlet/gauntlet");
  EXPECT_EQ(executable_of(folder / "bin/other"), folder / "bin/other");
}

TEST(InstalledPath, IsThePathItselfWhereNoPackageHasACopy) {
  for (const char* path : {"/usr/share", "/usr/share/gauntlet/none", "/nowhere/at/all", "relative"}) {
    EXPECT_EQ(installed_path(path), fs::path(path));
  }
}

}  // namespace
}  // namespace gauntlet
