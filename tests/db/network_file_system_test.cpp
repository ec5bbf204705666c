// A database on a network file system is refused with what to do instead. The test plays the kernel's part.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/db/connection.hpp"
#include "tests/support/temp_folder.hpp"

namespace {
std::int64_t pretended_type = 0;  ///< of every file system; 0 = what it is
}

/// In place of the C library's function of that name.
extern "C" int statfs(const char* path, struct statfs* about) noexcept {
  const int folder = ::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return -1;
  const int failed = ::fstatfs(folder, about);
  ::close(folder);
  if (pretended_type != 0) about->f_type = pretended_type;
  return failed;
}

namespace gauntlet::db {
namespace {

class NetworkFileSystem : public testing::Test {
 protected:
  void TearDown() override { pretended_type = 0; }
  testing_support::TempFolder folder_;
};

TEST_F(NetworkFileSystem, IsRefusedByNameWithTheRemedy) {
  const std::filesystem::path path = folder_ / "gauntlet.db";
  const std::vector<std::pair<std::int64_t, std::string>> types = {
      {0x6969, "NFS"},      {0x0BD00BD0, "Lustre"}, {0x517B, "SMB"},        {0xFF534D42, "CIFS"},
      {0xFE534D42, "SMB2"}, {0x47504653, "GPFS"},   {0x19830326, "BeeGFS"}, {0x00C36400, "Ceph"},
      {-0xACB2BE, "CIFS"}};  // as it comes where the field is signed
  for (const auto& [type, name] : types) {
    pretended_type = type;
    const auto opened = Connection::open_read_write(path);
    ASSERT_FALSE(opened) << name;
    EXPECT_EQ(opened.error().code, ErrorCode::kRefused);
    EXPECT_THAT(opened.error().message,
                testing::AllOf(testing::HasSubstr("database " + path.string()), testing::HasSubstr(name),
                               testing::HasSubstr("give a path on a local disk with --database")));
    EXPECT_FALSE(std::filesystem::exists(path)) << "nothing was left there";
  }
}

TEST_F(NetworkFileSystem, AnyOtherIsTaken) {
  for (const std::int64_t type : {0xEF53, 0x58465342, 0x01021994}) {  // ext4, XFS, tmpfs
    pretended_type = type;
    const auto opened = Connection::open_read_write(folder_ / "gauntlet.db");
    EXPECT_TRUE(opened) << (opened ? "" : opened.error().message);
  }
}

}  // namespace
}  // namespace gauntlet::db
