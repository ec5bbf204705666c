// The coordinator's page: its files, compiled in, and what they fetch. docs/operations.md shows it.
#pragma once

#include <boost/asio/thread_pool.hpp>
#include <filesystem>
#include <string_view>
#include <vector>

#include "coordinator/net/http_server.hpp"
#include "coordinator/net/hub.hpp"

namespace gauntlet::coordinator {

/// A file of the page.
struct SiteFile {
  std::string_view path;  ///< "/page.js"
  std::string_view type;
  std::string_view text;
};
/// index.html as "/", page.css, page.js.
[[nodiscard]] const std::vector<SiteFile>& site_files();

class Site {
 public:
  /// The hub outlives it.
  Site(Hub& hub, std::filesystem::path database) : hub_(hub), database_(std::move(database)) {}

  /// "/", its files, and "/api/…": status, jobs, explain, attempts, log (server-sent events), metrics, table,
  /// curves. All ask for the token. They live as long as the site.
  [[nodiscard]] std::vector<HttpPage> pages();

 private:
  using Reply = boost::asio::awaitable<HttpReply>;
  [[nodiscard]] Reply status(HttpRequest request);
  [[nodiscard]] Reply explain(HttpRequest request);
  [[nodiscard]] Reply attempts(HttpRequest request);
  [[nodiscard]] Reply log(HttpRequest request);
  template <class Read>
  [[nodiscard]] Reply read(Read read);

  Hub& hub_;
  std::filesystem::path database_;
  boost::asio::thread_pool readers_{1};  ///< a question to the database must not hold up the io_context
};

}  // namespace gauntlet::coordinator
