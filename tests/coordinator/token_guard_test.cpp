#include "coordinator/net/token_guard.hpp"

#include <gmock/gmock.h>

namespace gauntlet::coordinator {
namespace {

using boost::asio::ip::make_address;
using testing::HasSubstr;

constexpr TokenLimits kLimits{.free_failures = 3,
                              .window = Milliseconds(1000),
                              .first_pause = Milliseconds(10),
                              .longest_pause = Milliseconds(50),
                              .max_waiting = 2,
                              .max_addresses = 3};
const SteadyTime kStart{std::chrono::hours(1)};
const auto kGuesser = make_address("10.0.0.7");

Milliseconds guess(TokenGuard& guard, const boost::asio::ip::address& address = kGuesser,
                   SteadyTime at = kStart) {
  const Result<Milliseconds> pause = guard.begin(address, at);
  EXPECT_TRUE(pause);
  guard.end(address, false, at);
  return pause.value_or(Milliseconds(-1));
}

TEST(TokenGuard, WrongTokensWaitEverLongerUpToALimit) {
  TokenGuard guard(kLimits);
  std::vector<std::int64_t> pauses;
  for (int n_guessed = 0; n_guessed < 8; ++n_guessed) pauses.push_back(guess(guard).count());
  EXPECT_THAT(pauses, testing::ElementsAre(0, 0, 0, 10, 20, 40, 50, 50));
  EXPECT_EQ(guess(guard, make_address("10.0.0.8")).count(), 0) << "another address has done nothing";
}

TEST(TokenGuard, TimeWithoutAWrongTokenForgives) {
  TokenGuard guard(kLimits);
  for (int n_guessed = 0; n_guessed < 5; ++n_guessed) guess(guard);
  EXPECT_EQ(guard.begin(kGuesser, kStart + Milliseconds(1000))->count(), 40);
  EXPECT_EQ(guard.begin(kGuesser, kStart + Milliseconds(1001))->count(), 0);
}

TEST(TokenGuard, ARightTokenNeitherCountsNorForgives) {
  TokenGuard guard(kLimits);
  for (int n_guessed = 0; n_guessed < 4; ++n_guessed) guess(guard);
  ASSERT_TRUE(guard.begin(kGuesser, kStart));
  guard.end(kGuesser, true, kStart);
  EXPECT_EQ(guess(guard).count(), 20);
}

TEST(TokenGuard, TooManyThatWaitAtOnceAreToldToTryLater) {
  TokenGuard guard(kLimits);
  for (int n_guessed = 0; n_guessed < 3; ++n_guessed) guess(guard);
  ASSERT_TRUE(guard.begin(kGuesser, kStart));
  ASSERT_TRUE(guard.begin(kGuesser, kStart));
  const auto third = guard.begin(kGuesser, kStart);
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, ErrorCode::kUnreachable) << "an honest worker tries again";
  EXPECT_THAT(third.error().message, HasSubstr("3 wrong tokens came from 10.0.0.7"));
  guard.end(kGuesser, true, kStart);
  EXPECT_TRUE(guard.begin(kGuesser, kStart));
}

TEST(TokenGuard, ANetworkOfIpv6IsOneAddress) {
  TokenGuard guard(kLimits);
  for (int n_guessed = 0; n_guessed < 3; ++n_guessed) guess(guard, make_address("2001:db8::1"));
  EXPECT_EQ(guess(guard, make_address("2001:db8::ffff:2")).count(), 10);
  EXPECT_EQ(guess(guard, make_address("2001:db8:0:1::1")).count(), 0);
  for (int n_guessed = 0; n_guessed < 3; ++n_guessed) guess(guard, make_address("::ffff:10.0.0.9"));
  EXPECT_EQ(guess(guard, make_address("10.0.0.9")).count(), 10);
}

TEST(TokenGuard, ItsMemoryIsBounded) {
  TokenGuard guard(kLimits);
  for (int n_guessed = 0; n_guessed < 5; ++n_guessed) guess(guard);
  for (int host = 0; host < 100; ++host) guess(guard, make_address(fmt::format("10.1.0.{}", host)));
  EXPECT_LE(guard.n_addresses(), kLimits.max_addresses);
  EXPECT_EQ(guess(guard).count(), 40) << "the guiltiest is remembered";
  guess(guard, make_address("10.2.0.1"), kStart + Milliseconds(2000));
  EXPECT_EQ(guard.n_addresses(), 1U) << "the forgiven ones go first";
}

}  // namespace
}  // namespace gauntlet::coordinator
