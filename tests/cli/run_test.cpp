// gauntlet run through its real processes, with jobs that do nothing: finished, repeated, killed,
// interrupted, refused.
#include <sys/stat.h>

#include "tests/cli/cli_test_base.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing_support::descendants;
using testing_support::Finished;
using testing_support::Process;
using testing_support::wait_until;

class Run : public CliTest {
 protected:
  fs::path spec(int jobs, int ms, const std::string& name = "noops") const {
    return write(name + ".yaml", "gauntlet: 1\nname: " + name + "\nnoop: {jobs: " + std::to_string(jobs) +
                                     ", ms: " + std::to_string(ms) + "}\n");
  }
  [[nodiscard]] std::vector<std::string> run_words(const fs::path& spec_path) const {
    return {GAUNTLET_BINARY_DIR "/bin/gauntlet", "run", spec_path.string(), "--workdir", workdir().string()};
  }
  [[nodiscard]] Finished run(const fs::path& spec_path) const {
    return testing_support::run(run_words(spec_path), folder());
  }
  [[nodiscard]] std::int64_t count(const std::string& sql) const {
    const Finished query = gauntlet({"query", sql, "--workdir", workdir().string(), "--json"});
    EXPECT_EQ(query.exit_code, 0) << query.err;
    if (query.exit_code != 0) return -1;
    return Json::parse(query.out)["rows"][0][0].get<std::int64_t>();
  }
  void expect_all_done(int jobs) const {
    EXPECT_EQ(count("SELECT count(*) FROM v_jobs WHERE state = 'done'"), jobs);
    EXPECT_EQ(count("SELECT count(*) FROM v_jobs WHERE state <> 'done'"), 0);
    EXPECT_EQ(count("SELECT count(*) FROM results"), 3 * jobs) << "three rows each, none counted twice";
    EXPECT_TRUE(testing_support::processes_with(workdir().string()).empty());
  }
};

TEST_F(Run, FinishesAndRepeatsWithoutWork) {
  const fs::path sweep = spec(50, 0);
  const Finished first = run(sweep);
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(first.out, "") << "a sweep without tables prints no data";
  EXPECT_THAT(first.err, HasSubstr("noops: 50 of 50 jobs done"));
  EXPECT_EQ(first.err.find('\x1b'), std::string::npos) << "nothing is animated off a terminal";
  expect_all_done(50);

  const Finished second = run(sweep);
  EXPECT_EQ(second.exit_code, 0) << second.err;
  EXPECT_THAT(second.err, HasSubstr("50 known, 50 of them done"));
  EXPECT_EQ(count("SELECT count(*) FROM attempts"), 50);
}

TEST_F(Run, JsonIsOneDocument) {
  std::vector<std::string> words = run_words(spec(5, 0));
  words.emplace_back("--json");
  const Finished finished = testing_support::run(words, folder());
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
  const Json document = Json::parse(finished.out);
  EXPECT_EQ(document["format"], 1);
  EXPECT_EQ(document["sweep"], "noops");
  EXPECT_EQ(document["jobs"]["total"], 5);
  EXPECT_EQ(document["jobs"]["done"], 5);
  EXPECT_EQ(document["failed"], Json::array());
}

TEST_F(Run, MoreJobsRunOnlyTheNewOnes) {
  ASSERT_EQ(run(spec(20, 0)).exit_code, 0);
  const Finished wider = run(spec(30, 0));
  EXPECT_EQ(wider.exit_code, 0) << wider.err;
  EXPECT_THAT(wider.err, HasSubstr("10 new"));
  expect_all_done(30);
}

