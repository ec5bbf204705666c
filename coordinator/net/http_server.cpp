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

#include "coordinator/net/http_text.hpp"
#include "coordinator/net/token_guard.hpp"
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

constexpr const char* kPlain = "text/plain; charset=utf-8";
constexpr std::size_t kMaxConnections = 64;
constexpr std::uint32_t kMaxHeaderBytes = 8 << 10;
constexpr std::uint64_t kMaxBodyBytes = 1 << 10;  ///< nothing here reads one
constexpr std::chrono::seconds kRequestLimit{10};
constexpr std::chrono::seconds kIdleLimit{75};  ///< more than a scrape interval
constexpr std::chrono::seconds kGoodbye{1};
constexpr std::size_t kMaxDrainedBytes = 1 << 20;
constexpr Milliseconds kAcceptPause{100};
constexpr std::chrono::seconds kPieceLimit{30};  ///< a reader that takes none for so long is gone
constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
constexpr std::string_view kHowToEnter =
    "This page asks for the coordinator's token. `gauntlet page` prints an address that has it.";

class HttpServerImpl final : public HttpServer {
 public:
  HttpServerImpl(asio::io_context& io, HttpOptions options, std::vector<HttpPage> pages,
                 std::shared_ptr<spdlog::logger> log)
      : io_(io),
        acceptor_(io),
        options_(std::move(options)),
        guard_(options_.limits),
        pages_(std::move(pages)),
        log_(std::move(log)) {}

