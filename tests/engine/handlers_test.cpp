#include "coordinator/engine/handlers.hpp"

#include "tests/engine/world.hpp"

namespace gauntlet::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

template <class Message>
std::vector<Message> messages_of(const Decision& decision) {
  std::vector<Message> found;
  for (const Outgoing& message : decision.messages) {
    if (const auto* wanted = std::get_if<Message>(&message)) found.push_back(*wanted);
  }
  return found;
}

template <class Kind>
std::vector<Kind> changes_of(const Decision& decision) {
  std::vector<Kind> found;
  for (const Transition& transition : decision.transitions) {
    if (const auto* wanted = std::get_if<Kind>(&transition.change)) found.push_back(*wanted);
  }
  return found;
}

// ---------------------------------------------------------------- submit

TEST(Submit, QueuesWhatHasNoNeedsAndLetsTheRestWait) {
  World world;
  world.submit(1, {{}, {.needs = {1}}, {.needs = {1, 2}}});
  EXPECT_EQ(world.tag(1), JobStateTag::kQueued);
  EXPECT_EQ(world.tag(2), JobStateTag::kWaiting);
  EXPECT_EQ(std::get<Waiting>(world.state.job(JobId{3}).state).n_unmet, 2U);
}

TEST(Submit, KnownJobsKeepTheirState) {
  World world;
  const WorkerId worker = world.join(World::offer("a", 1));
  world.submit(1, {{}, {}});
  world.report(worker, world.take(worker, 1));
  world.report(worker, world.take(worker, 2), ErrorCode::kInvalid);
  world.submit(2, {{.needs = {1}}, {.needs = {2}}}, 0, {1, 2});
  EXPECT_EQ(world.tag(1), JobStateTag::kDone);
  EXPECT_EQ(world.tag(2), JobStateTag::kFailed) << "only a retry runs a failed job again";
  EXPECT_EQ(world.tag(3), JobStateTag::kLeased) << "its need was done before";
  EXPECT_EQ(world.tag(4), JobStateTag::kBlocked);
  EXPECT_EQ(std::get<Blocked>(world.state.job(JobId{4}).state).culprit, JobId{2});
  EXPECT_EQ(world.state.sweeps()[1].counts[static_cast<std::size_t>(JobStateTag::kDone)], 1U);
}

TEST(Submit, RefusesRowsThatContradictTheGraph) {
  World world;
  SubmitOutcome outcome;
  outcome.sweep.id = SweepId{1};
  outcome.rows.shapes.push_back({});
  outcome.rows.jobs.push_back({.id = JobId{1}, .last_attempt = {}, .culprit = {}});
  outcome.rows.needs.push_back({JobId{1}, JobId{9}});
  const auto refused = on_submit(world.state, world.now(), outcome);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(refused.error().message, HasSubstr("job 1: needs job 9"));
}

// ---------------------------------------------------------------- reports and fencing

TEST(Report, DoneReleasesWhatWaits) {
  World world;
  world.submit(1, {{}, {.needs = {1}}});
  const WorkerId worker = world.join(World::offer("a", 1));
  const AnswerReports answer = world.report(worker, world.take(worker, 1));
  EXPECT_THAT(answer.settled, ElementsAre(LeaseId{1}));
  EXPECT_THAT(answer.stale, IsEmpty());
  EXPECT_EQ(world.tag(1), JobStateTag::kDone);
  EXPECT_EQ(world.tag(2), JobStateTag::kLeased);
  EXPECT_EQ(world.books.n_done[1], 1);
}

TEST(Report, TheSameTwiceCountsOnceAndIsAcknowledged) {
  World world;
  world.submit(1, {{}});
  const WorkerId worker = world.join(World::offer("a", 1));
  const LeaseRef ref = world.take(worker, 1);
  world.report(worker, ref);
  const AnswerReports again = world.report(worker, ref);
  EXPECT_THAT(again.settled, ElementsAre(ref.lease));
  EXPECT_THAT(again.stale, IsEmpty());
  EXPECT_EQ(world.books.n_done[1], 1);
}

