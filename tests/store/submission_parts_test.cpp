// A sweep handed in part by part.
#include <gmock/gmock.h>

#include "coordinator/store/job_store.hpp"
#include "core/db/connection.hpp"
#include "tests/results/synthetic_database.hpp"

namespace gauntlet::store {
namespace {

using testing::HasSubstr;
using testing_support::make_job;

SubmittedJob noop(int index) { return make_job("noop", "", 1, {{"index", index}, {"ms", 0}}, {}); }

std::shared_ptr<const SubmissionHead> head(const std::string& name) {
  SubmissionHead head;
  head.name = name;
  return std::make_shared<SubmissionHead>(std::move(head));
}

std::vector<SubmittedJob> noops(int from, int to) {
  std::vector<SubmittedJob> jobs;
  for (int index = from; index < to; ++index) jobs.push_back(noop(index));
  return jobs;
}

/// Of the keys' index; "" where there is none.
std::string index_of_keys(JobStore& store) {
  return *store.connection().text("SELECT sql FROM sqlite_schema WHERE name = 'jobs_by_key'");
}

SubmissionPart part(std::vector<SubmittedJob> jobs) { return {.jobs = std::move(jobs), .cells = {}}; }

std::int64_t n_jobs(JobStore& store) { return *store.connection().integer("SELECT count(*) FROM jobs"); }
std::int64_t n_sweeps(JobStore& store) { return *store.connection().integer("SELECT count(*) FROM sweeps"); }

TEST(SubmissionParts, AreOneSweepInOneTransaction) {
  JobStore store = *JobStore::open_in_memory();
  ASSERT_TRUE(store.begin_submission(head("parts"), 7));
  EXPECT_TRUE(store.has_open_submission());
  ASSERT_TRUE(store.add_to_submission(part({noop(1), noop(2)})));
  SubmittedJob last = make_job("noop", "", 1, {{"index", 3}, {"ms", 0}}, {noop(1).key});
  last.needs = {noop(1).key};
  ASSERT_TRUE(store.add_to_submission(part({noop(2), last})));
  EXPECT_TRUE(store.connection().in_transaction());
  const auto outcome = store.finish_submission();
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_FALSE(store.has_open_submission());
  EXPECT_FALSE(store.connection().in_transaction());
  EXPECT_EQ(outcome->new_jobs, 3U);
  EXPECT_EQ(n_jobs(store), 3);
  Submission again;
  again.name = "parts";
  again.jobs = {noop(1), noop(2), last};
  EXPECT_EQ(store.submit(again, 8)->reused_jobs, 3U);
}

TEST(SubmissionParts, LeaveNothingWhenTheyAreDropped) {
  JobStore store = *JobStore::open_in_memory();
  ASSERT_TRUE(store.begin_submission(head("dropped"), 7));
  ASSERT_TRUE(store.add_to_submission(part({noop(1)})));
  store.drop_submission();
  EXPECT_FALSE(store.has_open_submission());
  EXPECT_EQ(n_jobs(store), 0);
  EXPECT_EQ(n_sweeps(store), 0);
  Submission next;  // nothing of what was dropped is remembered either
  next.name = "next";
  next.jobs = {noop(1)};
  EXPECT_EQ(store.submit(next, 8)->new_jobs, 1U);
}

TEST(SubmissionParts, ARefusedOneDropsThemAll) {
  JobStore store = *JobStore::open_in_memory();
  ASSERT_TRUE(store.begin_submission(head("refused"), 7));
  ASSERT_TRUE(store.add_to_submission(part({noop(1)})));
  SubmittedJob forged = noop(2);
  forged.canonical += " ";
  EXPECT_THAT(store.add_to_submission(part({forged})).error().message, HasSubstr("is not the SHA-256"));
  EXPECT_FALSE(store.has_open_submission());
  EXPECT_EQ(n_jobs(store), 0);
}

TEST(SubmissionParts, AJobThatNeedsItselfIsRefused) {
  JobStore store = *JobStore::open_in_memory();
  Submission submission;
  submission.name = "circle";
  submission.jobs = {noop(1)};
  submission.jobs[0].needs = {submission.jobs[0].key};
  EXPECT_THAT(store.submit(submission, 1).error().message,
              HasSubstr("neither known nor handed in before it"));
  EXPECT_EQ(n_jobs(store), 0);
}

constexpr int kMany = 10'000;  // from here on a submission is a large one

/// Two sweeps: one of 100 jobs, and a large one that is open and has handed in 50 of these and many others.
class LargeSubmission : public testing::Test {
 protected:
  void SetUp() override {
    Submission before;
    before.name = "before";
    before.jobs = noops(0, 100);
    ASSERT_TRUE(store_.submit(before, 1));
    definition_ = index_of_keys(store_);
    ASSERT_THAT(definition_, HasSubstr("UNIQUE"));
    ASSERT_TRUE(store_.begin_submission(head("large"), 2));
    ASSERT_TRUE(store_.add_to_submission(part(noops(50, kMany + 100))));
    ASSERT_EQ(index_of_keys(store_), "") << "it is made at the end";
  }
  void expect_sound() {
    EXPECT_EQ(index_of_keys(store_), definition_);
    EXPECT_EQ(*store_.connection().text("PRAGMA integrity_check"), "ok");
  }

