// A running coordinator whose disk fails: it ends with the reason or goes on, and whatever it told a client
// or a worker is there when it is started again.
#include <sqlite3.h>

#include <algorithm>

#include "coordinator/store/job_store.hpp"
#include "coordinator/store/verify.hpp"
#include "core/db/connection.hpp"
#include "tests/coordinator/fixture.hpp"
#include "tests/support/simulated_disk.hpp"

namespace gauntlet::coordinator {
namespace {

using testing::HasSubstr;
using testing_support::DiskStep;
using testing_support::SimulatedDisk;

constexpr std::int64_t kJobs = 12;
constexpr std::int64_t kMore = 3;    ///< jobs of a further sweep
constexpr std::int64_t kParked = 4;  ///< jobs of a paused sweep, there to be cancelled
const std::string kDatabase = "/simulated/gauntlet.db";

/// What peers were told, and so may rely on.
struct Told {
  std::map<std::uint64_t, proto::Lease> leases;  ///< by lease id
  std::map<std::uint64_t, std::uint64_t> done;   ///< attempt by job
  std::map<std::string, std::int64_t> sweeps;    ///< jobs by name
  std::vector<spec::JobSpec> cancelled;
  int n_refused = 0;  ///< requests that were answered by a failure
};

/// A worker that may lose its coordinator at any time, and comes back with what it holds.
class Toiler {
 public:
  explicit Toiler(Told& told) : told_(told) {}

  [[nodiscard]] bool join(const std::filesystem::path& workdir) {
    const auto endpoint = client::find_coordinator(workdir);
    auto connected = endpoint ? client::Client::connect(*endpoint, kPatience, "worker")
                              : Result<client::Client>(fail(endpoint.error()));
    if (!connected) return false;
    connection_.emplace(std::move(*connected));
    proto::Frame frame;
    proto::WorkerJoin& join = *frame.mutable_worker_join();
    join.set_agent_id("toiler");
    join.set_name("toiler");
    join.set_cpus(4);
    join.set_credit(3);
    for (const auto& [id, lease] : held_) FakeWorker::add_ref(lease, *join.add_held());
    const auto answer = connection_->request(frame, kPatience);
    if (!answer || !answer->has_worker_welcome()) return false;
    for (const proto::HeldLease& stale : answer->worker_welcome().stale()) held_.erase(stale.lease_id());
    return std::all_of(held_.begin(), held_.end(), [&](const auto& held) { return report(held.second); });
  }

  /// Handles frames until one acknowledges results; their number, or nothing when the coordinator is gone.
  [[nodiscard]] std::optional<std::size_t> work() {
    std::size_t n_acknowledged = 0;
    while (n_acknowledged == 0) {
      const auto frame = connection_->receive(kPatience);
      if (!frame) {
        EXPECT_NE(frame.error().code, ErrorCode::kTimedOut) << "it neither ended nor went on";
        return std::nullopt;
      }
      for (const proto::Lease& lease : frame->lease_batch().leases()) {
        told_.leases[lease.lease_id()] = held_[lease.lease_id()] = lease;
        if (!report(lease)) return std::nullopt;
      }
      n_acknowledged = settle(frame->report_reply());
    }
    return n_acknowledged;
  }

 private:
  [[nodiscard]] bool report(const proto::Lease& lease) {
    proto::Frame frame;
    frame.set_id(7);
    *frame.mutable_report_batch()->add_reports() = FakeWorker::report_of(lease);
    return connection_->send(frame, kPatience).has_value();
  }

  [[nodiscard]] std::size_t settle(const proto::ReportReply& reply) {
    std::size_t n_accepted = 0;
    for (const std::uint64_t id : reply.settled()) {
      const auto lease = held_.find(id);
      if (lease == held_.end()) continue;
      if (std::count(reply.stale().begin(), reply.stale().end(), id) == 0) {
        ++n_accepted;
        EXPECT_TRUE(told_.done.emplace(lease->second.job_id(), lease->second.attempt()).second)
            << "job " << lease->second.job_id() << " was accepted twice";
      }
      held_.erase(lease);
    }
    return n_accepted;
  }