TEST(Report, OfAnotherAttemptLeaseOrWorkerIsStale) {
  World world;
  world.submit(1, {{}});
  const WorkerId worker = world.join(World::offer("a", 1));
  const WorkerId other = world.join(World::offer("b", 1));
  const LeaseRef ref = world.take(worker, 1);
  for (const LeaseRef& wrong :
       {LeaseRef{ref.job, LeaseId{99}, ref.attempt}, LeaseRef{ref.job, ref.lease, AttemptNo{7}},
        LeaseRef{JobId{50}, ref.lease, ref.attempt}}) {
    EXPECT_THAT(world.report(worker, wrong).stale, ElementsAre(wrong.lease));
  }
  EXPECT_THAT(world.report(other, ref).stale, ElementsAre(ref.lease));
  EXPECT_EQ(world.tag(1), JobStateTag::kLeased);
  EXPECT_TRUE(world.books.n_done.empty());
}

TEST(Report, AfterTheLeaseWentToAnotherIsStaleAndChangesNothing) {
  World world;
  world.submit(1, {{}});
  const WorkerId first = world.join(World::offer("a", 1));
  const LeaseRef old = world.take(first, 1);
  world.keep(on_worker_left(world.state, world.now(), first));
  world.advance(Milliseconds(5001));
  world.keep(on_tick(world.state, world.now()));
  const WorkerId second = world.join(World::offer("b", 1));
  EXPECT_EQ(world.tag(1), JobStateTag::kLeased);
  EXPECT_THAT(world.report(first, old).stale, ElementsAre(old.lease));
  world.report(second, world.take(second, 1));
  EXPECT_EQ(world.books.n_done[1], 1);
}

// ---------------------------------------------------------------- failures; their policy:
// retry_policy_test.cpp

TEST(Failures, InterruptedAttemptsAreFree) {
  World world;
  world.submit(1, {{}});
  const WorkerId worker = world.join(World::offer("a", 1));
  for (int n_times = 0; n_times < 10; ++n_times) {
    world.report(worker, world.take(worker, 1), ErrorCode::kInterrupted);
    EXPECT_EQ(world.tag(1), JobStateTag::kLeased) << "goes back at once and is given again";
  }
  EXPECT_EQ(world.state.job(JobId{1}).failures, 0);
}

TEST(Failures, TheFifthLostWorkerFailsTheJob) {
  World world;
  world.submit(1, {{}, {.needs = {1}}});
  for (int n_lost = 1; n_lost <= 5; ++n_lost) {
    const WorkerId worker = world.join(World::offer(fmt::format("w{}", n_lost), 1));
    EXPECT_EQ(world.tag(1), JobStateTag::kLeased);
    world.advance(Milliseconds(15001));
    const Decision decision = world.keep(on_tick(world.state, world.now()));
    EXPECT_THAT(messages_of<Disconnect>(decision).front().reason, HasSubstr("silent for 15.0s"));
    EXPECT_EQ(world.state.find_worker(worker), nullptr);
    ASSERT_FALSE(decision.transitions.empty());
    EXPECT_TRUE(std::holds_alternative<WorkerLeft>(decision.transitions.front().change))
        << "the loss is told before its consequences";
  }
  EXPECT_EQ(world.tag(1), JobStateTag::kFailed);
  EXPECT_EQ(world.books.codes[1], ErrorCode::kLost);
  EXPECT_EQ(world.tag(2), JobStateTag::kBlocked);
  EXPECT_EQ(world.state.job(JobId{1}).failures, 0) << "losses are no failures";
}

TEST(Failures, ADamagedInputRunsAgainFirst) {
  World world;
  world.submit(1, {{}, {.needs = {1}}, {.needs = {1}}});
  const WorkerId worker = world.join(World::offer("a", 1));
  world.report(worker, world.take(worker, 1));
  ASSERT_EQ(world.tag(2), JobStateTag::kLeased);
  world.report(worker, world.take(worker, 2), ErrorCode::kCorrupt, {JobId{1}});
  EXPECT_EQ(world.tag(1), JobStateTag::kLeased) << "its artifact is made again";
  EXPECT_EQ(world.tag(2), JobStateTag::kWaiting);
  EXPECT_EQ(world.tag(3), JobStateTag::kWaiting) << "another user of it waits too";
  world.report(worker, world.take(worker, 1));
  EXPECT_EQ(world.tag(2), JobStateTag::kLeased);
  EXPECT_EQ(world.state.job(JobId{2}).failures, 1);
}