TEST_F(Run, WhatFailedBeforeTheFileWasCorrectedIsLeftAlone) {
  const auto jobs_that = [&](const std::string& end) {
    return write("fix.yaml", "gauntlet: 1\nname: fix\ncommand: {jobs: 2, run: [sh, -c, '" + end + "']}\n");
  };
  const Finished wrong = run(jobs_that("exit 4"));
  EXPECT_EQ(wrong.exit_code, 3) << wrong.err;
  EXPECT_THAT(wrong.err, HasSubstr("2 jobs of sweep fix failed"));

  const Finished corrected = run(jobs_that("exit 0"));
  EXPECT_EQ(corrected.exit_code, 0) << corrected.err;
  EXPECT_THAT(corrected.err, HasSubstr("2 jobs of earlier versions of this file failed or "));
  EXPECT_THAT(corrected.err, testing::Not(HasSubstr("exit code 4")));
  EXPECT_EQ(count("SELECT count(*) FROM v_attempts"), 4) << "each job once";

  const Finished wrong_again = run(jobs_that("exit 4"));
  EXPECT_EQ(wrong_again.exit_code, 3) << wrong_again.err;
  EXPECT_THAT(wrong_again.err, HasSubstr("trying 2 jobs again"));
  EXPECT_EQ(count("SELECT count(*) FROM v_attempts"), 6);

  const Finished mixed =
      run(write("fix.yaml", "gauntlet: 1\nname: fix\ncommand: {jobs: 1, run: [sh, -c, 'exit 4']}\n"));
  EXPECT_EQ(mixed.exit_code, 3) << mixed.err;
  EXPECT_THAT(mixed.err,
              testing::AllOf(HasSubstr("trying 1 job again"), HasSubstr("1 job of sweep fix failed")));
}

TEST_F(Run, TenThousandJobsFinish) {
  const Finished finished = run(spec(10000, 0));
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  expect_all_done(10000);
}

/// Kills one process of a running sweep, once some of its jobs are done.
class RunKilled : public Run {
 protected:
  void kill_and_finish(const std::string& command) {
    constexpr int kJobs = 600;
    Process process(run_words(spec(kJobs, 5)), folder());
    ASSERT_TRUE(wait_until([&] {
      return !descendants(process.pid(), command).empty() && fs::exists(workdir() / "gauntlet.db") &&
             n_done() > kJobs / 20;
    })) << process.err();
    ASSERT_TRUE(process.is_running()) << "the sweep was over before it could be disturbed";
    const std::vector<pid_t> victims = descendants(process.pid(), command);
    ASSERT_FALSE(victims.empty());
    ASSERT_EQ(::kill(victims.front(), SIGKILL), 0);
    const Finished finished = process.wait();
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
    expect_all_done(kJobs);
  }

 private:
  [[nodiscard]] std::int64_t n_done() const {
    const Finished query = gauntlet({"query", "SELECT count(*) FROM v_jobs WHERE state = 'done'", "--workdir",
                                     workdir().string(), "--json"});
    return query.exit_code == 0 ? Json::parse(query.out)["rows"][0][0].get<std::int64_t>() : 0;
  }
};

TEST_F(RunKilled, TheCoordinator) { kill_and_finish("gauntlet coordinator"); }

TEST_F(RunKilled, TheAgent) { kill_and_finish("gauntlet worker"); }

TEST_F(RunKilled, AnExecutor) { kill_and_finish("gauntlet executor"); }

TEST_F(Run, CtrlCStopsPolitelyAndTheSameCommandGoesOn) {
  const fs::path sweep = spec(400, 20);
  Process process(run_words(sweep), folder());
  ASSERT_TRUE(wait_until([&] { return !descendants(process.pid(), "gauntlet executor").empty(); }))
      << process.err();
  process.send(SIGINT);
  const Finished interrupted = process.wait();
  EXPECT_EQ(interrupted.exit_code, 130);
  EXPECT_THAT(interrupted.err, HasSubstr("stopping: running attempts are interrupted and given back"));
  EXPECT_THAT(interrupted.err,
              HasSubstr("go on with: gauntlet run " + sweep.string() + " --workdir " + workdir().string()));
  EXPECT_TRUE(testing_support::processes_with(workdir().string()).empty());
  EXPECT_EQ(count("SELECT count(*) FROM v_jobs WHERE state IN ('failed', 'leased')"), 0)
      << "an interruption is no failure";

  spec(400, 20);  // the same file
  Process again(run_words(sweep), folder());
  const Finished finished = again.wait();
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  expect_all_done(400);
}

