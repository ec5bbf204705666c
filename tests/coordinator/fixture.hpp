// A coordinator on loopback in this process, and peers that speak frames to it.
#pragma once

#include <gmock/gmock.h>

#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "coordinator/client/client.hpp"
#include "coordinator/net/server.hpp"
#include "core/proto/convert.hpp"
#include "core/spec/job_spec.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::coordinator {

inline constexpr Milliseconds kPatience{30000};  ///< for what must happen; never waited for when it does

/// Server::run on a thread of its own; stopped at the end.
class RunningServer {
 public:
  explicit RunningServer(const ServeOptions& options) {
    auto opened = Server::open(options);
    if (!opened) {
      ADD_FAILURE() << opened.error().message;
      return;
    }
    server_ = std::move(*opened);
    thread_ = std::thread([this] {
      status_ = server_->run();
      if (status_) return;
      const std::lock_guard lock(mutex_);  // as when its process ends: its connections close with it
      server_.reset();
    });
  }
  ~RunningServer() { stop(); }

  [[nodiscard]] Server& operator*() { return *server_; }
  Status stop() {
    {
      const std::lock_guard lock(mutex_);
      if (server_ != nullptr) server_->stop();
    }
    return join();
  }
  /// As kill -9 would: nothing more is said or written.
  void crash() {
    server_->abandon();
    EXPECT_TRUE(join());
  }
  /// Waits for an end that the server decided on itself.
  Status join() {
    if (thread_.joinable()) thread_.join();
    server_.reset();
    return status_;
  }

 private:
  std::mutex mutex_;
  std::unique_ptr<Server> server_;  ///< guarded by mutex_ while the thread runs
  Status status_;
  std::thread thread_;
};

inline ServeOptions options_for(const testing_support::TempFolder& folder) {
  ServeOptions options;
  options.workdir = folder.path();
  options.backoff_ms = 1;
  options.heartbeat_ms = 60000;  // a test machine may stall for longer than the defaults allow
  options.grace_ms = 60000;
  return options;
}

// ---------------------------------------------------------------- messages

inline spec::JobSpec noop_spec(std::int64_t index) {
  spec::JobSpec job;
  job.kind = spec::JobKind::kNoop;
  job.config = {{"index", index}, {"ms", 0}};
  job.resources.cpus = 0;
  job.title = fmt::format("noop {}", index);
  return job;
}

inline proto::Job job_message(const spec::JobSpec& job) {
  proto::Job message;
  message.set_key(proto::key_bytes(*spec::key_of(job)));
  message.set_canonical(*canonical_json(spec::canonical_form(job)));
  message.set_title(job.title);
  *message.mutable_resources() = proto::to_proto(job.resources);
  for (const spec::JobInput& input : job.inputs) message.add_needs(proto::key_bytes(input.key));
  return message;
}

inline proto::Frame begin_frame(const std::string& name) {
  proto::Frame frame;
  frame.mutable_submit_begin()->set_name(name);
  frame.mutable_submit_begin()->set_metrics("{}");
  return frame;
}

inline proto::Frame commit_frame(std::size_t n_jobs) {
  proto::Frame frame;
  frame.mutable_submit_commit()->set_n_jobs(n_jobs);
  return frame;
}

/// Hands in jobs as one sweep.
inline Result<proto::SubmitReply> submit(client::Client& client, const std::string& name,
                                         const std::vector<spec::JobSpec>& jobs) {
  GAUNTLET_TRY(const proto::Frame begun, client.request(begin_frame(name), kPatience));
  proto::Frame chunk;
  for (const spec::JobSpec& job : jobs) *chunk.mutable_submit_chunk()->add_jobs() = job_message(job);
  GAUNTLET_TRY(const proto::Frame taken, client.request(chunk, kPatience));
  GAUNTLET_TRY(proto::Frame reply, client.request(commit_frame(jobs.size()), kPatience));
  return reply.submit_reply();
}

inline std::vector<spec::JobSpec> noops(std::int64_t n_jobs, std::int64_t first = 0) {
  std::vector<spec::JobSpec> jobs;
  for (std::int64_t index = first; index < first + n_jobs; ++index) jobs.push_back(noop_spec(index));
  return jobs;
}

inline Result<proto::StatusReply> status_of(client::Client& client, std::uint64_t sweep = 0) {
  proto::Frame frame;
  frame.mutable_status_request()->set_sweep_id(sweep);
  GAUNTLET_TRY(proto::Frame reply, client.request(frame, kPatience));
  return reply.status_reply();
}

/// Number of jobs of the sweep in this state.
inline std::uint64_t count_in(client::Client& client, const std::string& state, std::uint64_t sweep = 1) {
  const auto status = status_of(client, sweep);
  if (!status) {
    ADD_FAILURE() << status.error().message;
    return 0;
  }
  const auto& counts = status->sweeps(0).jobs();
  const auto found = counts.find(state);
  return found == counts.end() ? 0 : found->second;
}

/// Asks until the sweep has so many jobs in the state; every question waits for the coordinator, so this
/// never spins.
inline testing::AssertionResult reaches(client::Client& client, const std::string& state,
                                        std::uint64_t n_jobs, std::uint64_t sweep = 1) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  std::uint64_t n_seen = 0;
  while (std::chrono::steady_clock::now() < deadline) {
    n_seen = count_in(client, state, sweep);
    if (n_seen == n_jobs) return testing::AssertionSuccess();
    std::this_thread::yield();
  }
  return testing::AssertionFailure() << n_seen << " jobs are " << state << ", not " << n_jobs;
}

