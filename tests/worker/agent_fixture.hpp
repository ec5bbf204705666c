// An agent as a process of its own, with executors that do as their job says, at a coordinator that the test
// plays.
#pragma once

#include <gmock/gmock.h>
#include <signal.h>

#include <chrono>
#include <fstream>
#include <map>
#include <string>

#include "core/proto/convert.hpp"
#include "tests/support/temp_folder.hpp"
#include "tests/worker/fake_coordinator.hpp"
#include "tests/worker/processes.hpp"

namespace gauntlet::worker {

namespace fs = std::filesystem;
using spec::JobKind;

inline std::uint32_t number(ErrorCode code) { return static_cast<std::uint32_t>(code); }

inline std::map<std::string, double> values_of(const proto::Outcome& outcome) {
  std::map<std::string, double> values;
  for (const proto::Row& row : outcome.rows()) values[row.metric()] = row.value();
  return values;
}

class AgentTest : public ::testing::Test {
 protected:
  void start_agent(std::string rank = GAUNTLET_TEST_EXECUTOR, double exit_s = 0, double grace_s = 0) {
    agent_ = Child({GAUNTLET_TEST_AGENT, workdir().string(), GAUNTLET_TEST_EXECUTOR, std::move(rank), "2",
                    fmt::format("{}", exit_s), fmt::format("{}", grace_s)});
    ASSERT_GT(agent_.pid(), 0);
  }
  /// With attempts that have so long to end after a signal.
  void join_with_grace(double grace_s) {
    start_agent(GAUNTLET_TEST_EXECUTOR, 0, grace_s);
    coordinator_.accept();
  }
  proto::WorkerJoin join() {
    start_agent();
    return coordinator_.accept();
  }

  [[nodiscard]] const fs::path& workdir() const { return folder_.path(); }
  [[nodiscard]] fs::path flag(const std::string& name) const { return workdir() / name; }
  void raise_flag(const std::string& name) const { std::ofstream(flag(name)) << "go"; }
  [[nodiscard]] Json waiting(const std::string& name) const {
    return {{"do", "wait"}, {"until", flag(name).string()}};
  }
  [[nodiscard]] pid_t pid_of(const proto::Lease& lease, int rank = 0, const std::string& suffix = "") const {
    return read_pid(workdir() / "pids" / fmt::format("{}.{}{}", lease.lease_id(), rank, suffix));
  }
  [[nodiscard]] fs::path log_of(const proto::Lease& lease) const {
    return workdir() / "logs" / proto::key_from_bytes(lease.key()).value().hex() /
           fmt::format("{}.log", lease.attempt());
  }
  proto::Outcome run(JobKind kind, const Json& config) {
    coordinator_.send_leases({coordinator_.lease(kind, config)});
    return coordinator_.next_report().outcome();
  }

  testing_support::TempFolder folder_;
  FakeCoordinator coordinator_{folder_.path()};
  Child agent_;
};

}  // namespace gauntlet::worker