TEST(Failures, OnlyNeedsOfTheJobCanBeDamaged) {
  World world;
  world.submit(1, {{}, {}});
  const WorkerId worker = world.join(World::offer("a", 1));
  world.report(worker, world.take(worker, 1));
  world.report(worker, world.take(worker, 2), ErrorCode::kCorrupt, {JobId{1}, JobId{77}});
  EXPECT_EQ(world.tag(1), JobStateTag::kDone);
}

// ---------------------------------------------------------------- blocking, retry, cancel, pause

TEST(Blocking, NamesTheCulpritAllTheWayDownAndRetryReleases) {
  World world;
  world.submit(1, {{}, {.needs = {1}}, {.needs = {2}}, {}});
  const WorkerId worker = world.join(World::offer("a", 2));
  world.report(worker, world.take(worker, 1), ErrorCode::kDiverged);
  for (const std::uint64_t id : {2U, 3U}) {
    ASSERT_EQ(world.tag(id), JobStateTag::kBlocked);
    EXPECT_EQ(std::get<Blocked>(world.state.job(JobId{id}).state).culprit, JobId{1});
  }
  const Decision decision = world.keep(on_retry(world.state, world.now(), {JobId{1}}));
  EXPECT_EQ(decision.n_jobs, 1U);
  EXPECT_EQ(world.tag(1), JobStateTag::kLeased);
  EXPECT_EQ(world.tag(2), JobStateTag::kWaiting);
  EXPECT_EQ(world.tag(3), JobStateTag::kWaiting);
  world.report(worker, world.take(worker, 1));
  world.report(worker, world.take(worker, 2));
  world.report(worker, world.take(worker, 3));
  EXPECT_EQ(world.tag(3), JobStateTag::kDone);
}

TEST(Blocking, ASecondCulpritKeepsTheJobBlockedAfterTheFirstIsRetried) {
  World world;
  world.submit(1, {{}, {}, {.needs = {1, 2}}});
  const WorkerId worker = world.join(World::offer("a", 2));
  world.report(worker, world.take(worker, 1), ErrorCode::kInvalid);
  world.report(worker, world.take(worker, 2), ErrorCode::kInvalid);
  world.keep(on_retry(world.state, world.now(), {JobId{1}}));
  ASSERT_EQ(world.tag(3), JobStateTag::kBlocked);
  EXPECT_EQ(std::get<Blocked>(world.state.job(JobId{3}).state).culprit, JobId{2});
}

TEST(Blocking, ReachesAllTheWayDownFromAResultThatCannotBeMadeAgain) {
  World world;
  world.submit(1,
               {{}, {.needs = {1}}, {.needs = {2}}, {}, {.needs = {2, 4}}, {.needs = {5}}, {.needs = {1}}});
  const WorkerId worker = world.join(World::offer("a", 8));
  world.report(worker, world.take(worker, 1));
  world.report(worker, world.take(worker, 2));
  world.report(worker, world.take(worker, 7), ErrorCode::kCorrupt, {JobId{1}});
  world.report(worker, world.take(worker, 1), ErrorCode::kInvalid);
  ASSERT_EQ(world.tag(2), JobStateTag::kDone);
  world.report(worker, world.take(worker, 3), ErrorCode::kCorrupt, {JobId{2}});
  for (const std::uint64_t id : {2U, 3U, 5U, 6U, 7U}) {
    ASSERT_EQ(world.tag(id), JobStateTag::kBlocked) << "job " << id;
    EXPECT_EQ(std::get<Blocked>(world.state.job(JobId{id}).state).culprit, JobId{1});
  }
}

