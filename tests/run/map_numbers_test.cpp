// The numbers of heat maps against values worked out by hand.
#include "core/run/map_numbers.hpp"

#include <gmock/gmock.h>

#include <cmath>

namespace gauntlet::run {
namespace {

const torch::Tensor kAll = torch::ones({10}, torch::kBool);

TEST(MapNumbers, OverlapOfTheTopFifth) {
  // Top 2 of 10: places {0, 1} and {1, 2}; one of three is shared.
  const auto one = torch::tensor({0.9F, 0.8F, 0.7F, 0.F, 0.F, 0.F, 0.F, 0.F, 0.F, 0.F});
  const auto other = torch::tensor({0.1F, 0.8F, 0.7F, 0.F, 0.F, 0.F, 0.F, 0.F, 0.F, 0.F});
  EXPECT_DOUBLE_EQ(overlap_of_top(one, other, kAll, 0.2), 1.0 / 3);
  EXPECT_DOUBLE_EQ(overlap_of_top(one, one, kAll, 0.2), 1);
  // Among equals the earlier ones: {0, 1} and {0, 1} again.
  const auto ties = torch::tensor({0.5F, 0.5F, 0.5F, 0.F, 0.F, 0.F, 0.F, 0.F, 0.F, 0.F});
  EXPECT_DOUBLE_EQ(overlap_of_top(one, ties, kAll, 0.2), 1);
  // A map of one place is that place, not the zeros that stand first.
  const auto single = torch::tensor({0.F, 0.F, 0.3F, 0.F, 0.F, 0.F, 0.F, 0.F, 0.F, 0.F});
  EXPECT_DOUBLE_EQ(overlap_of_top(single, other, kAll, 0.2), 0.5) << "{2} of {1, 2}";
}

TEST(MapNumbers, OverlapLooksAtCandidatesOnlyAndRoundsUp) {
  const auto one = torch::tensor({9.F, 1.F, 2.F, 3.F});
  const auto other = torch::tensor({9.F, 1.F, 3.F, 2.F});
  const auto candidates = torch::tensor({0, 1, 1, 1}, torch::kInt64).to(torch::kBool);
  // One of three candidates each: place 3 and place 2.
  EXPECT_DOUBLE_EQ(overlap_of_top(one, other, candidates, 0.2), 0);
  EXPECT_DOUBLE_EQ(overlap_of_top(one, other, candidates, 0.5), 1) << "two of three: places 2 and 3 both";
}

TEST(MapNumbers, NothingToCompareIsNoNumber) {
  EXPECT_TRUE(std::isnan(overlap_of_top(torch::zeros({10}), torch::rand({10}), kAll, 0.2)));
  EXPECT_TRUE(std::isnan(overlap_of_top(torch::rand({10}), torch::rand({10}), ~kAll, 0.2)));
  EXPECT_TRUE(std::isnan(cosine_of(torch::zeros({3}), torch::ones({3}))));
  EXPECT_TRUE(std::isnan(mass_on_change(torch::zeros({10}), torch::rand({10}), kAll)));
}

TEST(MapNumbers, CosineAndMass) {
  EXPECT_NEAR(cosine_of(torch::tensor({1.F, 0.F}), torch::tensor({1.F, 1.F})), std::sqrt(0.5), 1e-7);
  // Changes 0, 1, 2, 3: the median of four is 1 here (the lower one); above it lie the last two places.
  const auto map = torch::tensor({4.F, 3.F, 2.F, 1.F});
  const auto change = torch::tensor({0.F, 1.F, 2.F, 3.F});
  EXPECT_DOUBLE_EQ(mass_on_change(map, change, torch::ones({4}, torch::kBool)), 0.3);
  // Without the first place the median is 2, and one place lies above it.
  EXPECT_DOUBLE_EQ(mass_on_change(map, change, torch::tensor({0, 1, 1, 1}, torch::kInt64).to(torch::kBool)),
                   1.0 / 6);
}

}  // namespace
}  // namespace gauntlet::run
