// How long the page repeats an answer.

#include "coordinator/net/answer_cache.hpp"

#include <gmock/gmock.h>

#include "tests/support/hand_clock.hpp"

namespace gauntlet::coordinator {
namespace {

using testing::ElementsAre;
using testing_support::HandClock;

class AnswerCacheTest : public ::testing::Test {
 protected:
  std::string get(std::uint64_t sweep, const std::string& metric) {
    return cache_.get(sweep, metric, [this] { return make(); }).value_or("failed");
  }
  Result<std::string> make() {
    const int number = ++n_made_;
    clock_.go(takes_);
    if (fails_) return fail(ErrorCode::kNotFound, "there is no sweep");
    return std::to_string(number);
  }

  HandClock clock_;
  Milliseconds takes_{0};
  bool fails_ = false;
  int n_made_ = 0;
  AnswerCache cache_{clock_, Milliseconds(2000)};
};

TEST_F(AnswerCacheTest, AnAnswerIsRepeatedUntilItIsOld) {
  EXPECT_EQ(get(1, "map"), "1");
  clock_.go(Milliseconds(1999));
  EXPECT_EQ(get(1, "map"), "1");
  clock_.go(Milliseconds(1));
  EXPECT_EQ(get(1, "map"), "2");
  EXPECT_EQ(get(1, "map"), "2");
}

TEST_F(AnswerCacheTest, SweepsAndMetricsHaveTheirOwn) {
  const std::vector<std::string> made = {get(1, "map"), get(1, "t_map"), get(2, "map")};
  EXPECT_THAT(made, ElementsAre("1", "2", "3"));
  EXPECT_EQ(get(1, "map"), "1");
}

TEST_F(AnswerCacheTest, AgeCountsFromWhenItsNumbersWereRead) {
  takes_ = Milliseconds(1500);
  EXPECT_EQ(get(1, "map"), "1");
  takes_ = Milliseconds(0);
  clock_.go(Milliseconds(499));
  EXPECT_EQ(get(1, "map"), "1");
  clock_.go(Milliseconds(1));
  EXPECT_EQ(get(1, "map"), "2") << "what came 2 s ago must be in it";
}

TEST_F(AnswerCacheTest, FailuresAreNotKept) {
  fails_ = true;
  EXPECT_EQ(get(1, "map"), "failed");
  fails_ = false;
  EXPECT_EQ(get(1, "map"), "2");
}

TEST_F(AnswerCacheTest, AsManyAsMayBeAskedForDoNotPileUp) {
  for (std::uint64_t sweep = 1; sweep <= 65; ++sweep) static_cast<void>(get(sweep, "map"));
  EXPECT_EQ(get(65, "map"), "65") << "the newest is kept";
  EXPECT_EQ(get(1, "map"), "66") << "older ones are given up";
}

}  // namespace
}  // namespace gauntlet::coordinator
