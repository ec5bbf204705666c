#include "coordinator/store/job_store.hpp"

#include <gmock/gmock.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <fstream>

#include "coordinator/store/canonical_head.hpp"
#include "core/base/files.hpp"
#include "core/db/connection.hpp"
#include "core/db/migrate.hpp"
#include "tests/results/synthetic_database.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::store {
namespace {

namespace fs = std::filesystem;
using engine::AttemptDone;
using engine::AttemptFailed;
using engine::JobLeased;
using engine::JobStateTag;
using engine::Transition;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing_support::finish_job;
using testing_support::make_job;
using testing_support::make_submission;
using testing_support::ratio;
using testing_support::SyntheticCell;
using testing_support::worker_joined;

class Store : public testing::Test {
 protected:
  testing_support::TempFolder folder_;
  fs::path path_ = folder_ / "gauntlet.db";
};

SyntheticCell cell(const std::string& attack, std::uint64_t seed) {
  SyntheticCell item;
  item.cell = {.dataset = "picto",
               .model = "cpah",
               .bits = 32,
               .defense = "none",
               .attack = attack,
               .protocol = attack == "none" ? "none" : "static",
               .direction = "i2t",
               .variant = "",
               .seed = seed};
  return item;
}

Submission small_sweep() { return make_submission("small", {cell("none", 1), cell("pgd", 1)}); }

std::int64_t count(JobStore& store, const std::string& table) {
  return *store.connection().integer("SELECT count(*) FROM " + table);
}

// Everything a reader can see, as text.
std::string dump(JobStore& store) {
  std::string text;
  for (const char* table :
       {"sweeps",     "spec_revisions", "cells",        "cell_metrics", "cell_jobs", "jobs",    "job_specs",
        "job_shapes", "needs",          "sweep_jobs",   "attempts",     "leases",    "workers", "results",
        "metrics",    "curves",         "environments", "events",       "counters",  "roles"}) {
    auto statement = store.connection().prepare(fmt::format("SELECT * FROM {}", table));
    text += fmt::format("{}\n", table);
    while (*statement->step()) {
      for (int column = 0; column < statement->column_count(); ++column)
        text += fmt::format("{}|", statement->text(column));
      text += "\n";
    }
  }
  return text;
}

TEST_F(Store, VariantsAndLabelsOfAJobComeBack) {
  Submission submission = small_sweep();
  spec::Resources& asked = submission.jobs.front().resources;
  asked = {.cpus = 2, .gpus = 1, .time_s = 60};
  asked.labels = {{"disk", "ssd"}};
  asked.or_else = {{.cpus = 8, .gpus = 0, .time_s = 60}};
  const spec::Resources expected = asked;
  submission.jobs.back().resources = {.cpus = 2, .gpus = 1, .time_s = 60};
  auto store = JobStore::open(path_);
  ASSERT_TRUE(store) << store.error().message;
  const auto outcome = store->submit(submission, 1);
  ASSERT_TRUE(outcome) << outcome.error().message;
  const auto rows = store->load();
  ASSERT_TRUE(rows) << rows.error().message;
  const auto shape_of = [](const engine::JobRows& jobs, std::size_t at) {
    return jobs.shapes[jobs.jobs[at].shape].resources;
  };
  EXPECT_EQ(shape_of(outcome->rows, 0), expected);
  EXPECT_EQ(shape_of(rows->rows, 0), expected);
  EXPECT_EQ(shape_of(rows->rows, rows->rows.jobs.size() - 1), submission.jobs.back().resources);
}

TEST_F(Store, JobsOfTheFirstVersionKeepTheirShapes) {
  {
    db::Connection old = *db::Connection::open_read_write(path_);
    ASSERT_TRUE(db::migrate(old, std::span(db::embedded_migrations()).first(1)));
    ASSERT_TRUE(
        old.execute("INSERT INTO job_shapes VALUES (7, 6, 'drfgd', 1, 4, 2, 1, 100, 60);"
                    "INSERT INTO jobs (job_id, key, shape_id, state, created_ms, changed_ms) "
                    "VALUES (1, zeroblob(32), 7, 1, 1, 1);"
                    "INSERT INTO job_specs VALUES (1, 'encode', '{}', '{}');"));
  }
  auto store = JobStore::open(path_);
  ASSERT_TRUE(store) << store.error().message;
  const auto rows = store->load();
  ASSERT_TRUE(rows) << rows.error().message;
  ASSERT_THAT(rows->rows.shapes, SizeIs(1));
  EXPECT_EQ(rows->rows.shapes[0].entry, "drfgd");
  EXPECT_EQ(rows->rows.shapes[0].resources,
            (spec::Resources{.cpus = 4, .gpus = 2, .memory_mb = 100, .time_s = 60}));
  EXPECT_EQ(*store->connection().integer("SELECT count(*) FROM pragma_foreign_key_check"), 0);
}

TEST_F(Store, SubmitsASweepAndLoadsItBack) {
  {
    JobStore store = *JobStore::open(path_);
    const auto outcome = store.submit(small_sweep(), 1000);
    ASSERT_TRUE(outcome) << outcome.error().message;
    EXPECT_EQ(outcome->new_jobs, 3U);
    EXPECT_EQ(outcome->new_cells, 2U);
    EXPECT_EQ(outcome->sweep.name, "small");
    ASSERT_THAT(outcome->rows.jobs, SizeIs(3));
    EXPECT_EQ(outcome->rows.jobs[0].state, JobStateTag::kQueued);
    EXPECT_EQ(outcome->rows.jobs[1].state, JobStateTag::kWaiting);
    EXPECT_THAT(outcome->rows.members, SizeIs(3));
    EXPECT_EQ(outcome->rows.shapes[outcome->rows.jobs[0].shape].kind, spec::JobKind::kTrainModel);
    EXPECT_EQ(outcome->rows.shapes[outcome->rows.jobs[0].shape].entry, "cpah");
  }
  JobStore store = *JobStore::open(path_);
  const auto loaded = store.load();
  ASSERT_TRUE(loaded);
  ASSERT_THAT(loaded->rows.jobs, SizeIs(3));
  EXPECT_THAT(loaded->rows.needs, SizeIs(2));
  EXPECT_THAT(loaded->rows.members, SizeIs(3));
  ASSERT_THAT(loaded->sweeps, SizeIs(1));
  EXPECT_EQ(loaded->sweeps[0].submitted_ms, 1000);
  EXPECT_THAT(loaded->leases, IsEmpty());
}

TEST_F(Store, TheSameSpecAgainChangesNothing) {
  JobStore store = *JobStore::open_in_memory();
  ASSERT_TRUE(store.submit(small_sweep(), 1000));
  const auto again = store.submit(small_sweep(), 1000);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->new_jobs, 0U);
  EXPECT_EQ(again->reused_jobs, 3U);
  EXPECT_EQ(again->done_jobs, 0U);
  EXPECT_EQ(again->new_cells, 0U);
  EXPECT_EQ(again->sweep.id, SweepId{1});
  EXPECT_THAT(again->rows.members, IsEmpty());
  EXPECT_EQ(count(store, "spec_revisions"), 1);
  EXPECT_EQ(count(store, "cell_jobs"), 4);
}