TEST(Retry, OfABlockedJobRetriesItsCulprit) {
  World world;
  world.submit(1, {{}, {.needs = {1}}});
  const WorkerId worker = world.join(World::offer("a", 1));
  world.report(worker, world.take(worker, 1), ErrorCode::kInvalid);
  world.keep(on_retry(world.state, world.now(), {JobId{2}}));
  EXPECT_EQ(world.tag(1), JobStateTag::kLeased);
}

TEST(Retry, ForgetsFailuresAndLeavesDoneJobsAlone) {
  World world;
  world.submit(1, {{}, {}});
  const WorkerId worker = world.join(World::offer("a", 1));
  world.report(worker, world.take(worker, 1));
  world.report(worker, world.take(worker, 2), ErrorCode::kInvalid);
  const Decision decision = world.keep(on_retry(world.state, world.now(), {JobId{1}, JobId{2}, JobId{99}}));
  EXPECT_EQ(decision.n_jobs, 1U);
  EXPECT_EQ(world.tag(1), JobStateTag::kDone);
  EXPECT_EQ(world.state.job(JobId{2}).failures, 0);
}

TEST(Cancel, EndsQueuedAndLeasedJobsAndStopsTheAttempt) {
  World world;
  world.submit(1, {{}, {}, {.needs = {1}}});
  const WorkerId worker = world.join(World::offer("a", 1));
  const LeaseRef running = world.take(worker, 1);
  const Decision decision =
      world.keep(on_cancel(world.state, world.now(), {JobId{1}, JobId{2}}, {}, "not needed"));
  EXPECT_EQ(decision.n_jobs, 2U);
  EXPECT_EQ(world.tag(1), JobStateTag::kCancelled);
  EXPECT_EQ(world.tag(2), JobStateTag::kCancelled);
  EXPECT_EQ(world.tag(3), JobStateTag::kBlocked) << "what needs a cancelled job is blocked by it";
  const auto stops = messages_of<StopLeases>(decision);
  ASSERT_EQ(stops.size(), 1U);
  EXPECT_EQ(stops.front().worker, worker);
  EXPECT_THAT(stops.front().attempts, ElementsAre(running));
  EXPECT_EQ(stops.front().reason, "not needed");
  EXPECT_THAT(world.report(worker, running).stale, ElementsAre(running.lease));
  world.keep(on_retry(world.state, world.now(), {JobId{1}}));
  EXPECT_EQ(world.tag(1), JobStateTag::kLeased);
  EXPECT_EQ(world.tag(3), JobStateTag::kWaiting);
}

TEST(Cancel, OfASweepKeepsWhatAnotherUnfinishedSweepWants) {
  World world;
  world.submit(1, {{}, {.needs = {1}}});
  world.submit(2, {{.needs = {1}}}, 0, {1});
  world.keep(on_cancel(world.state, world.now(), {JobId{1}, JobId{2}}, SweepId{1}, ""));
  EXPECT_EQ(world.tag(1), JobStateTag::kQueued) << "sweep 2 needs it";
  EXPECT_EQ(world.tag(2), JobStateTag::kCancelled);
  world.keep(on_cancel(world.state, world.now(), {JobId{1}, JobId{3}}, SweepId{2}, ""));
  EXPECT_EQ(world.tag(1), JobStateTag::kCancelled) << "sweep 1 has no work of its own left";
  EXPECT_EQ(world.tag(3), JobStateTag::kCancelled);
}

TEST(Cancel, OfABlockedJobMakesItTheCulpritOfWhatItHeldUp) {
  World world;
  world.submit(1, {{}, {.needs = {1}}, {.needs = {2}}});
  const WorkerId worker = world.join(World::offer("a", 1));
  world.report(worker, world.take(worker, 1), ErrorCode::kInvalid);
  world.keep(on_cancel(world.state, world.now(), {JobId{2}}, {}, ""));
  EXPECT_EQ(std::get<Blocked>(world.state.job(JobId{3}).state).culprit, JobId{2});
  world.keep(on_retry(world.state, world.now(), {JobId{1}}));
  EXPECT_EQ(world.tag(3), JobStateTag::kBlocked);
}

