// A Slurm of its own on this machine (tests/support/slurm-cluster), taken down with the object.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>

#include "tests/support/process.hpp"

namespace gauntlet::testing_support {

class SlurmCluster {
 public:
  /// Why no Slurm can be started here; "" when one can. For GTEST_SKIP.
  [[nodiscard]] static std::string why_not() {
    return run({program(), "check"}, std::filesystem::temp_directory_path()).out;
  }

  /// Nodes n1, n2, …, each of 2 cpus and 4 gpus that are plain files. `folder` must be new.
  explicit SlurmCluster(std::filesystem::path folder, int n_nodes = 2) : folder_(std::move(folder)) {
    std::filesystem::create_directories(folder_);
    const Finished up = run({program(), "up", folder_.string(), std::to_string(n_nodes)}, folder_);
    EXPECT_EQ(up.exit_code, 0) << up.err;
  }
  ~SlurmCluster() { static_cast<void>(run({program(), "down", folder_.string()}, folder_)); }
  SlurmCluster(const SlurmCluster&) = delete;
  SlurmCluster& operator=(const SlurmCluster&) = delete;

  /// The environment in which sbatch, srun and the others speak to it.
  [[nodiscard]] std::map<std::string, std::string> environment() const {
    return {{"SLURM_CONF", (folder_ / "slurm.conf").string()}};
  }
  /// Ends everything on a node, as a power cut would, and tells Slurm.
  void kill_node(const std::string& node) const {
    const Finished killed = run({program(), "kill", folder_.string(), node}, folder_);
    EXPECT_EQ(killed.exit_code, 0) << killed.err;
  }
  /// What one of Slurm's commands, given as a shell line, prints.
  [[nodiscard]] Finished ask(const std::string& line) const {
    return run({"/bin/bash", "-c", line}, folder_, environment());
  }

 private:
  [[nodiscard]] static std::string program() { return GAUNTLET_SOURCE_DIR "/tests/support/slurm-cluster"; }

  std::filesystem::path folder_;
};

}  // namespace gauntlet::testing_support
