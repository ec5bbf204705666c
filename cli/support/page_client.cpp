#include "cli/support/page_client.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "cli/support/page_address.hpp"

namespace gauntlet::cli {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

constexpr std::size_t kMaxSaid = 200;

}  // namespace

struct PageClient::Connection {
  asio::io_context io;
  asio::ip::tcp::socket socket{io};
  boost::beast::flat_buffer buffer;
  PageAddress page;
};

PageClient::PageClient(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
PageClient::PageClient(PageClient&&) noexcept = default;
PageClient& PageClient::operator=(PageClient&&) noexcept = default;
PageClient::~PageClient() = default;

Result<PageClient> PageClient::connect(const std::filesystem::path& workdir) {
  auto connection = std::make_unique<Connection>();
  GAUNTLET_TRY(connection->page, find_page(workdir));
  const std::string& address = connection->page.address;
  const std::size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  boost::system::error_code error;
  asio::ip::tcp::resolver resolver(connection->io);
  const auto found = resolver.resolve(host, address.substr(colon + 1), error);
  if (!error) asio::connect(connection->socket, found, error);
  if (!error) connection->socket.set_option(asio::ip::tcp::no_delay(true), error);
  if (error)
    return fail(ErrorCode::kUnreachable, "cannot reach the page at {}: {}", address, error.message());
  return PageClient(std::move(connection));
}

Result<std::string> PageClient::get(const std::string& target) {
  http::request<http::empty_body> request{http::verb::get, target, 11};
  request.set(http::field::host, connection_->page.address);
  request.set(http::field::authorization, "Bearer " + connection_->page.token);
  boost::system::error_code error;
  http::write(connection_->socket, request, error);
  http::response_parser<http::string_body> parser;
  parser.body_limit(std::uint64_t{64} << 20U);
  if (!error) http::read(connection_->socket, connection_->buffer, parser, error);
  if (error) return fail(ErrorCode::kUnreachable, "the page did not answer {}: {}", target, error.message());
  const http::response<http::string_body>& reply = parser.get();
  if (reply.result() == http::status::ok) return reply.body();
  return fail(ErrorCode::kInternal, "the page answered {} with {}: {}", target, reply.result_int(),
              reply.body().substr(0, kMaxSaid));
}

}  // namespace gauntlet::cli
