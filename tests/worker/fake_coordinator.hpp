// The coordinator's side of a worker's connection, one step at a time, over loopback.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "core/proto/frame.hpp"
#include "core/spec/job_spec.hpp"

namespace gauntlet::worker {

/// Every wait gives up after kTestPatience by throwing, which fails the test.
class FakeCoordinator {
 public:
  /// Listens and leaves its address and token in the work folder.
  explicit FakeCoordinator(std::filesystem::path workdir);
  ~FakeCoordinator();
  FakeCoordinator(const FakeCoordinator&) = delete;
  FakeCoordinator& operator=(const FakeCoordinator&) = delete;

  /// Takes one connection through hello and join; `stale` goes into the welcome.
  proto::WorkerJoin accept(const std::vector<std::uint64_t>& stale = {});
  /// Takes one connection and refuses its hello.
  void refuse(const Error& error);
  /// Closes the connection; with `address_too`, the listening socket as well.
  void drop(bool address_too = false);

  /// A lease of a fresh job.
  proto::Lease lease(spec::JobKind kind, const Json& config, std::int64_t ranks = 1, std::int64_t cpus = 1);
  void send(const proto::Frame& frame);
  void send_leases(const std::vector<proto::Lease>& leases);
  void send_stop(std::uint64_t lease_id, const std::string& reason);
  void send_drain();
  /// Asks for a part of an attempt's log and waits for the answer.
  proto::LogReply ask_log(const proto::Lease& lease, std::uint64_t offset, bool events = false);

  /// The next report. It is settled at once unless `settle` is false.
  proto::Report next_report(bool settle = true);
  /// The next heartbeat for which the condition holds.
  proto::Heartbeat next_heartbeat(const std::function<bool(const proto::Heartbeat&)>& condition);
  /// Waits for the worker's Drain.
  void expect_drain();
  /// Whether the worker has closed the connection, reports read meanwhile being kept and settled.
  [[nodiscard]] bool sees_end();

  std::set<std::uint64_t> stale_in_heartbeats;  ///< told in every heartbeat reply
  std::uint32_t heartbeat_ms = 20;

 private:
  void listen();
  bool fill();
  void pump();
  void take(const proto::Frame& frame, bool settle);
  proto::Frame next_frame();

  std::filesystem::path workdir_;
  int listener_ = -1;
  int connection_ = -1;
  bool settle_ = true;
  bool drained_ = false;
  proto::FrameReader reader_;
  std::deque<proto::Report> reports_;
  std::deque<proto::Heartbeat> heartbeats_;
  std::deque<proto::LogReply> log_replies_;
  std::uint64_t next_lease_ = 1;
};

}  // namespace gauntlet::worker