TEST_F(Store, AChangedSpecIsTheNextRevisionAndItsCellsAreTheUnion) {
  JobStore store = *JobStore::open_in_memory();
  ASSERT_TRUE(store.submit(small_sweep(), 1000));
  Submission wider = make_submission("small", {cell("pgd", 1), cell("pgd", 2)});
  wider.spec_text += "# wider\n";
  const auto outcome = store.submit(wider, 2000);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->sweep.id, SweepId{1});
  EXPECT_EQ(outcome->new_jobs, 2U);
  EXPECT_EQ(outcome->new_cells, 1U);
  EXPECT_EQ(count(store, "spec_revisions"), 2);
  EXPECT_EQ(
      *store.connection().text("SELECT group_concat(attack || seed || 'r' || revision, ' ') FROM v_cells"),
      "none1r1 pgd1r2 pgd2r2");
}

TEST_F(Store, ACellFollowsTheJobsOfItsNewestRevision) {
  JobStore store = *JobStore::open_in_memory();
  ASSERT_TRUE(store.submit(small_sweep(), 1000));
  SyntheticCell renewed = cell("pgd", 1);
  renewed.model_version = 2;
  Submission next = make_submission("small", {renewed});
  next.spec_text += "# version 2\n";
  ASSERT_TRUE(store.submit(next, 2000));
  EXPECT_EQ(*store.connection().text(
                "SELECT group_concat(sh.version) FROM cells c JOIN cell_jobs cj USING (cell_id) "
                "JOIN jobs USING (job_id) JOIN job_shapes sh USING (shape_id) JOIN job_kinds k "
                "USING (kind) WHERE c.attack = 'pgd' AND k.name = 'train_model'"),
            "2");
}

