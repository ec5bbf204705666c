#include "core/artifacts/inventory.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>

#include "core/artifacts/artifact_store.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::artifacts {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class InventoryTest : public testing::Test {
 protected:
  JobKey publish(int number) const {
    spec::JobSpec job;
    job.kind = spec::JobKind::kEncode;
    job.entry = "none";
    job.version = 1;
    job.config = {{"number", number}};
    const JobKey key = key_of(job).value();
    Result<Draft> draft = store_.begin(key);
    EXPECT_TRUE(draft);
    std::ofstream(draft->folder() / "codes.npy") << std::string(10000, 'c');
    EXPECT_TRUE(store_.publish(std::move(*draft), job, key, Json::object()));
    return key;
  }

  testing_support::TempFolder folder_;
  ArtifactStore store_{folder_.path()};
};

TEST_F(InventoryTest, AnEmptyWorkFolderHasNothing) {
  const auto inventory = take_inventory(folder_.path());
  ASSERT_TRUE(inventory);
  EXPECT_THAT(inventory->artifacts, IsEmpty());
  EXPECT_THAT(inventory->leftovers, IsEmpty());
  EXPECT_THAT(inventory->strangers, IsEmpty());
}

TEST_F(InventoryTest, ListsArtifactsLeftoversAndStrangers) {
  const JobKey one = publish(1);
  const JobKey two = publish(2);
  Result<Draft> live = store_.begin(one);
  ASSERT_TRUE(live);
  fs::create_directories(store_.root() / ".tmp" / "junk");
  fs::create_directories(store_.root() / ".damaged" / "craft-x");
  folder_.write("artifacts/note.txt", "mine");
  folder_.write("artifacts/encode/zz/file", "mine");
  const auto inventory = take_inventory(folder_.path());
  ASSERT_TRUE(inventory);
  ASSERT_THAT(inventory->artifacts, SizeIs(2));
  EXPECT_EQ(inventory->artifacts[0].key, std::min(one, two));
  EXPECT_EQ(inventory->artifacts[1].key, std::max(one, two));
  EXPECT_EQ(inventory->artifacts[0].folder,
            store_.folder_of(spec::JobKind::kEncode, inventory->artifacts[0].key));
  ASSERT_THAT(inventory->leftovers, SizeIs(2)) << "the draft of this living process is none";
  EXPECT_EQ(inventory->leftovers[0].path, store_.root() / ".damaged" / "craft-x");
  EXPECT_EQ(inventory->leftovers[1].path, store_.root() / ".tmp" / "junk");
  EXPECT_THAT(inventory->strangers,
              ElementsAre(store_.root() / "encode" / "zz" / "file", store_.root() / "note.txt"));
}

TEST_F(InventoryTest, BytesAreThoseOfTheDisk) {
  const JobKey key = publish(1);
  const std::uint64_t bytes = disk_bytes(store_.folder_of(spec::JobKind::kEncode, key));
  EXPECT_GE(bytes, 10000U);
  EXPECT_LT(bytes, 200000U);
  EXPECT_EQ(disk_bytes(folder_ / "nowhere"), 0U);
}

TEST_F(InventoryTest, LookingLeavesADamagedArtifactWhereItIs) {
  const JobKey key = publish(1);
  const fs::path codes = store_.folder_of(spec::JobKind::kEncode, key) / "codes.npy";
  EXPECT_TRUE(store_.look(spec::JobKind::kEncode, key));
  std::ofstream(codes) << std::string(10000, 'd');
  const auto looked = store_.look(spec::JobKind::kEncode, key);
  ASSERT_FALSE(looked);
  EXPECT_EQ(looked.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(looked.error().message, "the content of codes.npy does not match its hash");
  EXPECT_TRUE(store_.look(spec::JobKind::kEncode, key, false)) << "sizes agree";
  EXPECT_TRUE(fs::exists(codes));
  const auto missing = store_.look(spec::JobKind::kCraft, key);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace gauntlet::artifacts
