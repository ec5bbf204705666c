// A training whose process is killed goes on from its checkpoint and leaves what an undisturbed one leaves.

#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet {
namespace {

namespace fs = std::filesystem;
using testing::ContainsRegex;
using testing_support::bytes_of_file;
using testing_support::descendants;
using testing_support::Finished;
using testing_support::Process;
using testing_support::TempFolder;
using testing_support::wait_until;

constexpr auto kRunLimit = std::chrono::seconds(300);
const std::string kGauntlet = GAUNTLET_BINARY_DIR "/bin/gauntlet";

class Resume : public testing::Test {
 protected:
  void SetUp() override {
    folder_.write("train.yaml", R"(gauntlet: 1
name: train
axes:
  dataset: [{name: picto_scenes, preset: smoke}]
  model: [{name: cpah, backbone_width: 8, hidden: 32, epochs: 60, batch_size: 64}]
  bits: [16]
  defense: [none]
  attack: [none]
  direction: [i2t]
  seed: [1]
metrics: [map]
resources:
  train_model: {cpus: 1}
)");
  }

  [[nodiscard]] std::vector<std::string> command(const std::string& workdir) const {
    return {kGauntlet,
            "run",
            (folder_ / "train.yaml").string(),
            "--workdir",
            (folder_ / workdir).string(),
            "--checkpoint-minutes",
            "0"};
  }

  /// Every file of that name below a work folder's `part`.
  [[nodiscard]] std::vector<fs::path> files(const std::string& workdir, const std::string& part,
                                            const std::string& name) const {
    std::vector<fs::path> found;
    std::error_code error;  // a folder may go while it is read
    for (auto entry = fs::recursive_directory_iterator(folder_ / workdir / part, error);
         !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
      if (entry->path().filename() == name) found.push_back(entry->path());
    }
    return found;
  }

  TempFolder folder_;
};

TEST_F(Resume, AKilledTrainingGoesOnWhereItWas) {
  const Finished undisturbed = testing_support::run(command("quiet"), folder_.path(), {}, kRunLimit);
  ASSERT_EQ(undisturbed.exit_code, 0) << undisturbed.err;

  Process process(command("killed"), folder_.path());
  ASSERT_TRUE(wait_until([&] { return !files("killed", "checkpoints", "checkpoint.safetensors").empty(); }))
      << process.err();
  const std::vector<pid_t> ranks = descendants(process.pid(), "gauntlet-rank --fd");
  ASSERT_FALSE(ranks.empty());
  for (const pid_t rank : ranks) ASSERT_EQ(::kill(rank, SIGKILL), 0);
  const Finished finished = process.wait(kRunLimit);
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_EQ(finished.out, undisturbed.out);

  const auto logs = files("killed", "logs", "2.log");
  ASSERT_EQ(logs.size(), 1U);
  EXPECT_THAT(bytes_of_file(logs.front()), ContainsRegex("resumed at epoch [0-9]+ of 60, from "));
  const auto expected = files("quiet", "artifacts", "model.safetensors");
  const auto resumed = files("killed", "artifacts", "model.safetensors");
  ASSERT_EQ(expected.size(), 1U);
  ASSERT_EQ(resumed.size(), 1U);
  EXPECT_EQ(bytes_of_file(resumed.front()), bytes_of_file(expected.front()));
  EXPECT_TRUE(files("killed", "checkpoints", "checkpoint.safetensors").empty());
}

}  // namespace
}  // namespace gauntlet