  Status listen() {
    const std::string& text = options_.address;
    const std::uint16_t port = options_.port;
    boost::system::error_code error;
    const auto address = asio::ip::make_address(text, error);
    if (error) return fail(ErrorCode::kInvalid, "'{}' is not an IP address", text);
    const tcp::endpoint endpoint(address, port);
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error == asio::error::address_in_use) {
      return fail(ErrorCode::kRefused, "port {} of {} is in use; choose another with --http", port, text);
    }
    if (error) return fail(ErrorCode::kIo, "cannot listen on port {} of {}: {}", port, text, error.message());
    if (!address.is_loopback())
      log_->warn("http: {} port {} is not encrypted, the token included", text, this->port());
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
    asio::co_spawn(io_, std::move(coroutine), [this, what](const std::exception_ptr& thrown) {
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
      HttpReply reply{400, kPlain, read_error.message() + "\n"};
      if (!read_error) reply = co_await answer(parser.get(), stream);
      const Context context{parser.get(), !closes && parser.get().keep_alive(), read_error.failed()};
      const bool keep = co_await send(stream, context, std::move(reply));
      if (!keep) break;
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

  struct Context {
    const Request& request;
    bool keep_alive;
    bool is_broken;
  };

  template <class Message>
  static void set_head(const Context& context, const HttpReply& reply, Message& message) {
    message.version(11);
    message.result(reply.status);
    message.set(http::field::content_type, reply.type);
    message.set(http::field::cache_control, "no-store");
    message.set("X-Content-Type-Options", "nosniff");
    message.set("X-Frame-Options", "DENY");
    message.set("Referrer-Policy", "no-referrer");
    message.set("Cross-Origin-Resource-Policy", "same-origin");
    message.set("Content-Security-Policy", kPolicy);
    if (reply.status == 405) message.set(http::field::allow, "GET, HEAD");
    message.keep_alive(context.keep_alive);
  }

  /// Whether the connection may go on.
  asio::awaitable<bool> send(beast::tcp_stream& stream, Context context, HttpReply reply) {
    if (reply.pieces && context.request.method() == http::verb::get) {
      co_await send_pieces(stream, context, std::move(reply));
      co_return false;
    }
    Response response;
    set_head(context, reply, response);
    if (reply.status == 303) {  // the way in: the token moves from the address into a cookie
      response.set(http::field::location, "/");
      response.set(http::field::set_cookie,
                   fmt::format("{}={}; HttpOnly; SameSite=Strict; Path=/", cookie(), options_.token));
    }
    response.body() = std::move(reply.body);
    response.prepare_payload();
    if (!context.is_broken && context.request.method() == http::verb::head) response.body().clear();
    stream.expires_after(kRequestLimit);
    const auto [error, n_written] = co_await http::async_write(stream, response, kTuple);
    co_return !error && response.keep_alive();
  }

  asio::awaitable<void> send_pieces(beast::tcp_stream& stream, Context context, HttpReply reply) {
    http::response<http::empty_body> head;
    set_head(context, reply, head);
    head.keep_alive(false);
    head.chunked(true);
    http::response_serializer<http::empty_body> serializer(head);
    stream.expires_after(kRequestLimit);
    const auto [head_error, n_head] = co_await http::async_write_header(stream, serializer, kTuple);
    if (head_error) co_return;
    for (;;) {
      std::optional<std::string> piece = co_await reply.pieces();
      if (!piece) break;
      if (piece->empty()) *piece = ": still here\n\n";
      stream.expires_after(kPieceLimit);
      const auto [error, n_written] =
          co_await asio::async_write(stream, http::make_chunk(asio::buffer(*piece)), kTuple);
      if (error) co_return;
    }
    stream.expires_after(kRequestLimit);
    static_cast<void>(co_await asio::async_write(stream, http::make_chunk_last(), kTuple));
  }

  [[nodiscard]] std::string cookie() const { return fmt::format("gauntlet-{}", port()); }

  enum class Entry : std::uint8_t { kGranted, kNoToken, kWrongToken, kTooMany };

  /// Slowed down for addresses that showed wrong ones.
  asio::awaitable<Entry> check_token(std::string shown, beast::tcp_stream& stream) {
    if (shown.empty()) co_return Entry::kNoToken;
    beast::error_code unknown;
    const asio::ip::address address = stream.socket().remote_endpoint(unknown).address();
    if (unknown) co_return Entry::kWrongToken;
    const Result<Milliseconds> pause = guard_.begin(address, clock_.now());
    if (!pause) co_return Entry::kTooMany;
    if (*pause > Milliseconds(0)) {
      asio::steady_timer timer(io_, *pause);
      co_await timer.async_wait(kTuple);
    }
    const bool right = same_secret(shown, options_.token);
    guard_.end(address, right, clock_.now());
    co_return right ? Entry::kGranted : Entry::kWrongToken;
  }

  [[nodiscard]] std::string token_of(const Request& request) const {
    constexpr std::string_view kBearer = "Bearer ";
    const auto bearer = request[http::field::authorization];
    const std::string_view shown(bearer.data(), bearer.size());
    if (shown.starts_with(kBearer)) return std::string(shown.substr(kBearer.size()));
    const auto cookies = request[http::field::cookie];
    return std::string(cookie_in({cookies.data(), cookies.size()}, cookie()));
  }

  static HttpReply refusal(Entry entry) {
    switch (entry) {
      case Entry::kGranted:
      case Entry::kNoToken:
        break;
      case Entry::kWrongToken:
        return {403, kPlain, fmt::format("wrong token. {}\n", kHowToEnter)};
      case Entry::kTooMany:
        return {429, kPlain, "too many wrong tokens came from this address; try again later\n"};
    }
    return {401, kPlain, fmt::format("{}\n", kHowToEnter)};
  }

  asio::awaitable<HttpReply> answer(const Request& request, beast::tcp_stream& stream) {
    if (request.method() != http::verb::get && request.method() != http::verb::head)
      co_return HttpReply{405, kPlain, "only GET and HEAD are answered\n"};
    const std::string_view target(request.target().data(), request.target().size());
    const std::string_view path = target.substr(0, target.find('?'));
    auto query = query_of(target);
    if (!query)
      co_return HttpReply{400, kPlain, "the address has a % that no two hexadecimal digits follow\n"};
    if (path == "/" && query->contains("token")) {
      const Entry entry = co_await check_token(query->at("token"), stream);
      co_return entry == Entry::kGranted ? HttpReply{303, kPlain, "come in\n"} : refusal(entry);
    }
    const auto page =
        std::find_if(pages_.begin(), pages_.end(), [&](const HttpPage& known) { return known.path == path; });
    if (page == pages_.end() || page->asks_token) {  // who has no token does not learn which pages there are
      const Entry entry = co_await check_token(token_of(request), stream);
      if (entry != Entry::kGranted) co_return refusal(entry);
    }
    if (page == pages_.end()) co_return HttpReply{404, kPlain, "there is no such page\n"};
    HttpRequest asked{std::move(*query)};
    co_return co_await page->make(std::move(asked));
  }

  asio::io_context& io_;
  tcp::acceptor acceptor_;
  HttpOptions options_;
  TokenGuard guard_;
  SystemClock clock_;
  std::vector<HttpPage> pages_;
  std::shared_ptr<spdlog::logger> log_;
  std::shared_ptr<Streams> streams_ = std::make_shared<Streams>();  ///< of the coroutines that live
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::open(asio::io_context& io, HttpOptions options,
                                                     std::vector<HttpPage> pages,
                                                     std::shared_ptr<spdlog::logger> log) {
  auto server = std::make_unique<HttpServerImpl>(io, std::move(options), std::move(pages), std::move(log));
  GAUNTLET_CHECK_OK(server->listen());
  return server;
}

}  // namespace gauntlet::coordinator
