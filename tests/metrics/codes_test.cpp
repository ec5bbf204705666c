#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "core/base/random.hpp"
#include "core/metrics/evaluate.hpp"

namespace gauntlet::metrics {
namespace {

template <class T>
Result<PackedCodes> pack(const std::vector<T>& values, std::int64_t bits) {
  return PackedCodes::from_values(std::span<const T>(values), bits);
}

TEST(PackedCodes, BitIsOneWhenPositiveAndZerosAreCounted) {
  const PackedCodes codes = pack<float>({0.5F, -0.5F, 0.0F, -0.0F, 1e-30F, -3.0F}, 3).value();
  EXPECT_EQ(codes.n(), 2);
  EXPECT_EQ(codes.row(0)[0], 0b001U);
  EXPECT_EQ(codes.row(1)[0], 0b010U);
  EXPECT_EQ(codes.n_zeros(), 2);
  EXPECT_TRUE(codes.has_negative());
}

TEST(PackedCodes, UnsignedAndSignedTypesAgree) {
  const PackedCodes small = pack<std::uint8_t>({1, 0, 0, 1}, 2).value();
  const PackedCodes wide = pack<std::int64_t>({1, -1, -1, 7}, 2).value();
  EXPECT_EQ(small.to_bytes(), wide.to_bytes());
  EXPECT_EQ(small.n_zeros(), 2);
  EXPECT_FALSE(small.has_negative());
  EXPECT_EQ(wide.n_zeros(), 0);
}

TEST(PackedCodes, NanIsRefusedWithItsPlace) {
  const auto codes = pack<double>({1, 2, 3, std::numeric_limits<double>::quiet_NaN()}, 2);
  ASSERT_FALSE(codes);
  EXPECT_EQ(codes.error().code, ErrorCode::kInvalid);
  EXPECT_EQ(codes.error().message, "codes hold NaN at row 1, column 1; every output must be a number");
}

TEST(PackedCodes, BytesRoundTripAtWordBorders) {
  RandomStream stream(7);
  for (const std::int64_t bits : {1, 7, 8, 9, 63, 64, 65, 127, 128, 256}) {
    std::vector<int> values(static_cast<std::size_t>(bits) * 5);
    for (int& value : values) value = stream.below(2) == 0 ? -1 : 1;
    const PackedCodes codes = pack(values, bits).value();
    const std::vector<std::uint8_t> bytes = codes.to_bytes();
    ASSERT_EQ(bytes.size(), 5 * static_cast<std::size_t>((bits + 7) / 8));
    for (std::size_t item = 0; item < 5; ++item) {
      for (std::int64_t bit = 0; bit < bits; ++bit) {
        const int packed =
            bytes[item * static_cast<std::size_t>((bits + 7) / 8) + static_cast<std::size_t>(bit / 8)] >>
                (bit % 8) &
            1;
        ASSERT_EQ(packed,
                  values[item * static_cast<std::size_t>(bits) + static_cast<std::size_t>(bit)] > 0 ? 1 : 0);
      }
    }
    const PackedCodes again = PackedCodes::from_packed(bytes, bits).value();
    EXPECT_EQ(again.to_bytes(), bytes);
    for (std::int64_t item = 0; item < 5; ++item)
      EXPECT_THAT(again.row(item), testing::ElementsAreArray(codes.row(item)));
  }
}

TEST(PackedCodes, BitsBeyondTheWidthAreRefused) {
  const std::vector<std::uint8_t> bytes = {0x0f, 0x1f};
  const auto codes = PackedCodes::from_packed(bytes, 4);
  ASSERT_FALSE(codes);
  EXPECT_EQ(codes.error().message,
            "packed code of row 1 has a bit set beyond bit 3; are these codes of 4 bits?");
}

TEST(PackedCodes, ImpossibleSizesAreRefused) {
  EXPECT_EQ(pack<float>({1, 2, 3}, 2).error().message, "3 values do not make rows of 2");
  EXPECT_EQ(pack<float>({1}, 0).error().message, "codes of 0 bits; allowed: 1 to 4096");
  EXPECT_EQ(PackedCodes::from_packed({}, 5000).error().message, "codes of 5000 bits; allowed: 1 to 4096");
  EXPECT_EQ(PackedCodes::from_packed({}, -3).error().message, "codes of -3 bits; allowed: 1 to 4096");
}

TEST(LabelSets, OnlyZeroAndOneAreLabels) {
  const std::vector<float> values = {0, 1, 1, 2};
  const auto sets = LabelSets::from_values(std::span<const float>(values), 2);
  ASSERT_FALSE(sets);
  EXPECT_EQ(sets.error().message, "label value 2 at row 1, column 1; allowed: 0 and 1");
  const std::vector<std::int64_t> classes = {0, 3};
  EXPECT_EQ(LabelSets::from_classes(classes, 3).error().message, "class 3 at row 1; allowed: 0 to 2");
  EXPECT_EQ(LabelSets::from_classes(classes, 4)->row(1)[0], 0b1000U);
}

TEST(Evaluate, SizesThatDoNotMatchAreRefused) {
  const PackedCodes two = pack<int>({1, 1, 1, 1}, 2).value();
  const PackedCodes one = pack<int>({1, 1}, 2).value();
  const PackedCodes wide = pack<int>({1, 1, 1, 1, 1, 1}, 3).value();
  const PackedCodes none = pack<int>({}, 2).value();
  const std::vector<std::int64_t> classes = {0, 1};
  const LabelSets labels = LabelSets::from_classes(classes, 2).value();
  const LabelSets other = LabelSets::from_classes(classes, 5).value();
  const std::vector<std::string> names = {"map"};
  const std::vector<std::string> targeted = {"t_map"};
  EXPECT_EQ(evaluate({one, two, labels, labels}, names, 1).error().message,
            "1 query codes but 2 rows of query labels; they must agree");
  EXPECT_EQ(evaluate({two, one, labels, labels}, names, 1).error().message,
            "1 retrieval codes but 2 rows of retrieval labels; they must agree");
  EXPECT_EQ(evaluate({two, wide, labels, labels}, names, 1).error().message,
            "query codes have 2 bits, retrieval codes 3; they must agree");
  EXPECT_EQ(evaluate({none, two, labels, labels}, names, 1).error().message,
            "there are no query codes; at least one is needed");
  EXPECT_EQ(evaluate({two, none, labels, labels}, names, 1).error().message,
            "there are no retrieval codes; at least one is needed");
  EXPECT_EQ(evaluate({two, two, labels, other}, names, 1).error().message,
            "query labels have 2 columns, retrieval labels 5; they must agree");
  EXPECT_EQ(evaluate({two, two, labels, labels, &other}, names, 1).error().message,
            "target labels are 2 x 5; expected one row per query and the same labels: 2 x 2");
  EXPECT_EQ(evaluate({two, two, labels, labels}, targeted, 1).error().message,
            "metric 't_map' needs target labels, and there are none");
}

}  // namespace
}  // namespace gauntlet::metrics
