// The searches without gradients, against schedules and pairs written out by hand.
#include "core/attacks/detail/list_overlap.hpp"
#include "core/attacks/detail/square_search.hpp"
#include "core/attacks/detail/word_flips.hpp"
#include "tests/robustness/support.hpp"

namespace gauntlet::attacks {
namespace {

using ::testing::HasSubstr;
using torch::Tensor;

TEST(Square, ChangesLessAndLessOnTheScheduleOfTheRelease) {
  EXPECT_EQ(square_share(0, 5000), 0.8);
  EXPECT_EQ(square_share(5, 5000), 0.8);  // 10 of 10,000
  EXPECT_EQ(square_share(6, 5000), 0.4);
  EXPECT_EQ(square_share(26, 5000), 0.2);
  EXPECT_EQ(square_share(4999, 5000), 0.8 / 512);
}

TEST(Square, CrossesPlateausOfTheScore) {
  // The score changes with every fourth value only, and late moves change one: a search that asks for
  // progress stops where those begin.
  const Tensor clean = torch::full({3, 40}, 0.5);
  const Judge judge = [](const Tensor& inputs, const Tensor& items) {
    const Tensor fours = inputs.gt(0.5).sum(1).div(4, "floor");
    return Judged{-fours.to(torch::kFloat64), torch::zeros({items.numel()}, torch::kBool)};
  };
  const auto rows = first_rows(3);
  const SquareOutcome outcome =
      square_search(clean, rows, judge, {.n_iterations = 3000, .ball = {0.1, 0, 1}, .seed = 3});
  EXPECT_TRUE(judge(outcome.inputs, torch::arange(3)).score.le(-8).all().item<bool>());
  EXPECT_TRUE(torch::allclose((outcome.inputs - clean).abs(), torch::full({3, 40}, 0.1)));
}

TEST(Lists, OverlapByRank) {
  const Tensor list = torch::tensor({{3, 1, 2}}), reversed = torch::tensor({{2, 1, 3}}),
               others = torch::tensor({{7, 8, 9}});
  EXPECT_NEAR(list_overlap(list, list).item<double>(), 1, 1e-12);
  EXPECT_EQ(list_overlap(list, others).item<double>(), 0);
  const double first = 1, second = 1 / std::log2(3.0), third = 0.5;
  EXPECT_NEAR(list_overlap(list, reversed).item<double>(),
              (2 * first * third + second * second) / (first * first + second * second + third * third),
              1e-12);
  const Tensor database = torch::tensor({{1.0, 1.0}, {-1.0, -1.0}, {1.0, 1.0}, {1.0, -1.0}});
  EXPECT_TRUE(first_items(torch::tensor({{1.0, 1.0}}), database, 3).equal(torch::tensor({{0, 2, 3}})));
}

/// Texts of 8 words; the value of a text has pairs of words in it, so that the greedy choice is not all.
TEST(Flip, FindsTheBestPairOfWords) {
  torch::manual_seed(6);
  const Tensor linear = torch::randn({8}), pairs = torch::randn({8, 8}) * 0.3;
  const Ascent ascent = [&](const Tensor& inputs, const Tensor&) {
    const Tensor x = inputs.detach().requires_grad_();
    const Tensor value = x.matmul(linear) + (x.matmul(pairs) * x).sum(1);
    return Slope{value.detach(), torch::autograd::grad({value.sum()}, {x}).front()};
  };
  const Tensor clean = torch::rand({12, 8}).round(), items = torch::arange(12);
  const Tensor flipped = flipped_words(clean, ascent, {.n_words = 2, .n_candidates = 8});
  EXPECT_LE(flipped.ne(clean).sum(1).max().item<std::int64_t>(), 2);
  Tensor best = ascent(clean, items).value;
  for (std::int64_t a = 0; a < 8; ++a) {
    for (std::int64_t b = a; b < 8; ++b) {
      Tensor turned = clean.clone();
      turned.select(1, a) = 1 - turned.select(1, a);
      if (b != a) turned.select(1, b) = 1 - turned.select(1, b);
      best = torch::maximum(best, ascent(turned, items).value);
    }
  }
  const Tensor found = ascent(flipped, items).value;
  // One round of replacement is not a full search; it is nearly one here.
  EXPECT_GE(torch::isclose(found, best, 1e-4, 1e-5).sum().item<std::int64_t>(), 11)
      << torch::stack({found, best});
}

TEST(Flip, RefusesWhatHasNoWords) {
  const Target target({3, 6, 6}, 4, 2, 3, 1, 0.05);
  const auto made = attack_registry().find("flip").value()->make(Json::object(), target.surface(), 1);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("was given pictures; allowed: text queries of 0 and 1"));
}

}  // namespace
}  // namespace gauntlet::attacks