  Told& told_;
  std::optional<client::Client> connection_;
  std::map<std::uint64_t, proto::Lease> held_;
};

struct Fault {
  const char* name;
  DiskStep step;
  int code;
  bool lasting;
  ErrorCode expected;
  const char* words;
};

void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.name; }

class DiskFaults : public CoordinatorTest, public testing::WithParamInterface<Fault> {
 protected:
  DiskFaults() {
    options_ = options_for(folder_);
    options_.database = kDatabase;
  }

  static std::vector<spec::JobSpec> parked() { return noops(kParked, 1000); }

  void hand_in(client::Client& client, const std::string& name, const std::vector<spec::JobSpec>& jobs) {
    if (submit(client, name, jobs)) {
      told_.sweeps[name] = static_cast<std::int64_t>(jobs.size());
    } else {
      ++told_.n_refused;
    }
  }

  /// What a person asks for meanwhile: more work, and less.
  void interfere(client::Client& client, std::int64_t nth) {
    if (nth % 2 == 0) {
      hand_in(client, fmt::format("more {}", nth), noops(kMore, 100 + nth * kMore));
      return;
    }
    const std::size_t which = static_cast<std::size_t>(nth) / 2;
    if (which >= parked().size()) return;
    const spec::JobSpec job = parked()[which];
    proto::Frame frame;
    frame.mutable_cancel_request()->mutable_selection()->set_key_prefix(spec::key_of(job)->hex());
    const auto reply = client.request(frame, kPatience);
    if (reply && reply->change_reply().n_jobs() == 1) {
      told_.cancelled.push_back(job);
    } else {
      ++told_.n_refused;
    }
  }

  /// Works while the disk fails; whether everything that was handed in got done.
  [[nodiscard]] bool work_with_fault(SimulatedDisk& disk, Toiler& toiler, std::uint64_t nth) {
    client::Client client = connect();
    hand_in(client, "parked", parked());
    proto::Frame pause;
    pause.mutable_pause_request()->set_sweep_id(1);
    pause.mutable_pause_request()->set_paused(true);
    EXPECT_TRUE(client.request(pause, kPatience));
    hand_in(client, "work", noops(kJobs));
    disk.fail(GetParam().step, nth, GetParam().code, GetParam().lasting);
    if (!toiler.join(folder_.path())) return false;
    std::int64_t n_asked = 0;
    while (told_.done.size() < n_wanted()) {
      if (!toiler.work()) return false;
      if (n_asked < 6) interfere(client, n_asked++);
    }
    return true;
  }
  [[nodiscard]] std::size_t n_wanted() const {
    std::int64_t n_jobs = -kParked;
    for (const auto& [name, n] : told_.sweeps) n_jobs += n;
    return static_cast<std::size_t>(n_jobs);
  }

  /// Works with a healthy disk until nothing is left.
  void finish(Toiler& toiler) {
    ASSERT_TRUE(toiler.join(folder_.path()));
    client::Client client = connect();
    const auto is_left = [&] {
      const auto status = status_of(client);
      EXPECT_TRUE(status) << status.error().message;
      std::uint64_t n_left = 0;
      for (const proto::SweepStatus& sweep : status->sweeps()) {
        for (const auto& [state, n_jobs] : sweep.jobs()) {
          if (!sweep.paused() && state != "done") n_left += n_jobs;
        }
      }
      return n_left > 0;
    };
    while (is_left() && !HasFailure()) ASSERT_TRUE(toiler.work());
  }

  // ---- afterwards

  static std::int64_t number(db::Connection& database, const std::string& sql) {
    const auto value = database.integer(sql);
    EXPECT_TRUE(value) << value.error().message;
    return value.value_or(-1);
  }
  static std::string job_of(const spec::JobSpec& job) {
    return fmt::format("(SELECT job_id FROM jobs WHERE key = x'{}')", spec::key_of(job)->hex());
  }