// ---------------------------------------------------------------- a worker

/// Speaks a worker's frames, one at a time.
class FakeWorker {
 public:
  FakeWorker(const std::filesystem::path& workdir, std::string agent_id, std::uint32_t credit = 64,
             std::int64_t cpus = 4)
      : agent_id_(std::move(agent_id)), credit_(credit), cpus_(cpus) {
    connect(workdir);
  }

  /// Connects (again) and joins with the leases it holds.
  void connect(const std::filesystem::path& workdir) {
    const auto endpoint = client::find_coordinator(workdir);
    ASSERT_TRUE(endpoint) << endpoint.error().message;
    auto connected = client::Client::connect(*endpoint, kPatience, "worker");
    ASSERT_TRUE(connected) << connected.error().message;
    connection.emplace(std::move(*connected));
    proto::Frame frame;
    proto::WorkerJoin& join = *frame.mutable_worker_join();
    join.set_agent_id(agent_id_);
    join.set_name(agent_id_);
    join.set_cpus(cpus_);
    join.set_credit(credit_);
    for (const auto& [lease_id, lease] : held) add_ref(lease, *join.add_held());
    const auto answer = connection->request(frame, kPatience);
    ASSERT_TRUE(answer) << answer.error().message;
    ASSERT_TRUE(answer->has_worker_welcome());
    welcome = answer->worker_welcome();
    for (const proto::HeldLease& stale : welcome.stale()) held.erase(stale.lease_id());
  }
  void disconnect() { connection.reset(); }

  /// Waits until it holds so many leases.
  void await_leases(std::size_t n_leases) {
    while (held.size() < n_leases) {
      const auto frame = connection->receive(kPatience);
      ASSERT_TRUE(frame) << frame.error().message << "; " << held.size() << " of " << n_leases
                         << " leases came";
      take(*frame);
    }
  }
  void take(const proto::Frame& frame) {
    for (const proto::Lease& lease : frame.lease_batch().leases()) {
      EXPECT_TRUE(held.emplace(lease.lease_id(), lease).second) << "a lease came twice";
    }
    if (frame.has_stop_attempts()) stopped.push_back(frame.stop_attempts());
  }

  static void add_ref(const proto::Lease& lease, proto::HeldLease& ref) {
    ref.set_job_id(lease.job_id());
    ref.set_lease_id(lease.lease_id());
    ref.set_attempt(lease.attempt());
  }

  static proto::Report report_of(const proto::Lease& lease, std::uint32_t code = 0,
                                 const std::string& message = "") {
    proto::Report report;
    report.set_job_id(lease.job_id());
    report.set_lease_id(lease.lease_id());
    report.set_attempt(lease.attempt());
    report.mutable_outcome()->set_code(code);
    report.mutable_outcome()->set_message(message);
    report.mutable_outcome()->set_wall_s(0.5);
    for (const char* metric : {"noop_a", "noop_b", "noop_c"}) {
      if (code != 0) break;
      proto::Row& row = *report.mutable_outcome()->add_rows();
      row.set_metric(metric);
      row.set_value(1);
      row.set_unit("count");
      row.set_higher_is_better(true);
      row.set_n(1);
    }
    return report;
  }

  /// Reports and waits for the answer; leases that come meanwhile are kept.
  proto::ReportReply report(const std::vector<proto::Report>& reports) {
    static std::atomic<std::uint64_t> last_id{1000000};
    proto::Frame frame;
    const std::uint64_t id = ++last_id;
    frame.set_id(id);
    for (const proto::Report& one : reports) *frame.mutable_report_batch()->add_reports() = one;
    EXPECT_TRUE(connection->send(frame, kPatience));
    for (;;) {
      const auto answer = connection->receive(kPatience);
      if (!answer) {
        ADD_FAILURE() << answer.error().message;
        return {};
      }
      if (answer->id() == id) return answer->report_reply();
      take(*answer);
    }
  }

  /// Does everything it holds and everything that comes, until so many jobs were done by it.
  void work_until(std::size_t n_jobs) {
    std::size_t n_done = 0;
    while (n_done < n_jobs) {
      await_leases(1);
      if (testing::Test::HasFatalFailure() || held.empty()) return;
      std::vector<proto::Report> reports;
      for (const auto& [id, lease] : held) reports.push_back(report_of(lease));
      held.clear();
      n_done += reports.size();
      EXPECT_EQ(report(reports).stale_size(), 0);
    }
  }

  std::optional<client::Client> connection;
  proto::WorkerWelcome welcome;
  std::map<std::uint64_t, proto::Lease> held;  ///< by lease id
  std::vector<proto::StopAttempts> stopped;

 private:
  std::string agent_id_;
  std::uint32_t credit_;
  std::int64_t cpus_;
};

class CoordinatorTest : public testing::Test {
 protected:
  void start() { server_.emplace(options_for(folder_)); }
  void start(const ServeOptions& options) { server_.emplace(options); }
  void crash() {
    server_->crash();
    server_.reset();
  }
  client::Client connect() {
    auto connected = client::Client::connect(folder_.path(), kPatience);
    EXPECT_TRUE(connected) << connected.error().message;
    return std::move(*connected);
  }

  testing_support::TempFolder folder_;
  std::optional<RunningServer> server_;
};

}  // namespace gauntlet::coordinator
