// Every rule of `gauntlet verify` on a database broken in one place, and none on sound ones.
#include "coordinator/store/verify.hpp"

#include <gmock/gmock.h>

#include <fstream>
#include <set>

#include "coordinator/store/verify_rules.hpp"
#include "core/db/connection.hpp"
#include "tests/results/synthetic_database.hpp"
#include "tests/store/job_store_fixture.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::store {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing_support::fill_database;
using testing_support::finish_job;
using testing_support::make_job;
using testing_support::make_submission;
using testing_support::quickstart_cells;
using testing_support::ratio;
using testing_support::SyntheticCell;

SyntheticCell measured(SyntheticCell item) {
  item.rows = {{ratio("map", 0.5)}};
  return item;
}

/// Jobs 1 (model) and 2 (evaluate) are done, 3 waits in the queue; then 4 is leased to worker 1 and 5 needs
/// it.
JobStore small_store() {
  JobStore store = *JobStore::open_in_memory();
  fill_database(store, "small", {measured(cell("none", 1)), cell("pgd", 1)});
  Submission more;
  more.name = "more";
  more.spec_text = "gauntlet: 1\n# more\n";
  more.jobs.push_back(make_job("prepare", "picto", 1, {{"n", 1}}, {}));
  more.jobs.push_back(make_job("train_model", "cpah", 1, {{"n", 2}}, {more.jobs[0].key}));
  EXPECT_TRUE(store.submit(more, 4000));
  const std::vector<engine::Transition> leased = {
      {5000, engine::JobQueued{JobId{3}}},
      {5000, engine::JobLeased{JobId{4}, LeaseId{9}, AttemptNo{1}, WorkerId{1}, 1}}};
  EXPECT_TRUE(store.apply(leased));
  return store;
}

std::vector<std::string> messages_of(JobStore& store) {
  std::vector<std::string> messages;
  const auto findings = check_invariants(store.connection());
  EXPECT_TRUE(findings) << findings.error().message;
  if (!findings) return messages;
  for (const Finding& finding : *findings)
    messages.push_back(finding.check + ": " + finding.subject + " " + finding.message);
  return messages;
}

std::string brief_of(JobStore& store, int job) {
  return *store.connection().text(
      fmt::format("SELECT lower(substr(hex(key), 1, 12)) FROM jobs WHERE job_id = {}", job));
}

TEST(Verify, SoundDatabasesHaveNoFindings) {
  JobStore small = small_store();
  EXPECT_THAT(messages_of(small), IsEmpty());
  EXPECT_THAT(*check_file(small.connection()), IsEmpty());
  JobStore quickstart = *JobStore::open_in_memory();
  fill_database(quickstart, "quickstart", quickstart_cells());
  EXPECT_THAT(messages_of(quickstart), IsEmpty());
  const auto counts = count_rows(small.connection());
  ASSERT_TRUE(counts);
  EXPECT_EQ(counts->sweeps, 2);
  EXPECT_EQ(counts->cells, 2);
  EXPECT_EQ(counts->jobs, 5);
  EXPECT_EQ(counts->attempts, 2);
  EXPECT_EQ(counts->numbers, 1);
}

struct Damage {
  const char* check;
  const char* sql;
  const char* message;  ///< "#n" stands for the key of job n
};

