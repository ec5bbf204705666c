// What CUDA_VISIBLE_DEVICES leaves of a machine's GPUs.
#include <gmock/gmock.h>

#include "worker/agent/visible_gpus.hpp"

namespace gauntlet::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// The numbers of the GPUs that are seen, of four.
std::vector<std::uint32_t> seen(std::string_view visible) {
  std::vector<NamedGpu> gpus;
  for (std::uint32_t index = 0; index < 4; ++index)
    gpus.push_back(
        {{index, fmt::format("GPU {}", index), 1024}, fmt::format("GPU-{}f937-d72c", index / 2 + index)});
  const auto found = visible_gpus(gpus, visible);
  EXPECT_TRUE(found) << found.error().message;
  std::vector<std::uint32_t> indices;
  for (const AgentGpu& gpu : found.value_or(std::vector<AgentGpu>())) indices.push_back(gpu.index);
  return indices;
}

TEST(VisibleGpus, AreNamedByNumberInAnyOrder) {
  EXPECT_THAT(seen("2,3"), ElementsAre(2U, 3U));
  EXPECT_THAT(seen("3, 0"), ElementsAre(3U, 0U));
}

TEST(VisibleGpus, AreNamedByBeginningsOfTheirUuids) {
  EXPECT_THAT(seen("GPU-4f937-d72c,GPU-0"), ElementsAre(3U, 0U));
  EXPECT_THAT(seen("GPU-1f,2"), ElementsAre(1U, 2U));
  EXPECT_THAT(seen("GPU-,0"), IsEmpty()) << "any of them";
}

TEST(VisibleGpus, AreNoneWhereNoneIsNamed) {
  EXPECT_THAT(seen(""), IsEmpty());
  EXPECT_THAT(seen("-1"), IsEmpty());
  EXPECT_THAT(seen("NoDevFiles"), IsEmpty());
}

TEST(VisibleGpus, EndAtTheFirstWordThatNamesNone) {
  EXPECT_THAT(seen("1,7,2"), ElementsAre(1U));
  EXPECT_THAT(seen("0,,2"), ElementsAre(0U));
  EXPECT_THAT(seen("1,1,2"), ElementsAre(1U));
}

TEST(VisibleGpus, PartsOfOneAreRefused) {
  const auto refused = visible_gpus({{{0, "GPU", 1024}, "GPU-0"}}, "MIG-5c89852c-d268");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
  EXPECT_THAT(refused.error().message, HasSubstr("'MIG-5c89852c-d268', a part of a GPU"));
}

}  // namespace
}  // namespace gauntlet::worker