TEST_F(Run, CtrlCTwiceStopsAtOnce) {
  Process process(run_words(spec(20, 600'000)), folder());
  ASSERT_TRUE(wait_until([&] { return !descendants(process.pid(), "gauntlet executor").empty(); }))
      << process.err();
  process.send(SIGINT);
  process.send(SIGINT);
  const Finished interrupted = process.wait();
  EXPECT_EQ(interrupted.exit_code, 130);
  EXPECT_TRUE(wait_until([&] { return testing_support::processes_with(workdir().string()).empty(); }));
}

TEST_F(Run, ASecondRunOnTheSameFolderJoinsTheFirst) {
  Process first(run_words(spec(400, 10, "first")), folder());
  ASSERT_TRUE(wait_until([&] { return !descendants(first.pid(), "gauntlet worker").empty(); }))
      << first.err();
  Process second(run_words(spec(100, 0, "second")), folder());
  const Finished second_end = second.wait();
  EXPECT_EQ(second_end.exit_code, 0) << second_end.err;
  const Finished first_end = first.wait();
  EXPECT_EQ(first_end.exit_code, 0) << first_end.err;
  EXPECT_EQ(count("SELECT count(*) FROM v_jobs WHERE state = 'done'"), 500);
}

// ---------------------------------------------------------------- what the world may refuse

class RunRefused : public Run {
 protected:
  void expect_refusal(const Finished& finished, int exit_code, const std::string& sentence) const {
    EXPECT_EQ(finished.exit_code, exit_code) << finished.err;
    EXPECT_EQ(finished.out, "");
    EXPECT_THAT(finished.err, HasSubstr("gauntlet: "));
    EXPECT_THAT(finished.err, HasSubstr(sentence));
    EXPECT_TRUE(testing_support::processes_with(workdir().string()).empty());
  }
};

TEST_F(RunRefused, AWorkFolderThatCannotBeMade) {
  write("runs", "a file where the folder should be");
  expect_refusal(run(spec(1, 0)), 1, workdir().string());
}

TEST_F(RunRefused, ALogThatCannotBeWritten) {
  fs::create_directories(workdir() / "logs" / "coordinator.log");  // a folder where the file should be
  expect_refusal(run(spec(1, 0)), 1,
                 "cannot open the log " + (workdir() / "logs" / "coordinator.log").string());
}

TEST_F(RunRefused, ADatabaseThatIsNone) {
  fs::create_directories(workdir());
  std::ofstream(workdir() / "gauntlet.db") << std::string(4096, 'x');
  expect_refusal(run(spec(1, 0)), 1, (workdir() / "gauntlet.db").string());
  EXPECT_EQ(read(workdir() / "gauntlet.db"), std::string(4096, 'x')) << "nothing is lost";
}

TEST_F(RunRefused, ADatabaseThatIsCutOff) {
  ASSERT_EQ(run(spec(200, 0)).exit_code, 0);
  fs::resize_file(workdir() / "gauntlet.db", fs::file_size(workdir() / "gauntlet.db") / 2);
  expect_refusal(run(spec(201, 0)), 1, (workdir() / "gauntlet.db").string());
}

TEST_F(RunRefused, ADatabaseNewerThanTheProgram) {
  ASSERT_EQ(run(spec(1, 0)).exit_code, 0);
  ASSERT_EQ(
      shell("python3 - <<'E'\nimport sqlite3\nc=sqlite3.connect('" + (workdir() / "gauntlet.db").string() +
            "')\nc.execute('PRAGMA user_version=999')\nc.commit()\nE")
          .exit_code,
      0);
  expect_refusal(run(spec(2, 0)), 6, "999");
}

TEST_F(RunRefused, AMissingTableSpecBeforeAnythingRuns) {
  const fs::path sweep =
      write("t.yaml",
            "gauntlet: 1\nname: t\naxes:\n  dataset: [{name: picto_scenes, preset: smoke}]\n"
            "  model: [cpah]\n  bits: [16]\n  defense: [none]\n  attack: [none]\n"
            "  direction: [i2t]\n  seed: [1]\nmetrics: [map]\ntables: [nowhere.yaml]\n");
  expect_refusal(run(sweep), 4, "nowhere.yaml");
  EXPECT_FALSE(fs::exists(workdir()));
}

TEST_F(RunRefused, APortInUse) {
  Process first(
      {GAUNTLET_BINARY_DIR "/bin/gauntlet", "coordinator", "--workdir", (folder() / "one").string()},
      folder());
  ASSERT_TRUE(wait_until([&] { return fs::exists(folder() / "one" / "coordinator.json"); })) << first.err();
  const Json where = Json::parse(read(folder() / "one" / "coordinator.json"));
  const Finished second = gauntlet({"coordinator", "--workdir", (folder() / "two").string(), "--port",
                                    std::to_string(where["port"].get<int>())});
  EXPECT_EQ(second.exit_code, 6) << second.err;
  EXPECT_THAT(second.err, HasSubstr(std::to_string(where["port"].get<int>())));
  const Finished third = gauntlet({"coordinator", "--workdir", (folder() / "one").string()});
  EXPECT_EQ(third.exit_code, 6) << "its lock is held";
  EXPECT_THAT(third.err, HasSubstr(std::to_string(first.pid())));
  const Finished stop = gauntlet({"coordinator", "--workdir", (folder() / "one").string(), "--stop"});
  EXPECT_EQ(stop.exit_code, 0) << stop.err;
  EXPECT_EQ(first.wait().exit_code, 0);
}

// ---------------------------------------------------------------- a coordinator of one's own

class Served : public Run {
 protected:
  void SetUp() override {
    coordinator_ =
        std::make_unique<Process>(std::vector<std::string>{GAUNTLET_BINARY_DIR "/bin/gauntlet", "coordinator",
                                                           "--workdir", workdir().string()},
                                  folder());
    ASSERT_TRUE(wait_until([&] { return fs::exists(workdir() / "coordinator.json"); }))
        << coordinator_->err();
  }
  void start_worker() {
    worker_ =
        std::make_unique<Process>(std::vector<std::string>{GAUNTLET_BINARY_DIR "/bin/gauntlet", "worker",
                                                           "--workdir", workdir().string(), "--cpus", "2"},
                                  folder());
  }
  [[nodiscard]] Finished ask(std::vector<std::string> words) const {
    words.insert(words.end(), {"--workdir", workdir().string()});
    return gauntlet(words);
  }
  std::unique_ptr<Process> coordinator_;
  std::unique_ptr<Process> worker_;
};

TEST_F(Served, SubmitWaitStatusExplainAndLogs) {
  const Finished submitted = ask({"submit", spec(10, 0).string(), "--json"});
  ASSERT_EQ(submitted.exit_code, 0) << submitted.err;
  EXPECT_EQ(Json::parse(submitted.out)["new_jobs"], 10);
  const Finished too_soon = ask({"wait", "noops", "--timeout", "0.3"});
  EXPECT_EQ(too_soon.exit_code, 8) << "no worker yet";
  EXPECT_THAT(too_soon.err, HasSubstr("sweep noops is not done after"));
  start_worker();
  const Finished waited = ask({"wait", "noops", "--timeout", "60", "--json"});
  EXPECT_EQ(waited.exit_code, 0) << waited.err;
  const Json status = Json::parse(waited.out);
  EXPECT_EQ(status["format"], 1);
  EXPECT_EQ(status["sweeps"][0]["name"], "noops");
  EXPECT_EQ(status["sweeps"][0]["jobs"]["done"], 10);
  EXPECT_EQ(ask({"watch", "noops"}).exit_code, 0);
  EXPECT_THAT(ask({"status"}).out, HasSubstr("noops: 10 of 10 jobs done"));
  const Finished unknown = ask({"status", "noop"});
  EXPECT_EQ(unknown.exit_code, 4);
  EXPECT_THAT(unknown.err, HasSubstr("unknown sweep 'noop'; did you mean 'noops'?"));

  const Finished key = ask({"query", "SELECT key FROM v_jobs LIMIT 1", "--json"});
  ASSERT_EQ(key.exit_code, 0) << key.err;
  const std::string hex = Json::parse(key.out)["rows"][0][0];
  const Finished explained = ask({"explain", hex.substr(0, 16), "--json"});
  ASSERT_EQ(explained.exit_code, 0) << explained.err;
  EXPECT_EQ(Json::parse(explained.out)["state"], "done");
  EXPECT_EQ(Json::parse(explained.out)["key"], hex);
  EXPECT_EQ(ask({"explain", "ffffffffffffffff"}).exit_code, 4);
}

TEST_F(Served, PauseResumeCancelRetry) {
  ASSERT_EQ(ask({"submit", spec(10, 0).string()}).exit_code, 0);
  EXPECT_EQ(ask({"pause", "noops"}).out, "paused noops\n");
  EXPECT_THAT(ask({"status", "noops"}).out, HasSubstr("paused"));
  const Finished cancelled = ask({"cancel", "noops", "--reason", "a test", "--json"});
  EXPECT_EQ(cancelled.exit_code, 0) << cancelled.err;
  EXPECT_EQ(Json::parse(cancelled.out)["jobs"], 10);
  EXPECT_EQ(ask({"wait", "noops"}).exit_code, 3) << "cancelled jobs are not done";
  EXPECT_EQ(ask({"resume", "noops"}).out, "resumed noops\n");
  EXPECT_EQ(Json::parse(ask({"retry", "noops", "--json"}).out)["jobs"], 10);
  start_worker();
  EXPECT_EQ(ask({"wait", "noops", "--timeout", "60"}).exit_code, 0);
  const fs::path held = write("held.yaml",
                              "gauntlet: 1\nname: held\ncommand: {jobs: 1, run: [\"true\"]}\n"
                              "resources: {command: {labels: {disk: ssd}}}\n");
  ASSERT_EQ(ask({"submit", held.string()}).exit_code, 0);
  EXPECT_THAT(ask({"status", "held"}).out, HasSubstr("0 failed, less than a second left"));
  EXPECT_EQ(ask({"pause", "held"}).out, "paused held\n");
  EXPECT_THAT(ask({"status", "held"}).out, testing::Not(HasSubstr(" left")));
}

TEST_F(Served, StatusListsTheFirstOfManyJobsAndSaysHowToSeeAll) {
  const fs::path many =
      write("many.yaml", "gauntlet: 1\nname: many\ncommand: {jobs: 24, run: [\"false\"]}\n");
  ASSERT_EQ(ask({"submit", many.string()}).exit_code, 0);
  start_worker();
  EXPECT_EQ(ask({"wait", "many", "--timeout", "60"}).exit_code, 3);
  const std::string text = ask({"status"}).out;
  std::size_t n_lines = 0;
  for (std::size_t at = text.find("(log: "); at != std::string::npos; at = text.find("(log: ", at + 1))
    ++n_lines;
  EXPECT_EQ(n_lines, 20U) << text;
  const std::string query = "SELECT * FROM v_jobs WHERE state = 'failed'";
  EXPECT_THAT(text, HasSubstr("  and more: gauntlet query \"" + query + "\"\n"));
  EXPECT_EQ(Json::parse(ask({"query", query, "--json"}).out)["rows"].size(), 24U);
}

TEST_F(Run, ASweepFileLargerThanAFrameArrivesWhole) {
  std::string text = "gauntlet: 1\nname: commented\nnoop: {jobs: 2, ms: 0}\n# ";  // then é at odd places
  while (text.size() < std::size_t{17} << 20) text += "éééééééééééééééé";
  const fs::path path = write("commented.yaml", text + "\n");
  const Finished finished = run(path);
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
  expect_all_done(2);
  EXPECT_EQ(count("SELECT length(CAST(spec_text AS BLOB)) FROM spec_revisions"),
            static_cast<std::int64_t>(text.size() + 1));
}

}  // namespace
}  // namespace gauntlet::cli
