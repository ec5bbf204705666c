// Agents that execute nothing: they join a coordinator, take leases and report them done with the three rows
// of a noop job, so that a benchmark measures the coordinator alone. They speak the protocol as real agents
// do.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "coordinator/client/client.hpp"

namespace gauntlet::cli {

/// One connected agent. Thread safety: one thread at a time.
class BenchAgent {
 public:
  /// Connects and joins, with room for `credit` leases at once. Errors: those of Client::connect.
  [[nodiscard]] static Result<BenchAgent> join(const client::Endpoint& endpoint, const std::string& name,
                                               std::uint32_t credit);

  /// Takes one frame and answers it: leases are reported done at once. Returns how many reports the frame
  /// settled. Errors: kTimedOut, kUnreachable; kStaleLease when a report was refused.
  [[nodiscard]] Result<std::uint64_t> serve_frame(Milliseconds patience);
  /// The next leases; other frames are taken and forgotten. Errors: as serve_frame.
  [[nodiscard]] Result<proto::LeaseBatch> next_leases(Milliseconds patience);
  [[nodiscard]] Status report_done(const proto::LeaseBatch& leases);
  [[nodiscard]] Status heartbeat();
  [[nodiscard]] int socket() const { return client_.socket(); }

 private:
  explicit BenchAgent(client::Client client) : client_(std::move(client)) {}

  client::Client client_;
};

/// Agents on a few threads of their own, serving until told to stop.
class BenchCrowd {
 public:
  /// Errors: the first agent's that could not join.
  [[nodiscard]] static Result<BenchCrowd> join(const client::Endpoint& endpoint, int n_agents,
                                               std::uint32_t credit);

  /// Serves until `n_jobs` reports are settled between all agents. Returns the seconds it took. Errors: the
  /// first agent's that failed.
  [[nodiscard]] Result<double> drain(std::uint64_t n_jobs);
  /// Only heartbeats, one per agent every `every`, for so long. Errors: as drain.
  [[nodiscard]] Status idle(Milliseconds how_long, Milliseconds every);

 private:
  std::vector<std::vector<BenchAgent>> threads_;
};

}  // namespace gauntlet::cli
