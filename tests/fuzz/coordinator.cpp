// A coordinator with its database in memory, and three peers: a client, a worker, and one that says anything.
// The input is a list of steps: 1 byte what, 2 bytes length (little endian), that many bytes. Whatever comes,
// no commit fails, and what the database holds can be restored.
#include <fcntl.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/null_sink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/executor_work_guard.hpp>
#include <map>
#include <set>

#include "coordinator/net/hub.hpp"
#include "coordinator/store/verify.hpp"
#include "core/base/check.hpp"
#include "core/base/hash.hpp"
#include "core/db/connection.hpp"
#include "core/proto/convert.hpp"
#include "tests/fuzz/targets.hpp"

namespace gauntlet::fuzz {
namespace {

using coordinator::CommitQueue;
using coordinator::Hub;
using coordinator::Session;

constexpr std::size_t kMaxSteps = 60;
/// What a submission may get wrong by itself: `gauntlet verify` names it. Everything else is the
/// coordinator's work.
const std::set<std::string> kClientsWords = {"cells", "sweeps", "texts"};

/// Time passes only when a step says so.
class StepClock final : public Clock {
 public:
  [[nodiscard]] SteadyTime now() const override { return SteadyTime{} + passed; }
  [[nodiscard]] std::int64_t wall_ms() const override { return 1'700'000'000'000 + passed.count(); }
  Milliseconds passed{1'000'000};
};

class Coordinator {
 public:
  Coordinator() {
    store::JobStore store = *store::JobStore::open_in_memory();
    auto restored = engine::restore({}, *store.load(), {clock_.now(), clock_.wall_ms()});
    GAUNTLET_CHECK(restored.has_value());
    const auto on_fatal = [](const Error&) { GAUNTLET_CHECK(!"a peer's words end the coordinator"); };
    queue_ = std::make_unique<CommitQueue>(io_, std::move(store), on_fatal);
    hub_ = std::make_unique<Hub>(coordinator::HubOptions{"t", ":memory:", "/dev/null/no folder"}, clock_,
                                 *queue_, std::move(restored->state), log_, on_fatal, [] {});
    for (const char* role : {"client", "worker", ""}) connect(peers_.emplace_back(Peer{role}));
  }
  ~Coordinator() {
    for (Peer& peer : peers_) ::close(peer.socket);
    settle();
    expect_sound();
  }
  Coordinator(const Coordinator&) = delete;
  Coordinator& operator=(const Coordinator&) = delete;

  void step(std::uint8_t what, std::string_view bytes) {
    switch (what % 8) {
      case 0:
        return say(peers_[0], framed(bytes));
      case 1:
        return say(peers_[1], framed(bytes));
      case 2:
        return say(peers_[2], bytes);
      case 3:
        return say(peers_[0], framed(with_true_keys(bytes)));
      case 4:
        clock_.passed += Milliseconds(250) * (1 + bytes.size());
        hub_->tick();
        return settle();
      case 5:
        static_cast<void>(hub_->metrics());
        return settle();
      default:
        ::close(peers_[what % 3].socket);
        settle();
        return connect(peers_[what % 3]);
    }
  }

 private:
  struct Peer {
    std::string role;  ///< "" = says no hello of its own
    int socket = -1;   ///< the peer's end
  };

  void connect(Peer& peer) {
    std::array<int, 2> ends{};
    GAUNTLET_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0);
    peer.socket = ends[0];
    boost::asio::ip::tcp::socket socket(io_);
    socket.assign(boost::asio::ip::tcp::v4(), ends[1]);
    std::make_shared<Session>(std::move(socket), nullptr, coordinator::SessionLimits{}, *hub_, log_)->start();
    if (peer.role.empty()) return settle();
    proto::Frame hello;
    hello.mutable_hello()->set_protocol(proto::kProtocolVersion);
    hello.mutable_hello()->set_token("t");
    hello.mutable_hello()->set_role(peer.role);
    say(peer, *proto::encode_frame(hello));
  }