const Damage kDamages[] = {
    {"states", "UPDATE jobs SET state = 1 WHERE job_id = 5",
     "job #5 is queued, but needs job #4, which is leased"},
    {"states", "UPDATE jobs SET state = 0 WHERE job_id = 3",
     "job #3 is waiting, though everything it needs is done"},
    {"states", "UPDATE jobs SET state = 4, code = 11 WHERE job_id = 4; DELETE FROM leases",
     "job #5 is waiting, but needs job #4, which is failed"},
    {"states", "UPDATE jobs SET state = 5, blocked_by = 4 WHERE job_id = 5",
     "job #5 is blocked, though nothing it needs is failed, blocked or cancelled"},
    {"states", "UPDATE jobs SET state = 5, blocked_by = 1 WHERE job_id = 5",
     "job #5 is blocked by job #1, which is done"},
    {"states", "UPDATE jobs SET state = 5 WHERE job_id = 5", "job #5 is blocked by nothing"},
    {"states", "UPDATE jobs SET blocked_by = 1 WHERE job_id = 3",
     "job #3 is queued, but names a job that blocks it"},
    {"states", "UPDATE jobs SET state = 4 WHERE job_id = 3", "job #3 is failed without a cause"},
    {"states", "UPDATE jobs SET code = 10 WHERE job_id = 3", "job #3 is queued, but has a cause of failure"},
    {"needs", "UPDATE needs SET needs_job_id = 5 WHERE job_id = 2",
     "job #2 needs job #5, which came after it"},
    {"leases", "DELETE FROM leases", "job #4 is leased, but has no lease"},
    {"leases", "UPDATE jobs SET state = 1 WHERE job_id = 4", "job #4 is queued, but holds lease 9"},
    {"leases", "UPDATE leases SET attempt = 2", "job #4 is at attempt 1, but lease 9 is of attempt 2"},
    {"leases",
     "INSERT INTO attempts (job_id, attempt, lease_id, worker_id, gpus, started_ms, ended_ms, code) VALUES "
     "(4, 1, 9, 1, 1, 1, 2, 14)",
     "job #4 holds lease 9, but attempt 1 has ended"},
    {"leases",
     "UPDATE jobs SET state = 2, attempt = 1 WHERE job_id = 3; INSERT INTO leases VALUES (3, 9, 1, 1, 0, 1, "
     "'')",
     "job #3 holds lease 9, which job #4 holds too"},
    {"leases", "UPDATE workers SET left_ms = 1", "job #4 holds lease 9 of worker node1, which has left"},
    {"leases", "UPDATE leases SET parts = 'none'", "job #4 holds lease 9 with parts that are none: none"},
    {"leases", "UPDATE leases SET parts = '7'", "job #4 holds lease 9 with parts that are none: 7"},
    {"leases", "UPDATE leases SET parts = '[[1,1,1],[\"x\"]]'",
     "job #4 holds lease 9 with parts that are none: [[1,1,1],[\"x\"]]"},
    {"leases", "UPDATE leases SET parts = '[[1,0,1]]'",
     "job #4 holds lease 9 with parts that are none: [[1,0,1]]"},
    {"leases", "UPDATE leases SET parts = '[[1,1,2]]'",
     "job #4 holds lease 9 of worker 1 with gpus 1, but its first part is [1,1,2]"},
    {"leases", "UPDATE leases SET parts = '[[1,1,1],[1,1,2]]'",
     "job #4 holds lease 9 with two parts on worker 1"},
    {"leases", "UPDATE leases SET parts = '[[1,1,1],[8,1,2]]'",
     "job #4 holds lease 9 with a part on worker 8, of which there is no record"},
    {"leases",
     "INSERT INTO workers (worker_id, agent_id, name, cpus, memory_mb, gpus, joined_ms, left_ms) VALUES (8, "
     "'b', "
     "'node2', 1, 1, 2, 1, 2); UPDATE leases SET parts = '[[1,1,1],[8,1,2]]'; UPDATE counters SET value = 8 "
     "WHERE "
     "name = 'last_worker'",
     "job #4 holds lease 9 with a part on worker node2, which has left"},
    {"leases",
     "INSERT INTO workers (worker_id, agent_id, name, cpus, memory_mb, gpus, joined_ms) VALUES (8, 'b', "
     "'node2', "
     "1, 1, 2, 1); UPDATE leases SET parts = '[[1,1,1],[8,1,2]]'; UPDATE counters SET value = 8 WHERE name = "
     "'last_worker'; UPDATE jobs SET state = 2, attempt = 1 WHERE job_id = 3; INSERT INTO leases VALUES (3, "
     "10, "
     "1, 8, 3, 1, ''); UPDATE counters SET value = 10 WHERE name = 'last_lease'",
     "job #4 has a gpu of worker node2 that job #3 has too"},
    {"leases",
     "UPDATE jobs SET state = 2, attempt = 1 WHERE job_id = 3; INSERT INTO leases VALUES (3, 10, 1, 1, 3, "
     "1, ''); "
     "UPDATE counters SET value = 10 WHERE name = 'last_lease'",
     "job #4 has a gpu of worker node1 that job #3 has too"},
    {"attempts", "UPDATE jobs SET attempt = 0 WHERE job_id = 1", "job #1 is at attempt 0, but has attempt 1"},
    {"attempts", "UPDATE jobs SET attempt = 3 WHERE job_id = 3",
     "job #3 is at attempt 3, of which there is no record"},
    {"attempts", "UPDATE attempts SET code = 14 WHERE job_id = 1",
     "job #1 is done, but its attempt 1 did not succeed"},
    {"attempts", "UPDATE attempts SET code = NULL WHERE job_id = 1",
     "job #1 has attempt 1, which ended without an outcome"},
    {"attempts", "UPDATE attempts SET ended_ms = NULL WHERE job_id = 1",
     "job #1 has attempt 1, which ended without an outcome"},
    {"counters", "UPDATE counters SET value = 8 WHERE name = 'last_lease'",
     "counter last_lease is 8, but lease 9 was given"},
    {"counters", "UPDATE counters SET value = 0 WHERE name = 'last_worker'",
     "counter last_worker is 0, but there is worker 1"},
    {"numbers", "UPDATE results SET attempt = 7", "job #2 has numbers of attempt 7, which did not succeed"},
    {"numbers", "UPDATE results SET attempt = 7",
     "job #2 was done by attempt 1, but has numbers of attempt 7"},
    {"numbers", "INSERT INTO curves VALUES (2, 'pr', 7, 'x', 'y', x'00000000', x'00000000')",
     "job #2 has curves of attempt 7, which did not succeed"},
    {"numbers", "INSERT INTO curves VALUES (2, 'pr', 1, 'x', 'y', x'00000000', x'0000000000000000')",
     "job #2 has the curve pr with 4 bytes of x and 8 of y"},
    {"numbers", "INSERT INTO result_queries VALUES (1, 1, x'00000000')",
     "job #1 has readings per query of map, but not the number itself"},
    {"numbers", "INSERT INTO result_queries VALUES (2, 1, x'000000')",
     "job #2 has readings per query of map that are no list of float32"},
    {"cells", "DELETE FROM cell_jobs WHERE cell_id = 1", "cell 1 of sweep small has no job"},
    {"cells", "INSERT INTO cell_jobs VALUES (1, 4, 1)",
     "cell 1 has job #4, which is no job of its sweep small"},
    {"cells", "UPDATE cells SET revision = 2 WHERE cell_id = 1",
     "cell 1 is of revision 2, which sweep small does not have"},
    {"cells", "UPDATE cells SET metric_set = 5 WHERE cell_id = 1",
     "cell 1 must have the metrics of set 5, which lists none"},
    {"sweeps", "UPDATE sweeps SET reused = 4 WHERE sweep_id = 1",
     "sweep small counts 4 jobs done before, but has 3 in all"},
    {"texts", "DELETE FROM job_specs WHERE job_id = 3", "job #3 has no text"},
    {"texts", "UPDATE job_specs SET canonical = '{}' WHERE job_id = 3", "job #3 has a text whose hash is "},
    {"texts", "UPDATE jobs SET shape_id = 1 WHERE job_id = 3",
     "job #3 is placed as kind 2, entry 'cpah', version 1; its text says 7, '', 1"},
    {"texts", "UPDATE spec_revisions SET spec_text = 'x' WHERE sweep_id = 1",
     "sweep small has a text of revision 1 that does not match its hash"},
    {"texts", "UPDATE environments SET document = '{}'",
     "environment 1 has a document that does not match its hash"},
};