TEST_F(Store, RefusesWhatDoesNotFitTogetherAndKeepsNothingOfIt) {
  JobStore store = *JobStore::open_in_memory();
  const std::string before = dump(store);

  Submission forged = small_sweep();
  forged.jobs[1].canonical += " ";
  EXPECT_THAT(store.submit(forged, 1).error().message,
              AllOf(HasSubstr("is not the SHA-256"), HasSubstr(forged.jobs[1].key.brief())));

  Submission unordered = small_sweep();
  std::swap(unordered.jobs[0], unordered.jobs[1]);
  EXPECT_THAT(store.submit(unordered, 1).error().message, HasSubstr("neither known nor handed in before it"));

  Submission dangling = small_sweep();
  dangling.cells[0].jobs[0].key = JobKey{sha256("nowhere")};
  EXPECT_THAT(store.submit(dangling, 1).error().message,
              AllOf(HasSubstr("as its train_model"), HasSubstr("dataset picto")));

  Submission twice = small_sweep();
  twice.cells.push_back(twice.cells[1]);
  twice.cells.back().jobs.pop_back();
  EXPECT_THAT(store.submit(twice, 1).error().message, HasSubstr("twice, with different jobs"));

  Submission strange = small_sweep();
  strange.jobs = {make_job("divination", "", 1, Json::object(), {})};
  strange.cells.clear();
  EXPECT_THAT(store.submit(strange, 1).error().message,
              AllOf(HasSubstr("'divination'"), HasSubstr("train_model")));

  Submission nameless = small_sweep();
  nameless.name.clear();
  EXPECT_EQ(store.submit(nameless, 1).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(dump(store), before);
}

TEST_F(Store, TheWorkersOfAGangAreKnownAgain) {
  JobStore store = *JobStore::open_in_memory();
  ASSERT_TRUE(store.submit(small_sweep(), 1000));
  const std::vector<engine::GangPart> parts = {{WorkerId{1}, 4, 0b1111}, {WorkerId{2}, 2, 0b0110}};
  const auto applied = store.apply(std::vector<Transition>{
      worker_joined(),
      {1500, engine::WorkerJoined{WorkerId{2}, "agent2", "node2", 8, 1000, 4}},
      {2000, JobLeased{JobId{1}, LeaseId{5}, AttemptNo{1}, WorkerId{1}, 0b1111, parts}}});
  ASSERT_TRUE(applied) << applied.error().message;
  const auto loaded = store.load();
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->leases.at(0).parts, parts);
  ASSERT_THAT(loaded->workers, SizeIs(2)) << "the one that holds no lease of its own too";
  EXPECT_EQ(loaded->workers[1].agent_id, "agent2");
}

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

