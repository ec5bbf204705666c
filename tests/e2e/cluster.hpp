// A coordinator and workers as a user starts them, each worker on a work folder of its own, as on other
// machines.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "core/base/files.hpp"
#include "core/base/json.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::testing_support {

class Cluster : public testing::Test {
 protected:
  void SetUp() override {
    coordinator_ = start({"coordinator"}, workdir());
    ASSERT_TRUE(wait_until([&] { return std::filesystem::exists(workdir() / "coordinator.json"); }))
        << coordinator_->err();
  }
  [[nodiscard]] std::filesystem::path workdir() const { return folder_ / "runs"; }
  [[nodiscard]] std::filesystem::path workdir_of(const std::string& worker) const { return folder_ / worker; }
  [[nodiscard]] static std::vector<std::string> words(std::vector<std::string> command,
                                                      const std::filesystem::path& at) {
    command.insert(command.begin(), GAUNTLET_BINARY_DIR "/bin/gauntlet");
    command.insert(command.end(), {"--workdir", at.string()});
    return command;
  }
  [[nodiscard]] std::unique_ptr<Process> start(std::vector<std::string> command,
                                               const std::filesystem::path& at) const {
    return std::make_unique<Process>(words(std::move(command), at), folder_.path());
  }
  [[nodiscard]] Finished gauntlet(std::vector<std::string> command) const {
    return run(words(std::move(command), workdir()), folder_.path(), {}, std::chrono::seconds(300));
  }
  void work(const std::string& name, std::vector<std::string> options) {
    const std::filesystem::path far = workdir_of(name);
    std::filesystem::create_directories(far);
    std::filesystem::copy(workdir() / "token", far / "token");
    std::filesystem::permissions(far / "token",
                                 std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    const auto text = read_file(workdir() / "coordinator.json", 4096);
    ASSERT_TRUE(text);
    const int port = Json::parse(*text).at("port").get<int>();
    options.insert(options.begin(), {"worker", "--name", name, "--no-gpus", "--coordinator",
                                     "127.0.0.1:" + std::to_string(port)});
    workers_.push_back(start(std::move(options), far));
  }
  /// A training of so many ranks with so many cpus, as sweep "gang".
  [[nodiscard]] std::filesystem::path write_training(int ranks, int cpus, int batch_size, int epochs) const {
    std::ofstream(folder_ / "gang.yaml")
        << "gauntlet: 1\nname: gang\naxes:\n  dataset: [{name: picto_scenes, preset: smoke}]\n"
        << "  model: [{name: cpah, backbone_width: 8, hidden: 32, epochs: " << epochs
        << ", batch_size: " << batch_size
        << "}]\n  bits: [16]\n  defense: [none]\n  attack: [none]\n  direction: [i2t]\n  seed: [1]\n"
        << "metrics: [map]\nresources:\n  train_model: {cpus: " << cpus << ", ranks: " << ranks << "}\n";
    return folder_ / "gang.yaml";
  }
  void submit(int ranks, int cpus, int batch_size, int epochs = 1) {
    const Finished submitted = gauntlet({"submit", write_training(ranks, cpus, batch_size, epochs).string()});
    ASSERT_EQ(submitted.exit_code, 0) << submitted.err;
  }
  /// The first row of an answer.
  [[nodiscard]] Json row(const std::string& sql) const {
    const Finished query = gauntlet({"query", sql, "--json"});
    EXPECT_EQ(query.exit_code, 0) << query.err;
    return Json::parse(query.out).at("rows").at(0);
  }

  TempFolder folder_;
  std::unique_ptr<Process> coordinator_;
  std::vector<std::unique_ptr<Process>> workers_;
};

}  // namespace gauntlet::testing_support
