// A work folder with a coordinator, on a site with a batch system.
#pragma once

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet {

using testing_support::Finished;
using testing_support::Process;
using testing_support::TempFolder;
using testing_support::wait_until;

inline const std::string kGauntlet = GAUNTLET_BINARY_DIR "/bin/gauntlet";
constexpr std::chrono::seconds kPatience{180};

class Site : public testing::Test {
 protected:
  void TearDown() override {
    if (!HasFailure()) return;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / "runs" / "alloc"))
      if (entry.path().extension() == ".log")
        std::cerr << entry.path() << "\n" << testing_support::bytes_of_file(entry.path());
    std::cerr << testing_support::bytes_of_file(folder_ / "runs" / "logs" / "coordinator.log");
  }

  [[nodiscard]] std::string workdir() const { return (folder_ / "runs").string(); }

  /// What the programs of the batch system find in their environment.
  void set_environment(std::map<std::string, std::string> environment) {
    environment_ = std::move(environment);
  }

  void start_coordinator() {
    coordinator_.emplace(
        std::vector<std::string>{kGauntlet, "coordinator", "--workdir", workdir(), "--alloc-poll-ms", "200",
                                 "--alloc-backoff-ms", "100", "--grace-ms", "1000"},
        folder_.path(), environment_);
    ASSERT_TRUE(wait_until([&] { return gauntlet({"status"}).exit_code == 0; })) << coordinator_->err();
  }
  /// As kill -9 does.
  void kill_coordinator() {
    coordinator_->send(SIGKILL);
    static_cast<void>(coordinator_->wait());
    coordinator_.reset();
  }

  /// `gauntlet WORDS --workdir …`; what follows "--" stays at the end.
  Finished gauntlet(std::vector<std::string> words) const {
    const auto extra = std::find(words.begin(), words.end(), "--");
    words.insert(extra, {"--workdir", workdir()});
    words.insert(words.begin(), kGauntlet);
    return testing_support::run(words, folder_.path(), environment_, kPatience);
  }

  /// The only queue of `gauntlet alloc list`; null when there is none.
  [[nodiscard]] Json queue() const {
    const Finished listed = gauntlet({"alloc", "list", "--json"});
    if (listed.exit_code != 0) return {};
    const Json document = Json::parse(listed.out);
    EXPECT_EQ(document["format"], 1);
    return document["queues"].empty() ? Json() : document["queues"][0];
  }
  /// Its allocations in a state.
  [[nodiscard]] int n_allocations(const std::string& state) const {
    const Json found = queue();
    if (found.is_null()) return 0;
    return static_cast<int>(std::count_if(found["allocations"].begin(), found["allocations"].end(),
                                          [&](const Json& one) { return one["state"] == state; }));
  }
  [[nodiscard]] std::string explained() const { return gauntlet({"alloc", "explain"}).out; }

  void submit_noops(int n_jobs, int ms) {
    const auto spec =
        folder_.write("sweep.yaml", "gauntlet: 1\nname: noops\nnoop: {jobs: " + std::to_string(n_jobs) +
                                        ", ms: " + std::to_string(ms) + "}\n");
    const Finished submitted = gauntlet({"submit", spec.string()});
    ASSERT_EQ(submitted.exit_code, 0) << submitted.err;
  }
  /// The first number that a question to the database gives.
  [[nodiscard]] long number(const std::string& sql) const {
    const Finished asked = gauntlet({"query", sql, "--format", "csv"});
    const std::size_t line = asked.out.find('\n');
    EXPECT_NE(line, std::string::npos) << asked.err;
    return line == std::string::npos ? -1 : std::stol(asked.out.substr(line + 1));
  }
  /// Every job is done, with one successful attempt and its three numbers.
  void expect_exactly_once(long n_jobs) const {
    EXPECT_EQ(number("SELECT count(*) AS n FROM v_jobs WHERE state = 'done'"), n_jobs);
    EXPECT_EQ(number("SELECT count(*) AS n FROM v_attempts WHERE outcome = 'done'"), n_jobs);
    EXPECT_EQ(number("SELECT count(*) AS n FROM results"), 3 * n_jobs);
  }

  TempFolder folder_;
  std::map<std::string, std::string> environment_;
  std::optional<Process> coordinator_;
};

}  // namespace gauntlet
