// gauntlet gc on work folders: what it would free, what it frees, and what it never does.
#include <thread>

#include "tests/cli/cli_test_base.hpp"
#include "tests/cli/made_folder.hpp"

namespace gauntlet::cli {
namespace {

namespace fs = std::filesystem;
using spec::JobKind;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing_support::Finished;
using testing_support::Process;
using testing_support::wait_until;

class Gc : public CliTest {
 protected:
  Gc() : made_(workdir()) {}

  [[nodiscard]] Finished gc(std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"gc", "--workdir", workdir().string()});
    return gauntlet(more);
  }
  [[nodiscard]] Json report(std::vector<std::string> more = {}) const {
    more.emplace_back("--json");
    const Finished finished = gc(std::move(more));
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
    Json document = Json::parse(finished.out, nullptr, false);
    EXPECT_TRUE(document.is_object()) << finished.out;
    return document;
  }
  /// Names of the jobs whose artifact went, in the order of freeing.
  [[nodiscard]] std::vector<std::string> artifacts_in(const Json& document) const {
    std::vector<std::string> names;
    for (const Json& item : document["items"]) {
      for (const char* name : {"data", "model", "features", "crafted", "codes", "numbers", "heat", "old"}) {
        if (item["path"] == path_of(name)) names.emplace_back(name);
      }
    }
    return names;
  }
  [[nodiscard]] std::string path_of(const std::string& name) const {
    return known_.contains(name) ? made_.folder_of(name).string() : "";
  }
  void expect_sound() const {
    const Finished verified = gauntlet({"verify", "--workdir", workdir().string()});
    EXPECT_EQ(verified.exit_code, 0) << verified.out << verified.err;
  }
  void sweep() {
    make_sweep(made_);
    known_ = {"data", "model", "crafted", "codes", "numbers", "heat"};
  }

  MadeFolder made_;
  std::set<std::string> known_;
};

TEST_F(Gc, AFinishedSweepHasNothingToFree) {
  sweep();
  const Finished text = gc();
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_THAT(text.out, HasSubstr("would free 0 bytes; 6 artifacts of "));
  EXPECT_EQ(text.err, "");
  const Json document = report();
  EXPECT_EQ(document["format"], 1);
  EXPECT_EQ(document["freed"], false);
  EXPECT_EQ(document["items"], Json::array());
  EXPECT_EQ(document["kept"]["n"], 6);
}

TEST_F(Gc, FreesCheckpointsOfTrainingsThatAreOverAndNoOthers) {
  sweep();
  for (const char* name : {"waits", "fails", "replaced"}) {
    made_.add(name, JobKind::kTrainModel, {"data"});
    made_.submit(name == std::string("replaced") ? "changing" : name, {{"data", name}});
  }
  made_.add("instead", JobKind::kTrainModel, {"data"});
  made_.submit("changing", {{"data", "instead"}});
  made_.fail_attempt("fails", /*for_good=*/true);
  made_.fail_attempt("replaced", /*for_good=*/true);
  const auto checkpoint_of = [&](const std::string& key) {
    fs::create_directories(workdir() / "checkpoints" / key);
    return workdir() / "checkpoints" / key / "checkpoint.safetensors";
  };
  std::map<std::string, fs::path> files;
  for (const char* name : {"model", "waits", "fails", "replaced"}) {
    files[name] = checkpoint_of(made_.key(name).hex());
  }
  files["unknown"] = checkpoint_of(std::string(64, 'c'));
  for (const auto& [name, file] : files) std::ofstream(file) << "state of " << name;
  made_.close();

  const Json freed = report({"--yes"});
  EXPECT_EQ(freed["groups"]["checkpoint"]["n"], 3) << freed.dump(2);
  EXPECT_GT(freed["groups"]["checkpoint"]["bytes"], 0);
  for (const auto& [name, file] : files) {
    const bool is_needed = name == "waits" || name == "fails";  // a failed one may be asked for again
    EXPECT_EQ(fs::exists(file), is_needed) << name;
    EXPECT_EQ(fs::exists(file.parent_path()), is_needed) << name;
  }
  expect_sound();
}

