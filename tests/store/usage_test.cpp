// What a database still needs of artifacts, and which rows of history may go.
#include "coordinator/store/usage.hpp"

#include <gmock/gmock.h>

#include "coordinator/store/verify.hpp"
#include "core/db/connection.hpp"
#include "tests/results/synthetic_database.hpp"

namespace gauntlet::store {
namespace {

using testing::IsEmpty;
using testing_support::finish_job;
using testing_support::make_job;

class Usage : public testing::Test {
 protected:
  /// Adds a job to what the next submit() hands in.
  JobKey add(const std::string& name, std::vector<JobKey> needs) {
    submission_.jobs.push_back(make_job("noop", "", 1, {{"name", name}}, std::move(needs)));
    return submission_.jobs.back().key;
  }
  void cell(std::uint64_t seed, const std::vector<JobKey>& jobs) {
    SubmittedCell cell;
    cell.cell.seed = seed;
    for (const JobKey& key : jobs) cell.jobs.push_back({key, "part"});
    submission_.cells.push_back(std::move(cell));
  }
  void submit(const std::string& sweep) {
    submission_.name = sweep;
    submission_.spec_text = std::to_string(++n_specs_);
    const auto submitted = store_.submit(submission_, 1000);
    ASSERT_TRUE(submitted) << submitted.error().message;
    submission_ = {};
  }
  void finish(const JobKey& key) {
    const std::vector<engine::Transition> joined = {testing_support::worker_joined()};
    ASSERT_TRUE(store_.apply(joined));
    const auto uses = job_uses(store_.connection());
    ASSERT_TRUE(uses);
    const JobUse& use = uses->at(key);
    ASSERT_TRUE(store_.apply(finish_job(use.job, LeaseId{++last_lease_}, AttemptNo{use.attempt + 1}, {})));
  }
  Need need_of(const JobKey& key) {
    const auto uses = job_uses(store_.connection());
    EXPECT_TRUE(uses) << uses.error().message;
    return uses->at(key).need;
  }

