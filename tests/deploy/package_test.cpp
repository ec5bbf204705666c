// The tarball, in a system that has no C library at all.
#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <regex>
#include <sstream>

#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing_support::Finished;
using testing_support::TempFolder;

constexpr auto kLimit = std::chrono::seconds(900);

/// Makes the package, and a root folder with nothing but busybox and the package under an odd name.
constexpr const char* kUnpack = R"(set -euo pipefail
tarball=$(GAUNTLET_PACKAGE_LEVEL=1 "$SOURCE/deploy/package/make.sh" "$BUILD/bin" packages)
mkdir -p root/{bin,proc,dev,tmp} "root/srv/Ü b, 'c'"
cp /bin/busybox root/bin
for tool in sh readlink ls sed; do ln -s busybox "root/bin/$tool"; done
tar -xzf "$tarball" -C "root/srv/Ü b, 'c'" --strip-components=1
rm -r packages
sed "s#\[results/tables/quickstart.yaml\]#[\"/srv/Ü b, 'c'/results/tables/quickstart.yaml\"]#" \
  "$SOURCE/tests/e2e/smoke.yaml" >root/srv/smoke.yaml
)";

/// Runs a line in the root folder, in namespaces of its own.
constexpr const char* kEnter = R"(exec unshare --mount --pid --fork --kill-child bash -c '
mount --rbind /dev root/dev && mount -t proc proc root/proc && mount -t tmpfs tmpfs root/tmp &&
exec chroot root /bin/sh -c "$LINE"')";

class Package : public testing::Test {
 protected:
  void SetUp() override {
    if (std::getenv("GAUNTLET_PACKAGES") == nullptr) GTEST_SKIP() << "for ./dev test --full";
    for (const char* tool : {"/bin/busybox", "/usr/bin/patchelf"}) {
      if (!fs::exists(tool)) GTEST_SKIP() << tool << " is not installed";
    }
    if (folder_ == nullptr) folder_ = std::make_unique<TempFolder>();
    if (!unpacked_) unpack();
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static void unpack() {
    if (shell("unshare --mount --pid --fork true").exit_code != 0) {
      GTEST_SKIP() << "this user may not make namespaces";
    }
    const Finished unpacked = shell(kUnpack);
    ASSERT_EQ(unpacked.exit_code, 0) << unpacked.out << unpacked.err;
    unpacked_ = true;
  }
  [[nodiscard]] static Finished shell(const std::string& script, const std::string& line = "") {
    return testing_support::run({"/bin/bash", "-c", script}, folder_->path(),
                                {{"SOURCE", GAUNTLET_SOURCE_DIR},
                                 {"BUILD", GAUNTLET_BINARY_DIR},
                                 {"LINE", line},
                                 {"PATH", "/usr/sbin:/usr/bin:/sbin:/bin"}},
                                kLimit);
  }
  [[nodiscard]] static Finished inside(const std::string& line) { return shell(kEnter, line); }

  static std::unique_ptr<TempFolder> folder_;
  static bool unpacked_;
};
bool Package::unpacked_ = false;
std::unique_ptr<TempFolder> Package::folder_;

/// The line of the table's foot that names its numbers.
std::string values_of(const std::string& table) {
  std::smatch found;
  return std::regex_search(table, found, std::regex("SHA-256 of the values: ([0-9a-f]+)")) ? found.str(1)
                                                                                           : "";
}

TEST_F(Package, RunsASweepWithoutACLibraryAndNumbersAreThoseOfTheBuild) {
  const std::string package = "/srv/Ü b, 'c'";
  EXPECT_THAT(inside("ls /").out, testing::Not(HasSubstr("lib")));
  const Finished doctor = inside("\"" + package + "/bin/gauntlet\" doctor --workdir /srv/w");
  EXPECT_THAT(doctor.out, testing::ContainsRegex("ok    LibTorch  .*/lib/torch/lib/libtorch_cpu.so"));
  EXPECT_THAT(doctor.out, HasSubstr("dataset picto_scenes   sources are there"));
  const Finished there = inside("\"" + package + "/bin/gauntlet\" run /srv/smoke.yaml --workdir /srv/w");
  ASSERT_EQ(there.exit_code, 0) << there.err;

  const Finished here =
      shell(R"(w=$PWD/w; cd "$SOURCE"; exec "$BUILD/bin/gauntlet" run tests/e2e/smoke.yaml --workdir "$w")");
  ASSERT_EQ(here.exit_code, 0) << here.err;
  EXPECT_NE(values_of(here.out), "");
  EXPECT_EQ(values_of(here.out), values_of(there.out));
}

TEST_F(Package, AsksForNoNewerCLibraryThanItsScriptSays) {
  const Finished newest = shell(R"(set -eu; cd root/srv/*/bin/..
    find lib libexec -path lib/glibc -prune -o -type f -print0 | xargs -0 objdump -T 2>/dev/null |
      grep -oE 'GLIBC_2\.[0-9]+' | sort -Vu | tail -n 1 | sed s/.*\\.//
    sed -n s/^needed=//p bin/gauntlet bin/gauntlet-rank)");
  std::istringstream lines(newest.out);
  int used = 0, gauntlet = -1, rank = -1;
  lines >> used >> gauntlet >> rank;
  EXPECT_GT(used, 0);
  EXPECT_EQ(used, gauntlet);
  EXPECT_EQ(used, rank);
  // What the wheels bring is for 2.28, so that this is what Debian's own compiler adds.
  const Finished torch =
      shell("objdump -T root/srv/*/lib/torch/lib/*.so* | grep -oE 'GLIBC_2\\.[0-9]+' | sort -Vu | tail -n 1");
  EXPECT_THAT(torch.out, testing::AnyOf("GLIBC_2.27\n", "GLIBC_2.28\n"));
}

TEST_F(Package, BringsTheLicencesOfWhatItBrings) {
  const Finished listed = shell("ls root/srv/*/share/licenses");
  EXPECT_EQ(listed.exit_code, 0) << listed.err;
  EXPECT_THAT(listed.out, testing::AllOf(HasSubstr("libc6\n"), HasSubstr("fonts-noto-color-emoji\n")));
  if (!fs::exists(GAUNTLET_SOURCE_DIR "/.deps/licenses/torch"))
    GTEST_SKIP() << "a LibTorch that ./dev did not fetch: no licences of wheels";
  EXPECT_THAT(listed.out, testing::AllOf(HasSubstr("torch\n"), HasSubstr("nvidia_cuda_runtime")));
  EXPECT_EQ(shell("test -s root/srv/*/share/licenses/torch/LICENSE").exit_code, 0);
}

TEST_F(Package, NamesNoFolderOfThisMachine) {
  const Finished named = shell(R"(set -eu; cd root/srv/*/bin/..
    for program in libexec/gauntlet/*; do patchelf --print-rpath "$program"; done | grep -v '^\$ORIGIN' || true
    grep -l "$SOURCE" bin/* || true)");
  EXPECT_EQ(named.exit_code, 0) << named.err;
  EXPECT_EQ(named.out, "");
}

}  // namespace
}  // namespace gauntlet