TEST(Cancel, LeavesEndedJobsAlone) {
  World world;
  world.submit(1, {{}});
  const WorkerId worker = world.join(World::offer("a", 1));
  world.report(worker, world.take(worker, 1));
  EXPECT_EQ(world.keep(on_cancel(world.state, world.now(), {JobId{1}}, {}, "")).n_jobs, 0U);
  EXPECT_EQ(world.tag(1), JobStateTag::kDone);
}

TEST(Pause, HoldsBackNewLeasesOnly) {
  World world;
  world.submit(1, {{}, {}});
  const WorkerId worker = world.join(World::offer("a", 1));
  const Decision paused = world.keep(on_pause(world.state, world.now(), SweepId{1}, true));
  EXPECT_EQ(changes_of<SweepPaused>(paused).size(), 1U);
  world.report(worker, world.take(worker, 1));
  EXPECT_EQ(world.tag(2), JobStateTag::kQueued);
  world.keep(on_pause(world.state, world.now(), SweepId{1}, false));
  EXPECT_EQ(world.tag(2), JobStateTag::kLeased);
}

TEST(Pause, JobsSharedWithARunningSweepGoOn) {
  World world;
  world.submit(1, {{}, {}});
  world.submit(2, {}, 0, {2});
  world.keep(on_pause(world.state, world.now(), SweepId{1}, true));
  const WorkerId worker = world.join(World::offer("a", 8));
  EXPECT_THAT(world.jobs_of(worker), ElementsAre(2U));
}

TEST(Pause, ResumingOneSweepBringsTheJobsItSharesWithAPausedOne) {
  World world;
  world.submit(1, {{}, {}});
  world.submit(2, {}, 0, {2});
  world.keep(on_pause(world.state, world.now(), SweepId{2}, true));
  world.keep(on_pause(world.state, world.now(), SweepId{1}, true));
  const WorkerId worker = world.join(World::offer("a", 8));
  EXPECT_THAT(world.jobs_of(worker), IsEmpty());
  world.keep(on_pause(world.state, world.now(), SweepId{2}, false));
  EXPECT_THAT(world.jobs_of(worker), ElementsAre(2U));
}

TEST(Pause, OutlivesASubmissionThatWasWrittenBeforeIt) {
  World world;
  world.submit(1, {{}});
  const SubmitOutcome written = world.books.submit(1, 0, {{}}, {});  // the store read "not paused"
  world.keep(on_pause(world.state, world.now(), SweepId{1}, true));
  world.keep(on_submit(world.state, world.now(), written));
  EXPECT_TRUE(world.state.sweeps().front().row.paused);
  EXPECT_THAT(world.jobs_of(world.join(World::offer("a", 4))), IsEmpty());
}

TEST(Pause, OfAnUnknownSweepIsNotFound) {
  World world;
  const auto refused = on_pause(world.state, world.now(), SweepId{9}, true);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "there is no sweep 9");
}

// ---------------------------------------------------------------- workers

TEST(Worker, SilentOnesLoseTheirLeases) {
  World world;
  world.submit(1, {{}});
  const WorkerId silent = world.join(World::offer("a", 1));
  world.advance(Milliseconds(10000));
  world.keep(on_heartbeat(world.state, world.now(), silent, {LeaseId{1}}));
  world.advance(Milliseconds(15000));
  world.keep(on_tick(world.state, world.now()));
  EXPECT_EQ(world.tag(1), JobStateTag::kLeased) << "three heartbeats are not over";
  world.advance(Milliseconds(1));
  const Decision decision = world.keep(on_tick(world.state, world.now()));
  EXPECT_EQ(world.tag(1), JobStateTag::kQueued);
  EXPECT_EQ(messages_of<Disconnect>(decision).size(), 1U);
}

