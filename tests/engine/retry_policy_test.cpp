// Every cause's rule: what it is charged to, how often, how long the job waits.
#include "coordinator/engine/retry_policy.hpp"

#include "tests/engine/world.hpp"

namespace gauntlet::engine {
namespace {

struct Rule {
  ErrorCode cause;
  int n_attempts;  ///< that may end so before the job fails; 0 = any number
  Charge charge = Charge::kFailure;
};

class RetryPolicyOf : public testing::TestWithParam<Rule> {};

/// Ends an attempt after the other until the job has failed, or `most` have ended.
int attempts_until_failed(World& world, ErrorCode cause, int most) {
  world.submit(1, {{}});
  int n_attempts = 0;
  for (; n_attempts < most && world.tag(1) != JobStateTag::kFailed; ++n_attempts) {
    const WorkerId worker = world.join(World::offer("a", 1));
    if (world.tag(1) == JobStateTag::kQueued) {
      world.advance(world.state.config().max_backoff);
      world.keep(on_heartbeat(world.state, world.now(), worker, {}));
      world.keep(on_tick(world.state, world.now()));
    }
    if (cause != ErrorCode::kLost) {
      world.report(worker, world.take(worker, 1), cause);
      continue;
    }
    world.held[worker.value].clear();
    world.keep(on_worker_left(world.state, world.now(), worker));
    world.advance(world.state.config().grace + Milliseconds(1));
    world.keep(on_tick(world.state, world.now()));
  }
  return n_attempts;
}

TEST_P(RetryPolicyOf, AJobFailsWithItsLastAttempt) {
  const Rule& rule = GetParam();
  EXPECT_EQ(retry_policy(rule.cause).charge, rule.charge);
  EXPECT_EQ(is_retryable(rule.cause), rule.n_attempts != 1) << "what a client may try again and what we do";
  World world;
  const int n_attempts = attempts_until_failed(world, rule.cause, 20);
  EXPECT_EQ(n_attempts, rule.n_attempts == 0 ? 20 : rule.n_attempts);
  const Job& job = world.state.job(JobId{1});
  EXPECT_EQ(job.failures, rule.charge == Charge::kFailure ? n_attempts : 0);
  EXPECT_EQ(job.losses, rule.charge == Charge::kLoss ? n_attempts : 0);
  EXPECT_EQ(std::holds_alternative<Failed>(job.state), rule.n_attempts > 0);
}

INSTANTIATE_TEST_SUITE_P(EveryCause, RetryPolicyOf,
                         testing::Values(Rule{ErrorCode::kInternal, 1}, Rule{ErrorCode::kInvalid, 1},
                                         Rule{ErrorCode::kNotFound, 1}, Rule{ErrorCode::kUnreachable, 3},
                                         Rule{ErrorCode::kRefused, 1}, Rule{ErrorCode::kIo, 3},
                                         Rule{ErrorCode::kNoSpace, 3}, Rule{ErrorCode::kCorrupt, 3},
                                         Rule{ErrorCode::kTimedOut, 2}, Rule{ErrorCode::kOutOfMemory, 1},
                                         Rule{ErrorCode::kDiverged, 1}, Rule{ErrorCode::kCollective, 3},
                                         Rule{ErrorCode::kProcessDied, 3},
                                         Rule{ErrorCode::kLost, 5, Charge::kLoss},
                                         Rule{ErrorCode::kStaleLease, 1},
                                         Rule{ErrorCode::kInterrupted, 0, Charge::kNothing},
                                         Rule{ErrorCode::kIncomplete, 1}, Rule{ErrorCode::kJobsFailed, 1}),
                         [](const auto& rule) { return std::string(gauntlet::name_of(rule.param.cause)); });

TEST(RetryPolicy, ACauseANewerWorkerKnowsIsNotTriedAgain) {
  EXPECT_EQ(retry_limit({}, static_cast<ErrorCode>(200)), 1);
}

TEST(RetryPolicy, ConfiguredBoundsAreStricter) {
  World world(EngineConfig{.max_failures = 2});
  EXPECT_EQ(attempts_until_failed(world, ErrorCode::kIo, 20), 2);
  World other(EngineConfig{.max_losses = 1});
  EXPECT_EQ(attempts_until_failed(other, ErrorCode::kLost, 20), 1);
}

TEST(RetryPolicy, TheCauseOfThisAttemptDecidesOverAllFailuresSoFar) {
  World world;
  world.submit(1, {{}});
  const WorkerId worker = world.join(World::offer("a", 1));
  world.report(worker, world.take(worker, 1), ErrorCode::kIo);
  world.advance(Milliseconds(1000));
  world.keep(on_tick(world.state, world.now()));
  world.report(worker, world.take(worker, 1), ErrorCode::kTimedOut);
  EXPECT_EQ(world.tag(1), JobStateTag::kFailed) << "a second failure is the last one that may be a timeout";
}

// ---------------------------------------------------------------- waits

TEST(RetryWait, DoublesAndStaysBetweenHalfAndAll) {
  const EngineConfig config;
  for (std::uint64_t job = 1; job <= 500; ++job) {
    std::int64_t longest = 1000;
    for (std::uint8_t n_failures = 1; n_failures <= 10; ++n_failures) {
      const Milliseconds wait =
          retry_wait(config, ErrorCode::kIo, n_failures, JobId{job}, AttemptNo{n_failures});
      EXPECT_GE(wait.count(), longest / 2);
      EXPECT_LE(wait.count(), longest);
      longest = std::min<std::int64_t>(2 * longest, config.max_backoff.count());
    }
  }
  EXPECT_GE(retry_wait(config, ErrorCode::kNoSpace, 1, JobId{1}, AttemptNo{1}), Milliseconds(15000));
  EXPECT_LE(retry_wait(config, ErrorCode::kNoSpace, 255, JobId{1}, AttemptNo{1}), config.max_backoff);
}

TEST(RetryWait, IsTheSameEveryTimeAndSpreadsJobsAndAttempts) {
  const EngineConfig config;
  const auto wait = [&](std::uint64_t job, std::uint64_t attempt) {
    return retry_wait(config, ErrorCode::kIo, 1, JobId{job}, AttemptNo{attempt});
  };
  EXPECT_EQ(wait(7, 1).count(), wait(7, 1).count());
  EXPECT_EQ(wait(7, 1).count(), 535) << "recorded: another number would change every replay";
  std::set<Milliseconds> by_job;
  std::set<Milliseconds> by_attempt;
  std::array<int, 5> in_fifth{};
  for (std::uint64_t n = 1; n <= 1000; ++n) {
    by_job.insert(wait(n, 1));
    by_attempt.insert(wait(1, n));
    ++in_fifth.at(static_cast<std::size_t>(std::min<std::int64_t>(4, (wait(n, 1).count() - 500) / 100)));
  }
  EXPECT_GT(by_job.size(), 300U);
  EXPECT_GT(by_attempt.size(), 300U);
  for (const int n : in_fifth) EXPECT_NEAR(n, 200, 60);
}

TEST(RetryWait, AFailedJobWaitsForItsTimeAndNotLonger) {
  World world;
  world.submit(1, {{}});
  const WorkerId worker = world.join(World::offer("a", 1));
  for (std::uint8_t n_failures = 1; n_failures <= 2; ++n_failures) {
    world.report(worker, world.take(worker, 1), ErrorCode::kProcessDied);
    EXPECT_EQ(world.tag(1), JobStateTag::kQueued);
    const Milliseconds wait = retry_wait(world.state.config(), ErrorCode::kProcessDied, n_failures, JobId{1},
                                         AttemptNo{n_failures});
    world.advance(wait - Milliseconds(1));
    world.keep(on_tick(world.state, world.now()));
    EXPECT_EQ(world.tag(1), JobStateTag::kQueued) << "still waiting";
    world.advance(Milliseconds(1));
    world.keep(on_tick(world.state, world.now()));
    EXPECT_EQ(world.tag(1), JobStateTag::kLeased);
  }
  world.report(worker, world.take(worker, 1), ErrorCode::kProcessDied);
  EXPECT_EQ(std::get<Failed>(world.state.job(JobId{1}).state).code, ErrorCode::kProcessDied);
  EXPECT_EQ(world.books.attempts[1], 3U);
}

}  // namespace
}  // namespace gauntlet::engine
