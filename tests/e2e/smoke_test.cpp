// The main job through its real processes: sweep file → coordinator over TCP → agent → ranks → artifacts →
// rows → table, and the same again while something is killed.

#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "core/base/json.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing_support::descendants;
using testing_support::Finished;
using testing_support::Process;
using testing_support::TempFolder;
using testing_support::wait_until;

constexpr auto kRunLimit = std::chrono::seconds(300);
const std::string kGauntlet = GAUNTLET_BINARY_DIR "/bin/gauntlet";

/// A work folder with a copy of the smoke sweep (its table path made absolute) beside it.
class Smoke : public testing::Test {
 protected:
  void SetUp() override {
    std::ifstream file(GAUNTLET_SOURCE_DIR "/tests/e2e/smoke.yaml");
    std::stringstream text;
    text << file.rdbuf();
    write_spec(text.str());
  }

  void write_spec(std::string text) {
    text = std::regex_replace(text, std::regex(R"(\[results/tables)"),
                              "[" GAUNTLET_SOURCE_DIR "/results/tables");
    spec_text_ = text;
    std::ofstream(folder_.path() / "smoke.yaml") << text;
  }

  std::vector<std::string> command(const std::string& verb) const {
    return {kGauntlet, verb, (folder_.path() / "smoke.yaml").string(), "--workdir", workdir().string()};
  }
  fs::path workdir() const { return folder_.path() / "runs"; }

  Finished run_sweep() { return testing_support::run(command("run"), folder_.path(), {}, kRunLimit); }

  /// Number from SQL that gives one.
  std::int64_t count(const std::string& sql) {
    const Finished query = testing_support::run(
        {kGauntlet, "query", sql, "--workdir", workdir().string(), "--format", "json"}, folder_.path());
    EXPECT_EQ(query.exit_code, 0) << query.err;
    return Json::parse(query.out).at("rows").at(0).at(0).get<std::int64_t>();
  }

  /// Running jobs that have finished an epoch, as `status` tells.
  std::size_t count_attempts_in_epochs() {
    const Finished status = testing_support::run(
        {kGauntlet, "status", "--workdir", workdir().string(), "--json"}, folder_.path());
    if (status.exit_code != 0) return 0;
    const Json document = Json::parse(status.out);
    std::size_t n_started = 0;
    for (const Json& job : document.at("running")) {
      if (job.value("/progress/epoch"_json_pointer, 0) > 0) ++n_started;
    }
    return n_started;
  }

  /// What an undisturbed run prints; computed once per test program.
  static const std::string& undisturbed_table();

  TempFolder folder_;
  std::string spec_text_;
};

/// The undisturbed run, outside any test of its own.
struct Reference : Smoke {
  void TestBody() override {}
  std::string table() {
    SetUp();
    const Finished finished = run_sweep();
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
    return finished.out;
  }
};

const std::string& Smoke::undisturbed_table() {
  static const std::string table = Reference().table();
  return table;
}

/// Kills one process of the running sweep while a model trains, and expects the same table in the end.
class SmokeKilled : public Smoke {
 protected:
  void kill_and_finish(const std::function<std::vector<pid_t>(pid_t run)>& find) {
    const std::string expected = undisturbed_table();
    Process process(command("run"), folder_.path());
    pid_t victim = 0;
    ASSERT_TRUE(wait_until([&] {
      const fs::path models = workdir() / "artifacts" / "train_model";
      if (!fs::exists(models)) return false;
      const std::vector<pid_t> found = find(process.pid());
      if (!found.empty()) victim = found.front();
      return victim != 0;
    })) << process.err();
    ASSERT_EQ(::kill(victim, SIGKILL), 0);
    const Finished finished = process.wait(kRunLimit);
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
    EXPECT_EQ(finished.out, expected);
    EXPECT_EQ(count("SELECT count(*) FROM v_jobs WHERE state <> 'done'"), 0);
    // One row per job and metric: nothing counted twice.
    EXPECT_EQ(count("SELECT count(*) - count(DISTINCT job_id || '/' || metric_id) FROM results"), 0);
    EXPECT_TRUE(testing_support::processes_with(workdir().string()).empty());
  }
};

TEST_F(Smoke, PrintsTheTableAndRepeatsItWithoutWork) {
  const Finished first = run_sweep();
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_THAT(first.out, HasSubstr("drfgd"));
  EXPECT_EQ(count("SELECT count(*) FROM v_missing"), 0);
  EXPECT_TRUE(fs::exists(workdir() / "tables" / "quickstart.md"));

  const std::int64_t attempts = count("SELECT count(*) FROM attempts");
  const Finished second = run_sweep();
  EXPECT_EQ(second.exit_code, 0) << second.err;
  EXPECT_EQ(second.out, first.out);
  EXPECT_EQ(count("SELECT count(*) FROM attempts"), attempts);
}

