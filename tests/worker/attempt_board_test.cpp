// The memory on which an agent and an executor see which attempts nobody has begun.
#include "worker/executor/attempt_board.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

namespace gauntlet::worker {
namespace {

TEST(AttemptBoard, WhoeverTakesAnAttemptHasItAlone) {
  AttemptBoard agent = AttemptBoard::make().value();
  AttemptBoard executor = AttemptBoard::open(::dup(agent.descriptor())).value();
  EXPECT_FALSE(executor.take(7)) << "nobody has offered it";
  ASSERT_TRUE(agent.offer(7));
  ASSERT_TRUE(agent.offer(8));
  EXPECT_TRUE(executor.take(7));
  EXPECT_FALSE(agent.take(7));
  EXPECT_TRUE(agent.take(8));
  EXPECT_FALSE(executor.take(8));
}

TEST(AttemptBoard, OfTwoThatRaceForItOneTakesIt) {
  constexpr std::uint64_t kRounds = 20'000;
  AttemptBoard agent = AttemptBoard::make().value();
  AttemptBoard executor = AttemptBoard::open(::dup(agent.descriptor())).value();
  std::atomic<std::uint64_t> offered{0};
  std::atomic<int> n_over{0};
  const auto race = [&](AttemptBoard& board, std::vector<bool>& taken) {
    for (std::uint64_t lease = 1; lease <= kRounds; ++lease) {
      while (offered.load() < lease) std::this_thread::yield();
      taken[lease] = board.take(lease);
      ++n_over;
    }
  };
  std::vector<bool> by_agent(kRounds + 1), by_executor(kRounds + 1);
  std::thread one([&] { race(agent, by_agent); });
  std::thread other([&] { race(executor, by_executor); });
  for (std::uint64_t lease = 1; lease <= kRounds; ++lease) {
    EXPECT_TRUE(agent.offer(lease));
    n_over = 0;
    offered = lease;
    while (n_over.load() < 2) std::this_thread::yield();
  }
  one.join();
  other.join();
  for (std::uint64_t lease = 1; lease <= kRounds; ++lease)
    ASSERT_NE(by_agent[lease], by_executor[lease]) << "lease " << lease;
}

TEST(AttemptBoard, ItHasSoManyPlaces) {
  AttemptBoard board = AttemptBoard::make().value();
  for (std::uint64_t lease = 1; lease <= AttemptBoard::kPlaces; ++lease) EXPECT_TRUE(board.offer(lease));
  EXPECT_FALSE(board.offer(100));
  EXPECT_TRUE(board.take(3));
  EXPECT_TRUE(board.offer(100));
}

TEST(AttemptBoard, WhatIsOnItOutlivesTheExecutor) {
  AttemptBoard agent = AttemptBoard::make().value();
  ASSERT_TRUE(agent.offer(7));
  ASSERT_TRUE(agent.offer(8));
  {
    AttemptBoard executor = AttemptBoard::open(::dup(agent.descriptor())).value();
    ASSERT_TRUE(executor.take(7));
  }
  EXPECT_FALSE(agent.take(7));
  EXPECT_TRUE(agent.take(8));
}

TEST(AttemptBoard, AnExecutorCannotTakeTheMemoryAway) {
  AttemptBoard agent = AttemptBoard::make().value();
  EXPECT_NE(::ftruncate(agent.descriptor(), 0), 0);
}

TEST(AttemptBoard, OtherDescriptorsAreRefused) {
  EXPECT_EQ(AttemptBoard::open(::dup(STDERR_FILENO)).error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace gauntlet::worker
