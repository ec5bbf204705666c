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

}  // namespace
}  // namespace gauntlet::store
