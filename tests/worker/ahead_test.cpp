// What an agent does with leases for which it has no room yet: test_agent has two cpus.
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "tests/support/temp_folder.hpp"
#include "tests/worker/fake_coordinator.hpp"
#include "tests/worker/processes.hpp"

namespace gauntlet::worker {
namespace {

namespace fs = std::filesystem;
using spec::JobKind;
using testing::HasSubstr;

class AheadTest : public testing::Test {
 protected:
  void join(double grace_s = 0) {
    agent_ = Child({GAUNTLET_TEST_AGENT, folder_.path().string(), GAUNTLET_TEST_EXECUTOR,
                    GAUNTLET_TEST_EXECUTOR, "2", "0", fmt::format("{}", grace_s)});
    ASSERT_GT(agent_.pid(), 0);
    coordinator_.accept();
  }
  proto::Lease waiting_lease(const std::string& name) {
    return coordinator_.lease(JobKind::kEvaluate,
                              {{"do", "wait"}, {"until", (folder_.path() / name).string()}});
  }
  void raise(const std::string& name) const { std::ofstream(folder_.path() / name) << "go"; }
  [[nodiscard]] fs::path pid_file(const proto::Lease& lease) const {
    return folder_.path() / "pids" / fmt::format("{}.0", lease.lease_id());
  }

  testing_support::TempFolder folder_;
  FakeCoordinator coordinator_{folder_.path()};
  Child agent_;
};

TEST_F(AheadTest, NoMoreRunAtOnceThanItsCpusAllow) {
  join();
  raise("at once");
  std::vector<proto::Lease> leases;
  for (int index = 0; index < 12; ++index) leases.push_back(waiting_lease("at once"));
  coordinator_.send_leases(leases);
  std::set<pid_t> processes;
  for (std::size_t n_done = 0; n_done < leases.size();) {
    const proto::Report report = coordinator_.next_report();
    if (report.outcome().code() == 0) {
      ++n_done;
      continue;
    }
    // A machine that is busy enough gives some back.
    ASSERT_THAT(report.outcome().message(), HasSubstr("not started"));
    proto::Lease again = leases.at(report.lease_id() - leases.front().lease_id());
    again.set_attempt(report.attempt() + 1);
    coordinator_.send_leases({again});
  }
  for (const proto::Lease& lease : leases) processes.insert(read_pid(pid_file(lease)));
  EXPECT_LE(processes.size(), 2U);
}

TEST_F(AheadTest, WhatWaitsBehindALongJobIsGivenBack) {
  join();
  const proto::Lease one = waiting_lease("one"), two = waiting_lease("two"), three = waiting_lease("three");
  coordinator_.send_leases({one, two, three});
  const proto::Report report = coordinator_.next_report();
  EXPECT_EQ(report.lease_id(), three.lease_id());
  EXPECT_EQ(report.outcome().code(), static_cast<std::uint32_t>(ErrorCode::kInterrupted));
  EXPECT_THAT(report.outcome().message(), HasSubstr("not started"));
  EXPECT_GT(read_pid(pid_file(one)), 0);
  EXPECT_GT(read_pid(pid_file(two)), 0);
  raise("one");
  raise("two");
  EXPECT_EQ(coordinator_.next_report().outcome().code(), 0U);
  EXPECT_EQ(coordinator_.next_report().outcome().code(), 0U);
  EXPECT_FALSE(fs::exists(pid_file(three)));
}

TEST_F(AheadTest, ALeavingWorkerGivesItBackAtOnce) {
  join(60);
  const proto::Lease one = waiting_lease("one"), two = waiting_lease("two"), three = waiting_lease("three");
  coordinator_.send_leases({one, two});
  ASSERT_GT(read_pid(pid_file(one)), 0);
  ASSERT_GT(read_pid(pid_file(two)), 0);
  coordinator_.send_leases({three});
  ::kill(agent_.pid(), SIGTERM);
  const proto::Report report = coordinator_.next_report();
  EXPECT_EQ(report.lease_id(), three.lease_id());
  EXPECT_EQ(report.outcome().code(), static_cast<std::uint32_t>(ErrorCode::kInterrupted));
  raise("one");
  raise("two");
  EXPECT_EQ(coordinator_.next_report().outcome().code(), 0U) << "these may go on";
  EXPECT_EQ(coordinator_.next_report().outcome().code(), 0U);
  EXPECT_FALSE(fs::exists(pid_file(three)));
}

TEST_F(AheadTest, ALeaseThatWaitsCanBeStopped) {
  join();
  const proto::Lease one = waiting_lease("one"), two = waiting_lease("two"), three = waiting_lease("three");
  coordinator_.send_leases({one, two, three});
  coordinator_.send_stop(three.lease_id(), "cancelled");
  const proto::Report report = coordinator_.next_report();
  EXPECT_EQ(report.lease_id(), three.lease_id());
  EXPECT_EQ(report.outcome().message(), "cancelled");
  raise("one");
  raise("two");
  EXPECT_EQ(coordinator_.next_report().outcome().code(), 0U);
  EXPECT_EQ(coordinator_.next_report().outcome().code(), 0U);
}

}  // namespace
}  // namespace gauntlet::worker
