// The script that starts a package's programs: which loader it takes.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing_support::Finished;

void write_script(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
  fs::permissions(path, fs::perms::owner_all);
}

class PackageStart : public testing::Test {
 protected:
  /// A package of scripts that say who was started with what, on a machine whose `getconf` prints `libc`.
  Finished start(const std::string& libc, const std::string& name) const {
    const fs::path package = folder_ / name;
    std::stringstream text;
    text << std::ifstream(GAUNTLET_SOURCE_DIR "/deploy/package/start.sh").rdbuf();
    std::string script = std::regex_replace(text.str(), std::regex("@GLIBC_MINOR@"), "36");
    script = std::regex_replace(script, std::regex("@LOADER@"), "ld-linux-x86-64.so.2");
    write_script(package / "bin/gauntlet", script);
    write_script(package / "libexec/gauntlet/gauntlet", "#!/bin/sh\necho \"system: $*\"\n");
    write_script(package / "lib/glibc/ld-linux-x86-64.so.2",
                 "#!/bin/sh\necho \"own: ${3##*/}, ${2##*/}: $4\"\nshift 3\n");
    write_script(folder_ / "tools/getconf", "#!/bin/sh\n" + libc + "\n");
    fs::create_symlink(package / "bin/gauntlet", folder_ / "link");
    return testing_support::run({(folder_ / "link").string(), "a b"}, folder_.path(),
                                {{"PATH", (folder_ / "tools").string() + ":/usr/bin:/bin"}});
  }

  testing_support::TempFolder folder_;
};

TEST_F(PackageStart, TakesTheSystemsCLibraryWhereItIsNewEnough) {
  EXPECT_EQ(start("echo glibc 2.36", "p").out, "system: a b\n");
}

TEST_F(PackageStart, ComparesVersionsAsNumbers) {
  EXPECT_EQ(start("echo glibc 2.100", "p").out, "system: a b\n");
}

TEST_F(PackageStart, TakesItsOwnWhereTheSystemsIsOlder) {
  EXPECT_EQ(start("echo glibc 2.28", "a 'strange' \xC3\x9C name").out, "own: gauntlet, glibc: a b\n");
}

TEST_F(PackageStart, TakesItsOwnWhereTheSystemHasNone) {
  EXPECT_EQ(start("exit 1", "p").out, "own: gauntlet, glibc: a b\n");
}

TEST_F(PackageStart, RefusesAFolderThatTheLoaderCannotBeGiven) {
  const Finished refused = start("echo glibc 2.28", "a:b");
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("a:b"));
}

}  // namespace
}  // namespace gauntlet
