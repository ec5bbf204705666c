#include "coordinator/net/server.hpp"

#include <spdlog/formatter.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <fstream>
#include <thread>
#include <utility>

#include "coordinator/net/alloc_desk.hpp"
#include "coordinator/net/commit_queue.hpp"
#include "coordinator/net/hub.hpp"
#include "coordinator/net/page_server.hpp"
#include "coordinator/net/session.hpp"
#include "coordinator/net/workdir.hpp"
#include "coordinator/store/allocations.hpp"
#include "core/base/files.hpp"
#include "core/tls/identity.hpp"

namespace gauntlet::coordinator {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

constexpr Milliseconds kTick{100};
constexpr Milliseconds kAcceptPause{100};  ///< after accept failed, e.g. for want of descriptors
constexpr Milliseconds kDrainLimit{5000};  ///< for sessions to take what they are owed at the end
constexpr Milliseconds kIdleSlack{10000};
/// How long the io thread looks before it sleeps, for the writer's answer or for what a peer says to it.
constexpr std::chrono::microseconds kLook{250};
constexpr std::uint64_t kLittle = 4;         ///< changes of one job's end and the next one's lease
constexpr Milliseconds kFirstClient{60000};  ///< an unused coordinator ends when nobody came at all

Result<std::shared_ptr<spdlog::logger>> open_log(const std::filesystem::path& workdir, LogFormat format) {
  const std::filesystem::path folder = workdir / "logs";
  GAUNTLET_CHECK_OK(make_directories(folder));
  const std::filesystem::path path = folder / "coordinator.log";
  errno = 0;
  if (!std::ofstream(path, std::ios::app)) return fail(system_error(errno, "write", path));
  auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path.string());
  auto log = std::make_shared<spdlog::logger>("coordinator", std::move(sink));
  log->set_formatter(log_formatter(format, "coordinator"));
  log->set_level(spdlog::get_level());  // the program's own, which --log-level sets
  log->flush_on(spdlog::level::info);
  return log;
}

engine::EngineConfig engine_config(const ServeOptions& options) {
  engine::EngineConfig config;
  config.heartbeat = Milliseconds(options.heartbeat_ms);
  config.grace = Milliseconds(options.grace_ms);
  config.restart_grace = std::max(config.restart_grace, config.grace);
  config.backoff = Milliseconds(options.backoff_ms);
  return config;
}

SessionLimits session_limits(const ServeOptions& options) {
  SessionLimits limits;
  limits.hello = Milliseconds(options.hello_ms);
  limits.frame = Milliseconds(options.frame_ms);
  limits.worker_idle =
      Milliseconds(options.heartbeat_ms) * 4 + kIdleSlack;  // the engine notices silence before
  limits.max_outbound_bytes = options.max_outbound_bytes;
  limits.high_outbound_bytes = std::min(limits.high_outbound_bytes, options.max_outbound_bytes / 2);
  return limits;
}

Status listen_on(tcp::acceptor& acceptor, const ServeOptions& options) {
  boost::system::error_code error;
  const auto address = asio::ip::make_address(options.address, error);
  if (error) return fail(ErrorCode::kInvalid, "'{}' is not an IP address", options.address);
  const tcp::endpoint endpoint(address, options.port);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (!error) return {};
  if (error == asio::error::address_in_use) {
    return fail(ErrorCode::kRefused,
                "port {} of {} is in use; choose another with --port, or 0 for any free one", options.port,
                options.address);
  }
  return fail(ErrorCode::kIo, "cannot listen on port {} of {}: {}", options.port, options.address,
              error.message());
}

bool is_loopback(const std::string& address) {
  boost::system::error_code error;
  return asio::ip::make_address(address, error).is_loopback();
}

AllocOptions alloc_options(const ServeOptions& options) {
  AllocOptions alloc;
  alloc.workdir = options.workdir;
  alloc.program = options.alloc_program;
  alloc.only_here = is_loopback(options.address);
  if (options.alloc_poll_ms > 0) alloc.config.poll = Milliseconds(options.alloc_poll_ms);
  if (options.alloc_backoff_ms > 0) alloc.config.backoff = Milliseconds(options.alloc_backoff_ms);
  return alloc;
}

