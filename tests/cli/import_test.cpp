// gauntlet export --to and import: work of one lab in the database of another.
#include "tests/cli/cli_test_base.hpp"
#include "tests/cli/made_folder.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;
using spec::JobKind;
using testing::AllOf;
using testing::HasSubstr;
using testing_support::Finished;

class Import : public CliTest {
 protected:
  /// A lab that trained `model` and evaluated it for some seeds, named after the job that does it.
  void make_lab(const std::string& lab, const std::string& sweep, const std::vector<std::string>& evaluated,
                bool finished = true) const {
    MadeFolder made(folder() / lab);
    made.add("data", JobKind::kPrepare, {});
    made.add("model", JobKind::kTrainModel, {"data"});
    std::vector<std::vector<std::string>> cells;
    for (const std::string& name : evaluated) {
      made.add(name, JobKind::kEvaluate, {"model"});
      cells.push_back({"data", "model", name});
    }
    made.submit(sweep, cells);
    if (!finished) return;
    for (const char* name : {"data", "model"}) made.finish(name);
    for (const std::string& name : evaluated) made.finish(name);
  }
  [[nodiscard]] Finished in(const std::string& lab, std::vector<std::string> words) const {
    words.insert(words.end(), {"--workdir", (folder() / lab).string()});
    return gauntlet(words);
  }
  [[nodiscard]] std::string ask(const std::string& lab, const std::string& sql) const {
    return in(lab, {"query", sql, "--format", "csv"}).out;
  }
  [[nodiscard]] std::string everything(const std::string& lab) const {
    std::string counts;
    for (const char* table : {"jobs", "results", "attempts", "cells", "cell_jobs", "sweeps", "spec_revisions",
                              "workers", "events", "curves", "leases"})
      counts += ask(lab, fmt::format("SELECT '{}', count(*) FROM {}", table, table));
    return counts;
  }
};

TEST_F(Import, MergesTheWorkOfTwoLabs) {
  make_lab("one", "alpha", {"e1", "e2"});
  make_lab("two", "beta", {"e2", "e3"});  // the data, the model and e2 are common
  const Finished exported =
      in("one", {"export", "--sweep", "alpha", "--to", (folder() / "a.tar.zst").string()});
  ASSERT_EQ(exported.exit_code, 0) << exported.err;
  EXPECT_THAT(exported.out, HasSubstr("1 sweep, 2 cells, 4 jobs, 4 numbers"));
  const Finished imported = in("two", {"import", (folder() / "a.tar.zst").string(), "--json"});
  ASSERT_EQ(imported.exit_code, 0) << imported.err;
  const Json document = Json::parse(imported.out);
  EXPECT_EQ(document["new_cells"], 2);
  EXPECT_EQ(document["done_jobs"], 1) << "e1";
  EXPECT_EQ(document["same_jobs"], 3);
  EXPECT_EQ(ask("two", "SELECT count(*) FROM jobs WHERE state = 3"), "count(*)\n5\n");
  EXPECT_EQ(ask("two", "SELECT sweep, count(*) FROM v_results WHERE metric='map' GROUP BY 1"),
            "sweep,count(*)\nalpha,6\nbeta,6\n");
  EXPECT_EQ(ask("two", "SELECT count(*) FROM v_missing"), "count(*)\n0\n");
  const Finished verified = in("two", {"verify"});
  EXPECT_EQ(verified.exit_code, 0) << verified.out << verified.err;

  const std::string before = everything("two");
  const Finished again = in("two", {"import", (folder() / "a.tar.zst").string(), "--json"});
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(everything("two"), before) << "a second time changes nothing";

  // Into an empty folder: what comes out again is what went in.
  ASSERT_EQ(in("three", {"import", (folder() / "a.tar.zst").string()}).exit_code, 0);
  ASSERT_EQ(in("three", {"export", "--sweep", "alpha", "--to", (folder() / "b").string()}).exit_code, 0);
  ASSERT_EQ(in("one", {"export", "--sweep", "alpha", "--to", (folder() / "a").string()}).exit_code, 0);
  for (const char* file : {"rows.csv", "cells.jsonl", "sweeps.jsonl", "jobs.jsonl", "sweeps/1.yaml"})
    EXPECT_EQ(read(folder() / "b" / file), read(folder() / "a" / file)) << file;
  EXPECT_TRUE(fs::exists(folder() / "a" / "manifests")) << "lab one has its artifacts";
  EXPECT_THAT(read(folder() / "a" / "report.html"), HasSubstr("How to run it again"));
}

