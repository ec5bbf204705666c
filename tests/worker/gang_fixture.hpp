// An agent under test that starts its gangs with a launcher, and what its ranks leave to be seen.
#pragma once

#include <gmock/gmock.h>
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "core/base/files.hpp"
#include "core/proto/convert.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/worker/fake_coordinator.hpp"
#include "tests/worker/processes.hpp"

namespace gauntlet::worker {

/// What we promise from the death of a rank to the end of its gang.
inline constexpr std::chrono::seconds kPromise{5};

/// Whether all launchers, all sizes and every kill are tried, which takes minutes.
inline bool is_full() { return std::getenv("GAUNTLET_GANGS") != nullptr; }
inline constexpr const char* kOnlyFull = "skipped: only in ./dev test --full";

inline std::uint32_t number(ErrorCode code) { return static_cast<std::uint32_t>(code); }

/// Living children only.
inline std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream file(entry.path() / "stat");
    const std::string stat((std::istreambuf_iterator<char>(file)), {});
    const std::size_t end = stat.rfind(')');
    pid_t ppid = 0;
    char state = 0;
    if (end != std::string::npos && std::sscanf(stat.c_str() + end + 1, " %c %d", &state, &ppid) == 2 &&
        ppid == parent && state != 'Z')
      found.push_back(static_cast<pid_t>(std::stol(name)));
  }
  return found;
}

/// With everything they have started.
inline std::vector<pid_t> descendants_of(pid_t ancestor) {
  std::vector<pid_t> all = children_of(ancestor);
  for (std::size_t at = 0; at < all.size(); ++at) {
    const std::vector<pid_t> more = children_of(all[at]);
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

class GangFixture : public ::testing::Test {
 protected:
  /// `environment`: NAME=VALUE, see test_agent.cpp.
  void join(const std::vector<std::string>& environment, double grace_s = 0) {
    std::vector<std::string> command = {"/usr/bin/env"};
    command.insert(command.end(), environment.begin(), environment.end());
    command.insert(command.end(), {GAUNTLET_TEST_AGENT, folder_.path().string(), GAUNTLET_TEST_EXECUTOR,
                                   GAUNTLET_TEST_EXECUTOR, "4", "0", fmt::format("{}", grace_s)});
    agent_ = Child(command);
    ASSERT_GT(agent_.pid(), 0);
    coordinator_.accept();
  }
  /// A gang of one rank on each of these machines, or of `world` on the agent's own.
  proto::Lease start(const Json& config, int world, const std::vector<std::string>& machines = {}) {
    proto::Lease lease = coordinator_.lease(spec::JobKind::kTrainModel, config, world, world);
    for (const std::string& machine : machines) {
      lease.add_parts()->set_address(machine);
      lease.mutable_parts(lease.parts_size() - 1)->set_ranks(1);
    }
    world_ = world;
    coordinator_.send_leases({lease});
    return lease;
  }
  [[nodiscard]] Json never(const std::string& what) const {
    return {{"do", what}, {"until", (folder_.path() / "never").string()}};
  }
  [[nodiscard]] pid_t pid_of(const proto::Lease& lease, int rank, const std::string& suffix = "") const {
    return read_pid(folder_.path() / "pids" / fmt::format("{}.{}{}", lease.lease_id(), rank, suffix));
  }
  [[nodiscard]] std::vector<pid_t> all_pids(const proto::Lease& lease,
                                            const std::vector<std::string>& suffixes) const {
    std::vector<pid_t> all;
    for (int rank = 0; rank < world_; ++rank) {
      for (const std::string& suffix : suffixes) all.push_back(pid_of(lease, rank, suffix));
    }
    EXPECT_THAT(all, ::testing::Not(::testing::Contains(0)));
    return all;
  }
  static void expect_all_gone(const std::vector<pid_t>& all, std::chrono::seconds within = kPromise) {
    const auto deadline = std::chrono::steady_clock::now() + within;
    for (const pid_t pid : all) {
      const auto left = std::chrono::ceil<std::chrono::seconds>(deadline - std::chrono::steady_clock::now());
      EXPECT_TRUE(is_gone(pid, std::max(std::chrono::seconds(1), left))) << pid;
    }
  }
  [[nodiscard]] std::string log_of(const proto::Lease& lease) const {
    return read_file(folder_.path() / "logs" / proto::key_from_bytes(lease.key()).value().hex() /
                     fmt::format("{}.log", lease.attempt()))
        .value_or("");
  }
  /// How often a line is in the attempt's log.
  [[nodiscard]] int n_said(const proto::Lease& lease, const std::string& line) const {
    const std::string log = log_of(lease);
    int n_found = 0;
    for (std::size_t at = 0; (at = log.find(line, at)) != std::string::npos; at += line.size()) ++n_found;
    return n_found;
  }

  testing_support::TempFolder folder_;
  FakeCoordinator coordinator_{folder_.path()};
  Child agent_;
  int world_ = 1;
};

}  // namespace gauntlet::worker
