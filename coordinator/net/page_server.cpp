#include "coordinator/net/page_server.hpp"

#include <boost/asio/post.hpp>

namespace gauntlet::coordinator {
namespace {

namespace asio = boost::asio;

asio::awaitable<std::string> metrics_of(Hub& hub) { co_return hub.metrics(); }

asio::awaitable<std::optional<std::string>> illness_by(PageServer::Illness illness) { co_return illness(); }

std::vector<HttpPage> open_pages(HubDoor hub, const PageServer::Illness& illness) {
  const auto metrics = [hub](HttpRequest) -> asio::awaitable<HttpReply> {
    std::string text = co_await hub.ask(metrics_of);
    co_return HttpReply{200, "text/plain; version=0.0.4; charset=utf-8", std::move(text)};
  };
  const auto health = [hub, illness](HttpRequest) -> asio::awaitable<HttpReply> {
    const auto question = [illness](Hub&) { return illness_by(illness); };
    const std::optional<std::string> ill = co_await hub.ask(question);
    co_return HttpReply{ill ? 503U : 200U, "text/plain; charset=utf-8", ill.value_or("ok") + "\n"};
  };
  return {{"/metrics", false, metrics}, {"/healthz", false, health}};
}

}  // namespace

Result<std::unique_ptr<PageServer>> PageServer::open(asio::io_context& io, HubDoor hub, const Clock& clock,
                                                     std::filesystem::path database, HttpOptions http,
                                                     Illness illness, std::shared_ptr<spdlog::logger> log) {
  std::unique_ptr<PageServer> server(new PageServer(io, hub, clock, std::move(database)));
  std::vector<HttpPage> pages = server->site_.pages();
  for (HttpPage& page : open_pages(hub, illness)) pages.push_back(std::move(page));
  GAUNTLET_TRY(server->http_, HttpServer::open(io, std::move(http), std::move(pages), std::move(log)));
  server->port_ = server->http_->port();
  server->thread_ = std::thread([&io] { io.run(); });
  return server;
}

PageServer::~PageServer() {
  io_.stop();
  if (thread_.joinable()) thread_.join();
}

void PageServer::stop() {
  asio::post(io_, [this] { http_->stop(); });
}

}  // namespace gauntlet::coordinator
