// The coordinator's read-only HTTP server: one table of pages, answered by coroutines on the io_context's
// thread. Thread safety: the io_context's thread only.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/net/token_limits.hpp"
#include "core/base/result.hpp"

namespace spdlog {
class logger;
}

namespace gauntlet::coordinator {

struct HttpRequest {
  std::map<std::string, std::string> query;  ///< "?sweep=1&state=failed", decoded; the last of equal names
  [[nodiscard]] std::string value(const std::string& name) const {
    const auto found = query.find(name);
    return found == query.end() ? std::string() : found->second;
  }
};

struct HttpReply {
  unsigned status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
  /// Not empty: instead of the body, a stream of pieces as they come (server-sent events); nothing ends it.
  /// An empty piece is a sign of life.
  std::function<boost::asio::awaitable<std::optional<std::string>>()> pieces = {};
};

struct HttpPage {
  using Make = std::function<boost::asio::awaitable<HttpReply>(HttpRequest)>;
  std::string path;        ///< "/metrics"
  bool asks_token = true;  ///< else everybody who reaches the port may read it
  Make make;
};

struct HttpOptions {
  std::string address;
  std::uint16_t port = 0;  ///< 0 = any free one
  std::string token;
  TokenLimits limits = {};  ///< what who guesses tokens has to wait
};

/// Answers GET and HEAD; everything else is refused. A page that asks for the token takes it from
/// "Authorization: Bearer <token>" or from the cookie "gauntlet-<port>", which "/?token=<token>" sets
/// (HttpOnly, SameSite=Strict). Every reply carries a content security policy that allows this server's own
/// files and nothing else.
class HttpServer {
 public:
  /// Errors: kInvalid (no IP address), kRefused (port in use), kIo.
  [[nodiscard]] static Result<std::unique_ptr<HttpServer>> open(boost::asio::io_context& io,
                                                                HttpOptions options,
                                                                std::vector<HttpPage> pages,
                                                                std::shared_ptr<spdlog::logger> log);
  virtual ~HttpServer() = default;

  [[nodiscard]] virtual std::uint16_t port() const = 0;
  /// Accepts no more and ends every connection.
  virtual void stop() = 0;
};

}  // namespace gauntlet::coordinator