TEST_F(Store, SelectsJobsByStateKeyAndCells) {
  JobStore store = *JobStore::open_in_memory();
  ASSERT_TRUE(store.submit(small_sweep(), 1000));
  const auto ids = [&](Selection selection) {
    std::vector<std::uint64_t> numbers;
    const auto jobs = store.select(selection);
    EXPECT_TRUE(jobs) << jobs.error().message;
    for (const JobId job : *jobs) numbers.push_back(job.value);
    return numbers;
  };
  Selection any;
  EXPECT_THAT(ids(any), ElementsAre(1, 2, 3));
  Selection queued;
  queued.states = {JobStateTag::kQueued};
  EXPECT_THAT(ids(queued), ElementsAre(1));
  Selection keyed;
  keyed.key_prefix = small_sweep().jobs[1].key.hex().substr(0, 9);
  EXPECT_THAT(ids(keyed), ElementsAre(2));
  Selection where;
  where.where = "attack=pgd and (bits = 32 or dataset like 'x%')";
  EXPECT_THAT(ids(where), ElementsAre(1, 3));
  where.exclusive = true;  // the model serves the other cell too
  EXPECT_THAT(ids(where), ElementsAre(3));
  Selection all_of_it;
  all_of_it.sweep = SweepId{1};
  all_of_it.exclusive = true;
  EXPECT_THAT(ids(all_of_it), ElementsAre(1, 2, 3));
  Submission other = make_submission("other", {cell("pgd", 1)});
  ASSERT_TRUE(store.submit(other, 2000));
  EXPECT_THAT(ids(all_of_it), ElementsAre(2));
  Selection elsewhere;
  elsewhere.sweep = SweepId{9};
  EXPECT_THAT(ids(elsewhere), IsEmpty());

  Selection bad;
  bad.where = "atack=pgd";
  EXPECT_THAT(store.select(bad).error().message, HasSubstr("did you mean 'attack'"));
  bad.where.clear();
  bad.key_prefix = "xyz";
  EXPECT_THAT(store.select(bad).error().message, HasSubstr("'xyz' is not the start of a job key"));
}

TEST_F(Store, NamesInTheDatabaseAreTheNamesOfThePrograms) {
  JobStore store = *JobStore::open_in_memory();
  for (int kind = 0; kind < spec::kJobKindCount; ++kind) {
    const std::string name =
        *store.connection().text(fmt::format("SELECT name FROM job_kinds WHERE kind = {}", kind));
    const auto head = read_canonical_head(
        fmt::format(R"({{"config":{{"kind":"x"}},"entry":"","kind":"{}","version":1}})", name));
    ASSERT_TRUE(head) << name;
    EXPECT_EQ(head->kind, kind);
  }
  EXPECT_EQ(count(store, "job_kinds"), spec::kJobKindCount);
  EXPECT_EQ(count(store, "job_states"), static_cast<std::int64_t>(engine::kJobStateCount));
  for (int code = 1; code <= 18; ++code) {
    EXPECT_EQ(*store.connection().text(fmt::format("SELECT name FROM outcomes WHERE code = {}", code)),
              name_of(static_cast<ErrorCode>(code)));
  }
}

TEST_F(Store, TheReferenceNamesEveryTableAndColumn) {
  const auto text = read_file(fs::path(GAUNTLET_SOURCE_DIR) / "docs" / "database.md");
  ASSERT_TRUE(text);
  JobStore store = *JobStore::open_in_memory();
  auto columns = store.connection().prepare(
      "SELECT s.name, c.name FROM sqlite_schema s, pragma_table_info(s.name) c "
      "WHERE s.type IN ('table', 'view')");
  int n_columns = 0;
  while (*columns->step()) {
    EXPECT_THAT(*text, HasSubstr(fmt::format("`{}`", columns->text(0))));
    EXPECT_THAT(*text, HasSubstr(fmt::format("`{}`", columns->text(1)))) << columns->text(0);
    ++n_columns;
  }
  EXPECT_GT(n_columns, 150);
}

// ---------------------------------------------------------------- faults