TEST(Worker, ComesBackWithinTheGracePeriodAndKeepsItsLeases) {
  World world;
  world.submit(1, {{}});
  const WorkerId worker = world.join(World::offer("a", 1));
  const LeaseRef ref = world.take(worker, 1);
  world.keep(on_worker_left(world.state, world.now(), worker));
  world.advance(EngineConfig{}.grace);
  world.keep(on_tick(world.state, world.now()));
  EXPECT_EQ(world.join(World::offer("a", 1), {ref}), worker);
  EXPECT_THAT(world.last_stale, IsEmpty());
  world.report(worker, ref);
  EXPECT_EQ(world.tag(1), JobStateTag::kDone);
  EXPECT_EQ(world.books.attempts[1], 1U);
}

TEST(Worker, LeasesThatNeverArrivedGoBackFreeOfCharge) {
  World world;
  world.submit(1, {{}});
  const WorkerId worker = world.join(World::offer("a", 1));
  const LeaseRef old = world.take(worker, 1);
  world.keep(on_worker_left(world.state, world.now(), worker));
  world.join(World::offer("a", 1), {});
  EXPECT_EQ(world.tag(1), JobStateTag::kLeased) << "given again";
  const LeaseRef again = world.take(worker, 1);
  EXPECT_GT(again.lease, old.lease);
  EXPECT_EQ(again.attempt.value, old.attempt.value + 1);
  EXPECT_EQ(world.state.job(JobId{1}).losses, 0);
}

TEST(Worker, HeldLeasesThatAreNotCurrentAreStale) {
  World world;
  world.submit(1, {{}});
  const LeaseRef unknown{JobId{1}, LeaseId{44}, AttemptNo{3}};
  world.join(World::offer("a", 1), {unknown});
  EXPECT_THAT(world.last_stale, ElementsAre(unknown));
}

TEST(Worker, HeartbeatIsToldWhichLeasesAreGone) {
  World world;
  world.submit(1, {{}});
  const WorkerId worker = world.join(World::offer("a", 1));
  const Decision decision =
      world.keep(on_heartbeat(world.state, world.now(), worker, {LeaseId{1}, LeaseId{99}}));
  const auto answers = messages_of<AnswerHeartbeat>(decision);
  ASSERT_EQ(answers.size(), 1U);
  ASSERT_EQ(answers.front().stale.size(), 1U);
  EXPECT_EQ(answers.front().stale.front().lease, LeaseId{99});
}

TEST(Worker, ADrainingOneTakesNothingNewAndLeavesFreeOfCharge) {
  World world;
  world.submit(1, {{}, {}});
  const WorkerId worker = world.join(World::offer("a", 1));
  world.keep(on_drain(world.state, world.now(), worker));
  world.report(worker, world.take(worker, 1));
  EXPECT_EQ(world.tag(2), JobStateTag::kQueued);
  world.keep(on_worker_left(world.state, world.now(), worker));
  EXPECT_EQ(world.state.find_worker(worker), nullptr);
  EXPECT_EQ(world.state.job(JobId{2}).losses, 0);
}

TEST(Deadline, StopsAnAttemptThatTakesTooLong) {
  World world;
  world.submit(1, {{.resources = {.cpus = 1, .gpus = 0, .ranks = 1, .memory_mb = 0, .time_s = 10}}});
  const WorkerId worker = world.join(World::offer("a", 1));
  const LeaseRef ref = world.take(worker, 1);
  world.advance(Milliseconds(9999));
  world.keep(on_heartbeat(world.state, world.now(), worker, {ref.lease}));
  world.keep(on_tick(world.state, world.now()));
  EXPECT_EQ(world.tag(1), JobStateTag::kLeased);
  world.advance(Milliseconds(1));
  const Decision decision = world.keep(on_tick(world.state, world.now()));
  const auto stops = messages_of<StopLeases>(decision);
  ASSERT_EQ(stops.size(), 1U);
  EXPECT_THAT(stops.front().reason, HasSubstr("time limit of 10 s"));
  EXPECT_EQ(changes_of<AttemptFailed>(decision).front().code, ErrorCode::kTimedOut);
  EXPECT_EQ(world.tag(1), JobStateTag::kQueued);
}

}  // namespace
}  // namespace gauntlet::engine
