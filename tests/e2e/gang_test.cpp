// Gangs through the whole program: coordinator, workers, mpirun, ranks that meet over Gloo.

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include "core/base/files.hpp"
#include "core/base/json.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing_support::Finished;
using testing_support::Process;

const std::string kGauntlet = GAUNTLET_BINARY_DIR "/bin/gauntlet";

class Gang : public testing::Test {
 protected:
  void SetUp() override {
    coordinator_ = start({"coordinator"}, workdir());
    ASSERT_TRUE(testing_support::wait_until([&] { return fs::exists(workdir() / "coordinator.json"); }))
        << coordinator_->err();
  }
  [[nodiscard]] fs::path workdir() const { return folder_ / "runs"; }
  [[nodiscard]] static std::vector<std::string> words(std::vector<std::string> command, const fs::path& at) {
    command.insert(command.begin(), kGauntlet);
    command.insert(command.end(), {"--workdir", at.string()});
    return command;
  }
  [[nodiscard]] std::unique_ptr<Process> start(std::vector<std::string> command, const fs::path& at) const {
    return std::make_unique<Process>(words(std::move(command), at), folder_.path());
  }
  [[nodiscard]] Finished gauntlet(std::vector<std::string> command) const {
    return testing_support::run(words(std::move(command), workdir()), folder_.path(), {},
                                std::chrono::seconds(300));
  }
  /// A worker on a work folder of its own, as on another machine.
  void work(const std::string& name, std::vector<std::string> options) {
    const fs::path far = folder_ / name;
    fs::create_directories(far);
    fs::copy(workdir() / "token", far / "token");
    fs::permissions(far / "token", fs::perms::owner_read | fs::perms::owner_write);
    const auto text = read_file(workdir() / "coordinator.json", 4096);
    ASSERT_TRUE(text);
    const int port = Json::parse(*text).at("port").get<int>();
    options.insert(options.begin(), {"worker", "--name", name, "--no-gpus", "--coordinator",
                                     "127.0.0.1:" + std::to_string(port)});
    workers_.push_back(start(std::move(options), far));
  }
  /// A training of so many ranks with so many cpus.
  void submit(int ranks, int cpus, int batch_size) {
    std::ofstream(folder_ / "gang.yaml")
        << "gauntlet: 1\nname: gang\naxes:\n  dataset: [{name: picto_scenes, preset: smoke}]\n"
           "  model: [{name: cpah, backbone_width: 8, hidden: 32, epochs: 1, batch_size: "
        << batch_size << "}]\n  bits: [16]\n  defense: [none]\n  attack: [none]\n  direction: [i2t]\n"
        << "  seed: [1]\nmetrics: [map]\nresources:\n  train_model: {cpus: " << cpus << ", ranks: " << ranks
        << "}\n";
    const Finished submitted = gauntlet({"submit", (folder_ / "gang.yaml").string()});
    ASSERT_EQ(submitted.exit_code, 0) << submitted.err;
  }
  /// The first row of an answer.
  [[nodiscard]] Json row(const std::string& sql) const {
    const Finished query = gauntlet({"query", sql, "--json"});
    EXPECT_EQ(query.exit_code, 0) << query.err;
    return Json::parse(query.out).at("rows").at(0);
  }

  testing_support::TempFolder folder_;
  std::unique_ptr<Process> coordinator_;
  std::vector<std::unique_ptr<Process>> workers_;
};

/// Neither worker has the two cpus alone. They share no folder: what the ranks read comes through the
/// coordinator.
TEST_F(Gang, TwoWorkersTrainOneModel) {
  if (!fs::exists("/usr/bin/mpirun")) GTEST_SKIP() << "no mpirun here: apt-get install openmpi-bin";
  for (const char* name : {"one", "two"})
    work(name, {"--cpus", "1", "--launcher", "mpirun", "--address", "127.0.0.1"});
  submit(2, 2, 64);
  const Finished done = gauntlet({"wait", "gang"});
  const Finished status = gauntlet({"status"});
  ASSERT_EQ(done.exit_code, 0) << done.err << status.out << workers_[0]->err() << workers_[1]->err();
  EXPECT_EQ(row("SELECT outcome, world_size FROM v_attempts WHERE kind = 'train_model'"), (Json{"done", 2}));
  EXPECT_EQ(row("SELECT outcome, world_size FROM v_attempts WHERE kind = 'evaluate'"), (Json{"done", 1}));
  EXPECT_GT(row("SELECT value FROM v_results WHERE metric = 'map'").at(0).get<double>(), 0.1);
  EXPECT_EQ(gauntlet({"verify"}).exit_code, 0);
}

TEST_F(Gang, MoreRanksThanABatchHasPairsAreRefusedInOneSentence) {
  work("one", {"--cpus", "4"});
  submit(4, 4, 3);
  EXPECT_EQ(gauntlet({"wait", "gang"}).exit_code, 3);
  const Json failed = row("SELECT outcome, message FROM v_attempts WHERE kind = 'train_model'");
  EXPECT_EQ(failed.at(0), "invalid");
  EXPECT_THAT(failed.at(1).get<std::string>(),
              HasSubstr("cpah: a batch of 3 pairs cannot be split over 4 ranks; allowed: at most 3 ranks, or "
                        "batch_size at least 4"));
  EXPECT_EQ(row("SELECT count(*) FROM v_attempts WHERE kind = 'train_model'"), (Json{1}))
      << "another attempt would end the same way";
}

}  // namespace
}  // namespace gauntlet