  JobStore store_ = *JobStore::open_in_memory();
  std::string definition_;
};

TEST_F(LargeSubmission, KnowsWhatWasThereAndWhatItHasBrought) {
  SubmittedJob last = make_job("noop", "", 1, {{"index", -1}, {"ms", 0}}, {noop(7).key, noop(kMany).key});
  ASSERT_TRUE(store_.add_to_submission(part({noop(0), noop(kMany), last, last})));
  const auto outcome = store_.finish_submission();
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(outcome->new_jobs, static_cast<std::uint64_t>(kMany) + 1);
  EXPECT_EQ(outcome->reused_jobs, 51U);
  EXPECT_EQ(outcome->rows.members.size(), outcome->new_jobs + 51);
  EXPECT_EQ(outcome->rows.needs.size(), 2U);
  EXPECT_EQ(n_jobs(store_), kMany + 101);
  EXPECT_EQ(*store_.connection().integer("SELECT count(*) FROM job_specs JOIN jobs USING (job_id) JOIN "
                                         "sweep_jobs USING (job_id) WHERE sweep_id = 2"),
            kMany + 52);
  EXPECT_EQ(*store_.connection().text("SELECT group_concat(title || ' of ' || needs_job_id) FROM needs JOIN "
                                      "job_specs USING (job_id)"),
            fmt::format("noop  of 8,noop  of {}", kMany + 1));
  expect_sound();
}

TEST_F(LargeSubmission, LeavesTheIndexWhereItIsDropped) {
  store_.drop_submission();
  EXPECT_EQ(n_jobs(store_), 100);
  expect_sound();
  Submission next;
  next.name = "next";
  next.jobs = noops(90, 110);
  EXPECT_EQ(store_.submit(next, 3)->reused_jobs, 10U);
}

TEST_F(LargeSubmission, IsRefusedAsAWholeWhereItsIndexDoesNotFit) {
  // What the index left free is used up by more jobs.
  ASSERT_TRUE(store_.add_to_submission(part(noops(kMany + 100, 2 * kMany))));
  const std::int64_t n_pages = *store_.connection().integer("PRAGMA page_count");
  ASSERT_TRUE(store_.connection().execute(fmt::format("PRAGMA max_page_count={}", n_pages + 2)));
  const auto refused = store_.finish_submission();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kNoSpace) << refused.error().message;
  EXPECT_EQ(n_jobs(store_), 100);
  expect_sound();
}

TEST_F(LargeSubmission, KeepsTheIndexWhereMoreIsThere) {
  ASSERT_TRUE(store_.finish_submission());
  ASSERT_TRUE(store_.begin_submission(head("next"), 3));
  ASSERT_TRUE(store_.add_to_submission(part(noops(2 * kMany, 3 * kMany))));
  EXPECT_EQ(index_of_keys(store_), definition_);
  EXPECT_EQ(store_.finish_submission()->new_jobs, static_cast<std::uint64_t>(kMany));
  expect_sound();
}

}  // namespace
}  // namespace gauntlet::store