TEST_F(Smoke, EveryDefenseStoresItsCost) {
  ASSERT_EQ(run_sweep().exit_code, 0);
  const std::string defended = "SELECT count(*) FROM v_cells WHERE defense != 'none'";
  ASSERT_GT(count(defended), 0);
  // A cell's numbers include its target model's cost; the job's kind tells them apart.
  for (const std::string metric : {"added_latency", "parameters", "training_time"}) {
    EXPECT_EQ(
        count(
            "SELECT count(*) FROM (SELECT DISTINCT r.defense, r.attack, r.protocol, r.direction, r.variant, "
            "r.seed FROM v_results r JOIN v_jobs j ON j.key = r.job_key WHERE r.defense != 'none' AND "
            "j.kind IN ('train_defense', 'encode') AND r.metric = '" +
            metric + "')"),
        count(defended))
        << metric;
  }
  EXPECT_EQ(count("SELECT count(*) FROM v_results r JOIN v_jobs j ON j.key = r.job_key WHERE r.defense IN "
                  "('box_blur', 'round_text') AND j.kind = 'encode' AND r.metric IN ('parameters', "
                  "'training_time') AND r.value != 0"),
            0);
}

TEST_F(Smoke, AnAddedSeedRunsOnlyItsOwnCells) {
  const std::string full = spec_text_;
  write_spec(std::regex_replace(full, std::regex(R"(seed: \[1, 2\])"), "seed: [1]"));
  ASSERT_EQ(run_sweep().exit_code, 0);
  const std::int64_t before = count("SELECT count(*) FROM attempts");
  write_spec(full);
  const Finished wider = run_sweep();
  ASSERT_EQ(wider.exit_code, 0) << wider.err;
  EXPECT_EQ(wider.out, undisturbed_table());
  // The dataset is prepared once; everything else belongs to one seed.
  EXPECT_EQ(count("SELECT count(*) FROM attempts"), 2 * before - 1);
}

TEST_F(Smoke, TwoRanksFinishTheSameSweep) {
  write_spec(std::regex_replace(spec_text_, std::regex(R"(train_model: \{cpus: 1\})"),
                                "train_model: {cpus: 2, ranks: 2}"));
  const Finished finished = run_sweep();
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_EQ(count("SELECT count(*) FROM v_missing"), 0);
}

TEST_F(Smoke, ADamagedArtifactIsNamedAndRebuilt) {
  ASSERT_EQ(run_sweep().exit_code, 0);
  fs::path model;
  for (const auto& entry : fs::recursive_directory_iterator(workdir() / "artifacts" / "train_model")) {
    if (entry.path().filename() == "model.safetensors") model = entry.path();
  }
  ASSERT_FALSE(model.empty());
  std::ofstream(model, std::ios::app) << "damage";
  // More adaptive steps: new jobs that need the damaged model.
  write_spec(std::regex_replace(spec_text_, std::regex("label: PGD adaptive, steps: 2"),
                                "label: PGD adaptive, steps: 1"));
  const Finished again = run_sweep();
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(count("SELECT count(*) FROM v_missing"), 0);
}

TEST_F(SmokeKilled, TheCoordinator) {
  kill_and_finish([](pid_t run) { return descendants(run, "gauntlet coordinator"); });
}

TEST_F(SmokeKilled, TheAgent) {
  kill_and_finish([](pid_t run) { return descendants(run, "gauntlet worker"); });
}

TEST_F(SmokeKilled, ARank) {
  kill_and_finish([](pid_t run) { return descendants(run, "gauntlet-rank --fd"); });
}

TEST_F(Smoke, AGangThatLosesARankIsRunAgain) {
  // Long enough for a rank to be met while it trains.
  const std::string slow = std::regex_replace(spec_text_, std::regex("epochs: 2"), "epochs: 200");
  write_spec(std::regex_replace(slow, std::regex(R"(train_model: \{cpus: 1\})"),
                                "train_model: {cpus: 2, ranks: 2}"));
  Process process(command("run"), folder_.path());
  std::vector<pid_t> ranks;
  ASSERT_TRUE(wait_until([&] {
    ranks = descendants(process.pid(), "gauntlet-rank --fd");
    return ranks.size() >= 2 && count_attempts_in_epochs() > 0;
  })) << process.err();
  ASSERT_EQ(::kill(ranks.back(), SIGKILL), 0);
  const Finished finished = process.wait(kRunLimit);
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_EQ(count("SELECT count(*) FROM v_missing"), 0);
  EXPECT_GE(count("SELECT max(attempt) FROM attempts"), 2);
}

TEST(Catalog, IsWhatGauntletRankWrites) {
  const TempFolder folder;
  const Finished written =
      testing_support::run({GAUNTLET_BINARY_DIR "/bin/gauntlet-rank", "--catalog"}, folder.path());
  ASSERT_EQ(written.exit_code, 0) << written.err;
  std::ifstream file(GAUNTLET_SOURCE_DIR "/schemas/catalog.json");
  std::stringstream committed;
  committed << file.rdbuf();
  EXPECT_EQ(Json::parse(written.out), Json::parse(committed.str()))
      << "run gauntlet-rank --catalog > schemas/catalog.json";
}

TEST_F(Smoke, AnInterruptedSweepSaysHowToGoOnAndDoes) {
  Process process(command("run"), folder_.path());
  ASSERT_TRUE(wait_until([&] { return !descendants(process.pid(), "gauntlet-rank --fd").empty(); }))
      << process.err();
  process.send(SIGINT);
  const Finished interrupted = process.wait(kRunLimit);
  EXPECT_EQ(interrupted.exit_code, 130);
  EXPECT_THAT(interrupted.err, HasSubstr("gauntlet run"));
  EXPECT_TRUE(testing_support::processes_with(workdir().string()).empty());
  const Finished finished = run_sweep();
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_EQ(finished.out, undisturbed_table());
}

}  // namespace
}  // namespace gauntlet