  /// Whatever was told is in the database, once.
  void expect_kept() {
    auto store = store::JobStore::open(kDatabase);
    ASSERT_TRUE(store) << store.error().message;
    db::Connection& database = store->connection();
    for (const auto& [job, attempt] : told_.done) {
      EXPECT_EQ(
          number(database, fmt::format("SELECT count(*) FROM jobs j JOIN attempts a ON a.job_id = j.job_id "
                                       "AND a.attempt = {1} JOIN results r ON r.job_id = j.job_id AND "
                                       "r.attempt = {1} WHERE j.job_id = {0} AND j.state = 3 AND a.code = 0",
                                       job, attempt)),
          3)
          << "job " << job;
    }
    for (const auto& [id, lease] : told_.leases) {
      EXPECT_EQ(
          number(database,
                 fmt::format("SELECT count(*) FROM (SELECT lease_id, job_id, attempt FROM attempts UNION "
                             "ALL SELECT lease_id, job_id, attempt FROM leases) WHERE lease_id = {} AND "
                             "job_id = {} AND attempt = {}",
                             id, lease.job_id(), lease.attempt())),
          1)
          << "lease " << id;
    }
    for (const auto& [name, n_jobs] : told_.sweeps) {
      EXPECT_EQ(
          number(database,
                 fmt::format("SELECT count(*) FROM sweep_jobs NATURAL JOIN sweeps WHERE name = '{}'", name)),
          n_jobs)
          << name;
    }
    for (const spec::JobSpec& job : told_.cancelled)
      EXPECT_EQ(number(database, "SELECT state FROM jobs WHERE job_id = " + job_of(job)), 6) << job.title;
    EXPECT_EQ(number(database, "SELECT paused FROM sweeps WHERE sweep_id = 1"), 1);
    const auto findings = store::check_invariants(database);
    ASSERT_TRUE(findings) << findings.error().message;
    for (const store::Finding& finding : *findings)
      ADD_FAILURE() << finding.check << ": " << finding.subject << " " << finding.message;
  }

  /// Whether the coordinator ended by itself. Then it said why, in its answer and in its log.
  [[nodiscard]] bool ended_with_reason(const Status& ended) const {
    if (ended) return false;
    const Fault& fault = GetParam();
    EXPECT_EQ(ended.error().code, fault.expected) << ended.error().message;
    EXPECT_THAT(ended.error().message, HasSubstr(fault.words));
    EXPECT_THAT(ended.error().message, HasSubstr(kDatabase));
    const std::string log = testing_support::bytes_of_file(folder_ / "logs/coordinator.log");
    EXPECT_THAT(log,
                HasSubstr(ended.error().message + "; nothing acknowledged is lost, start the coordinator"));
    return true;
  }

  /// Works with a fault at the nth step; then again with a healthy disk, to the end.
  void live(std::uint64_t nth) {
    SimulatedDisk disk;
    told_ = {};
    Toiler toiler(told_);
    start(options_);
    const bool all_done = work_with_fault(disk, toiler, nth);
    const bool ended = ended_with_reason(all_done ? server_->stop() : server_->join());
    server_.reset();
    is_met_ = disk.has_failed();
    n_ended_ += ended ? 1 : 0;
    n_refused_ += told_.n_refused;
    disk.heal();
    EXPECT_TRUE(ended || all_done);
    EXPECT_TRUE(is_met_ || (all_done && !ended && told_.n_refused == 0));
    expect_kept();
    start(options_);
    finish(toiler);
    EXPECT_TRUE(server_->stop());
    server_.reset();
    expect_kept();
    auto store = store::JobStore::open(kDatabase);
    EXPECT_EQ(number(store->connection(), "SELECT count(*) FROM results"),
              3 * number(store->connection(), "SELECT count(*) FROM jobs WHERE state = 3"));
    EXPECT_EQ(number(store->connection(), "SELECT count(*) FROM jobs WHERE state = 3"),
              number(store->connection(), "SELECT count(*) FROM jobs") - kParked);
  }