TEST(Verify, NamesEveryKindOfDamage) {
  std::set<std::size_t> hit;
  for (const Damage& damage : kDamages) {
    JobStore store = small_store();
    ASSERT_TRUE(store.connection().execute("PRAGMA foreign_keys = OFF"));
    const Status done = store.connection().execute(damage.sql);
    ASSERT_TRUE(done) << damage.sql << ": " << done.error().message;
    std::string expected = fmt::format("{}: {}", damage.check, damage.message);
    for (int job = 1; job <= 5; ++job) {
      const std::string mark = fmt::format("#{}", job);
      for (std::size_t at = expected.find(mark); at != std::string::npos; at = expected.find(mark))
        expected.replace(at, mark.size(), brief_of(store, job));
    }
    EXPECT_THAT(messages_of(store), testing::Contains(HasSubstr(expected))) << damage.sql;
    for (std::size_t rule = 0; rule < verify_rules().size(); ++rule) {
      auto statement = store.connection().prepare(sql_of(verify_rules()[rule]));
      ASSERT_TRUE(statement) << statement.error().message;
      if (*statement->step()) hit.insert(rule);
    }
  }
  for (std::size_t rule = 0; rule < verify_rules().size(); ++rule)
    EXPECT_TRUE(hit.contains(rule)) << "no damage above breaks this rule: " << verify_rules()[rule].question;
}

