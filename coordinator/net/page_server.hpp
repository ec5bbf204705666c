// What the coordinator serves over HTTP, on a thread of its own: the page, /metrics and /healthz. What they
// ask the hub runs on the hub's thread, between a batch of reports and the next; everything else here.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "coordinator/net/http_server.hpp"
#include "coordinator/net/hub_door.hpp"
#include "coordinator/net/site.hpp"

namespace gauntlet::coordinator {

class PageServer {
 public:
  /// What /healthz says when all is not well; called on the hub's thread.
  using Illness = std::function<std::optional<std::string>()>;

  /// Listens and starts the thread, which runs `io`. `io` outlives the hub's io_context as well: what waits
  /// for the hub ends with that one. The hub and the clock outlive the server. Errors: those of
  /// HttpServer::open.
  [[nodiscard]] static Result<std::unique_ptr<PageServer>> open(boost::asio::io_context& io, HubDoor hub,
                                                                const Clock& clock,
                                                                std::filesystem::path database,
                                                                HttpOptions http, Illness illness,
                                                                std::shared_ptr<spdlog::logger> log);
  /// Ends the thread, whatever it is at.
  ~PageServer();
  PageServer(const PageServer&) = delete;
  PageServer& operator=(const PageServer&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// Accepts no more and ends every connection. From any thread.
  void stop();

 private:
  PageServer(boost::asio::io_context& io, HubDoor hub, const Clock& clock, std::filesystem::path database)
      : io_(io), site_(hub, clock, std::move(database)) {}

  boost::asio::io_context& io_;
  Site site_;
  std::unique_ptr<HttpServer> http_;  ///< reads the site
  std::uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace gauntlet::coordinator