// Every statement of a batch fails once; each time the old state stays, and afterwards the batch goes
// through.
class Failing {
 public:
  explicit Failing(sqlite3* handle) : handle_(handle) {}
  void arm(int after) {
    left_ = after;
    fired_ = false;
    sqlite3_progress_handler(handle_, 1, &Failing::tick, this);
  }
  [[nodiscard]] bool fired() const { return fired_; }
  void disarm() { sqlite3_progress_handler(handle_, 0, nullptr, nullptr); }

 private:
  static int tick(void* context) {
    auto& self = *static_cast<Failing*>(context);
    if (self.fired_ || committing(self.handle_) || self.left_-- > 0) return 0;
    self.fired_ = true;
    return 1;
  }
  // An interruption after the commit's own work would be told as an error of something that happened.
  static bool committing(sqlite3* handle) {
    if (sqlite3_get_autocommit(handle) != 0) return true;  // just done, or not begun
    for (sqlite3_stmt* s = sqlite3_next_stmt(handle, nullptr); s != nullptr;
         s = sqlite3_next_stmt(handle, s)) {
      if (sqlite3_stmt_busy(s) != 0 && std::string_view(sqlite3_sql(s)) == "COMMIT") return true;
    }
    return false;
  }

  sqlite3* handle_;
  int left_ = 0;
  bool fired_ = false;
};

TEST_F(Store, AnErrorAtAnyPointOfASubmissionOrABatchLeavesTheOldState) {
  JobStore store = *JobStore::open(path_);
  Failing failing(store.connection().handle());
  std::vector<Transition> batch = finish_job(JobId{1}, LeaseId{1}, AttemptNo{1}, {ratio("map", 0.5)});
  batch.insert(batch.begin(), worker_joined());
  const auto fails_everywhere = [&](auto work) {
    const std::string before = dump(store);
    int n_points = 0;
    for (int after = 0;; after += 7) {  // virtual machine steps; a statement has more than seven
      failing.arm(after);
      const auto answer = work();
      failing.disarm();
      if (answer) break;
      ASSERT_TRUE(failing.fired()) << answer.error().message;
      ASSERT_EQ(dump(store), before) << "after " << after << " steps";
      ++n_points;
    }
    EXPECT_GT(n_points, 20);
    EXPECT_NE(dump(store), before);
  };
  fails_everywhere([&] { return store.submit(small_sweep(), 1000); });
  fails_everywhere([&] { return store.apply(batch); });
  EXPECT_EQ(*store.connection().text("PRAGMA integrity_check"), "ok");
  EXPECT_EQ(*store.connection().integer("SELECT count(*) FROM pragma_foreign_key_check"), 0);
}

TEST_F(Store, AFailedCommitLeavesTheOldState) {
  JobStore store = *JobStore::open(path_);
  const std::string before = dump(store);
  sqlite3_commit_hook(
      store.connection().handle(), [](void*) { return 1; }, nullptr);
  EXPECT_FALSE(store.submit(small_sweep(), 1000));
  sqlite3_commit_hook(store.connection().handle(), nullptr, nullptr);
  EXPECT_EQ(dump(store), before);
  EXPECT_TRUE(store.submit(small_sweep(), 1000));
}

TEST_F(Store, AFullDiskIsNoSpaceAndLosesNothing) {
  JobStore store = *JobStore::open(path_);
  ASSERT_TRUE(store.submit(small_sweep(), 1000));
  const std::string before = dump(store);
  const std::int64_t pages = *store.connection().integer("PRAGMA page_count");
  ASSERT_TRUE(store.connection().execute(fmt::format("PRAGMA max_page_count={}", pages)));
  std::vector<SyntheticCell> cells;
  for (std::uint64_t seed = 1; seed < 200; ++seed) cells.push_back(cell("pgd", seed));
  const auto refused = store.submit(make_submission("large", cells), 2000);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kNoSpace);
  EXPECT_EQ(dump(store), before);
  ASSERT_TRUE(store.connection().execute("PRAGMA max_page_count=1073741823"));
  EXPECT_TRUE(store.submit(make_submission("large", cells), 2000));
}