/// What the options say; nothing without TLS.
Result<std::optional<tls::Identity>> identity_for(const ServeOptions& options) {
  if (!options.tls) return std::optional<tls::Identity>();
  Result<tls::Identity> identity = options.tls_certificate.empty()
                                       ? tls::own_identity(options.workdir, options.address)
                                       : tls::read_identity(options.tls_certificate, options.tls_key);
  if (!identity) return fail(identity.error());
  return std::optional<tls::Identity>(std::move(*identity));
}

/// An IPv6 address as it stands before a port.
std::string bracketed(const std::string& address) {
  return address.find(':') == std::string::npos ? address : "[" + address + "]";
}

class ServerImpl final : public Server {
 public:
  ServerImpl(ServeOptions options, WorkdirLock lock, std::string token, std::optional<tls::Identity> identity,
             std::shared_ptr<spdlog::logger> log, store::JobStore store)
      : options_(std::move(options)),
        lock_(std::move(lock)),
        log_(std::move(log)),
        token_(std::move(token)),
        identity_(std::move(identity)),
        acceptor_(io_),
        ticker_(io_),
        signals_(io_),
        drain_timer_(io_),
        store_(std::move(store)) {}

  /// Loads the state, starts the writer thread, listens, says where.
  Status start() {
    GAUNTLET_TRY(const engine::RestoredRows rows, store_->load());
    GAUNTLET_TRY(const alloc::Rows allocations, store::load_allocations(*store_));
    GAUNTLET_TRY(engine::Restored restored,
                 engine::restore(engine_config(options_), rows, {clock_.now(), clock_.wall_ms()}));
    GAUNTLET_CHECK_OK(start_tls());
    GAUNTLET_CHECK_OK(listen_on(acceptor_, options_));
    queue_ = std::make_unique<CommitQueue>(io_, std::move(*store_),
                                           [this](const Error& error) { end_with(error); });
    store_.reset();
    GAUNTLET_TRY(std::string work_folder, mark_folder(options_.workdir));
    hub_ = std::make_unique<Hub>(
        HubOptions{token_, options_.database.string(), options_.workdir, options_.tokens,
                   std::move(work_folder)},
        clock_, *queue_, std::move(restored.state), log_, [this](const Error& error) { end_with(error); },
        [this] { begin_stop("asked by a client"); });
    hub_->settle({std::move(restored.transitions), {}, 0});
    hub_->open_alloc_desk(io_, alloc_options(options_), allocations);
    GAUNTLET_CHECK_OK(serve_http());
    log_->info("listening on {} port {}; {} jobs, {} leases restored", options_.address, port(),
               rows.rows.jobs.size(), rows.leases.size());
    const bool any = acceptor_.local_endpoint().address().is_unspecified();
    const std::string http =
        page_ == nullptr ? "" : fmt::format("{}:{}", bracketed(options_.http_address), page_->port());
    if (!http.empty()) log_->info("http: the page, /metrics and /healthz at {}", http);
    return write_address(options_.workdir, any ? "127.0.0.1" : options_.address, port(), http,
                         identity_ ? identity_->fingerprint : "", any);
  }

  std::uint16_t port() const override { return acceptor_.local_endpoint().port(); }

  std::uint16_t http_port() const override { return page_ == nullptr ? std::uint16_t{0} : page_->port(); }

  Status run() override {
    spawn(accept_connections(), "accepting");
    spawn(tick(), "ticking");
    run_io();
    page_.reset();
    if (!abandoned_) remove_address(options_.workdir);
    log_->info("stopped");
    log_->flush();
    if (fatal_) return fail(*fatal_);
    return {};
  }

  void stop() override {
    asio::post(io_, [this] { begin_stop("stopped"); });
  }

  void abandon() override {
    abandoned_ = true;
    queue_->abandon();
    io_.stop();
  }