TEST(Verify, NeedsThatDifferFromTheInputsOfTheTextAreNamed) {
  JobStore store = *JobStore::open_in_memory();
  Submission submission;
  submission.name = "inputs";
  submission.jobs.push_back(make_job("prepare", "picto", 1, {{"n", 1}}, {}));
  SubmittedJob evaluate;
  evaluate.canonical =
      canonical_json(
          Json{{"kind", "evaluate"},
               {"entry", ""},
               {"version", 1},
               {"inputs", {{"data", submission.jobs[0].key.hex()}, {"codes", std::string(64, '7')}}}})
          .value();
  evaluate.key = JobKey{sha256(evaluate.canonical)};
  evaluate.needs = {submission.jobs[0].key};
  submission.jobs.push_back(evaluate);
  ASSERT_TRUE(store.submit(submission, 1));
  EXPECT_THAT(messages_of(store),
              testing::ElementsAre(fmt::format("texts: job {} needs other jobs ({}) than its text names as "
                                               "inputs ({})",
                                               evaluate.key.brief(), submission.jobs[0].key.brief(),
                                               submission.jobs[0].key.brief() < "777777777777"
                                                   ? submission.jobs[0].key.brief() + ", 777777777777"
                                                   : "777777777777, " + submission.jobs[0].key.brief())));
}

TEST(Verify, BrokenReferencesAndPagesAreNamed) {
  testing_support::TempFolder folder;
  const std::filesystem::path path = folder / "gauntlet.db";
  std::int64_t root = 0;
  {
    JobStore store = *JobStore::open(path);
    fill_database(store, "quickstart", quickstart_cells());
    ASSERT_TRUE(store.connection().execute("PRAGMA foreign_keys = OFF; DELETE FROM workers;"));
    const auto findings = check_file(store.connection());
    ASSERT_TRUE(findings) << findings.error().message;
    ASSERT_FALSE(findings->empty());
    EXPECT_EQ(findings->front().check, "foreign keys");
    EXPECT_EQ(findings->front().subject, "table attempts");
    EXPECT_THAT(findings->front().message, HasSubstr("refers to workers, where there is nothing"));
    root = *store.connection().integer("SELECT rootpage FROM sqlite_schema WHERE name = 'results'");
    ASSERT_TRUE(store.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)"));
  }
  {  // a page of rubbish
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp((root - 1) * 4096);
    file << std::string(4096, '\x5a');
  }
  auto connection = db::Connection::open_read_only(path);
  ASSERT_TRUE(connection) << connection.error().message;
  const auto findings = check_file(*connection);
  ASSERT_TRUE(findings) << findings.error().message;
  ASSERT_FALSE(findings->empty());
  EXPECT_EQ(findings->front().check, "sqlite");
}

TEST(Verify, ArtifactsOfDoneJobsAreListedUntilTheyAreFreed) {
  JobStore store = *JobStore::open_in_memory();
  fill_database(store, "small", {cell("none", 1)});
  std::vector<engine::Transition> batch = finish_job(JobId{1}, LeaseId{1}, AttemptNo{1}, {});
  std::get<engine::AttemptDone>(batch[1].change).outcome.manifest = std::string(64, 'a');
  batch.insert(batch.begin(), testing_support::worker_joined());
  ASSERT_TRUE(store.apply(batch));
  std::vector<DoneArtifact> found;
  const auto list = [&] {
    found.clear();
    ASSERT_TRUE(for_each_artifact(store.connection(), [&](DoneArtifact one) -> Status {
      found.push_back(std::move(one));
      return {};
    }));
  };
  list();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].kind, spec::JobKind::kTrainModel);
  EXPECT_EQ(found[0].manifest, std::string(64, 'a'));
  EXPECT_EQ(found[0].ended_ms, 3000);
  EXPECT_TRUE(*is_still_done(store.connection(), found[0]));
  ASSERT_TRUE(store.connection().execute(
      "INSERT INTO events (at_ms, kind, job_id, detail) VALUES (4000, 'freed', 1, '')"));
  EXPECT_FALSE(*is_still_done(store.connection(), found[0]));
  list();
  EXPECT_TRUE(found.empty());
}

}  // namespace
}  // namespace gauntlet::store
