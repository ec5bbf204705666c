// What happens to jobs, as the database keeps it.
#include <cmath>

#include "tests/store/job_store_fixture.hpp"

namespace gauntlet::store {
namespace {

using engine::AttemptDone;
using engine::AttemptFailed;
using engine::JobLeased;
using engine::JobStateTag;
using engine::Transition;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing_support::finish_job;
using testing_support::ratio;
using testing_support::worker_joined;

TEST_F(Store, ALifeOfAJobIsWrittenDown) {
  JobStore store = *JobStore::open_in_memory();
  ASSERT_TRUE(store.submit(small_sweep(), 1000));
  const std::vector<Transition> lease = {
      worker_joined(), {2000, JobLeased{JobId{1}, LeaseId{5}, AttemptNo{1}, WorkerId{1}, 3}}};
  const auto payloads = store.apply(lease);
  ASSERT_TRUE(payloads) << payloads.error().message;
  ASSERT_THAT(*payloads, SizeIs(1));
  EXPECT_EQ(payloads->front().key, small_sweep().jobs[0].key);
  EXPECT_EQ(payloads->front().canonical, small_sweep().jobs[0].canonical);
  EXPECT_EQ(payloads->front().title, "train_model cpah");

  const auto loaded = store.load();
  ASSERT_THAT(loaded->leases, SizeIs(1));
  EXPECT_EQ(loaded->leases[0].gpus, 3U);
  EXPECT_EQ(loaded->leases[0].started_ms, 2000);
  EXPECT_EQ(loaded->workers.at(0).agent_id, "agent");
  EXPECT_EQ(loaded->last_lease, LeaseId{5});
  EXPECT_EQ(loaded->last_worker, WorkerId{1});
  EXPECT_EQ(loaded->rows.jobs[0].state, JobStateTag::kLeased);
  EXPECT_EQ(loaded->rows.jobs[0].last_attempt, AttemptNo{1});

  AttemptDone done{
      .job = JobId{1}, .lease = LeaseId{5}, .attempt = AttemptNo{1}, .worker = WorkerId{1}, .outcome = {}};
  done.outcome.rows = {{"map", 0.5, "ratio", true, 300, {0.25F, 0.75F}}};
  done.outcome.curves = {{"loss:total", "step", "value", {1, 2}, {3, 4}}};
  done.outcome.wall_s = 2.5;
  done.outcome.environment = testing_support::kEnvironment;
  done.outcome.manifest = std::string(64, 'a');
  ASSERT_TRUE(store.apply(std::vector<Transition>{{4000, done}, {4000, engine::JobQueued{JobId{2}}}}));
  EXPECT_EQ(*store.connection().text(
                "SELECT job_key || ' ' || outcome || ' ' || worker || ' ' || revision || ' ' || "
                "manifest FROM v_attempts"),
            small_sweep().jobs[0].key.hex() + " done node1 abc1234 " + std::string(64, 'a'));
  EXPECT_EQ(*store.connection().text(
                "SELECT attack || ' ' || metric || ' ' || value || ' ' || created_at || ' ' || "
                "versions FROM v_results LIMIT 1"),
            R"(none map 0.5 1970-01-01T00:00:04Z {"gauntlet":"0.1.0","torch":"2.15.0"})");
  EXPECT_EQ(*store.connection().integer("SELECT length(per_query) FROM result_queries"), 8);
  EXPECT_EQ(*store.connection().integer("SELECT n_points FROM v_curves"), 2);
  const auto after = store.load();
  EXPECT_THAT(after->leases, IsEmpty());
  EXPECT_EQ(after->rows.jobs[0].state, JobStateTag::kDone);
  EXPECT_EQ(after->rows.jobs[1].state, JobStateTag::kQueued);
  ASSERT_THAT(after->times, SizeIs(1));
  EXPECT_EQ(after->times[0].kind, spec::JobKind::kTrainModel);
  EXPECT_EQ(after->times[0].total_s, 2.5);
}

TEST_F(Store, FailuresBlocksCancellationsAndRetriesAreKept) {
  JobStore store = *JobStore::open_in_memory();
  ASSERT_TRUE(store.submit(small_sweep(), 1000));
  AttemptFailed failed{.job = JobId{1},
                       .lease = LeaseId{1},
                       .attempt = AttemptNo{1},
                       .worker = WorkerId{1},
                       .code = ErrorCode::kDiverged,
                       .outcome = {},
                       .failures = 1,
                       .losses = 0};
  failed.outcome.message = "the loss became NaN";
  failed.outcome.log = "logs/x/1.log";
  ASSERT_TRUE(store.apply(
      std::vector<Transition>{worker_joined(),
                              {2000, JobLeased{JobId{1}, LeaseId{1}, AttemptNo{1}, WorkerId{1}, 0}},
                              {3000, failed},
                              {3000, engine::JobFailed{JobId{1}, ErrorCode::kDiverged}},
                              {3000, engine::JobBlocked{JobId{2}, JobId{1}}},
                              {3000, engine::JobCancelled{JobId{3}, "not wanted"}}}));
  const auto details = store.details(std::vector<JobId>{JobId{3}, JobId{1}, JobId{99}});
  ASSERT_TRUE(details);
  ASSERT_THAT(*details, SizeIs(2));
  EXPECT_EQ((*details)[0].message, "not wanted");
  EXPECT_EQ((*details)[1].message, "the loss became NaN");
  EXPECT_EQ((*details)[1].log, "logs/x/1.log");
  EXPECT_EQ((*details)[1].code, ErrorCode::kDiverged);
  const auto loaded = store.load();
  EXPECT_EQ(loaded->rows.jobs[0].code, ErrorCode::kDiverged);
  EXPECT_EQ(loaded->rows.jobs[0].failures, 1);
  EXPECT_EQ(loaded->rows.jobs[1].culprit, JobId{1});
  EXPECT_EQ(*store.connection().text(
                "SELECT group_concat(attack || ' ' || state || ' ' || coalesce(outcome, '-'), ', ') "
                "FROM v_missing"),
            "none failed diverged, pgd failed diverged");

  ASSERT_TRUE(store.apply(std::vector<Transition>{{4000, engine::JobRetried{JobId{1}}},
                                                  {4000, engine::JobQueued{JobId{1}}},
                                                  {4000, engine::JobWaiting{JobId{2}}}}));
  const auto retried = store.load();
  EXPECT_EQ(retried->rows.jobs[0].state, JobStateTag::kQueued);
  EXPECT_EQ(retried->rows.jobs[0].failures, 0);
  EXPECT_EQ(retried->rows.jobs[1].state, JobStateTag::kWaiting);
  EXPECT_EQ(retried->rows.jobs[1].culprit, JobId{});
}

TEST_F(Store, AStaleReportChangesNothingEvenAmongGoodOnes) {
  JobStore store = *JobStore::open_in_memory();
  ASSERT_TRUE(store.submit(small_sweep(), 1000));
  ASSERT_TRUE(store.apply(std::vector<Transition>{worker_joined()}));
  const std::string before = dump(store);
  std::vector<Transition> batch = finish_job(JobId{1}, LeaseId{1}, AttemptNo{1}, {ratio("map", 0.5)});
  AttemptDone stale{
      .job = JobId{2}, .lease = LeaseId{9}, .attempt = AttemptNo{1}, .worker = WorkerId{1}, .outcome = {}};
  batch.push_back({3000, stale});
  const auto refused = store.apply(batch);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kStaleLease);
  EXPECT_THAT(refused.error().message, HasSubstr("lease 9 of job 2, attempt 1, is not open"));
  EXPECT_EQ(dump(store), before);
  // What was remembered of the undone batch must not be used: the same metric and environment again.
  batch.pop_back();
  ASSERT_TRUE(store.apply(batch));
  EXPECT_EQ(count(store, "results"), 1);
}

TEST_F(Store, ASecondRunOfAJobReplacesItsNumbers) {
  JobStore store = *JobStore::open_in_memory();
  ASSERT_TRUE(store.submit(small_sweep(), 1000));
  ASSERT_TRUE(store.apply(std::vector<Transition>{worker_joined()}));
  ASSERT_TRUE(
      store.apply(finish_job(JobId{1}, LeaseId{1}, AttemptNo{1}, {ratio("map", 0.5), ratio("old", 0.1)})));
  ASSERT_TRUE(store.apply(std::vector<Transition>{{3500, engine::JobQueued{JobId{1}}}}));
  ASSERT_TRUE(store.apply(finish_job(JobId{1}, LeaseId{2}, AttemptNo{2}, {ratio("map", 0.6)})));
  EXPECT_EQ(*store.connection().text(
                "SELECT group_concat(metric || ' ' || value || ' ' || attempt) FROM v_results WHERE "
                "attack = 'none'"),
            "map 0.6 2");
}

TEST_F(Store, OddReportsCannotBreakABatch) {
  JobStore store = *JobStore::open_in_memory();
  ASSERT_TRUE(store.submit(small_sweep(), 1000));
  std::vector<Transition> batch = finish_job(JobId{1}, LeaseId{1}, AttemptNo{1},
                                             {ratio("map", std::nan("")),
                                              ratio("map", std::nan("")),
                                              {"map", INFINITY, "s", false, -1, {}},
                                              ratio("", 1)});
  auto& done = std::get<AttemptDone>(batch[1].change);
  done.outcome.curves = {{"pr", "", "", {}, {}}, {"pr", "", "", {1}, {}}};
  done.outcome.environment = "not \xff JSON";
  done.outcome.manifest = "zz";
  done.outcome.wall_s = std::nan("");
  batch.insert(batch.begin(), worker_joined());
  const auto applied = store.apply(batch);
  ASSERT_TRUE(applied) << applied.error().message;
  EXPECT_EQ(
      *store.connection().integer("SELECT count(*) FROM v_results WHERE attack = 'none' AND value IS NULL"),
      1);
  AttemptFailed failed{.job = JobId{2},
                       .lease = LeaseId{2},
                       .attempt = AttemptNo{1},
                       .worker = WorkerId{1},
                       .code = static_cast<ErrorCode>(200),
                       .outcome = {},
                       .failures = 1,
                       .losses = 0};
  ASSERT_TRUE(store.apply(std::vector<Transition>{
      {5, JobLeased{JobId{2}, LeaseId{2}, AttemptNo{1}, WorkerId{1}, 0}}, {6, failed}}));
  EXPECT_EQ(*store.connection().text("SELECT outcome FROM v_attempts WHERE lease_id = 2"), "internal");
}

}  // namespace
}  // namespace gauntlet::store