  void stop_on_signals() {
    signals_.add(SIGTERM);
    signals_.add(SIGINT);
    signals_.async_wait([this](const boost::system::error_code& error, int signal) {
      if (!error) begin_stop(signal == SIGTERM ? "SIGTERM" : "SIGINT");
    });
  }

 private:
  /// io_context::run, but that it does not sleep at once while a commit is under way or has just been
  /// answered and commits are as small as those of one job at a time: half of such a round would be threads
  /// that are woken. Whoever else can run goes first.
  void run_io() {
    SteadyTime look_until{};
    bool was_idle = true, is_little = false;
    std::uint64_t n_seen = 0;
    while (!io_.stopped()) {
      const bool looks = is_little && std::chrono::steady_clock::now() < look_until;
      const std::size_t n_answers = queue_->look_for_answers(looks);
      if ((looks || n_answers > 0 ? io_.poll() : io_.run_one()) + n_answers == 0) {
        std::this_thread::yield();
        continue;
      }
      const std::uint64_t n_committed = queue_->stats().n_transitions;
      if (n_committed != n_seen) is_little = n_committed - std::exchange(n_seen, n_committed) <= kLittle;
      const bool is_idle = queue_->is_idle();
      if (is_little && (!is_idle || !was_idle)) look_until = std::chrono::steady_clock::now() + kLook;
      was_idle = is_idle;
    }
  }

  Status start_tls() {
    if (identity_) {
      GAUNTLET_TRY(tls::Owned<SSL_CTX> context, tls::server_context(*identity_));
      tls_.emplace(context.release());
      const std::string said = fmt::format("TLS 1.3 with {}, fingerprint {}", identity_->certificate.string(),
                                           identity_->fingerprint);
      log_->info(said);
      options_.notice(said);
    } else if (!is_loopback(options_.address)) {
      const std::string said = fmt::format(
          "warning: {} can be reached from other machines, and without --tls the token and everything else "
          "pass "
          "in the clear",
          options_.address);
      log_->warn(said);
      options_.notice(said);
    }
    return {};
  }

  Status serve_http() {
    if (options_.http_address.empty()) return {};
    const auto illness = [this] {
      return stopping_ ? std::optional<std::string>("stopping") : hub_->illness();
    };
    GAUNTLET_TRY(page_, PageServer::open(page_io_, HubDoor(*hub_, io_), clock_, options_.database,
                                         {options_.http_address, options_.http_port, token_, options_.tokens},
                                         illness, log_));
    return {};
  }

  void spawn(asio::awaitable<void> coroutine, std::string_view what) {
    asio::co_spawn(io_, std::move(coroutine), [this, what](const std::exception_ptr& thrown) {
      if (!thrown) return;
      try {
        std::rethrow_exception(thrown);
      } catch (const std::exception& error) {
        end_with({ErrorCode::kInternal, fmt::format("{} ended by an exception: {}", what, error.what())});
      }
    });
  }

  asio::awaitable<void> accept_connections() {
    while (acceptor_.is_open()) {
      auto [error, socket] = co_await acceptor_.async_accept(kTuple);
      if (!error) {
        ++hub_->net().connections;
        asio::ssl::context* tls = tls_ ? &*tls_ : nullptr;
        std::make_shared<Session>(std::move(socket), tls, session_limits(options_), *hub_, log_)->start();
        continue;
      }
      if (stopping_) co_return;
      log_->warn("cannot accept a connection: {}", error.message());
      asio::steady_timer pause(io_, kAcceptPause);
      co_await pause.async_wait(kTuple);
    }
  }

  asio::awaitable<void> tick() {
    const SteadyTime started = clock_.now();
    std::optional<SteadyTime> unused_since;
    while (!stopping_) {
      ticker_.expires_after(kTick);
      co_await ticker_.async_wait(kTuple);
      if (stopping_) co_return;
      hub_->tick();
      if (!options_.exit_when_unused || hub_->n_clients() > 0) {
        unused_since.reset();
        continue;
      }
      const SteadyTime now = clock_.now();
      if (!hub_->had_clients()) {
        if (now - started > kFirstClient) begin_stop("no client came");
        continue;
      }
      if (!unused_since) unused_since = now;
      if (now - *unused_since >= Milliseconds(options_.unused_ms))
        begin_stop("no client is connected any more");
    }
  }