TEST_F(Import, ContradictionsAreNamedAndNothingIsWritten) {
  make_lab("one", "alpha", {"e1", "e2"});
  make_lab("two", "beta", {"e2"});
  ASSERT_EQ(in("one", {"export", "--sweep", "alpha", "--to", (folder() / "a").string()}).exit_code, 0);
  {
    auto store = store::JobStore::open(folder() / "two" / "gauntlet.db");
    ASSERT_TRUE(store && store->connection().execute("UPDATE results SET value = 0.625 WHERE job_id = 3"));
  }
  const std::string before = everything("two");
  const Finished refused = in("two", {"import", (folder() / "a").string()});
  EXPECT_EQ(refused.exit_code, 6);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("map is 0.625 (n = 1) here and 0.5 (n = 1) in the import"),
                                 HasSubstr("contradicts this database in 1 place; nothing was imported")));
  EXPECT_EQ(everything("two"), before);

  // The same cell of a sweep of the same name with another job.
  make_lab("four", "alpha", {"e9"});
  const Finished other = in("four", {"import", (folder() / "a").string()});
  EXPECT_EQ(other.exit_code, 6);
  EXPECT_THAT(other.err, HasSubstr("sweep 'alpha' has the cell picto_scenes"));
}

TEST_F(Import, WhatWasNotDoneElsewhereIsNotStartedHere) {
  make_lab("one", "alpha", {"e1"}, false);
  const Finished exported = in("one", {"export", "--sweep", "alpha", "--to", (folder() / "a").string()});
  ASSERT_EQ(exported.exit_code, 0) << exported.err;
  EXPECT_THAT(exported.err, HasSubstr("3 jobs of the selected cells are not done yet"));
  ASSERT_EQ(in("two", {"import", (folder() / "a").string()}).exit_code, 0);
  EXPECT_EQ(ask("two", "SELECT DISTINCT state, message FROM v_jobs"),
            "state,message\ncancelled,not done where it was exported\n");
  EXPECT_EQ(in("two", {"verify"}).exit_code, 0);
  // Numbers that come later finish what waits, here and in a lab that has the same work in its queue.
  make_lab("later", "alpha", {"e1"});
  ASSERT_EQ(in("later", {"export", "--sweep", "alpha", "--to", (folder() / "b").string()}).exit_code, 0);
  for (const char* lab : {"two", "one"}) {
    const Finished imported = in(lab, {"import", (folder() / "b").string()});
    ASSERT_EQ(imported.exit_code, 0) << imported.err;
    EXPECT_EQ(ask(lab, "SELECT DISTINCT state FROM v_jobs"), "state\ndone\n") << lab;
    const Finished verified = in(lab, {"verify", "--database", (folder() / lab / "gauntlet.db").string()});
    EXPECT_EQ(verified.exit_code, 0) << lab << verified.out << verified.err;
  }
}

TEST_F(Import, ARunningCoordinatorIsNotDisturbed) {
  make_lab("one", "alpha", {"e1"});
  ASSERT_EQ(in("one", {"export", "--where", "seed=1", "--to", (folder() / "a").string()}).exit_code, 0);
  testing_support::Process coordinator(
      {GAUNTLET_BINARY_DIR "/bin/gauntlet", "coordinator", "--workdir", (folder() / "two").string()},
      folder());
  ASSERT_TRUE(testing_support::wait_until([&] { return fs::exists(folder() / "two" / "coordinator.json"); }));
  const Finished refused = in("two", {"import", (folder() / "a").string()});
  EXPECT_EQ(refused.exit_code, 6);
  EXPECT_THAT(refused.err, HasSubstr("a coordinator"));
}

TEST_F(Import, MistakesAreOneSentence) {
  make_lab("one", "alpha", {"e1"});
  EXPECT_THAT(in("one", {"export", "--to", "x"}).err, HasSubstr("--to needs to know which cells"));
  EXPECT_THAT(in("one", {"export", "--db", "x", "--sweep", "alpha"}).err,
              HasSubstr("--sweep and --where go with --to"));
  EXPECT_THAT(in("one", {"export", "--sweep", "alpah", "--to", "x"}).err, HasSubstr("did you mean 'alpha'"));
  EXPECT_EQ(in("one", {"import", "nowhere"}).exit_code, 4);
  EXPECT_THAT(in("one", {"import", folder().string()}).err,
              HasSubstr("export.json is missing: this is no export"));
}

}  // namespace
}  // namespace gauntlet::cli
