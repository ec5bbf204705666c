// How long the page repeats a status, and that many viewers cost as much as one.

#include "coordinator/net/status_views.hpp"

#include <gmock/gmock.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "tests/support/hand_clock.hpp"

namespace gauntlet::coordinator {
namespace {

namespace asio = boost::asio;
using testing::ElementsAre;
using testing_support::HandClock;

class StatusViewsTest : public ::testing::Test {
 protected:
  /// What `n` viewers who ask at once are shown.
  std::vector<std::string> ask(std::uint64_t sweep, int n = 1) {
    std::vector<std::string> shown;
    for (int viewer = 0; viewer < n; ++viewer) asio::co_spawn(io_, look(sweep, shown), rethrow);
    io_.restart();
    io_.run();
    return shown;
  }

  asio::awaitable<void> look(std::uint64_t sweep, std::vector<std::string>& shown) {
    const Result<StatusViews::Text> text = co_await views_.get(SweepId{sweep});
    shown.push_back(text ? **text : text.error().message);
  }

  asio::awaitable<Result<StatusViews::Text>> make(SweepId sweep) {
    const int number = ++n_made_;
    asio::steady_timer hub(io_, std::chrono::milliseconds(1));
    co_await hub.async_wait(asio::use_awaitable);
    if (throws_) throw std::runtime_error("the hub broke");
    if (fails_) co_return fail(ErrorCode::kNotFound, "there is no sweep {}", sweep.value);
    co_return std::make_shared<const std::string>(std::to_string(number));
  }

  static void rethrow(std::exception_ptr thrown) {
    if (thrown) std::rethrow_exception(thrown);
  }

  asio::io_context io_;
  HandClock clock_;
  bool fails_ = false;
  bool throws_ = false;
  int n_made_ = 0;
  StatusViews views_{clock_, Milliseconds(1000), [this](SweepId sweep) { return make(sweep); }};
};

TEST_F(StatusViewsTest, IsRepeatedUntilItIsOld) {
  EXPECT_THAT(ask(1), ElementsAre("1"));
  clock_.go(Milliseconds(999));
  EXPECT_THAT(ask(1), ElementsAre("1"));
  clock_.go(Milliseconds(1));
  EXPECT_THAT(ask(1), ElementsAre("2"));
}

TEST_F(StatusViewsTest, EachSweepHasItsOwn) {
  EXPECT_THAT(ask(0), ElementsAre("1"));
  EXPECT_THAT(ask(7), ElementsAre("2"));
  EXPECT_THAT(ask(0), ElementsAre("1"));
}

TEST_F(StatusViewsTest, ThoseWhoAskAtOnceShareOne) {
  EXPECT_THAT(ask(1, 4), ElementsAre("1", "1", "1", "1"));
  EXPECT_EQ(n_made_, 1);
}

TEST_F(StatusViewsTest, AnErrorIsToldToAllAndNotKept) {
  fails_ = true;
  EXPECT_THAT(ask(3, 2), ElementsAre("there is no sweep 3", "there is no sweep 3"));
  fails_ = false;
  EXPECT_THAT(ask(3), ElementsAre("2"));
}

TEST_F(StatusViewsTest, NobodyWaitsForOneThatBroke) {
  throws_ = true;
  EXPECT_THROW(ask(1, 2), std::runtime_error);
  throws_ = false;
  io_.run();  // the other viewer
  EXPECT_THAT(ask(1), ElementsAre("2"));
}

}  // namespace
}  // namespace gauntlet::coordinator