  /// What was decided is committed and said; then every connection closes and `run` returns.
  void begin_stop(std::string_view why) {
    if (stopping_) return;
    stopping_ = true;
    log_->info("stopping: {}", why);
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    if (page_ != nullptr) page_->stop();
    signals_.cancel(ignored);
    ticker_.cancel();
    queue_->commit({}, [this](std::span<const engine::JobPayload>) { hub_->close_all(); });
    drain_timer_.expires_after(kDrainLimit);
    drain_timer_.async_wait([this](const boost::system::error_code& error) {
      if (!error) io_.stop();
    });
    spawn(wait_for_sessions(), "draining");
  }

  asio::awaitable<void> wait_for_sessions() {
    asio::steady_timer pause(io_);
    do {
      pause.expires_after(Milliseconds(5));
      co_await pause.async_wait(kTuple);
    } while (hub_->n_sessions() > 0 || !queue_->is_idle());
    drain_timer_.cancel();
    io_.stop();
  }

  void end_with(const Error& error) {
    if (fatal_) return;
    fatal_ = error;
    log_->critical("{}; nothing acknowledged is lost, start the coordinator again to go on", error.message);
    queue_->abandon();
    io_.stop();
  }

  ServeOptions options_;
  WorkdirLock lock_;
  std::shared_ptr<spdlog::logger> log_;
  std::string token_;
  std::optional<tls::Identity> identity_;  ///< nothing without TLS
  std::optional<asio::ssl::context> tls_;
  SystemClock clock_;
  asio::io_context page_io_{1};  ///< of the page's thread; what waits for the hub is of it, too
  asio::io_context io_{1};
  tcp::acceptor acceptor_;
  asio::steady_timer ticker_;
  asio::signal_set signals_;
  asio::steady_timer drain_timer_;
  std::optional<store::JobStore> store_;  ///< until the writer thread owns it
  std::unique_ptr<CommitQueue> queue_;
  std::unique_ptr<Hub> hub_;
  std::unique_ptr<PageServer> page_;  ///< asks the hub
  std::optional<Error> fatal_;
  std::atomic<bool> abandoned_ = false;
  bool stopping_ = false;
};

Result<std::unique_ptr<ServerImpl>> open_server(ServeOptions options) {
  std::error_code unresolved;
  const std::filesystem::path absolute = std::filesystem::absolute(options.workdir, unresolved);
  if (!unresolved) options.workdir = absolute;
  if (options.database.empty()) options.database = options.workdir / "gauntlet.db";
  GAUNTLET_CHECK_OK(make_directories(options.workdir));
  GAUNTLET_TRY(WorkdirLock lock, WorkdirLock::take(options.workdir, "a coordinator", options.database));
  GAUNTLET_TRY(auto log, open_log(options.workdir, options.log_format));
  GAUNTLET_TRY(std::string token, own_token(options.workdir));
  GAUNTLET_TRY(std::optional<tls::Identity> identity, identity_for(options));
  GAUNTLET_TRY(store::JobStore store, store::JobStore::open(options.database));
  auto server = std::make_unique<ServerImpl>(std::move(options), std::move(lock), std::move(token),
                                             std::move(identity), std::move(log), std::move(store));
  GAUNTLET_CHECK_OK(server->start());
  return server;
}

}  // namespace

Result<std::unique_ptr<Server>> Server::open(const ServeOptions& options) {
  GAUNTLET_TRY(std::unique_ptr<Server> server, open_server(options));
  return server;
}

Result<int> serve(const ServeOptions& options) {
  GAUNTLET_TRY(const auto server, open_server(options));
  server->stop_on_signals();
  GAUNTLET_CHECK_OK(server->run());
  return 0;
}

}  // namespace gauntlet::coordinator
