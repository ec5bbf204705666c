#include <gmock/gmock.h>

#include <cmath>
#include <filesystem>

#include "core/base/clipped.hpp"
#include "core/base/clock.hpp"
#include "core/base/files.hpp"
#include "core/base/hash.hpp"
#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/base/random.hpp"
#include "core/base/text.hpp"

namespace gauntlet {
namespace {

using testing::HasSubstr;

TEST(Hash, KnowsTheStandardVector) {
  EXPECT_EQ(to_hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Hash, ReadsBackItsOwnHexAndRefusesOthers) {
  const Digest digest = sha256("x");
  EXPECT_EQ(*digest_from_hex(to_hex(digest)), digest);
  EXPECT_FALSE(digest_from_hex("12"));
  EXPECT_FALSE(digest_from_hex(std::string(64, 'g')));
}

TEST(Random, MatchesTheGoldenStream) {  // picto specification, section 8: stream(1, 1, 0)
  RandomStream stream = RandomStream::of(1, 1, 0);
  EXPECT_EQ(stream.next(), 0x0A45B3E0D5967D37U);
  EXPECT_EQ(stream.next(), 0x9F2700594737DAF3U);
  EXPECT_EQ(stream.next(), 0x0064CDF1CBBA9A68U);
  EXPECT_EQ(stream.next(), 0x272317FD98613F19U);
  RandomStream again = RandomStream::of(1, 1, 0);
  for (const std::uint32_t expected : {40U, 621U, 1U, 152U, 443U, 616U})
    EXPECT_EQ(again.below(1000), expected);
}

TEST(Random, PurposesDiffer) {
  EXPECT_NE(purpose_seed(1, "d", "start"), purpose_seed(1, "d", "target"));
  EXPECT_NE(purpose_seed(1, "d", "start"), purpose_seed(2, "d", "start"));
  EXPECT_EQ(purpose_seed(1, "d", "start"), purpose_seed(1, "d", "start"));
}

TEST(Json, CanonicalTextSortsKeysAndRefusesNan) {
  EXPECT_EQ(*canonical_json(Json{{"b", 1}, {"a", 0.1}}), R"({"a":0.1,"b":1})");
  EXPECT_FALSE(canonical_json(Json{{"a", std::nan("")}}));
  EXPECT_FALSE(canonical_json(Json{{"a", "\xff"}}));
}

TEST(Json, AMistakeIsNamedWithItsPlace) {
  const auto parsed = parse_json("{\n  \"a\": ]\n}", "spec.json");
  ASSERT_FALSE(parsed);
  EXPECT_THAT(parsed.error().message, HasSubstr("spec.json:2:"));
}

TEST(Json, ANumberBeyondDoublePrecisionIsRefused) {
  const Result<Json> refused = parse_json(R"({"lr": [1, -1e400]})", "job");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalid);
  EXPECT_EQ(refused.error().message, "job: the number '-1e400' is beyond what double precision holds");
}

TEST(Json, DeepNestingIsRefused) {
  EXPECT_FALSE(parse_json(std::string(5000, '[') + std::string(5000, ']'), "deep"));
}

TEST(Text, NearestNameToleratesOneSlip) {
  const std::vector<std::string> known = {"none", "pgd", "drfgd"};
  EXPECT_EQ(nearest_name("pdg", known), "pgd");
  EXPECT_EQ(nearest_name("drfdg", known), "drfgd");
  EXPECT_EQ(nearest_name("zebra", known), std::nullopt);
}

TEST(Text, IsClippedBetweenCharacters) {
  EXPECT_EQ(clipped("six", 3), "six");
  EXPECT_EQ(clipped("seven", 3), "sev…");
  EXPECT_EQ(clipped("né", 2), "n…");
  EXPECT_EQ(clipped("🎲", 3), "…");
  EXPECT_EQ(clipped("", 0), "");
}

TEST(Text, ReadsFractions) {
  EXPECT_DOUBLE_EQ(*parse_real("8/255"), 8.0 / 255);
  EXPECT_DOUBLE_EQ(*parse_real("1e-3"), 1e-3);
  for (const char* bad : {"", "8/", "/3", "1/0", "nan", "inf", "1 2", "0x10/2x"})
    EXPECT_FALSE(parse_real(bad)) << bad;
}

TEST(Clock, WritesIsoTime) { EXPECT_EQ(iso8601_utc(1'000'000'000'000), "2001-09-09T01:46:40Z"); }

TEST(Files, AnAtomicWriteReplacesTheWholeFile) {
  const auto path = std::filesystem::path(testing::TempDir()) / "atomic.txt";
  ASSERT_TRUE(write_file_atomic(path, "one"));
  ASSERT_TRUE(write_file_atomic(path, "two"));
  EXPECT_EQ(*read_file(path), "two");
}

TEST(Files, ErrorsNameThePathAndTheReason) {
  const auto missing = read_file("/nowhere/at/all");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().message, HasSubstr("/nowhere/at/all: No such file"));
  const auto full = write_file_atomic("/nowhere/at/all", "x");
  ASSERT_FALSE(full);
}

}  // namespace
}  // namespace gauntlet