  ServeOptions options_;
  Told told_;
  bool is_met_ = false;
  int n_ended_ = 0;
  int n_refused_ = 0;
};

TEST_P(DiskFaults, EndTheCoordinatorWithTheReasonOrNotAtAll) {
  int n_met = 0;
  for (std::uint64_t nth = 1; nth < 400 && !HasFailure(); nth += nth < 40 ? 3 : 31) {
    SCOPED_TRACE(fmt::format("at step {}", nth));
    live(nth);
    if (!is_met_) break;  // the work asks less often than that
    ++n_met;
    std::filesystem::remove_all(folder_ / "logs");
  }
  RecordProperty("n_met", n_met);
  RecordProperty("n_ended", n_ended_);
  RecordProperty("n_refused", n_refused_);
  std::cout << fmt::format("{} faults met; the coordinator ended {} times, {} requests were refused\n", n_met,
                           n_ended_, n_refused_);
  EXPECT_GT(n_met, 0);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, DiskFaults,
    testing::Values(
        Fault{"DiskFull", DiskStep::kWrite, SQLITE_FULL, true, ErrorCode::kNoSpace, "no space left"},
        Fault{"FullOnce", DiskStep::kWrite, SQLITE_FULL, false, ErrorCode::kNoSpace, "no space left"},
        Fault{"WriteError", DiskStep::kWrite, SQLITE_IOERR_WRITE, true, ErrorCode::kIo, "disk I/O error"},
        Fault{"SyncError", DiskStep::kSync, SQLITE_IOERR_FSYNC, true, ErrorCode::kIo, "disk I/O error"},
        Fault{"SyncErrorOnce", DiskStep::kSync, SQLITE_IOERR_FSYNC, false, ErrorCode::kIo, "disk I/O error"},
        Fault{"ReadError", DiskStep::kRead, SQLITE_IOERR_READ, true, ErrorCode::kIo, "disk I/O error"},
        Fault{"Busy", DiskStep::kLock, SQLITE_BUSY, true, ErrorCode::kRefused, "is locked by another"},
        Fault{"BusyOnce", DiskStep::kLock, SQLITE_BUSY, false, ErrorCode::kRefused, "is locked by another"}),
    [](const auto& test) { return std::string(test.param.name); });

class FullDisk : public CoordinatorTest {
 protected:
  FullDisk() {
    options_ = options_for(folder_);
    options_.database = kDatabase;
  }
  ServeOptions options_;
};

TEST_F(FullDisk, RefusesASubmissionWithTheReasonAndTakesItLater) {
  SimulatedDisk disk;
  start(options_);
  client::Client client = connect();
  ASSERT_TRUE(submit(client, "first", noops(3)));
  disk.fail(DiskStep::kWrite, 1, SQLITE_FULL, true);
  const auto refused = submit(client, "second", noops(3, 3));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kNoSpace);
  EXPECT_THAT(refused.error().message, HasSubstr("no space left for database " + kDatabase));
  EXPECT_EQ(status_of(client)->sweeps_size(), 1) << "nothing of it is there";
  disk.heal();
  const auto taken = submit(client, "second", noops(3, 3));
  ASSERT_TRUE(taken) << taken.error().message;
  EXPECT_EQ(taken->new_jobs(), 3U);
  EXPECT_TRUE(server_->stop());
  server_.reset();  // before its disk
}

TEST_F(FullDisk, IsToldWhenTheCoordinatorIsStarted) {
  SimulatedDisk disk;
  disk.fail(DiskStep::kWrite, 1, SQLITE_FULL, true);
  const auto refused = Server::open(options_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kNoSpace);
  EXPECT_THAT(refused.error().message, HasSubstr("no space left for database " + kDatabase));
}

}  // namespace
}  // namespace gauntlet::coordinator
