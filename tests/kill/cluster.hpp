// A coordinator and agents as real processes on loopback: killed as a test wants, started again.
#pragma once

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/random.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::kill {

using testing_support::Finished;
using testing_support::Process;

inline const std::string kGauntlet = GAUNTLET_BINARY_DIR "/bin/gauntlet";
inline constexpr std::chrono::seconds kPatience{60};  ///< for what must happen

/// False when it is gone, or dead and only not reaped.
[[nodiscard]] inline bool is_alive(pid_t pid) {
  const std::string stat = testing_support::bytes_of_file(fmt::format("/proc/{}/stat", pid));
  const std::size_t name_end = stat.rfind(')');
  return name_end != std::string::npos && stat.size() > name_end + 2 && stat[name_end + 2] != 'Z';
}

/// All living processes that were started with `text` in their environment, and what they started.
[[nodiscard]] inline std::vector<pid_t> processes_with_environment(const std::string& text) {
  std::vector<pid_t> found;
  for (const pid_t pid : testing_support::processes_with("")) {
    const std::string environment = testing_support::bytes_of_file(fmt::format("/proc/{}/environ", pid));
    if (environment.find(text) != std::string::npos) found.push_back(pid);
  }
  return found;
}

enum class Role : std::uint8_t { kCoordinator, kAgent, kExecutor };
inline constexpr std::size_t kRoles = 3;

class Cluster {
 public:
  /// `cpus` are of each agent.
  Cluster(const std::string& name, int n_agents, int cpus)
      : cpus_(cpus), agents_(static_cast<std::size_t>(n_agents)) {
    mark_ = "gauntlet-kill-test-" + std::to_string(::getpid()) + "-" + name;
    tend();
  }

  [[nodiscard]] std::filesystem::path workdir() const { return folder_ / "runs"; }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_.path(); }

  /// A command of the cluster's work folder.
  [[nodiscard]] std::vector<std::string> words(std::vector<std::string> command) const {
    command.insert(command.begin(), kGauntlet);
    command.insert(command.end(), {"--workdir", workdir().string()});
    return command;
  }
  [[nodiscard]] std::unique_ptr<Process> start(std::vector<std::string> command) const {
    return std::make_unique<Process>(words(std::move(command)), folder_.path(), environment());
  }
  [[nodiscard]] Finished run(std::vector<std::string> command) const {
    return start(std::move(command))->wait();
  }

  /// Starts whatever does not run. Fails the test when something ended that nobody killed.
  void tend() {
    tend(coordinator_, {"coordinator", "--grace-ms", "1500"});
    for (std::size_t agent = 0; agent < agents_.size(); ++agent) {
      tend(agents_[agent],
           {"worker", "--name", "agent-" + std::to_string(agent), "--cpus", std::to_string(cpus_)});
    }
  }

  /// Kills one process of the role; false when there is none now.
  [[nodiscard]] bool kill_one(Role role, RandomStream& random) {
    if (role == Role::kCoordinator) return kill_child(coordinator_);
    Child& agent = agents_[random.below(static_cast<std::uint32_t>(agents_.size()))];
    if (agent.killed || !agent.process->is_running()) return false;
    const std::vector<pid_t> executors = executors_of(agent);
    if (role == Role::kExecutor) {
      if (executors.empty()) return false;
      return ::kill(executors[random.below(static_cast<std::uint32_t>(executors.size()))], SIGKILL) == 0;
    }
    if (!kill_child(agent)) return false;
    for (const pid_t executor : executors) {
      EXPECT_TRUE(testing_support::wait_until([&] { return !is_alive(executor); }, kPatience))
          << "executor " << executor << " outlives its agent";
    }
    return true;
  }

  /// Ends everything in order, and sees that nothing is left.
  void stop() {
    for (Child& agent : agents_) stop(agent);
    stop(coordinator_);
    const bool alone =
        testing_support::wait_until([&] { return processes_with_environment(mark_).empty(); }, kPatience);
    EXPECT_TRUE(alone) << testing::PrintToString(processes_with_environment(mark_));
  }

 private:
  struct Child {
    std::unique_ptr<Process> process;
    bool killed = false;
  };

  [[nodiscard]] std::map<std::string, std::string> environment() const {
    return {{"GAUNTLET_TEST_MARK", mark_}};
  }

  [[nodiscard]] static std::vector<pid_t> executors_of(const Child& agent) {
    return testing_support::descendants(agent.process->pid(), " executor --");
  }

  void tend(Child& child, std::vector<std::string> command) {
    if (child.process != nullptr && child.process->is_running()) return;
    if (child.process != nullptr && !child.killed) {
      const Finished ended = child.process->wait();
      ADD_FAILURE() << command.front() << " ended by itself with " << ended.exit_code << ": " << ended.err;
    }
    child.killed = false;
    child.process = start(std::move(command));
  }

  static bool kill_child(Child& child) {
    if (child.killed || !child.process->is_running()) return false;
    child.killed = true;
    child.process->send(SIGKILL);
    child.process->wait(kPatience);
    return true;
  }

  static void stop(Child& child) {
    if (child.process == nullptr || !child.process->is_running()) return;
    child.process->send(SIGTERM);
    const Finished ended = child.process->wait(kPatience);
    EXPECT_EQ(ended.exit_code, 0) << ended.err;
  }

  testing_support::TempFolder folder_;
  std::string mark_;
  int cpus_;
  Child coordinator_;
  std::vector<Child> agents_;
};

}  // namespace gauntlet::kill