TEST_F(Store, AKilledWriterLosesNoCommitAndLeavesNoHalf) {
  constexpr int kRounds = 8;
  std::uint64_t committed = 0;
  for (int round = 0; round < kRounds; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      JobStore store = *JobStore::open(path_);
      for (std::uint64_t n = committed;; ++n) {
        const auto outcome = store.submit(
            make_submission(fmt::format("sweep{}", n), {cell("none", n + 1), cell("pgd", n + 1)}), 1);
        if (!outcome) ::_exit(1);
        const char told = 1;
        if (::write(pipe_ends[1], &told, 1) != 1) ::_exit(2);
      }
    }
    ::close(pipe_ends[1]);
    std::uint64_t told = 0;
    char byte = 0;
    while (told < 3 + static_cast<std::uint64_t>(round) && ::read(pipe_ends[0], &byte, 1) == 1) ++told;
    ::kill(child, SIGKILL);
    while (::read(pipe_ends[0], &byte, 1) == 1) ++told;
    ::close(pipe_ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer ended by itself: " << status;
    JobStore store = *JobStore::open(path_);
    const auto loaded = store.load();
    ASSERT_TRUE(loaded) << loaded.error().message;
    const std::uint64_t n_sweeps = loaded->sweeps.size();
    // All that were reported, and at most the one that was being reported.
    EXPECT_GE(n_sweeps, committed + told);
    EXPECT_LE(n_sweeps, committed + told + 1);
    EXPECT_EQ(loaded->rows.jobs.size(), 3 * n_sweeps);
    EXPECT_EQ(count(store, "cells"), static_cast<std::int64_t>(2 * n_sweeps));
    EXPECT_EQ(*store.connection().text("PRAGMA integrity_check"), "ok");
    committed = n_sweeps;
  }
}

TEST_F(Store, OpeningNamesWhatIsWrong) {
  std::ofstream(path_) << std::string(9000, '#');
  const auto garbage = JobStore::open(path_);
  ASSERT_FALSE(garbage);
  EXPECT_EQ(garbage.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(exit_code_of(JobStore::open("/proc/gauntlet.db").error().code), 1);
  EXPECT_THAT(JobStore::open("/proc/gauntlet.db").error().message, HasSubstr("/proc/gauntlet.db"));
  fs::remove(path_);
  { ASSERT_TRUE(JobStore::open(path_)); }
  db::Connection raw = *db::Connection::open_read_write(path_);
  ASSERT_TRUE(raw.execute("PRAGMA user_version = 99"));
  const auto newer = JobStore::open(path_);
  ASSERT_FALSE(newer);
  EXPECT_EQ(newer.error().code, ErrorCode::kRefused);
  EXPECT_THAT(newer.error().message, HasSubstr("has version 99"));
}

TEST_F(Store, ABatchOfThousandsIsOneCommit) {
  JobStore store = *JobStore::open(path_);
  Submission submission;
  submission.name = "noops";
  for (int i = 0; i < 3000; ++i)
    submission.jobs.push_back(make_job("noop", "", 1, {{"index", i}, {"ms", 0}}, {}));
  ASSERT_TRUE(store.submit(submission, 1000));
  std::vector<Transition> batch = {worker_joined()};
  for (std::uint64_t i = 1; i <= 3000; ++i) {
    for (Transition& transition :
         finish_job(JobId{i}, LeaseId{i}, AttemptNo{1}, {ratio("a", 1), ratio("b", 2)})) {
      batch.push_back(std::move(transition));
    }
  }
  int commits = 0;
  sqlite3_commit_hook(
      store.connection().handle(), [](void* n) { return ++*static_cast<int*>(n), 0; }, &commits);
  const auto payloads = store.apply(batch);
  ASSERT_TRUE(payloads);
  EXPECT_THAT(*payloads, SizeIs(3000));
  EXPECT_EQ(commits, 1);
  EXPECT_EQ(count(store, "results"), 6000);
}

}  // namespace
}  // namespace gauntlet::store