  static std::string framed(std::string_view payload) {
    std::string bytes;
    for (std::size_t byte = 0; byte < proto::kFrameHeaderBytes; ++byte)
      bytes.push_back(static_cast<char>((payload.size() >> (8 * byte)) & 0xff));
    return bytes.append(payload);
  }

  /// A chunk whose jobs have the keys their texts ask for; no mutation finds a hash.
  static std::string with_true_keys(std::string_view payload) {
    auto frame = proto::decode_payload(payload);
    if (!frame || !frame->has_submit_chunk()) return std::string(payload);
    std::map<std::string, std::string> true_keys;
    const auto replace = [&](std::string& key) {
      const auto found = true_keys.find(key);
      if (found != true_keys.end()) key = found->second;
    };
    for (proto::Job& job : *frame->mutable_submit_chunk()->mutable_jobs()) {
      const Digest digest = sha256(job.canonical());
      for (std::string& need : *job.mutable_needs()) replace(need);
      std::string key(reinterpret_cast<const char*>(digest.data()), digest.size());
      true_keys[std::exchange(*job.mutable_key(), key)] = key;
    }
    for (proto::Cell& cell : *frame->mutable_submit_chunk()->mutable_cells()) {
      for (proto::CellJob& job : *cell.mutable_jobs()) replace(*job.mutable_key());
    }
    return frame->SerializeAsString();
  }

  void say(const Peer& peer, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n_sent = ::send(peer.socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n_sent <= 0 && errno != EAGAIN) break;  // it hung up
      if (n_sent > 0) bytes.remove_prefix(static_cast<std::size_t>(n_sent));
      settle();
    }
    settle();
  }

  /// Until nobody has anything to do; answers are read and forgotten.
  void settle() {
    for (bool busy = true; busy;) {
      io_.restart();
      busy = io_.poll() > 0;
      while (!queue_->is_idle()) busy = io_.run_one() > 0;
      std::array<char, 4096> answers{};
      for (const Peer& peer : peers_) {
        while (::recv(peer.socket, answers.data(), answers.size(), 0) > 0) busy = true;
      }
    }
  }

  /// The engine can go on from what the database holds.
  void expect_sound() {
    CommitQueue::Work<bool> work = [this](store::JobStore& store) {
      const auto rows = store.load();
      GAUNTLET_CHECK(rows.has_value());
      const auto restored = engine::restore({}, *rows, {clock_.now(), clock_.wall_ms()});
      GAUNTLET_CHECK(restored && restored->state.check_invariants());
      const auto findings = store::check_invariants(store.connection());
      GAUNTLET_CHECK(findings.has_value());
      for (const store::Finding& finding : *findings) GAUNTLET_CHECK(kClientsWords.contains(finding.check));
      return true;
    };
    queue_->ask<bool>(std::move(work), [](bool) {});
    settle();
  }

  std::shared_ptr<spdlog::logger> log_ =
      std::make_shared<spdlog::logger>("fuzz", std::make_shared<spdlog::sinks::null_sink_mt>());
  StepClock clock_;
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_ =
      boost::asio::make_work_guard(io_);  ///< the writer thread may be all that is left
  std::unique_ptr<CommitQueue> queue_;
  std::unique_ptr<Hub> hub_;
  std::vector<Peer> peers_;
};

}  // namespace

void coordinator(Bytes bytes) {
  Coordinator coordinator;
  std::string_view rest = text_of(bytes);
  for (std::size_t n_steps = 0; rest.size() >= 3 && n_steps < kMaxSteps; ++n_steps) {
    const auto byte = [&](std::size_t at) { return static_cast<std::uint8_t>(rest[at]); };
    const std::uint8_t what = byte(0);
    const std::size_t length = byte(1) + std::size_t{256} * byte(2);
    rest.remove_prefix(3);
    coordinator.step(what, rest.substr(0, length));
    rest.remove_prefix(std::min(rest.size(), length));
  }
}

}  // namespace gauntlet::fuzz
