#include "coordinator/net/http_server.hpp"

#include <spdlog/logger.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <set>

#include "core/base/clock.hpp"

namespace gauntlet::coordinator {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using Request = http::request<http::string_body>;
using Response = http::response<http::string_body>;
using Streams = std::set<beast::tcp_stream*>;
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

constexpr std::size_t kMaxConnections = 64;
constexpr std::uint32_t kMaxHeaderBytes = 8 << 10;
constexpr std::uint64_t kMaxBodyBytes = 1 << 10;  ///< nothing here reads one
constexpr std::chrono::seconds kRequestLimit{10};
constexpr std::chrono::seconds kIdleLimit{75};  ///< more than a scrape interval
constexpr std::chrono::seconds kGoodbye{1};
constexpr std::size_t kMaxDrainedBytes = 1 << 20;
constexpr Milliseconds kAcceptPause{100};

class HttpServerImpl final : public HttpServer {
 public:
  HttpServerImpl(asio::io_context& io, std::vector<HttpPage> pages, std::shared_ptr<spdlog::logger> log)
      : io_(io), acceptor_(io), pages_(std::move(pages)), log_(std::move(log)) {}

  Status listen(const std::string& text, std::uint16_t port) {
    boost::system::error_code error;
    const auto address = asio::ip::make_address(text, error);
    if (error) return fail(ErrorCode::kInvalid, "'{}' is not an IP address", text);
    const tcp::endpoint endpoint(address, port);
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error == asio::error::address_in_use) {
      return fail(ErrorCode::kIo, "port {} of {} is in use; choose another with --http", port, text);
    }
    if (error) return fail(ErrorCode::kIo, "cannot listen on port {} of {}: {}", port, text, error.message());
    if (!address.is_loopback()) {
      log_->warn("http: {} port {} can be read by everybody who reaches it", text, this->port());
    }
    spawn(accept(), "accepting");
    return {};
  }

  std::uint16_t port() const override { return acceptor_.local_endpoint().port(); }

  void stop() override {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    for (beast::tcp_stream* stream : *streams_) stream->close();
  }

 private:
  void spawn(asio::awaitable<void> coroutine, std::string_view what) {
    asio::co_spawn(io_, std::move(coroutine), [this, what](std::exception_ptr thrown) {
      if (!thrown) return;
      try {
        std::rethrow_exception(thrown);
      } catch (const std::exception& error) {
        log_->error("http: {} ended by an exception: {}", what, error.what());
      }
    });
  }

  asio::awaitable<void> accept() {
    while (acceptor_.is_open()) {
      auto [error, socket] = co_await acceptor_.async_accept(kTuple);
      if (!acceptor_.is_open()) co_return;
      if (error) {
        log_->warn("http: cannot accept a connection: {}", error.message());
        asio::steady_timer pause(io_, kAcceptPause);
        co_await pause.async_wait(kTuple);
      } else if (streams_->size() < kMaxConnections) {
        spawn(serve(std::move(socket)), "answering");
      }  // else: closed again; whoever asks has too many open
    }
  }

  /// In the list of open connections while it lives; the list outlives the server.
  class Listed {
   public:
    Listed(std::shared_ptr<Streams> streams, beast::tcp_stream& stream)
        : streams_(std::move(streams)), stream_(&stream) {
      streams_->insert(stream_);
    }
    Listed(const Listed&) = delete;
    Listed& operator=(const Listed&) = delete;
    ~Listed() { streams_->erase(stream_); }

   private:
    std::shared_ptr<Streams> streams_;
    beast::tcp_stream* stream_;
  };

  asio::awaitable<void> serve(tcp::socket socket) {
    beast::tcp_stream stream(std::move(socket));
    const Listed listed(streams_, stream);
    beast::flat_buffer buffer;
    for (bool first = true;; first = false) {
      stream.expires_after(first ? kRequestLimit : kIdleLimit);
      http::request_parser<http::string_body> parser;
      parser.header_limit(kMaxHeaderBytes);
      parser.body_limit(kMaxBodyBytes);
      const auto [read_error, n_read] = co_await http::async_read(stream, buffer, parser, kTuple);
      if (read_error == http::error::end_of_stream) break;
      const bool closes = static_cast<bool>(read_error) || parser.get().need_eof();
      if (read_error && !is_bad_request(read_error)) break;
      Response response = read_error ? refusal(400, read_error.message()) : answer(parser.get());
      response.keep_alive(!closes && parser.get().keep_alive());
      const bool keep = response.keep_alive();
      response.prepare_payload();
      if (!read_error && parser.get().method() == http::verb::head) response.body().clear();
      stream.expires_after(kRequestLimit);
      const auto [write_error, n_written] = co_await http::async_write(stream, response, kTuple);
      if (write_error || !keep) break;
    }
    beast::error_code ignored;
    stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
    // A socket closed on unread bytes takes the answer back from who has not read it yet.
    stream.expires_after(kGoodbye);
    std::size_t n_drained = 0;
    while (n_drained < kMaxDrainedBytes) {
      buffer.clear();
      const auto [error, n_read] = co_await stream.async_read_some(buffer.prepare(4096), kTuple);
      if (error) break;
      n_drained += n_read;
    }
  }

  /// What a peer sent that HTTP does not allow, as opposed to a connection that ended.
  static bool is_bad_request(const beast::error_code& error) {
    return error.category() == http::make_error_code(http::error::bad_method).category() &&
           error != http::error::partial_message;
  }

  static Response refusal(unsigned status, std::string_view why) {
    return to_response({status, "text/plain; charset=utf-8", fmt::format("{}\n", why)});
  }

  static Response to_response(HttpReply reply) {
    Response response;
    response.version(11);
    response.result(reply.status);
    response.set(http::field::content_type, reply.type);
    response.set(http::field::cache_control, "no-store");
    response.set("X-Content-Type-Options", "nosniff");
    response.body() = std::move(reply.body);
    return response;
  }

  [[nodiscard]] Response answer(const Request& request) const {
    if (request.method() != http::verb::get && request.method() != http::verb::head) {
      Response response = refusal(405, "only GET and HEAD are answered");
      response.set(http::field::allow, "GET, HEAD");
      return response;
    }
    const std::string_view target(request.target().data(), request.target().size());
    const std::string_view path = target.substr(0, target.find('?'));
    if (path == "/") return to_response({200, "text/plain; charset=utf-8", list()});
    const auto page =
        std::find_if(pages_.begin(), pages_.end(), [&](const HttpPage& known) { return known.path == path; });
    if (page == pages_.end()) return refusal(404, "there is no such page; / lists those there are");
    return to_response(page->make());
  }

  [[nodiscard]] std::string list() const {
    std::string text;
    for (const HttpPage& page : pages_) text += fmt::format("{:<12} {}\n", page.path, page.summary);
    return text;
  }

  asio::io_context& io_;
  tcp::acceptor acceptor_;
  std::vector<HttpPage> pages_;
  std::shared_ptr<spdlog::logger> log_;
  std::shared_ptr<Streams> streams_ = std::make_shared<Streams>();  ///< of the coroutines that live
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::open(asio::io_context& io, const std::string& address,
                                                     std::uint16_t port, std::vector<HttpPage> pages,
                                                     std::shared_ptr<spdlog::logger> log) {
  auto server = std::make_unique<HttpServerImpl>(io, std::move(pages), std::move(log));
  GAUNTLET_CHECK_OK(server->listen(address, port));
  return server;
}

}  // namespace gauntlet::coordinator
