// Sweeps in the database: handed in, revised, selected from, and under which names.
#include "coordinator/store/canonical_head.hpp"
#include "core/base/files.hpp"
#include "core/db/migrate.hpp"
#include "tests/store/job_store_fixture.hpp"

namespace gauntlet::store {
namespace {

using engine::JobLeased;
using engine::JobStateTag;
using engine::Transition;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing_support::make_job;
using testing_support::make_submission;
using testing_support::SyntheticCell;
using testing_support::worker_joined;

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

TEST_F(Store, OtherResourcesOfAKnownJobAreLeftToTheEngine) {
  Submission heavier = small_sweep();
  heavier.jobs[0].resources.memory_mb = 12345;
  {
    JobStore store = *JobStore::open(path_);
    ASSERT_TRUE(store.submit(small_sweep(), 1000));
    const auto again = store.submit(heavier, 2000);
    ASSERT_TRUE(again);
    ASSERT_THAT(again->changes, SizeIs(1));
    const engine::ShapeChange& change = again->changes[0];
    EXPECT_EQ(change.job, JobId{1});
    EXPECT_EQ(again->rows.shapes[change.shape].resources.memory_mb, 12345);
    EXPECT_NE(store.load()->rows.shapes[store.load()->rows.jobs[0].shape].resources.memory_mb, 12345);
    ASSERT_TRUE(
        store.apply(std::vector<Transition>{{3000, engine::JobReshaped{JobId{1}, change.stored_shape}}}));
  }
  JobStore store = *JobStore::open(path_);
  const auto loaded = store.load();
  EXPECT_EQ(loaded->rows.shapes[loaded->rows.jobs[0].shape].resources.memory_mb, 12345);
  const auto same = store.submit(heavier, 4000);
  ASSERT_TRUE(same);
  EXPECT_THAT(same->changes, IsEmpty());
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

TEST_F(Store, LoadsTheJobsOfEverySweepWhetherTheirNumbersHaveHolesOrNot) {
  using testing_support::make_submission;
  JobStore store = *JobStore::open(path_);
  const auto members = [&] {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> found;
    const auto loaded = store.load();
    EXPECT_TRUE(loaded) << loaded.error().message;
    for (const engine::MemberRow& row : loaded->rows.members)
      found.emplace_back(row.sweep.value, row.job.value);
    return found;
  };
  const auto stored = [&] {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> found;
    auto rows = store.connection().prepare("SELECT sweep_id, job_id FROM sweep_jobs ORDER BY 1, 2");
    while (*rows->step())
      found.emplace_back(static_cast<std::uint64_t>(rows->integer(0)),
                         static_cast<std::uint64_t>(rows->integer(1)));
    return found;
  };
  ASSERT_TRUE(store.submit(make_submission("first", {cell("none", 1), cell("pgd", 1)}), 1000));
  ASSERT_TRUE(store.submit(make_submission("second", {cell("none", 2)}), 1000));
  EXPECT_THAT(members(), SizeIs(5));
  EXPECT_EQ(members(), stored());
  ASSERT_TRUE(store.submit(make_submission("third", {cell("none", 1), cell("pgd", 2)}), 1000));
  EXPECT_THAT(members(), SizeIs(9)) << "the third has 1, 2, 4 and 6";
  EXPECT_EQ(members(), stored());
}

TEST_F(Store, LoadsFailuresOfAnyHalfOfTheJobs) {
  JobStore store = *JobStore::open(path_);
  ASSERT_TRUE(store.submit(small_sweep(), 1000));
  ASSERT_TRUE(store.connection().execute(
      "UPDATE jobs SET state = 4, attempt = 3, failures = 2, lost_count = 300, code = 11 WHERE job_id = 1;"
      "UPDATE jobs SET state = 5, blocked_by = 1 WHERE job_id > 1;"));
  const auto loaded = store.load();
  ASSERT_TRUE(loaded) << loaded.error().message;
  ASSERT_THAT(loaded->rows.jobs, SizeIs(3));
  const engine::JobRow& failed = loaded->rows.jobs[0];
  EXPECT_EQ(failed.state, JobStateTag::kFailed);
  EXPECT_EQ(failed.code, ErrorCode::kDiverged);
  EXPECT_EQ(failed.last_attempt, AttemptNo{3});
  EXPECT_EQ(failed.failures, 2);
  EXPECT_EQ(failed.losses, 255);
  for (const std::size_t later : {1U, 2U}) {
    const engine::JobRow& blocked = loaded->rows.jobs[later];
    EXPECT_EQ(blocked.id, JobId{later + 1});
    EXPECT_EQ(blocked.state, JobStateTag::kBlocked);
    EXPECT_EQ(blocked.culprit, JobId{1});
  }
  const auto shape_id = store.connection().integer("SELECT shape_id FROM jobs WHERE job_id = 3");
  EXPECT_EQ(
      *store.connection().integer(fmt::format("SELECT kind FROM job_shapes WHERE shape_id = {}", *shape_id)),
      static_cast<std::int64_t>(loaded->rows.shapes[loaded->rows.jobs[2].shape].kind));
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

}  // namespace
}  // namespace gauntlet::store