  JobStore store_ = *JobStore::open_in_memory();
  Submission submission_;
  std::uint64_t last_lease_ = 0;
  int n_specs_ = 0;
};

TEST_F(Usage, FinishedCellsNeedTheirEndsOnly) {
  const JobKey model = add("model", {});
  const JobKey codes = add("codes", {model});
  const JobKey numbers = add("numbers", {codes});
  cell(1, {model, codes, numbers});
  submit("sweep");
  EXPECT_EQ(need_of(model), Need::kUnfinished);
  for (const JobKey& key : {model, codes, numbers}) finish(key);
  EXPECT_EQ(need_of(model), Need::kMadeAgain);
  EXPECT_EQ(need_of(codes), Need::kMadeAgain);
  EXPECT_EQ(need_of(numbers), Need::kFinal);
}

TEST_F(Usage, UnfinishedWorkKeepsEverythingBelowIt) {
  const JobKey model = add("model", {});
  const JobKey codes = add("codes", {model});
  const JobKey one = add("one", {codes});
  const JobKey two = add("two", {codes});
  cell(1, {model, codes, one});
  cell(2, {model, codes, two});
  submit("sweep");
  for (const JobKey& key : {model, codes, one}) finish(key);
  EXPECT_EQ(need_of(model), Need::kUnfinished) << "two may find its codes damaged";
  EXPECT_EQ(need_of(codes), Need::kUnfinished);
  EXPECT_EQ(need_of(one), Need::kFinal);
}

TEST_F(Usage, AFailedJobOfACellIsUnfinishedToo) {
  const JobKey model = add("model", {});
  const JobKey numbers = add("numbers", {model});
  cell(1, {model, numbers});
  submit("sweep");
  finish(model);
  ASSERT_TRUE(store_.connection().execute("UPDATE jobs SET state = 4, code = 11 WHERE job_id = 2"));
  EXPECT_EQ(need_of(model), Need::kUnfinished) << "`retry` wants it";
}

TEST_F(Usage, WhatACellHasNoMoreIsUnwanted) {
  const JobKey data = add("data", {});
  const JobKey old_model = add("old model", {data});
  cell(1, {data, old_model});
  submit("sweep");
  finish(data);
  finish(old_model);
  const JobKey again = add("data", {});
  EXPECT_EQ(again, data);
  const JobKey new_model = add("new model", {data});
  cell(1, {data, new_model});
  submit("sweep");
  EXPECT_EQ(need_of(old_model), Need::kUnwanted);
  EXPECT_EQ(need_of(data), Need::kUnfinished);
  finish(new_model);
  EXPECT_EQ(need_of(data), Need::kMadeAgain);
}

TEST_F(Usage, AnOldJobThatStillRunsKeepsWhatItReads) {
  const JobKey data = add("data", {});
  const JobKey old_model = add("old model", {data});
  cell(1, {data, old_model});
  submit("sweep");
  finish(data);
  const JobKey other = add("other", {});
  cell(1, {other});
  submit("sweep");
  finish(other);
  EXPECT_EQ(need_of(old_model), Need::kUnfinished);
  EXPECT_EQ(need_of(data), Need::kUnfinished);
  ASSERT_TRUE(store_.connection().execute("UPDATE jobs SET state = 6 WHERE job_id = 2"));
  EXPECT_EQ(need_of(old_model), Need::kUnwanted);
  EXPECT_EQ(need_of(data), Need::kUnwanted);
}

TEST_F(Usage, ASweepOfJobsAloneWantsThem) {
  const JobKey noop = add("noop", {});
  submit("noops");
  finish(noop);
  EXPECT_EQ(need_of(noop), Need::kFinal);
}

TEST_F(Usage, NotesWhatIsFreedAndForgetsTheLogs) {
  const JobKey noop = add("noop", {});
  submit("noops");
  finish(noop);
  ASSERT_TRUE(store_.connection().execute("UPDATE attempts SET log = 'logs/1.log', manifest = zeroblob(32)"));
  const std::vector<JobId> jobs = {JobId{1}};
  const std::vector<LogRow> logs = {{JobId{1}, 1}};
  ASSERT_TRUE(note_freed(store_.connection(), jobs, logs, 9000));
  EXPECT_EQ(*store_.connection().integer("SELECT at_ms FROM events WHERE kind = 'freed' AND job_id = 1"),
            9000);
  EXPECT_EQ(*store_.connection().integer("SELECT count(*) FROM attempts WHERE log IS NOT NULL"), 0);
}

TEST_F(Usage, HistoryThatNothingRefersToMayGo) {
  add("noop", {});
  submit("noops");
  std::vector<engine::Transition> batch = {testing_support::worker_joined()};
  const auto lose = [&](std::uint64_t attempt) {
    engine::AttemptFailed lost;
    lost.job = JobId{1};
    lost.lease = LeaseId{attempt};
    lost.attempt = AttemptNo{attempt};
    lost.worker = WorkerId{1};
    lost.code = ErrorCode::kLost;
    lost.outcome.environment = R"({"revision":"gone"})";
    batch.push_back(
        {2000, engine::JobLeased{JobId{1}, LeaseId{attempt}, AttemptNo{attempt}, WorkerId{1}, 0}});
    batch.push_back({3000, lost});
    batch.push_back({3000, engine::JobQueued{JobId{1}}});
  };
  lose(1);
  lose(2);
  batch.push_back({3000, engine::WorkerLeft{WorkerId{1}, "lost"}});
  batch.push_back({3500, engine::WorkerJoined{WorkerId{2}, "agent2", "node2", 2, 0, 0}});
  for (engine::Transition& transition :
       finish_job(JobId{1}, LeaseId{3}, AttemptNo{3}, {testing_support::ratio("map", 0.5)})) {
    if (auto* leased = std::get_if<engine::JobLeased>(&transition.change)) leased->worker = WorkerId{2};
    if (auto* done = std::get_if<engine::AttemptDone>(&transition.change)) done->worker = WorkerId{2};
    batch.push_back(std::move(transition));
  }
  const auto applied = store_.apply(batch);
  ASSERT_TRUE(applied) << applied.error().message;
  const std::vector<JobId> freed = {JobId{1}};
  ASSERT_TRUE(note_freed(store_.connection(), freed, {}, 3600));
  db::Connection& connection = store_.connection();
  const std::string numbers =
      *connection.text("SELECT group_concat(metric || value || attempt || revision) FROM v_results");

  EXPECT_EQ(count_history(connection, 2000)->attempts, 0) << "nothing is that old";
  const auto counted = count_history(connection, 4000);
  const auto removed = remove_history(connection, 4000);
  ASSERT_TRUE(counted && removed);
  EXPECT_EQ(counted->attempts, 2);
  EXPECT_EQ(removed->attempts, 2);
  EXPECT_EQ(removed->events, counted->events);
  EXPECT_EQ(removed->workers, 1);
  EXPECT_EQ(removed->environments, 1);
  EXPECT_EQ(*connection.integer("SELECT count(*) FROM events"), 1) << "what was freed stays known";
  EXPECT_EQ(*connection.integer("SELECT attempt FROM attempts"), 3);
  EXPECT_EQ(*connection.text("SELECT group_concat(metric || value || attempt || revision) FROM v_results"),
            numbers);
  EXPECT_THAT(*check_invariants(connection), IsEmpty());
  EXPECT_THAT(*check_file(connection), IsEmpty());
}

}  // namespace
}  // namespace gauntlet::store
