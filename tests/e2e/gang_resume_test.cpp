// A gang of two ranks whose worker is killed goes on from its checkpoint on another worker, and leaves what
// an undisturbed gang leaves, to the last bit.

#include <gmock/gmock.h>

#include "tests/e2e/cluster.hpp"

namespace gauntlet {
namespace {

namespace fs = std::filesystem;
using testing_support::bytes_of_file;
using testing_support::descendants;
using testing_support::Finished;
using testing_support::wait_until;

constexpr int kEpochs = 60;

class GangResume : public testing_support::Cluster {
 protected:
  /// Every file of that name below a folder.
  [[nodiscard]] static std::vector<fs::path> files(const fs::path& folder, const std::string& name) {
    std::vector<fs::path> found;
    std::error_code error;  // a folder may go while it is read
    for (auto entry = fs::recursive_directory_iterator(folder, error);
         !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
      if (entry->path().filename() == name) found.push_back(entry->path());
    }
    return found;
  }
  [[nodiscard]] static std::string only_file(const fs::path& folder, const std::string& name) {
    const std::vector<fs::path> found = files(folder, name);
    EXPECT_EQ(found.size(), 1U) << folder << " " << name;
    return found.size() == 1 ? bytes_of_file(found.front()) : "";
  }
  [[nodiscard]] static bool has_checkpoint(const fs::path& workdir) {
    return !files(workdir / "checkpoints", "checkpoint.safetensors").empty();
  }
  void send_to_ranks(const testing_support::Process& worker, int signal) const {
    const std::vector<pid_t> ranks = descendants(worker.pid(), "gauntlet-rank --fd");
    EXPECT_EQ(ranks.size(), 2U);
    for (const pid_t rank : ranks) EXPECT_EQ(::kill(rank, signal), 0);
  }
  /// Loses the training's worker once the coordinator has a checkpoint of it; the ranks wait for that, so
  /// that they are never done before.
  void lose_worker(const std::string& name) {
    ASSERT_TRUE(wait_until([&] { return has_checkpoint(workdir_of(name)); })) << workers_.back()->err();
    send_to_ranks(*workers_.back(), SIGSTOP);
    ASSERT_TRUE(wait_until([&] { return has_checkpoint(workdir()); })) << workers_.back()->err();
    send_to_ranks(*workers_.back(), SIGKILL);
    workers_.back()->send(SIGKILL);
    fs::remove_all(workdir_of(name) / "checkpoints");
  }
};

TEST_F(GangResume, OnAnotherWorkerEndsAsAnUndisturbedOne) {
  const fs::path quiet = folder_ / "quiet";
  const Finished undisturbed = testing_support::run(
      words({"run", write_training(2, 2, 64, kEpochs).string(), "--cpus", "2"}, quiet), folder_.path());
  ASSERT_EQ(undisturbed.exit_code, 0) << undisturbed.err;

  work("one", {"--cpus", "2", "--checkpoint-minutes", "0"});
  submit(2, 2, 64, kEpochs);
  lose_worker("one");
  work("two", {"--cpus", "2"});
  ASSERT_EQ(gauntlet({"wait", "gang"}).exit_code, 0) << workers_.back()->err();

  const auto of_quiet = [&](const std::string& sql) {
    return testing_support::run(words({"query", sql, "--json"}, quiet), folder_.path()).out;
  };
  EXPECT_EQ(row("SELECT count(*), sum(outcome = 'done'), max(world_size), min(world_size) FROM v_attempts "
                "WHERE kind = 'train_model'"),
            (Json{2, 1, 2, 2}));
  EXPECT_THAT(only_file(workdir_of("two") / "logs", "2.log"),
              testing::ContainsRegex("resumed at epoch [0-9]+ of 60, from "));
  EXPECT_EQ(only_file(workdir() / "artifacts", "model.safetensors"),
            only_file(quiet / "artifacts", "model.safetensors"));
  const std::string values =
      "SELECT json_group_array(metric || ' ' || value) FROM v_results "
      "WHERE metric NOT IN ('training_time', 'encoding_rate')";
  EXPECT_EQ(gauntlet({"query", values, "--json"}).out, of_quiet(values));
  const std::string curves = "SELECT json_group_array(curve || ' ' || hex(y)) FROM v_curves";
  EXPECT_EQ(gauntlet({"query", curves, "--json"}).out, of_quiet(curves));
  EXPECT_FALSE(has_checkpoint(workdir()));
}

}  // namespace
}  // namespace gauntlet
