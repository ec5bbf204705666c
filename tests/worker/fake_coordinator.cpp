#include "tests/worker/fake_coordinator.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <utility>

#include "core/base/files.hpp"
#include "core/proto/convert.hpp"
#include "tests/worker/processes.hpp"

namespace gauntlet::worker {
namespace {

constexpr const char* kToken = "the token";

void wait_readable(int fd, const char* what) {
  pollfd wanted{fd, POLLIN, 0};
  const int patience_ms = static_cast<int>(std::chrono::milliseconds(kTestPatience).count());
  if (::poll(&wanted, 1, patience_ms) <= 0)
    throw std::runtime_error(fmt::format("waited in vain for {}", what));
}

void must(bool good, const char* what) {
  if (!good) throw std::runtime_error(what);
}

}  // namespace

FakeCoordinator::FakeCoordinator(std::filesystem::path workdir) : workdir_(std::move(workdir)) {
  // Once: an agent that comes back may read it at any moment, and refuses one that others can read.
  must(write_file_atomic(workdir_ / "token", std::string(kToken) + "\n").has_value(), "token");
  std::filesystem::permissions(workdir_ / "token",
                               std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  listen();
}

FakeCoordinator::~FakeCoordinator() { drop(true); }

void FakeCoordinator::listen() {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  must(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0, "bind");
  must(::listen(listener_, 16) == 0, "listen");
  must(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0, "getsockname");
  const Json where = {{"host", "127.0.0.1"}, {"port", ntohs(address.sin_port)}, {"pid", ::getpid()}};
  must(write_file_atomic(workdir_ / "coordinator.json", where.dump()).has_value(), "coordinator.json");
}

proto::WorkerJoin FakeCoordinator::accept(const std::vector<std::uint64_t>& stale) {
  if (listener_ < 0) listen();
  wait_readable(listener_, "a worker to connect");
  connection_ = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  must(connection_ >= 0, "accept");
  reader_ = proto::FrameReader();
  const proto::Frame hello = next_frame();
  must(hello.has_hello() && hello.hello().role() == "worker", "a worker's hello");
  must(hello.hello().token() == kToken, "the token");
  proto::Frame welcome;
  welcome.set_id(hello.id());
  welcome.mutable_welcome()->set_protocol(proto::kProtocolVersion);
  send(welcome);
  const proto::Frame join = next_frame();
  must(join.has_worker_join(), "a join");
  proto::Frame answer;
  answer.set_id(join.id());
  answer.mutable_worker_welcome()->set_worker_id(1);
  answer.mutable_worker_welcome()->set_heartbeat_ms(heartbeat_ms);
  for (const std::uint64_t lease : stale) answer.mutable_worker_welcome()->add_stale()->set_lease_id(lease);
  send(answer);
  return join.worker_join();
}

void FakeCoordinator::refuse(const Error& error) {
  wait_readable(listener_, "a worker to connect");
  connection_ = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  reader_ = proto::FrameReader();
  send(proto::failure_frame(next_frame().id(), error));
}

void FakeCoordinator::drop(bool address_too) {
  if (connection_ >= 0) ::close(std::exchange(connection_, -1));
  if (address_too && listener_ >= 0) ::close(std::exchange(listener_, -1));
}

proto::Lease FakeCoordinator::lease(spec::JobKind kind, const Json& config, std::int64_t ranks,
                                    std::int64_t cpus) {
  proto::Lease lease;
  lease.set_lease_id(next_lease_);
  lease.set_job_id(next_lease_ + 100);
  lease.set_attempt(1);
  spec::JobSpec job;
  job.kind = kind;
  job.config = config;
  job.seed = next_lease_++;
  lease.set_canonical(canonical_json(canonical_form(job)).value());
  lease.set_key(proto::key_bytes(key_of(job).value()));
  lease.set_title(fmt::format("{} of lease {}", name_of(kind), lease.lease_id()));
  lease.mutable_resources()->set_cpus(cpus);
  lease.mutable_resources()->set_ranks(ranks);
  return lease;
}

void FakeCoordinator::send(const proto::Frame& frame) {
  const std::string bytes = proto::encode_frame(frame).value();
  std::string_view rest = bytes;
  while (!rest.empty()) {
    const ssize_t sent = ::send(connection_, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    must(sent > 0, "the worker does not listen any more");
    rest.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void FakeCoordinator::send_leases(const std::vector<proto::Lease>& leases) {
  proto::Frame frame;
  for (const proto::Lease& lease : leases) *frame.mutable_lease_batch()->add_leases() = lease;
  send(frame);
}

void FakeCoordinator::send_stop(std::uint64_t lease_id, const std::string& reason) {
  proto::Frame frame;
  frame.mutable_stop_attempts()->add_attempts()->set_lease_id(lease_id);
  frame.mutable_stop_attempts()->set_reason(reason);
  send(frame);
}

void FakeCoordinator::send_drain() {
  proto::Frame frame;
  frame.mutable_drain();
  send(frame);
}

proto::LogReply FakeCoordinator::ask_log(const proto::Lease& lease, std::uint64_t offset, bool events) {
  proto::Frame frame;
  frame.set_id(77);
  frame.mutable_log_request()->set_key(lease.key());
  frame.mutable_log_request()->set_attempt(lease.attempt());
  frame.mutable_log_request()->set_offset(offset);
  frame.mutable_log_request()->set_max_bytes(1 << 20);
  frame.mutable_log_request()->set_events(events);
  send(frame);
  while (log_replies_.empty()) pump();
  proto::LogReply reply = std::move(log_replies_.front());
  log_replies_.pop_front();
  return reply;
}

proto::Report FakeCoordinator::next_report(bool settle) {
  settle_ = settle;
  while (reports_.empty()) pump();
  settle_ = true;
  proto::Report report = std::move(reports_.front());
  reports_.pop_front();
  return report;
}

proto::Heartbeat FakeCoordinator::next_heartbeat(
    const std::function<bool(const proto::Heartbeat&)>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + kTestPatience;
  heartbeats_.clear();
  while (std::chrono::steady_clock::now() < deadline) {
    while (heartbeats_.empty()) pump();
    proto::Heartbeat beat = std::move(heartbeats_.front());
    heartbeats_.pop_front();
    if (condition(beat)) return beat;
  }
  throw std::runtime_error("waited in vain for a heartbeat");
}

void FakeCoordinator::expect_drain() {
  while (!drained_) pump();
}

bool FakeCoordinator::sees_end() {
  try {
    while (true) pump();
  } catch (const std::runtime_error& ended) {
    return std::string(ended.what()) == "the worker closed the connection";
  }
}

bool FakeCoordinator::fill() {
  wait_readable(connection_, "the worker to say something");
  char block[1 << 16];
  const ssize_t got = ::recv(connection_, block, sizeof block, 0);
  if (got <= 0) return false;
  reader_.feed(std::string_view(block, static_cast<std::size_t>(got)));
  return true;
}

proto::Frame FakeCoordinator::next_frame() {
  while (true) {
    auto frame = reader_.next();
    must(frame.has_value(), "the worker's frames are broken");
    if (frame->has_value()) return std::move(**frame);
    must(fill(), "the worker closed the connection");
  }
}

void FakeCoordinator::pump() { take(next_frame(), settle_); }

void FakeCoordinator::take(const proto::Frame& frame, bool settle) {
  proto::Frame answer;
  answer.set_id(frame.id());
  if (frame.has_heartbeat()) {
    heartbeats_.push_back(frame.heartbeat());
    proto::HeartbeatReply& reply = *answer.mutable_heartbeat_reply();
    for (const std::uint64_t lease : stale_in_heartbeats) reply.add_stale()->set_lease_id(lease);
    send(answer);
  } else if (frame.has_report_batch()) {
    for (const proto::Report& report : frame.report_batch().reports()) {
      reports_.push_back(report);
      answer.mutable_report_reply()->add_settled(report.lease_id());
    }
    if (settle) send(answer);
  } else if (frame.has_log_reply()) {
    must(frame.id() == 77, "an answer to nobody's question");
    log_replies_.push_back(frame.log_reply());
  } else if (frame.has_drain()) {
    drained_ = true;
  } else {
    must(false, "a frame no worker sends");
  }
}

}  // namespace gauntlet::worker
