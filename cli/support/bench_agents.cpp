#include "cli/support/bench_agents.hpp"

#include <poll.h>

#include <algorithm>
#include <mutex>
#include <thread>

namespace gauntlet::cli {
namespace {

constexpr Milliseconds kPatience{120'000};
constexpr std::size_t kMaxThreads = 8;

/// The rows every noop job reports.
void add_rows(proto::Outcome& outcome, double index) {
  const auto add = [&](const char* metric, double value) {
    proto::Row& row = *outcome.add_rows();
    row.set_metric(metric);
    row.set_value(value);
    row.set_unit("count");
    row.set_n(1);
  };
  add("noop_zero", 0);
  add("noop_one", 1);
  add("noop_index", index);
}

/// Answers whatever arrives at a group of agents until `n_left` is used up or another thread failed.
Status serve_group(std::vector<BenchAgent>& agents, std::atomic<std::int64_t>& n_left,
                   const std::atomic<bool>& failed) {
  std::vector<::pollfd> sockets;
  // What arrived together with an answer to the join is buffered already, and no poll tells of it.
  for (const BenchAgent& agent : agents) sockets.push_back({agent.socket(), POLLIN, POLLIN});
  while (n_left > 0 && !failed) {
    for (std::size_t at = 0; at < sockets.size(); ++at) {
      if (sockets[at].revents == 0) continue;
      while (n_left > 0) {
        const Result<std::uint64_t> settled = agents[at].serve_frame(Milliseconds(0));
        if (!settled && settled.error().code == ErrorCode::kTimedOut) break;
        if (!settled) return fail(settled.error());
        n_left -= static_cast<std::int64_t>(*settled);
      }
    }
    ::poll(sockets.data(), sockets.size(), 20);
  }
  return {};
}

/// Runs `work` for every group on a thread of its own. Errors: the first one's.
template <class Work>
Status on_threads(std::vector<std::vector<BenchAgent>>& groups, std::atomic<bool>& failed, const Work& work) {
  std::mutex mutex;
  Status first;
  std::vector<std::thread> threads;
  for (auto& group : groups) {
    threads.emplace_back([&] {
      Status ended = work(group);
      if (ended) return;
      failed = true;
      const std::lock_guard lock(mutex);
      if (first) first = std::move(ended);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return first;
}

}  // namespace

Result<BenchAgent> BenchAgent::join(const client::Endpoint& endpoint, const std::string& name,
                                    std::uint32_t credit) {
  GAUNTLET_TRY(client::Client connection, client::Client::connect(endpoint, kPatience, "worker"));
  proto::Frame frame;
  proto::WorkerJoin& join = *frame.mutable_worker_join();
  join.set_agent_id("bench-" + name);
  join.set_name(name);
  join.set_cpus(1);
  join.set_memory_mb(1024);
  join.set_credit(credit);
  GAUNTLET_CHECK_OK(connection.request(std::move(frame), kPatience));
  return BenchAgent(std::move(connection));
}

Result<std::uint64_t> BenchAgent::serve_frame(Milliseconds patience) {
  GAUNTLET_TRY(const proto::Frame frame, client_.receive(patience));
  if (frame.has_lease_batch()) {
    GAUNTLET_CHECK_OK(report_done(frame.lease_batch()));
    return 0;
  }
  if (frame.has_failure()) return fail(proto::error_of(frame.failure()));
  if (!frame.has_report_reply()) return 0;
  const proto::ReportReply& reply = frame.report_reply();
  if (reply.stale_size() > 0)
    return fail(ErrorCode::kStaleLease, "{} reports of a running benchmark were refused", reply.stale_size());
  return static_cast<std::uint64_t>(reply.settled_size());
}

Result<proto::LeaseBatch> BenchAgent::next_leases(Milliseconds patience) {
  for (;;) {
    GAUNTLET_TRY(proto::Frame frame, client_.receive(patience));
    if (frame.has_lease_batch()) return std::move(*frame.mutable_lease_batch());
  }
}

Status BenchAgent::report_done(const proto::LeaseBatch& leases) {
  proto::Frame frame;
  frame.set_id(1);
  for (const proto::Lease& lease : leases.leases()) {
    proto::Report& report = *frame.mutable_report_batch()->add_reports();
    report.set_job_id(lease.job_id());
    report.set_lease_id(lease.lease_id());
    report.set_attempt(lease.attempt());
    add_rows(*report.mutable_outcome(), static_cast<double>(lease.job_id()));
  }
  return client_.send(frame, kPatience);
}

Status BenchAgent::heartbeat() {
  proto::Frame frame;
  frame.mutable_heartbeat();
  return client_.send(frame, kPatience);
}

Result<BenchCrowd> BenchCrowd::join(const client::Endpoint& endpoint, int n_agents, std::uint32_t credit) {
  BenchCrowd crowd;
  crowd.threads_.resize(std::min(kMaxThreads, static_cast<std::size_t>(n_agents)));
  for (int at = 0; at < n_agents; ++at) {
    GAUNTLET_TRY(BenchAgent agent, BenchAgent::join(endpoint, fmt::format("agent-{}", at), credit));
    crowd.threads_[static_cast<std::size_t>(at) % crowd.threads_.size()].push_back(std::move(agent));
  }
  return crowd;
}

Result<double> BenchCrowd::drain(std::uint64_t n_jobs) {
  std::atomic<std::int64_t> n_left{static_cast<std::int64_t>(n_jobs)};
  std::atomic<bool> failed{false};
  const auto start = std::chrono::steady_clock::now();
  GAUNTLET_CHECK_OK(on_threads(
      threads_, failed, [&](std::vector<BenchAgent>& group) { return serve_group(group, n_left, failed); }));
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Status BenchCrowd::idle(Milliseconds how_long, Milliseconds every) {
  std::atomic<bool> failed{false};
  const SteadyTime end = std::chrono::steady_clock::now() + how_long;
  return on_threads(threads_, failed, [&](std::vector<BenchAgent>& group) -> Status {
    // Spread over the interval, as agents that started at different times are.
    const auto pause =
        std::chrono::duration_cast<std::chrono::microseconds>(every) / std::max<std::size_t>(1, group.size());
    for (std::size_t at = 0; std::chrono::steady_clock::now() < end; at = (at + 1) % group.size()) {
      GAUNTLET_CHECK_OK(group[at].heartbeat());
      std::this_thread::sleep_for(pause);
    }
    return {};
  });
}

}  // namespace gauntlet::cli
