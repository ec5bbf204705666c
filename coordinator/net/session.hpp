// One connection: frames in, frames out, deadlines and bounds. What frames mean is the Hub's affair.
// Thread safety: the io_context's thread only.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>

#include "coordinator/engine/handlers.hpp"
#include "coordinator/net/metrics.hpp"
#include "coordinator/store/job_store.hpp"
#include "core/base/clock.hpp"
#include "core/proto/frame.hpp"
#include "core/proto/frame_pieces.hpp"
#include "results/store/check_rows.hpp"

namespace spdlog {
class logger;
}

namespace gauntlet::coordinator {

class Session;

/// What a session needs to know of the rest.
class FrameHandler {
 public:
  virtual ~FrameHandler() = default;
  /// One frame of a peer that has said Hello. The next one is read when this has ended.
  [[nodiscard]] virtual boost::asio::awaitable<void> handle(std::shared_ptr<Session> session,
                                                            proto::Frame frame) = 0;
  /// Checks the Hello; an Error is sent back and ends the session. Takes a while where tokens are guessed.
  [[nodiscard]] virtual boost::asio::awaitable<Result<proto::Welcome>> greet(std::shared_ptr<Session> session,
                                                                             proto::Hello hello) = 0;
  virtual void closed(Session& session) = 0;
  [[nodiscard]] virtual NetCounters& net() = 0;
};

struct SessionLimits {
  Milliseconds hello{10000};         ///< until the first frame is whole
  Milliseconds frame{30000};         ///< until a frame that began is whole, and until one is written
  Milliseconds client_idle{600000};  ///< between the requests of a client
  Milliseconds worker_idle{20000};   ///< between the frames of a worker
  /// Unsent answers; with more, no further request of a client is read until it has taken some. What a worker
  /// is owed is bounded by its credit, and its heartbeats must be heard.
  std::size_t high_outbound_bytes = std::size_t{8} << 20;
  std::size_t max_outbound_bytes = std::size_t{96} << 20;  ///< unsent; a peer that does not read is dropped
};

/// A submission while its chunks arrive.
struct PendingSubmission {
  store::SubmissionHead head;
  std::vector<std::shared_ptr<const store::SubmissionPart>> parts;
  std::size_t n_jobs = 0;
  std::size_t n_cells = 0;
  std::uint64_t ticket = 0;  ///< of what is written early
  std::size_t n_bytes = 0;
  std::optional<Error> broken;  ///< the first chunk that was refused
};

/// Verdicts on a sweep while their parts arrive.
struct PendingChecks {
  std::string sweep;
  std::vector<results::CheckRow> rows = {};
  std::size_t n_bytes = 0;  ///< of the messages
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  /// `tls`: what to speak TLS with; null = plain.
  Session(boost::asio::ip::tcp::socket socket, boost::asio::ssl::context* tls, const SessionLimits& limits,
          FrameHandler& handler, std::shared_ptr<spdlog::logger> log);

  /// Reads until the peer or close() ends it.
  void start();
  /// Queues a frame; drops the connection when too much is unsent.
  void send(const proto::Frame& frame);
  /// The same, for a frame with a long field, which is kept instead of copied.
  void send_long(proto::Frame frame);
  void fail(std::uint64_t request, const Error& error) { send(proto::failure_frame(request, error)); }
  /// Ends the connection now.
  void close(std::string_view reason);
  /// Ends it when everything queued has been written.
  void close_when_sent();

  [[nodiscard]] bool is_open() const { return open_; }
  [[nodiscard]] const std::string& peer() const { return peer_; }
  [[nodiscard]] const boost::asio::ip::address& address() const { return address_; }
  [[nodiscard]] boost::asio::any_io_executor executor() { return socket().get_executor(); }
  [[nodiscard]] bool is_worker() const { return is_worker_; }

  // Set by the Hub.
  WorkerId worker;                           ///< after WorkerJoin
  std::optional<PendingSubmission> pending;  ///< between SubmitBegin and SubmitCommit
  PendingChecks pending_checks;              ///< until the StoreChecks that nothing follows
  std::unordered_map<std::uint64_t, proto::AttemptProgress> progress;  ///< by lease, of the last heartbeat

 private:
  using Plain = boost::asio::ip::tcp::socket;
  using Tls = boost::asio::ssl::stream<boost::asio::ip::tcp::socket>;

  /// The TCP socket, below TLS or not.
  [[nodiscard]] Plain& socket();
  /// Looks at the first bytes, so that a peer that speaks the other language hears so, and shakes hands.
  /// Returns whether frames may follow.
  [[nodiscard]] boost::asio::awaitable<bool> begin();
  [[nodiscard]] boost::asio::awaitable<void> turn_away_plain_peer(Plain& raw);
  [[nodiscard]] boost::asio::awaitable<void> read_frames();
  [[nodiscard]] boost::asio::awaitable<Status> take(proto::Frame frame);
  /// Until the peer has taken enough of what it asked for.
  [[nodiscard]] boost::asio::awaitable<void> let_it_read();
  [[nodiscard]] boost::asio::awaitable<void> write_frames();
  [[nodiscard]] boost::asio::awaitable<void> watch();
  /// What waits to be written: bytes of one frame or of several small ones.
  struct Outbound {
    std::unique_ptr<const proto::Frame> frame;  ///< what the field is one of; null where there is none
    proto::FramePieces pieces;
  };
  void queue(Outbound outbound);
  void spawn(boost::asio::awaitable<void> coroutine, std::string_view what);
  [[nodiscard]] Milliseconds idle_limit() const;
  void rearm();

  std::variant<Plain, Tls> stream_;
  SessionLimits limits_;
  FrameHandler& handler_;
  std::shared_ptr<spdlog::logger> log_;
  boost::asio::ip::address address_;
  std::string peer_;
  proto::FrameReader reader_;
  std::deque<Outbound> outbound_;
  std::size_t outbound_bytes_ = 0;
  boost::asio::steady_timer wake_writer_;
  boost::asio::steady_timer wake_reader_;
  boost::asio::steady_timer watchdog_;
  SteadyTime read_deadline_ = SteadyTime::max();
  SteadyTime write_deadline_ = SteadyTime::max();
  bool open_ = true;
  bool greeted_ = false;
  bool is_worker_ = false;
  bool closing_ = false;  ///< close when outbound_ is empty
};

}  // namespace gauntlet::coordinator
