// The coordinator as a process: sockets around the engine, one writer thread around the store.
// Threads: `run` drives the io_context on the calling thread and owns the engine's state; the store lives on
// the writer thread of the CommitQueue. Only `stop` may be called from elsewhere.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "coordinator/net/log_format.hpp"
#include "coordinator/net/token_limits.hpp"
#include "core/base/result.hpp"

namespace gauntlet::coordinator {

struct ServeOptions {
  std::filesystem::path workdir;
  std::filesystem::path database;  ///< "" = <workdir>/gauntlet.db
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;  ///< 0 = any free one; coordinator.json says which
  bool exit_when_unused =
      false;  ///< end once no client has been connected for `unused_ms` after the first one left
  std::uint32_t heartbeat_ms = 5000;  ///< a worker silent for three of these is lost
  std::uint32_t grace_ms = 800;       ///< time a worker has to come back after its connection closed
  std::uint32_t unused_ms = 3000;
  std::uint32_t hello_ms = 10000;                          ///< time a new connection has to say Hello
  std::uint32_t frame_ms = 30000;                          ///< time the rest of a begun frame has to arrive
  std::size_t max_outbound_bytes = std::size_t{96} << 20;  ///< unsent; a peer that does not read is dropped
  TokenLimits tokens = {};
  bool tls = false;                       ///< TLS 1.3 only; coordinator.json says the fingerprint
  std::filesystem::path tls_certificate;  ///< "" = tls.crt and tls.key of the work folder, made when missing
  std::filesystem::path tls_key;
  /// Told what whoever starts it should read at once: the fingerprint, or that there is no TLS.
  std::function<void(std::string_view)> notice = [](std::string_view) {};
  /// Where the page is served, to whoever shows the token, and /metrics and /healthz, to whoever can reach
  /// them. "" = nowhere.
  std::string http_address;
  LogFormat log_format = LogFormat::kText;  ///< of logs/coordinator.log
  std::uint16_t http_port = 0;              ///< 0 = any free one; coordinator.json says which
  std::uint32_t backoff_ms = 1000;          ///< wait before a job's second attempt; doubles with each failure
  std::filesystem::path
      alloc_program;                   ///< what allocations start; "" = gauntlet beside this program, or this
  std::uint32_t alloc_poll_ms = 0;     ///< between two listings of a batch system; 0 = 10 s
  std::uint32_t alloc_backoff_ms = 0;  ///< after the first trouble with it; 0 = 10 s
};

/// Runs a coordinator until SIGTERM, SIGINT, a ShutdownRequest or, if asked, disuse; returns the exit code 0.
/// Errors: kRefused (lock held: names the pid of the holder; port in use; network file system; token others
/// may read), kIo (log not writable), kNoSpace, kCorrupt (database).
[[nodiscard]] Result<int> serve(const ServeOptions& options);

/// What serve() runs, for tests: opened, run on a thread of the caller's choice, stopped from any.
class Server {
 public:
  /// Takes the lock, opens the database, restores the state, listens.
  [[nodiscard]] static Result<std::unique_ptr<Server>> open(const ServeOptions& options);
  virtual ~Server() = default;

  [[nodiscard]] virtual std::uint16_t port() const = 0;
  /// 0 when no HTTP is served.
  [[nodiscard]] virtual std::uint16_t http_port() const = 0;
  /// Blocks until stopped. Errors: the commit that failed (nothing acknowledged is lost; a restart goes on).
  [[nodiscard]] virtual Status run() = 0;
  /// Thread safe. Sessions are drained and closed, then `run` returns.
  virtual void stop() = 0;
  /// Thread safe. `run` returns at once; nothing more is sent or committed, as after a crash.
  virtual void abandon() = 0;
};

}  // namespace gauntlet::coordinator
