// The state machine, event by event.
#include "tests/alloc/world.hpp"

namespace gauntlet::alloc {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr Milliseconds kSecond{1000};

class Allocations : public testing::Test {
 protected:
  World world_;
};

// ---------------------------------------------------------------- asking

TEST_F(Allocations, AsksOnlyWhileWorkWaits) {
  const QueueId queue = world_.add(slurm_spec());
  world_.tick_after(kSecond);
  EXPECT_THAT(world_.submits, IsEmpty());
  EXPECT_EQ(world_.why(queue), "nothing waits for an allocation");
  world_.view.demand = {jobs_of(1)};
  const AllocationId id = world_.submit("71");
  EXPECT_EQ(world_.state_of(id), AllocationState::kQueued);
  EXPECT_EQ(world_.rows.at(id).batch_id, "71");
  world_.tick_after(kSecond);  // one is enough for one job
  EXPECT_THAT(world_.submits, IsEmpty());
}

TEST_F(Allocations, NeverAsksForMoreThanItsCap) {
  const QueueId queue = world_.add(slurm_spec());
  world_.view.demand = {jobs_of(100)};
  world_.submit("1");
  world_.list({job("1", BatchJobState::kPending)});
  world_.submit("2");
  world_.submit("3");
  world_.tick_after(kSecond);
  EXPECT_THAT(world_.submits, IsEmpty());
  EXPECT_THAT(world_.why(queue), HasSubstr("has 3 allocations, as many as it may"));
}

TEST_F(Allocations, TheRowIsDurableBeforeTheSubmissionRuns) {
  world_.add(slurm_spec());
  world_.view.demand = {jobs_of(1)};
  const Decision decision = on_tick(world_.state, world_.now(), world_.view);
  ASSERT_THAT(decision.commands, SizeIs(2));  // and a listing
  const auto& row = std::get<AllocationRow>(decision.transitions.at(0));
  EXPECT_EQ(row.id, std::get<Submit>(decision.commands[0]).allocation);
  EXPECT_EQ(row.state, AllocationState::kAsking);
}

TEST_F(Allocations, TwoQueuesShareTheWork) {
  world_.add(slurm_spec());
  world_.add(slurm_spec());
  world_.view.demand = {jobs_of(4)};
  world_.tick_after(kSecond);
  EXPECT_THAT(world_.submits, SizeIs(2));  // three by the first, the fourth by the second
  world_.view.demand = {jobs_of(2)};
  World other;
  other.add(slurm_spec());
  other.add(slurm_spec());
  other.view.demand = {jobs_of(2)};
  other.tick_after(kSecond);
  EXPECT_THAT(other.submits, SizeIs(1));
}

TEST_F(Allocations, SaysWhatNoJobCouldRunIn) {
  const QueueId queue = world_.add(slurm_spec());
  world_.view.demand = {jobs_of(5)};
  world_.view.demand[0].resources.gpus = 1;
  world_.tick_after(kSecond);
  EXPECT_THAT(world_.submits, IsEmpty());
  EXPECT_THAT(world_.why(queue), HasSubstr("no job that waits could run in it: a node has 0 gpus"));
}

TEST_F(Allocations, LearnsFromAgentsWhatNodesAre) {
  QueueSpec spec = slurm_spec();
  spec.cpus = 0;  // the site gives what it likes
  world_.add(spec);
  world_.view.demand = {jobs_of(8, 1)};
  const AllocationId id = world_.submit("1");
  world_.view.agents[id] = {.n_workers = 1, .n_leases = 1, .offer = NodeOffer{.cpus = 16}};
  world_.list({job("1", BatchJobState::kRunning, "RUNNING")});
  world_.tick_after(kSecond);
  EXPECT_THAT(world_.submits, SizeIs(1));  // 8 more jobs wait, and one more such node has room for them
  world_.take(on_submitted(world_.state, world_.now(), world_.submits.front().allocation, "2"));
  world_.tick_after(kSecond);
  EXPECT_THAT(world_.submits, IsEmpty());
}

// ---------------------------------------------------------------- giving back

TEST_F(Allocations, GivesBackWhatIsIdle) {
  const QueueId queue = world_.add(slurm_spec());
  world_.view.demand = {jobs_of(1)};
  const AllocationId id = world_.running("5");
  EXPECT_EQ(world_.state_of(id), AllocationState::kRunning);
  world_.view.demand.clear();
  world_.view.agents[id].n_leases = 0;
  world_.tick_after(kSecond);
  world_.tick_after(299 * kSecond);
  EXPECT_THAT(world_.cancels, IsEmpty());
  EXPECT_THAT(world_.why(queue), HasSubstr("has had no job for"));
  world_.view.agents[id].n_leases = 1;  // work again
  world_.tick_after(kSecond);
  world_.view.agents[id].n_leases = 0;
  world_.tick_after(kSecond);
  world_.tick_after(299 * kSecond);
  EXPECT_THAT(world_.cancels, IsEmpty());
  world_.tick_after(2 * kSecond);
  ASSERT_THAT(world_.cancels, SizeIs(1));
  EXPECT_THAT(world_.cancels[0].batch_ids, ElementsAre("5"));
  EXPECT_THAT(world_.drained, ElementsAre(id));  // its agents get nothing in the same moment
  EXPECT_EQ(world_.state_of(id), AllocationState::kEnding);
  world_.list({job("5", BatchJobState::kEnded, "CANCELLED")});
  EXPECT_EQ(world_.state_of(id), AllocationState::kEnded);
  EXPECT_THAT(world_.rows.at(id).message, HasSubstr("it had no job for 5m"));
  EXPECT_FALSE(world_.rows.at(id).failed);
}

TEST_F(Allocations, WithdrawsWhatNothingWaitsForAnyMore) {
  world_.add(slurm_spec());
  world_.view.demand = {jobs_of(2)};
  const AllocationId first = world_.submit("1");
  world_.list({job("1", BatchJobState::kPending)});
  const AllocationId second = world_.submit("2");
  world_.view.demand = {jobs_of(1)};
  world_.tick_after(kSecond);
  world_.tick_after(299 * kSecond);
  EXPECT_THAT(world_.cancels, IsEmpty());
  world_.tick_after(2 * kSecond);
  ASSERT_THAT(world_.cancels, SizeIs(1));
  EXPECT_THAT(world_.cancels[0].allocations, ElementsAre(second));
  EXPECT_EQ(world_.state_of(first), AllocationState::kQueued);
}

TEST_F(Allocations, RemovalCancelsEverythingAndThenForgetsTheQueue) {
  const QueueId queue = world_.add(slurm_spec());
  world_.view.demand = {jobs_of(3)};
  const AllocationId running = world_.running("1");
  world_.list({job("1", BatchJobState::kRunning)});
  world_.tick_after(kSecond);
  ASSERT_THAT(world_.submits, SizeIs(1));
  const AllocationId asking = world_.submits[0].allocation;  // its submission has not been answered
  world_.take(*on_remove(world_.state, world_.now(), queue));
  ASSERT_THAT(world_.cancels, SizeIs(1));
  EXPECT_THAT(world_.cancels[0].batch_ids, ElementsAre("1"));
  world_.tick_after(kSecond);
  EXPECT_THAT(world_.submits, IsEmpty());
  world_.take(on_submitted(world_.state, world_.now(), asking, "2"));
  ASSERT_THAT(world_.cancels, SizeIs(1));
  EXPECT_THAT(world_.cancels[0].batch_ids, ElementsAre("2"));
  world_.list({job("1", BatchJobState::kEnded), job("2", BatchJobState::kRunning)});
  EXPECT_EQ(world_.queues.at(queue).state, QueueState::kRemoving);
  world_.list({job("2", BatchJobState::kEnded)});
  EXPECT_EQ(world_.queues.at(queue).state, QueueState::kRemoved);
  EXPECT_EQ(world_.state_of(running), AllocationState::kEnded);
  EXPECT_THAT(world_.state.queues(), IsEmpty());
  EXPECT_EQ(on_remove(world_.state, world_.now(), queue).error().code, ErrorCode::kNotFound);
}

TEST_F(Allocations, ACancellationThatDidNotHelpIsMadeAgain) {
  const QueueId queue = world_.add(slurm_spec());
  world_.view.demand = {jobs_of(1)};
  const AllocationId id = world_.submit("1");
  world_.take(*on_remove(world_.state, world_.now(), queue));
  ASSERT_THAT(world_.cancels, SizeIs(1));
  world_.tick_after(kSecond);
  EXPECT_THAT(world_.cancels, IsEmpty());  // the first one still runs
  world_.take(on_cancelled(world_.state, world_.now(), {id}, "scancel: slurmctld does not answer"));
  EXPECT_THAT(world_.cancels, IsEmpty());
  world_.tick_after(kSecond);
  EXPECT_THAT(world_.cancels, IsEmpty());
  world_.tick_after(30 * kSecond);
  EXPECT_THAT(world_.cancels, SizeIs(1));
}

// ---------------------------------------------------------------- trouble

TEST_F(Allocations, RefusedSubmissionsBackOffThenPauseAndSayWhy) {
  const QueueId queue = world_.add(slurm_spec());
  world_.view.demand = {jobs_of(1)};
  Milliseconds pause{10'000};
  for (int refusal = 1; refusal <= 5; ++refusal, pause *= 2) {
    world_.tick_after(kSecond);
    ASSERT_THAT(world_.submits, SizeIs(1)) << refusal;
    world_.take(
        on_refused(world_.state, world_.now(), world_.submits[0].allocation, "QOSMaxSubmitJobLimit", false));
    EXPECT_EQ(world_.state.count(queue), 0);
    if (refusal == 5) break;
    EXPECT_THAT(world_.why(queue), AllOf(HasSubstr("asks again in"), HasSubstr("QOSMaxSubmitJobLimit")));
    world_.tick_after(pause - 2 * kSecond);
    EXPECT_THAT(world_.submits, IsEmpty()) << refusal;
    world_.pass(kSecond);
  }
  EXPECT_EQ(world_.queues.at(queue).state, QueueState::kPaused);
  EXPECT_EQ(world_.queues.at(queue).reason, "5 submissions in a row failed; the last: QOSMaxSubmitJobLimit");
  EXPECT_THAT(world_.why(queue), HasSubstr("`gauntlet alloc resume 1` goes on"));
  world_.tick_after(3600 * kSecond);
  EXPECT_THAT(world_.submits, IsEmpty());
  world_.take(*on_resume(world_.state, world_.now(), queue));
  world_.tick_after(kSecond);
  EXPECT_THAT(world_.submits, SizeIs(1));
  EXPECT_EQ(on_resume(world_.state, world_.now(), queue).error().code, ErrorCode::kInvalid);
}

TEST_F(Allocations, AllocationsWithoutAnAgentPauseTheQueue) {
  const QueueId queue = world_.add(slurm_spec());
  world_.view.demand = {jobs_of(1)};
  for (int failure = 0; failure < 3; ++failure) {
    const std::string id = fmt::format("{}", failure);
    const AllocationId allocation = world_.submit(id);
    world_.list({job(id, BatchJobState::kEnded, "FAILED", "NonZeroExitCode", true)});
    EXPECT_TRUE(world_.rows.at(allocation).failed);
    world_.pass(600 * kSecond);
  }
  EXPECT_EQ(world_.queues.at(queue).state, QueueState::kPaused);
  EXPECT_THAT(world_.queues.at(queue).reason,
              AllOf(HasSubstr("3 allocations in a row got no agent"), HasSubstr("FAILED (NonZeroExitCode)")));
}

TEST_F(Allocations, AnAllocationThatWorkedForgivesEarlierOnes) {
  const QueueId queue = world_.add(slurm_spec());
  world_.view.demand = {jobs_of(1)};
  for (int round = 0; round < 4; ++round) {
    for (int failure = 0; failure < 2; ++failure) {
      world_.submit("f");
      world_.list({job("f", BatchJobState::kEnded, "FAILED", "", true)});
      world_.pass(600 * kSecond);
    }
    const AllocationId id = world_.running("g");
    world_.view.agents.erase(id);
    world_.list({job("g", BatchJobState::kEnded, "NODE_FAIL")});
    EXPECT_FALSE(world_.rows.at(id).failed);
  }
  EXPECT_EQ(world_.queues.at(queue).state, QueueState::kActive);
}

TEST_F(Allocations, PreemptionBeforeAnAgentCameIsNobodysFault) {
  const QueueId queue = world_.add(slurm_spec());
  world_.view.demand = {jobs_of(1)};
  for (int round = 0; round < 6; ++round) {
    world_.submit("1");
    world_.list({job("1", BatchJobState::kEnded, "PREEMPTED")});
    world_.pass(11 * kSecond);
  }
  EXPECT_EQ(world_.queues.at(queue).state, QueueState::kActive);
}

TEST_F(Allocations, OneWithNodesAndNoAgentIsGivenBack) {
  world_.add(slurm_spec());
  world_.view.demand = {jobs_of(1)};
  const AllocationId id = world_.submit("1");
  world_.list({job("1", BatchJobState::kRunning, "RUNNING")});
  world_.tick_after(599 * kSecond);
  EXPECT_EQ(world_.state_of(id), AllocationState::kRunning);
  world_.tick_after(2 * kSecond);
  EXPECT_EQ(world_.state_of(id), AllocationState::kEnding);
  EXPECT_TRUE(world_.rows.at(id).failed);
  EXPECT_EQ(world_.state.queues().begin()->second.failures, 1);
}

TEST_F(Allocations, ALostListingTakesNothingAway) {
  const QueueId queue = world_.add(slurm_spec());
  world_.view.demand = {jobs_of(9)};
  const AllocationId id = world_.running("1");
  for (int failure = 0; failure < 5; ++failure) {
    world_.take(on_list_failed(world_.state, world_.now(), "slurm", "slurm_load_jobs error"));
  }
  EXPECT_EQ(world_.state_of(id), AllocationState::kRunning);
  world_.tick_after(kSecond);
  EXPECT_THAT(world_.submits, IsEmpty());  // blind, it asks for nothing more
  EXPECT_THAT(world_.why(queue), HasSubstr("Slurm cannot be asked what runs (5 failures in a row)"));
  world_.list({job("1", BatchJobState::kRunning)});
  world_.tick_after(kSecond);
  EXPECT_THAT(world_.submits, SizeIs(1));
}

TEST_F(Allocations, OneThatTwoListingsDoNotShowIsGone) {
  world_.add(slurm_spec());
  world_.view.demand = {jobs_of(1)};
  const AllocationId id = world_.running("1");
  world_.list({});
  EXPECT_EQ(world_.state_of(id), AllocationState::kRunning);
  world_.list({job("1", BatchJobState::kRunning)});  // squeue had forgotten it for a moment
  world_.list({});
  EXPECT_EQ(world_.state_of(id), AllocationState::kRunning);
  world_.list({});
  EXPECT_EQ(world_.state_of(id), AllocationState::kEnded);
  EXPECT_EQ(world_.rows.at(id).message, "job 1 is no longer known");
}

TEST_F(Allocations, AStateThatNobodyKnowsChangesNothing) {
  world_.add(slurm_spec());
  world_.view.demand = {jobs_of(1)};
  const AllocationId id = world_.running("1");
  world_.list({job("1", BatchJobState::kUnknown, "POWER_SAVING")});
  EXPECT_EQ(world_.state_of(id), AllocationState::kRunning);
}

// ---------------------------------------------------------------- crashes

TEST_F(Allocations, ASubmissionWithoutAnAnswerIsFoundByItsName) {
  world_.add(slurm_spec());
  world_.view.demand = {jobs_of(1)};
  world_.tick_after(kSecond);
  const AllocationId id = world_.submits.at(0).allocation;
  world_.take(on_refused(world_.state, world_.now(), id, "sbatch did not end in time", true));
  EXPECT_EQ(world_.state_of(id), AllocationState::kAsking);
  world_.tick_after(600 * kSecond);
  EXPECT_THAT(world_.submits, IsEmpty());  // it may be there, and one is enough
  BatchJob found = job("44", BatchJobState::kRunning);
  found.name = job_name(world_.queues.begin()->second, id);
  EXPECT_EQ(found.name, "gauntlet-0a1b2c-1");
  world_.list({found});
  EXPECT_EQ(world_.state_of(id), AllocationState::kRunning);
  EXPECT_EQ(world_.rows.at(id).batch_id, "44");
}

TEST_F(Allocations, ASubmissionThatNeverShowsIsGivenUpAndCancelledIfItShowsAfterAll) {
  world_.add(slurm_spec());
  world_.view.demand = {jobs_of(1)};
  world_.tick_after(kSecond);
  const AllocationId id = world_.submits.at(0).allocation;
  world_.take(on_refused(world_.state, world_.now(), id, "sbatch did not end in time", true));
  world_.list({});
  world_.list({});
  EXPECT_EQ(world_.state_of(id), AllocationState::kAsking);  // too early to tell
  world_.pass(121 * kSecond);
  world_.list({});
  EXPECT_EQ(world_.state_of(id), AllocationState::kEnded);
  EXPECT_EQ(world_.rows.at(id).message, "it was never handed in");
  BatchJob late = job("44", BatchJobState::kPending);
  late.name = "gauntlet-0a1b2c-1";
  world_.list({late});
  ASSERT_THAT(world_.cancels, SizeIs(1));
  EXPECT_THAT(world_.cancels[0].batch_ids, ElementsAre("44"));
  EXPECT_THAT(world_.cancels[0].allocations, IsEmpty());
}

TEST_F(Allocations, ARestartFindsItsAllocationsAgainBeforeItAsks) {
  const QueueId queue = world_.add(slurm_spec());
  world_.view.demand = {jobs_of(9)};
  const AllocationId running = world_.running("1");
  world_.list({job("1", BatchJobState::kRunning)});
  world_.tick_after(kSecond);
  const AllocationId asking = world_.submits.at(0).allocation;
  world_.view.agents.clear();
  world_.restart();
  EXPECT_EQ(world_.state.count(queue), 2);
  world_.tick_after(kSecond);
  EXPECT_THAT(world_.submits, IsEmpty());
  ASSERT_THAT(world_.lists, SizeIs(1));
  EXPECT_THAT(world_.lists[0].batch_ids, ElementsAre("1"));
  BatchJob found = job("2", BatchJobState::kPending);
  found.name = job_name(world_.queues.at(queue), asking);
  world_.list({job("1", BatchJobState::kRunning), found});
  EXPECT_EQ(world_.state_of(running), AllocationState::kRunning);
  EXPECT_EQ(world_.rows.at(asking).batch_id, "2");
  world_.tick_after(kSecond);
  EXPECT_THAT(world_.submits, SizeIs(1));  // the third, and its number is new
  EXPECT_EQ(world_.submits[0].allocation.value, 3U);
}

TEST_F(Allocations, APausedQueueStaysPausedAfterARestart) {
  QueueSpec spec = slurm_spec();
  const QueueId queue = world_.add(spec);
  world_.view.demand = {jobs_of(1)};
  for (int refusal = 0; refusal < 5; ++refusal) {
    world_.tick_after(3600 * kSecond);
    world_.take(on_refused(world_.state, world_.now(), world_.submits.at(0).allocation, "no", false));
  }
  world_.restart();
  world_.tick_after(3600 * kSecond);
  EXPECT_THAT(world_.submits, IsEmpty());
  EXPECT_THAT(world_.why(queue), HasSubstr("paused: 5 submissions in a row failed; the last: no"));
}

// ---------------------------------------------------------------- what may be asked for

TEST_F(Allocations, RefusesWhatCannotBe) {
  const auto error = [&](const QueueSpec& spec) {
    const auto added = on_add(world_.state, world_.now(), spec, "000000");
    return added ? std::string() : added.error().message;
  };
  QueueSpec spec = slurm_spec();
  spec.system = "slrum";
  EXPECT_THAT(error(spec), AllOf(HasSubstr("slrum"), HasSubstr("did you mean 'slurm'?")));
  spec = slurm_spec();
  spec.time_s = 59;
  EXPECT_EQ(error(spec), "time_s of an allocation is 59; allowed are 60 to 31622400");
  spec = slurm_spec();
  spec.partition = "a\nb";
  EXPECT_THAT(error(spec), HasSubstr("no name of a partition"));
  spec = slurm_spec();
  spec.extra = {"--x\n#SBATCH"};
  EXPECT_THAT(error(spec), HasSubstr("control character"));
}

TEST_F(Allocations, WhatIsKeptReadsBack) {
  QueueSpec spec = slurm_spec();
  spec.extra = {"--account=a b", "--qos", "x"};
  spec.memory_mb = 123;
  const auto back = queue_spec_from_json(to_json(spec));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, spec);
  EXPECT_FALSE(queue_spec_from_json(Json::array()));
  Json damaged = to_json(spec);
  damaged.erase("max");
  EXPECT_FALSE(queue_spec_from_json(damaged));
}

}  // namespace
}  // namespace gauntlet::alloc
