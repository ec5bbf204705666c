// The coordinator's read-only HTTP server: one table of pages, answered on the io_context's thread.
// Thread safety: the io_context's thread only.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/result.hpp"

namespace spdlog {
class logger;
}

namespace gauntlet::coordinator {

struct HttpReply {
  unsigned status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
};

struct HttpPage {
  std::string path;     ///< "/metrics"
  std::string summary;  ///< for the list at "/"
  std::function<HttpReply()> make;
};

class HttpServer {
 public:
  /// Listens; GET and HEAD of a page are answered, everything else refused. Port 0 takes any free one.
  /// Errors: kInvalid (no IP address), kIo (port in use).
  [[nodiscard]] static Result<std::unique_ptr<HttpServer>> open(boost::asio::io_context& io,
                                                                const std::string& address,
                                                                std::uint16_t port,
                                                                std::vector<HttpPage> pages,
                                                                std::shared_ptr<spdlog::logger> log);
  virtual ~HttpServer() = default;

  [[nodiscard]] virtual std::uint16_t port() const = 0;
  /// Accepts no more and ends every connection.
  virtual void stop() = 0;
};

}  // namespace gauntlet::coordinator