TEST_F(Gc, ShowsFirstAndFreesWhenTold) {
  sweep();
  made_.add("old", JobKind::kEncode, {"model"});
  made_.submit("more", {{"old"}});
  made_.finish("old");
  known_.insert("old");
  made_.add("newer", JobKind::kEncode, {"model", "data"});
  made_.submit("more", {{"newer"}});  // the same cell, another job
  made_.fail_attempt("newer");
  made_.finish("newer");
  const fs::path artifacts = workdir() / "artifacts";
  fs::create_directories(artifacts / ".tmp" / "junk");
  fs::create_directories(artifacts / ".damaged" / "craft-x");
  const fs::path orphan = artifacts / "encode" / "aa" / std::string(64, 'a');
  fs::create_directories(orphan);
  std::ofstream(artifacts / "notes.txt") << "mine";
  const fs::path lost_logs = workdir() / "logs" / std::string(64, 'b');
  fs::create_directories(lost_logs);

  const Finished shown = gc({"--list"});
  EXPECT_EQ(shown.exit_code, 0);
  EXPECT_THAT(shown.out, AllOf(HasSubstr("2 leftovers"), HasSubstr("1 artifact of no job"),
                               HasSubstr("1 artifact that no cell"), HasSubstr("2 logs of attempts"),
                               HasSubstr(made_.folder_of("old").string())));
  EXPECT_THAT(shown.err, HasSubstr("nothing was freed; add --yes to free it"));
  EXPECT_TRUE(made_.has_artifact("old"));

  made_.close();
  const Json freed = report({"--yes"});
  EXPECT_EQ(freed["freed"], true);
  EXPECT_EQ(freed["groups"]["leftover"]["n"], 2);
  EXPECT_EQ(freed["groups"]["orphan"]["n"], 1);
  EXPECT_EQ(freed["groups"]["unwanted"]["n"], 1);
  EXPECT_EQ(freed["groups"]["log"]["n"], 2);
  EXPECT_FALSE(made_.has_artifact("old"));
  EXPECT_FALSE(fs::exists(orphan));
  EXPECT_FALSE(fs::exists(lost_logs));
  EXPECT_FALSE(fs::exists(made_.log_of("newer", 1)));
  EXPECT_TRUE(fs::exists(made_.log_of("newer", 2)));
  EXPECT_TRUE(fs::exists(artifacts / "notes.txt")) << "it is nothing of ours";
  EXPECT_TRUE(fs::is_empty(artifacts / ".tmp"));
  for (const char* name : {"data", "model", "crafted", "codes", "numbers", "heat", "newer"})
    EXPECT_TRUE(made_.has_artifact(name)) << name;
  expect_sound();
  EXPECT_EQ(report()["items"], Json::array());
}

TEST_F(Gc, ALimitFreesTheCheapestToMakeAgainAndNeverWhatCellsEndIn) {
  made_.add("data", JobKind::kPrepare, {});
  made_.add("features", JobKind::kFeatures, {"data"});
  made_.add("model", JobKind::kTrainModel, {"features"});
  made_.add("crafted", JobKind::kCraft, {"model"});
  made_.add("codes", JobKind::kEncode, {"crafted"});
  made_.add("numbers", JobKind::kEvaluate, {"codes"});
  made_.add("heat", JobKind::kExplain, {"crafted"});
  known_ = {"data", "features", "model", "crafted", "codes", "numbers", "heat"};
  made_.submit("small", {{"data", "features", "model", "crafted", "codes", "numbers", "heat"}});
  const std::size_t megabyte = 1 << 20;
  made_.finish("data", megabyte, 5);
  made_.finish("features", megabyte, 30);
  made_.finish("model", megabyte, 10);  // cheaper than features, but a checkpoint
  made_.finish("crafted", megabyte, 20);
  made_.finish("codes", megabyte, 2);
  made_.finish("numbers", megabyte, 1);
  made_.finish("heat", megabyte, 1);
  made_.close();

  EXPECT_THAT(artifacts_in(report({"--max-size", "20MB"})), IsEmpty());
  EXPECT_THAT(artifacts_in(report({"--max-size", "6.5MiB"})), ElementsAre("codes"));
  EXPECT_THAT(artifacts_in(report({"--max-size", "4.5MiB"})), ElementsAre("codes", "crafted", "features"));
  const Json all = report({"--max-size", "0"});
  EXPECT_THAT(artifacts_in(all), ElementsAre("codes", "crafted", "features", "data", "model"));
  EXPECT_GT(all["over_limit_bytes"].get<std::uint64_t>(), 2 * megabyte);

  const Json freed = report({"--yes", "--max-size", "4.5MiB"});
  EXPECT_THAT(artifacts_in(freed), ElementsAre("codes", "crafted", "features"));
  EXPECT_EQ(freed["over_limit_bytes"], 0);
  for (const char* gone : {"codes", "crafted", "features"}) EXPECT_FALSE(made_.has_artifact(gone)) << gone;
  for (const char* kept : {"data", "model", "numbers", "heat"}) EXPECT_TRUE(made_.has_artifact(kept)) << kept;
  expect_sound();
  const Finished query =
      gauntlet({"query", "SELECT count(*) FROM v_results", "--workdir", workdir().string()});
  EXPECT_THAT(query.out, HasSubstr("7")) << "every number is still there";
}

TEST_F(Gc, NothingThatUnfinishedWorkReadsGoes) {
  sweep();
  made_.add("late", JobKind::kEncode, {"crafted"});
  made_.submit("later", {{"late"}});
  made_.lease("late");
  made_.close();
  const Json freed = report({"--yes", "--max-size", "0"});
  EXPECT_THAT(artifacts_in(freed), ElementsAre("codes"));
  expect_sound();
}

TEST_F(Gc, OldHistoryGoesAndNumbersStay) {
  made_.add("numbers", JobKind::kEvaluate, {});
  made_.submit("small", {{"numbers"}});
  made_.fail_attempt("numbers");
  made_.finish("numbers");
  made_.close();
  const std::string before =
      gauntlet({"query", "SELECT * FROM v_results", "--workdir", workdir().string(), "--json"}).out;
  const Json shown = report({"--older", "30d"});
  EXPECT_EQ(shown["rows"]["attempts"], 1);
  EXPECT_GT(shown["rows"]["events"], 0);
  EXPECT_EQ(report({"--yes", "--older", "30d"})["rows"]["attempts"], 1);
  EXPECT_EQ(report({"--older", "30d"})["rows"]["attempts"], 0);
  EXPECT_FALSE(fs::exists(made_.log_of("numbers", 2))) << "of a job that is long done";
  EXPECT_EQ(gauntlet({"query", "SELECT * FROM v_results", "--workdir", workdir().string(), "--json"}).out,
            before);
  expect_sound();
}

TEST_F(Gc, ACoordinatorIsNotDisturbed) {
  sweep();
  made_.close();
  const Process coordinator(
      {GAUNTLET_BINARY_DIR "/bin/gauntlet", "coordinator", "--workdir", workdir().string()}, folder());
  ASSERT_TRUE(wait_until([&] { return fs::exists(workdir() / "coordinator.json"); })) << coordinator.err();
  const Finished refused = gc({"--yes"});
  EXPECT_EQ(refused.exit_code, 6);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("is in use already (process " + std::to_string(coordinator.pid()) +
                                           ", a coordinator)"),
                                 HasSubstr("gauntlet coordinator --stop --workdir " + workdir().string())));
  EXPECT_EQ(gc().exit_code, 0) << "looking is always allowed";
}

TEST_F(Gc, MistakesAreOneSentence) {
  EXPECT_EQ(gc({"--max-size", "lots"}).exit_code, 2);
  EXPECT_THAT(gc({"--max-size", "lots"}).err,
              HasSubstr("'lots' is not a size; write it as 500MB, 20GB or 1.5TiB"));
  EXPECT_THAT(gc({"--older", "30x"}).err, HasSubstr("'30x' is not an age; write it as 36h, 30d or 8w"));
  const Finished none = gauntlet({"gc", "--yes", "--workdir", (folder() / "elsewhere").string()});
  EXPECT_EQ(none.exit_code, 4);
  EXPECT_THAT(none.err, HasSubstr("there is no database"));
}

}  // namespace
}  // namespace gauntlet::cli
